/* Proves that what a machine lacks, and only that, is left out of a sandbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/layers.h"

static void what_is_missing_is_left_out(void **state) {
  (void)state;
  const struct layers layers = {.count = 3,
                                .item = {{"parent", false, ""}, {"landlock", true, "ABI 7"}, {"seccomp", false, "no"}}};
  const char *arguments[8] = {"first"};
  size_t count = 1;
  layers_without(&layers, arguments, &count);
  assert_int_equal(count, 5);
  assert_string_equal(arguments[1], "--without");
  assert_string_equal(arguments[2], "parent");
  assert_string_equal(arguments[3], "--without");
  assert_string_equal(arguments[4], "seccomp");
}

static void it_is_the_program_beside_that_is_asked(void **state) {
  (void)state;
  struct layers layers;
  struct error err;
  assert_int_equal(layers_probe(&layers, &err), STATUS_UNAVAILABLE); /* beside the test there is none */
  assert_non_null(strstr(err.text, "reflect-sandbox"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_missing_is_left_out),
                                     cmocka_unit_test(it_is_the_program_beside_that_is_asked)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
