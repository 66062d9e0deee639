/* Proves that pictures are those of PIL and torchvision, pixel by pixel (make_image_cases.py), and that files that are
   truncated, damaged, animated or made to be large are refused with the reason. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/file/safetensors.h"
#include "worker/image/image_decode.h"
#include "worker/image/image_png.h"
#include "worker/image/resize.h"

static struct safetensors cases;

static int setup(void **state) {
  (void)state;
  return safetensors_open(&cases, "tests/worker/image/images.safetensors", NULL) != STATUS_OK;
}

static int teardown(void **state) {
  (void)state;
  safetensors_close(&cases);
  return 0;
}

static const struct st_tensor *named(const char *prefix, const char *name) {
  char full[100];
  snprintf(full, sizeof full, "%s.%s", prefix, name);
  const struct st_tensor *t = safetensors_find(&cases, full);
  if (!t)
    fail_msg("no %s", full);
  return t;
}

static void same(const struct image *image, const struct st_tensor *want) {
  assert_int_equal(image->height, want->shape[0]);
  assert_int_equal(image->width, want->shape[1]);
  for (size_t i = 0; i < want->length; i++)
    if (image->pixels[i] != want->bytes[i])
      fail_msg("%s: byte %zu is %d, not %d", want->name, i, image->pixels[i], want->bytes[i]);
}

static struct image decoded(const char *name) {
  struct image image;
  struct error err;
  const struct st_tensor *file = named("file", name);
  if (image_decode(&image, file->bytes, file->length, &err))
    fail_msg("%s: %s", name, err.text);
  return image;
}

static void test_every_kind_has_the_pixels_of_pil(void **state) {
  (void)state;
  size_t count = 0;
  for (size_t i = 0; i < cases.count; i++)
    if (strncmp(cases.tensors[i].name, "file.", 5) == 0) {
      struct image image = decoded(cases.tensors[i].name + 5);
      same(&image, named("pixels", cases.tensors[i].name + 5));
      image_done(&image);
      count++;
    }
  assert_true(count >= 30);
}

static void test_sizes_and_crops_are_those_of_torchvision(void **state) {
  (void)state;
  struct image image = decoded("png-rgb"), out;
  for (size_t i = 0; i < cases.count; i++) {
    const char *name = cases.tensors[i].name, *dot = strchr(name, '.');
    size_t width, height;
    if (strncmp(name, "resized.", 8) == 0 && sscanf(dot, ".%zux%zu", &width, &height) == 2)
      assert_int_equal(resize_to(&out, &image, width, height, RESIZE_BILINEAR, NULL), STATUS_OK);
    else if (strncmp(name, "shorter.", 8) == 0)
      assert_int_equal(resize_shorter_side(&out, &image, strtoul(dot + 1, NULL, 10), RESIZE_BILINEAR, NULL), STATUS_OK);
    else if (strncmp(name, "centre.", 7) == 0)
      assert_int_equal(resize_crop(&out, &image, strtoul(dot + 1, NULL, 10), NULL, NULL), STATUS_OK);
    else
      continue;
    same(&out, &cases.tensors[i]);
    image_done(&out);
  }
  image_done(&image);
}

/* Every place is met, none outside, and the seed decides. */
static void test_a_random_crop_is_the_seeds(void **state) {
  (void)state;
  enum { SIDE = 20, PLACES = (29 - SIDE + 1) * (23 - SIDE + 1) };
  struct image image = decoded("png-rgb"), out, again;
  bool met[PLACES] = {false};
  struct rng rng, other;
  rng_init(&rng, 7, RNG_SHUFFLE);
  rng_init(&other, 7, RNG_SHUFFLE);
  for (size_t n = 0; n < 2000; n++) {
    assert_int_equal(resize_crop(&out, &image, SIDE, &rng, NULL), STATUS_OK);
    assert_int_equal(resize_crop(&again, &image, SIDE, &other, NULL), STATUS_OK);
    assert_memory_equal(out.pixels, again.pixels, 3 * SIDE * SIDE);
    for (size_t place = 0; place < PLACES; place++)
      if (memcmp(out.pixels, image.pixels + 3 * (place / 10 * image.width + place % 10), 3 * SIDE) == 0)
        met[place] = true;
    image_done(&out);
    image_done(&again);
  }
  for (size_t place = 0; place < PLACES; place++)
    assert_true(met[place]);
  image_done(&image);
}

static void test_floats_there_and_back(void **state) {
  (void)state;
  struct image image = decoded("png-rgb"), back;
  size_t count = 3 * image.width * image.height;
  const struct st_tensor *want = safetensors_find(&cases, "floats");
  float *numbers = malloc(count * sizeof *numbers);
  assert_non_null(numbers);
  image_floats(numbers, &image);
  assert_int_equal(want->length, count * sizeof *numbers);
  assert_memory_equal(numbers, want->bytes, want->length);
  assert_int_equal(image_alloc(&back, image.width, image.height, NULL), STATUS_OK);
  image_from_floats(&back, numbers);
  assert_memory_equal(back.pixels, image.pixels, count);
  numbers[0] = -3;
  numbers[1] = 1.5f;
  numbers[2] = nanf("");
  image_from_floats(&back, numbers);
  assert_int_equal(back.pixels[0], 0);
  assert_int_equal(back.pixels[1], 255);
  assert_int_equal(back.pixels[2], 0);
  free(numbers);
  image_done(&back);
  image_done(&image);
}

static void test_a_png_that_is_written_is_read(void **state) {
  (void)state;
  struct image image = decoded("jpeg-444"), back;
  unsigned char *bytes;
  size_t length;
  assert_int_equal(image_png_encode(&bytes, &length, &image, NULL), STATUS_OK);
  assert_int_equal(image_decode(&back, bytes, length, NULL), STATUS_OK);
  assert_int_equal(back.width, image.width);
  assert_memory_equal(back.pixels, image.pixels, 3 * image.width * image.height);
  free(bytes);
  image_done(&back);
  image_done(&image);
}

static void refused(const unsigned char *bytes, size_t length, const char *why) {
  struct image image;
  struct error err = {0};
  /* Memory of its very size, so that the sanitizers see a byte too many. */
  unsigned char *copy = malloc(length ? length : 1);
  assert_non_null(copy);
  memcpy(copy, bytes, length);
  assert_int_equal(image_decode(&image, copy, length, &err), STATUS_DATASET_INVALID);
  assert_null(image.pixels);
  if (!strstr(err.text, why))
    fail_msg("said: %s", err.text);
  free(copy);
}

static void test_files_cut_short_are_refused_at_every_length(void **state) {
  (void)state;
  static const char *const names[] = {"png-rgb",   "png-palette", "jpeg-420",   "jpeg-progressive",
                                      "jpeg-cmyk", "webp-lossy",  "webp-exif-6"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const struct st_tensor *file = named("file", names[i]);
    for (size_t length = 0; length < file->length; length++)
      refused(file->bytes, length, length < 3 ? "does not begin as" : "");
    refused(file->bytes, file->length - 1, "truncated");
  }
}

static void test_damage_is_named(void **state) {
  (void)state;
  const struct st_tensor *file = named("file", "png-rgb");
  unsigned char *bytes = malloc(file->length);
  assert_non_null(bytes);
  memcpy(bytes, file->bytes, file->length);
  bytes[file->length - 17] ^= 1; /* the CRC of the last IDAT */
  refused(bytes, file->length, "the PNG is damaged: ");
  free(bytes);
  refused((const unsigned char *)"GIF89a", 6, "does not begin as a PNG, a JPEG or a WebP");
  for (size_t i = 0; i < cases.count; i++)
    if (strncmp(cases.tensors[i].name, "animated.", 9) == 0)
      refused(cases.tensors[i].bytes, cases.tensors[i].length, "animation");
}

/* What claims to be large is refused by its header alone. */
static void test_bombs(void **state) {
  (void)state;
  unsigned char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x40\0\0\0\x20\0\x08\2\0\0\0\xad\x1c\xcb\x36\0\0\0\x0aIDAT";
  refused(png, sizeof png - 1, "16384 x 8192 pixels");
  const struct st_tensor *file = named("file", "jpeg-444");
  unsigned char *bytes = malloc(file->length);
  assert_non_null(bytes);
  memcpy(bytes, file->bytes, file->length);
  for (size_t i = 0; i + 9 < file->length; i++)
    if (bytes[i] == 0xff && bytes[i + 1] == 0xc0)
      memset(bytes + i + 5, 0xf0, 4); /* height, width */
  refused(bytes, file->length, "61680 x 61680 pixels");
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_kind_has_the_pixels_of_pil),
      cmocka_unit_test(test_sizes_and_crops_are_those_of_torchvision),
      cmocka_unit_test(test_a_random_crop_is_the_seeds),
      cmocka_unit_test(test_floats_there_and_back),
      cmocka_unit_test(test_a_png_that_is_written_is_read),
      cmocka_unit_test(test_files_cut_short_are_refused_at_every_length),
      cmocka_unit_test(test_damage_is_named),
      cmocka_unit_test(test_bombs),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
