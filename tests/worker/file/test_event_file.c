/* Event files byte by byte: the checksum against published vectors, and records against the formats' definitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "worker/file/event_file.h"

static char dir[64], path[96];

static int set_up(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/test_event_file.XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(path, sizeof path, "%s/" EVENT_FILE_NAME, dir);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  return file_remove_tree(dir, NULL) ? -1 : 0;
}

/* RFC 3720, appendix B.4, and the check value of CRC catalogues. */
static void checksums_are_those_of_the_rfc(void **state) {
  (void)state;
  unsigned char bytes[32] = {0};
  assert_int_equal(event_file_crc32c("", 0), 0);
  assert_int_equal(event_file_crc32c("123456789", 9), 0xe3069283);
  assert_int_equal(event_file_crc32c(bytes, 32), 0x8a9136aa);
  memset(bytes, 0xff, 32);
  assert_int_equal(event_file_crc32c(bytes, 32), 0x62a8ab43);
  for (unsigned char i = 0; i < 32; i++)
    bytes[i] = i;
  assert_int_equal(event_file_crc32c(bytes, 32), 0x46dd794e);
  for (unsigned char i = 0; i < 32; i++)
    bytes[i] = 31 - i;
  assert_int_equal(event_file_crc32c(bytes, 32), 0x113fdb5c);
}

static uint32_t get32(const char *at) {
  const unsigned char *b = (const unsigned char *)at;
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* What a reader of TFRecords demands of the two checksums. */
static uint32_t unmasked(uint32_t masked) {
  uint32_t turned = masked - 0xa282ead8;
  return turned >> 17 | turned << 15;
}

/* Checks a record's frame and that its bytes are `want`; past it. */
static const char *record_is(const char *at, const char *want, size_t length) {
  assert_int_equal(get32(at), length);
  assert_int_equal(get32(at + 4), 0);
  assert_int_equal(unmasked(get32(at + 8)), event_file_crc32c(at, 8));
  assert_memory_equal(at + 12, want, length);
  assert_int_equal(unmasked(get32(at + 12 + length)), event_file_crc32c(at + 12, length));
  return at + 16 + length;
}
#define RECORD_IS(at, want) record_is(at, want, sizeof(want) - 1)

static void records_are_as_defined(void **state) {
  (void)state;
  struct event_file file;
  struct error err;
  char *bytes;
  size_t length;
  const struct scalar two[] = {{"a/b", 1.5f}, {"c", -2}};
  assert_int_equal(event_file_create(&file, path, &err), STATUS_OK);
  assert_int_equal(event_file_add(&file, 0, two, 1, &err), STATUS_OK);
  assert_int_equal(event_file_add(&file, 300, two, 2, &err), STATUS_OK);
  assert_int_equal(event_file_publish(&file, &err), STATUS_OK);
  assert_int_equal(file_read(&bytes, &length, path, 1 << 16, &err), STATUS_OK);
  const char *at = RECORD_IS(bytes, "\x1a\x0d"
                                    "brain.Event:2");
  at = RECORD_IS(at, "\x2a\x0c\x0a\x0a\x0a\x03"
                     "a/b\x15\0\0\xc0\x3f");
  at = RECORD_IS(at, "\x10\xac\x02\x2a\x16\x0a\x0a\x0a\x03"
                     "a/b\x15\0\0\xc0\x3f\x0a\x08\x0a\x01"
                     "c\x15\0\0\0\xc0");
  assert_ptr_equal(at, bytes + length);
  free(bytes);
}

/* More records than are held back at once. */
static void many_records_follow_each_other(void **state) {
  (void)state;
  struct event_file file;
  struct error err;
  char *bytes;
  size_t length;
  const struct scalar one = {"train/loss", 0.25f};
  assert_int_equal(event_file_create(&file, path, &err), STATUS_OK);
  for (int64_t step = 1; step <= 20000; step++)
    assert_int_equal(event_file_add(&file, step, &one, 1, &err), STATUS_OK);
  assert_int_equal(event_file_publish(&file, &err), STATUS_OK);
  assert_int_equal(file_read(&bytes, &length, path, 1 << 22, &err), STATUS_OK);
  int64_t records = 0;
  for (const char *at = bytes; at < bytes + length; records++) {
    assert_int_equal(unmasked(get32(at + 8)), event_file_crc32c(at, 8));
    at += 16 + get32(at);
    assert_true(at <= bytes + length);
  }
  assert_int_equal(records, 20001);
  free(bytes);
}

/* Nothing is left, whether it is discarded or could not begin. */
static void discarded_files_leave_nothing(void **state) {
  (void)state;
  struct event_file file;
  struct error err;
  char nowhere[128];
  snprintf(nowhere, sizeof nowhere, "%s/none/%s", dir, EVENT_FILE_NAME);
  assert_int_equal(event_file_create(&file, nowhere, &err), STATUS_IO);
  event_file_discard(&file);
  assert_int_equal(event_file_create(&file, path, &err), STATUS_OK);
  event_file_discard(&file);
  assert_int_equal(file_tree_bytes(path), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checksums_are_those_of_the_rfc),
      cmocka_unit_test_setup_teardown(records_are_as_defined, set_up, tear_down),
      cmocka_unit_test_setup_teardown(many_records_follow_each_other, set_up, tear_down),
      cmocka_unit_test_setup_teardown(discarded_files_leave_nothing, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
