/* The device's kernels on OpenCL, here PoCL on the processor: the same cases as on the host, and a count of the kernels
   that were launched, because a driver that runs none gives no error. */
#include "tests/worker/backend/device/cases.h"
#include "worker/backend/opencl/opencl.h"

static int open_first(void **state) {
  (void)state;
  struct error err;
  if (opencl_open(&on, "opencl:0", &err) == STATUS_OK)
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
  return cmocka_run_group_tests_name("kernels on OpenCL", device_cases, open_first, close_it);
}
