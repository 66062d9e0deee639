/* The device's kernels on CUDA: a GPU where there is one, else the libraries that stand in for it. The same cases as on
   the host and on OpenCL. */
#include "tests/worker/backend/cuda/with_cuda.h"
#include "tests/worker/backend/device/cases.h"
#include "worker/backend/cuda/cuda.h"

static int open_first(void **state) {
  (void)state;
  struct error err;
  if (cuda_open(&on, "cuda:0", &err) == STATUS_OK)
    return 0;
  print_error("%s\n", err.text);
  return 1;
}

static int close_it(void **state) {
  (void)state;
  uint64_t launches = on ? on->launches : 0;
  if (launches == 0)
    return 1;
  print_message("# %s: %llu kernels launched\n", on->name, (unsigned long long)launches);
  on->ops->close(on);
  return 0;
}

int main(void) {
  use_cuda();
  return cmocka_run_group_tests_name("kernels on CUDA", device_cases, open_first, close_it);
}
