/* The ops' bodies on CUDA, against the CPU's. */
#include "tests/worker/backend/cuda/with_cuda.h"
#include "tests/worker/backend/device/cases_ops.h"
#include "worker/backend/cuda/cuda.h"

static int open_first(void **state) {
  (void)state;
  struct device *device;
  struct error err;
  if (cuda_open(&device, "cuda:0", &err) != STATUS_OK) {
    print_error("%s\n", err.text);
    return 1;
  }
  open_sides(device);
  return 0;
}

static int close_both(void **state) {
  if (!sides[ON_DEVICE].device || sides[ON_DEVICE].device->device->launches == 0)
    return 1; /* nothing ran there */
  return close_sides(state);
}

int main(void) {
  use_cuda();
  return cmocka_run_group_tests_name("ops on CUDA", ops_cases, open_first, close_both);
}
