/* Proves: a command's own options are taken out of the arguments, in both spellings, and the others are left as they
   were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/command.h"

static void test_take(void **state) {
  (void)state;
  struct error err;
  const char *value;
  char a[] = "backup", b[] = "--data", c[] = "d", e[] = "--to", f[] = "place", g[] = "--to=other", h[] = "--total";
  char *spaced[] = {a, b, c, e, f, h, NULL};
  int count = 6;
  assert_int_equal(command_take(&value, &count, spaced, "--to", &err), STATUS_OK);
  assert_string_equal(value, "place");
  assert_int_equal(count, 4);
  assert_ptr_equal(spaced[2], c);
  assert_ptr_equal(spaced[3], h);

  char *joined[] = {a, g, b, c, NULL};
  count = 4;
  assert_int_equal(command_take(&value, &count, joined, "--to", &err), STATUS_OK);
  assert_string_equal(value, "other");
  assert_int_equal(count, 3);
  assert_ptr_equal(joined[1], b);

  assert_int_equal(command_take(&value, &count, joined, "--to", &err), STATUS_OK);
  assert_null(value);
  assert_int_equal(count, 3);

  char *cut[] = {a, e, NULL};
  count = 2;
  assert_int_equal(command_take(&value, &count, cut, "--to", &err), STATUS_MISSING_PARAMETER);
  assert_int_equal(count, 2);
  char *next[] = {a, e, b, c, NULL}; /* the next option is no value */
  count = 4;
  assert_int_equal(command_take(&value, &count, next, "--to", &err), STATUS_MISSING_PARAMETER);
  assert_int_equal(count, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_take)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
