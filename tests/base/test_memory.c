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

/* What is allocated counts before it is resident. (A sanitizer has an allocator of its own.) */
static void what_is_allocated_will_be_written(void **state) {
  (void)state;
#ifndef __SANITIZE_ADDRESS__
  const size_t bytes = (size_t)64 << 20;
  size_t before = memory_written(), resident = memory_resident();
  char *taken = malloc(bytes);
  assert_non_null(taken);
  assert_true(memory_resident() < resident + bytes / 2);
  size_t after = memory_written();
  assert_true(after >= before + bytes / 10 * 9 && after <= before + bytes / 10 * 11);
  memset(taken, 1, bytes);
  assert_true(memory_written() <= after + bytes / 10 && taken[bytes - 1] == 1);
  free(taken);
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fields_are_found_by_their_whole_name),
      cmocka_unit_test(what_is_taken_is_resident),
      cmocka_unit_test(what_is_allocated_will_be_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
