/* The device's kernels as plain C: the same sources as on a GPU, under the sanitizers. Each case runs with the items of
   a phase in order and backwards: an item that reads what another writes in its phase shows. */
#include "tests/worker/backend/device/host_device.h"

#include "tests/worker/backend/device/cases.h"

_Static_assert((int)DEVICE_GROUP_ITEMS == (int)GROUP_ITEMS, "device.h and dialect.h say the same");
_Static_assert((int)TRAINED_EACH == (int)GROUP_NUMBERS, "and the optimiser's");
#define SAME(type) _Static_assert((int)WEIGHT_##type == (int)GGML_##type, "types are ggml's numbers")
SAME(F32);
SAME(F16);
SAME(BF16);
SAME(Q4_0);
SAME(Q4_1);
SAME(Q5_0);
SAME(Q5_1);
SAME(Q8_0);
SAME(Q4_K);
SAME(Q5_K);
SAME(Q6_K);

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
