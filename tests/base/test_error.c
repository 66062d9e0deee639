/* Errors carry their row of errors.def, are cut at characters, and fault lists are bounded. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/str.h"

static void carries_its_row(void **state) {
  (void)state;
  struct error err;
  assert_int_equal(error_set(&err, STATUS_JOB_NOT_FOUND, "job_id", "no job %s", "x"), STATUS_JOB_NOT_FOUND);
  assert_int_equal(err.status, STATUS_JOB_NOT_FOUND);
  assert_string_equal(err.param, "job_id");
  assert_string_equal(err.text, "no job x");
  assert_string_equal(status_code(err.status), "job_not_found");
  assert_int_equal(status_http(err.status), 404);
  assert_string_equal(status_type(err.status), "invalid_request_error");
  assert_int_equal(status_retry(STATUS_QUEUE_FULL), RETRY_LATER);
  assert_int_equal(error_set(NULL, STATUS_IO, NULL, "ignored"), STATUS_IO);
}

static void codes_are_unique_and_fit_an_exit_status(void **state) {
  (void)state;
  assert_true(STATUS_COUNT < 100);
  for (int i = 0; i < STATUS_COUNT; i++)
    assert_int_equal(status_from_code(status_code((enum status)i)), i);
  assert_int_equal(status_from_code("no such code"), STATUS_COUNT);
}

static void maps_errno(void **state) {
  (void)state;
  struct error err;
  errno = ENOENT;
  assert_int_equal(error_set_errno(&err, STATUS_IO, NULL, "opening %s", "x"), STATUS_IO);
  assert_string_equal(err.text, "opening x: No such file or directory");
  errno = ENOSPC;
  assert_int_equal(error_set_errno(&err, STATUS_IO, NULL, "writing"), STATUS_NO_SPACE);
  errno = ENOMEM;
  assert_int_equal(error_set_errno(NULL, STATUS_IO, NULL, "writing"), STATUS_OUT_OF_MEMORY);
  errno = EMFILE; /* of the machine, not of the file */
  assert_int_equal(error_set_errno(NULL, STATUS_MODEL_INVALID, NULL, "opening"), STATUS_UNAVAILABLE);
}

static void cuts_at_a_character(void **state) {
  (void)state;
  char text[ERROR_TEXT + 120];
  for (size_t shift = 0; shift < 4; shift++) {
    memset(text, 'a', sizeof text);
    for (size_t i = shift; i + 4 < sizeof text; i += 4)
      memcpy(text + i, "\xF0\x9F\x98\x80", 4);
    text[sizeof text - 4] = '\0';
    struct error err;
    error_set(&err, STATUS_IO, text, "%s", text);
    assert_true(strlen(err.text) >= sizeof err.text - 4);
    assert_true(utf8_valid(err.text, strlen(err.text), NULL));
    assert_true(utf8_valid(err.param, strlen(err.param), NULL));
    error_prefix(&err, "model \xC3\xA9");
    assert_int_equal(strncmp(err.text, "model \xC3\xA9: ", 10), 0);
    assert_true(utf8_valid(err.text, strlen(err.text), NULL));
  }
}

static void gathers_a_bounded_list(void **state) {
  (void)state;
  struct fault_list faults = {0};
  for (int i = 0; i < 20; i++)
    fault_add(&faults, STATUS_INVALID_VALUE, "x", "fault %d", i);
  assert_int_equal(faults.count, COUNT_OF(faults.item));
  assert_int_equal(faults.more, 20 - COUNT_OF(faults.item));
  assert_string_equal(faults.item[3].text, "fault 3");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(carries_its_row), cmocka_unit_test(codes_are_unique_and_fit_an_exit_status),
      cmocka_unit_test(maps_errno), cmocka_unit_test(cuts_at_a_character), cmocka_unit_test(gathers_a_bounded_list)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
