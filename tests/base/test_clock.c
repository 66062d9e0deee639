/* Clocks agree with each other and do not run backwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static void agree_and_go_forward(void **state) {
  (void)state;
  assert_true(llabs(clock_unix() - (int64_t)time(NULL)) <= 1);
  assert_true(llabs(clock_unix_ms() / 1000 - clock_unix()) <= 1);
  int64_t boot = clock_boot_ms();
  double seconds = clock_seconds();
  nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  int64_t passed = clock_boot_ms() - boot;
  assert_true(passed >= 4 && passed < 10000);
  double interval = clock_seconds() - seconds;
  assert_true(interval >= 0.005 && interval < 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(agree_and_go_forward)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
