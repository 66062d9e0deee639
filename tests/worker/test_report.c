/* A worker that computes for long without a word says that it is alive, and only then. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/report.h"

/* What was written since; "" for nothing. */
static const char *written(int fd) {
  static char text[1000];
  ssize_t n = read(fd, text, sizeof text - 1);
  text[n > 0 ? n : 0] = 0;
  return text;
}

static void silence_is_broken(void **state) {
  (void)state;
  struct report report;
  int ends[2];
  assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  report_init(&report, ends[1], -1);
  report_beat(&report);
  assert_string_equal(written(ends[0]), "");
  report.said -= 2;
  report_beat(&report);
  assert_non_null(strstr(written(ends[0]), "\"alive\""));
  report_beat(&report); /* it was said just now */
  assert_string_equal(written(ends[0]), "");
  report.said -= 2;
  report_message(&report, LOG_INFO, "a step");
  assert_non_null(strstr(written(ends[0]), "a step"));
  report_beat(&report);
  assert_string_equal(written(ends[0]), "");
  report.said -= 2;
  report.gone = true;
  report_beat(&report);
  assert_string_equal(written(ends[0]), "");
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(silence_is_broken)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
