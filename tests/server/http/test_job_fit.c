/* Proves: what a job is thought to take at most has the worker itself, the weights, and what a step keeps of each layer
   for each token: by that a worker is asked for the plan, or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/http/job_fit.h"

static double mib(int64_t parameters, int64_t layers, int64_t tokens) {
  return job_fit_bound(parameters, layers, tokens) / (1 << 20);
}

static void test_bound(void **state) {
  (void)state;
  assert_true(mib(0, 0, 0) == 64);
  assert_true(mib(1 << 20, 0, 1000000) == 64 + 8); /* a model of unknown layers: its weights twice */
  assert_true(mib(12 << 20, 1, 1) == 64 + 96 + 0.25); /* of width 1024 */
  assert_true(mib(12 << 20, 1, 1024) == 64 + 96 + 256);
  assert_true(mib(12 << 20, 4, 1024) == 64 + 96 + 512); /* as many parameters in four layers are half as wide */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_bound)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
