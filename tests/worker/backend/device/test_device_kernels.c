/* The device's kernels as plain C: the same sources as on a GPU, under the sanitizers. Each case runs with the items of
   a phase in order and backwards: an item that reads what another writes in its phase shows. */
#include "tests/worker/backend/device/host_device.h"

#include "tests/worker/backend/device/cases.h"

static int forwards(void **state) {
  (void)state;
  on = &host_device;
  host_order(false);
  return 0;
}

static int backwards(void **state) {
  (void)state;
  host_order(true);
  return 0;
}

int main(void) {
  int failed = cmocka_run_group_tests_name("kernels", device_cases, forwards, NULL);
  return failed + cmocka_run_group_tests_name("kernels, items backwards", device_cases, backwards, NULL);
}
