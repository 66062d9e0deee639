/* Proves that a map of classes has the numbers that stand in its file, whatever kind of PNG it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/image/image_png.h"

enum { WIDTH = 3, HEIGHT = 2, BYTES_MAX = 200 };

/* Files of 3 x 2 pixels, and what stands in them: a grey value or a number of the palette, or 0xrrggbb. */
static const struct {
  const char *name, *hex;
  uint32_t want[WIDTH * HEIGHT];
} cases[] = {
    {"bits",
     "89504e470d0a1a0a0000000d4948445200000003000000020100000000b50f5bb70000000c4944415478da637060580000016400e1"
     "afc70c800000000049454e44ae426082",
     {0, 1, 0, 1, 0, 1}},
    {"grey-4",
     "89504e470d0a1a0a0000000d49484452000000030000000204000000007defd4c70000000e4944415478da63605460300900000143"
     "00a6c3a5112b0000000049454e44ae426082",
     {0, 1, 2, 3, 4, 5}},
    {"grey-8",
     "89504e470d0a1a0a0000000d4948445200000003000000020800000000b81f39c6000000104944415478da63606064626066f90f00"
     "0128010adf2c0fdd0000000049454e44ae426082",
     {0, 1, 2, 3, 4, 255}},
    {"palette-2",
     "89504e470d0a1a0a0000000d4948445200000003000000020203000000e01a8e890000000c504c5445c8c9cacbcccdcecfd0d1d2d3"
     "2a05e6e00000000c4944415478da639060380200011000dd2f18dc8e0000000049454e44ae426082",
     {0, 1, 2, 3, 0, 1}},
    {"palette-8",
     "89504e470d0a1a0a0000000d4948445200000003000000020803000000aaaa962800000012504c5445c8c9cacbcccdcecfd0d1d2d3"
     "d4d5d6d7d8d9f7bbf5dd000000104944415478da63606064626066610500002e0010fad8c70c0000000049454e44ae426082",
     {0, 1, 2, 3, 4, 5}},
    {"grey-alpha",
     "89504e470d0a1a0a0000000d4948445200000003000000020804000000377dae91000000164944415478da6360e064e464e26460e6"
     "64e16465000001ad003d718b489e0000000049454e44ae426082",
     {0, 1, 2, 3, 4, 5}},
    {"rgb",
     "89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000001c4944415478da6360646266616563e7e0"
     "64e0e6e1e5e317101412060004e200b5534a4f470000000049454e44ae426082",
     {0x010203, 0x040506, 0x070809, 0x0b0c0d, 0x0e0f10, 0x111213}},
    {"rgba",
     "89504e470d0a1a0a0000000d49484452000000030000000208060000009d74661a000000224944415478da63606462666061656360"
     "e7e06460e0e6e165e0e31760101412e6040006bc00be45e7269b0000000049454e44ae426082",
     {0x010203, 0x040506, 0x070809, 0x0b0c0d, 0x0e0f10, 0x111213}},
    {"grey-16",
     "89504e470d0a1a0a0000000d4948445200000003000000021000000000e88fe585000000164944415478da63606064606260666060"
     "616065600300006f0016e1e9e4920000000049454e44ae426082",
     {0}},
    {"interlaced",
     "89504e470d0a1a0a0000000d4948445200000003000000020803000001ddada6be00000012504c5445c8c9cacbcccdcecfd0d1d2d3"
     "d4d5d6d7d8d9f7bbf5dd000000124944415478da63606060626064606661050000330010417e56d20000000049454e44ae426082",
     {0, 1, 2, 3, 4, 5}},
};
enum { GREY_16 = COUNT_OF(cases) - 2 };

static size_t bytes_of(unsigned char out[BYTES_MAX], const char *hex) {
  size_t length = strlen(hex) / 2;
  assert_true(length <= BYTES_MAX);
  for (size_t i = 0; i < length; i++) {
    const char digits[] = {hex[2 * i], hex[2 * i + 1], 0};
    out[i] = (unsigned char)strtoul(digits, NULL, 16);
  }
  return length;
}

static void what_stands_in_the_file_is_read(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    unsigned char bytes[BYTES_MAX];
    struct image image;
    struct error err;
    const size_t length = bytes_of(bytes, cases[i].hex);
    if (i == GREY_16)
      continue;
    if (image_png_labels(&image, bytes, length, &err))
      fail_msg("%s: %s", cases[i].name, err.text);
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    for (size_t p = 0; p < COUNT_OF(cases[i].want); p++) {
      const uint32_t want = cases[i].want[p] > 255 ? cases[i].want[p] : cases[i].want[p] * 0x010101;
      const unsigned char *rgb = image.pixels + 3 * p;
      if (((uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2]) != want)
        fail_msg("%s: pixel %zu is %02x%02x%02x, not %06x", cases[i].name, p, rgb[0], rgb[1], rgb[2], want);
    }
    image_done(&image);
  }
}

static void refused(const unsigned char *bytes, size_t length, const char *why) {
  struct image image;
  struct error err = {0};
  unsigned char *copy = malloc(length + !length); /* of its very size, so that the sanitizers see a byte too many */
  assert_non_null(copy);
  memcpy(copy, bytes, length);
  assert_int_equal(image_png_labels(&image, copy, length, &err), STATUS_DATASET_INVALID);
  assert_null(image.pixels);
  if (!strstr(err.text, why))
    fail_msg("said: %s", err.text);
  free(copy);
}

static void what_would_lose_numbers_is_refused(void **state) {
  (void)state;
  unsigned char bytes[BYTES_MAX];
  size_t length = bytes_of(bytes, cases[GREY_16].hex);
  refused(bytes, length, "16 bits a channel; a map of classes has 8 at most");
  refused((const unsigned char *)"\xff\xd8\xff\xe0 a JPEG", 11, "does not begin as a PNG does");
}

static void files_cut_short_are_refused_at_every_length(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    unsigned char bytes[BYTES_MAX];
    size_t length = bytes_of(bytes, cases[i].hex);
    for (size_t cut = 0; cut < length; cut++)
      refused(bytes, cut, "");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_stands_in_the_file_is_read),
                                     cmocka_unit_test(what_would_lose_numbers_is_refused),
                                     cmocka_unit_test(files_cut_short_are_refused_at_every_length)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
