#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cpu.h"

static void a_quota_is_rounded_up(void **state) {
  (void)state;
  assert_int_equal(cpu_quota("max 100000\n"), 0);
  assert_int_equal(cpu_quota(""), 0);
  assert_int_equal(cpu_quota("100000"), 0);
  assert_int_equal(cpu_quota("-1 100000"), 0);
  assert_int_equal(cpu_quota("50000 100000\n"), 1);
  assert_int_equal(cpu_quota("200000 100000\n"), 2);
  assert_int_equal(cpu_quota("250000 100000\n"), 3);
}

static void affinity_counts(void **state) {
  (void)state;
  cpu_set_t all, one;
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  int before = cpu_allowed();
  assert_true(before >= 1 && before <= CPU_COUNT(&all));
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
    if (CPU_ISSET(i, &all))
      CPU_SET(i, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(cpu_allowed(), 1);
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_quota_is_rounded_up),
      cmocka_unit_test(affinity_counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
