#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static void fields_are_found_by_their_whole_name(void **state) {
  (void)state;
  const char *text = "MemTotal:       100 kB\nMemFree:        7 kB\nAvailable:      3 kB\nMemAvailable:   12 kB\n";
  assert_int_equal(memory_field(text, "MemAvailable"), 12 * 1024);
  assert_int_equal(memory_field(text, "MemTotal"), 100 * 1024);
  assert_int_equal(memory_field(text, "Mem"), 0);
  assert_int_equal(memory_field("", "MemTotal"), 0);
}

static void what_is_taken_is_resident(void **state) {
  (void)state;
  const size_t bytes = (size_t)64 << 20;
  size_t before = memory_resident();
  char *taken = malloc(bytes);
  assert_non_null(taken);
  memset(taken, 1, bytes);
  size_t after = memory_resident();
  assert_true(before > 0 && after >= before + bytes / 10 * 9);
  assert_true(taken[bytes - 1] == 1);
  assert_true(memory_available() > 0);
  assert_true(memory_peak() >= after / 10 * 9);
  free(taken);
  assert_true(memory_peak() >= after / 10 * 9); /* also when it is given back */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fields_are_found_by_their_whole_name),
      cmocka_unit_test(what_is_taken_is_resident),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
