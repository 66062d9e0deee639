/* The ops' bodies on a device, the device being the host: under the sanitizers, against the CPU's. And a device that
   fails: the first fault is what is told, and nothing runs after it. */
#include "tests/worker/backend/device/host_device.h"

#include "tests/worker/backend/device/cases_ops.h"

static int forwards(void **state) {
  (void)state;
  host_order(false);
  open_sides(&host_device);
  return 0;
}

static int backwards(void **state) {
  (void)state;
  host_order(true);
  open_sides(&host_device);
  return 0;
}

static int faults_after;

static enum status launch_faulty(struct device *device, enum device_kernel kernel, const size_t groups[3],
                                 const struct place *pointers, const void *args, struct error *err) {
  assert_true(faults_after >= 0); /* nothing after a fault */
  if (faults_after-- == 0)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "the %s kernel failed", device_kernels[kernel].name);
  return host_launch(device, kernel, groups, pointers, args, err);
}

static void first_fault_is_kept(void **state) {
  (void)state;
  struct device_ops faulty_ops = host_ops;
  faulty_ops.launch = launch_faulty;
  struct device device = {.ops = &faulty_ops, .name = "faulty"};
  struct backend backend;
  struct place place;
  struct error err = {0};
  float numbers[3] = {1, 2, 3};
  assert_int_equal(device_backend_open(&backend, &device, 1, &err), STATUS_OK);
  faults_after = 1;
  assert_int_equal(backend.ops->allocate(&backend, &place, sizeof numbers, &err), STATUS_OK);
  assert_int_equal(backend.ops->synchronise(&backend, &err), STATUS_OK);
  backend.ops->write(&backend, place, numbers, sizeof numbers);
  backend.ops->zero(&backend, place, sizeof numbers);
  backend.ops->zero(&backend, place, sizeof numbers);
  backend.ops->read(&backend, numbers, place, sizeof numbers);
  assert_true(numbers[0] == 0 && numbers[2] == 0);
  for (int i = 0; i < 2; i++) {
    err = (struct error){0};
    assert_int_equal(backend.ops->synchronise(&backend, &err), STATUS_OUT_OF_MEMORY);
    assert_string_equal(err.text, "the fill_with kernel failed");
  }
  backend.ops->release(&backend, place, sizeof numbers);
  backend_close(&backend);
}

int main(void) {
  const struct CMUnitTest faults[] = {cmocka_unit_test(first_fault_is_kept)};
  host_order(false);
  int failed = cmocka_run_group_tests_name("faults", faults, NULL, NULL);
  failed += cmocka_run_group_tests_name("ops", ops_cases, forwards, close_sides);
  return failed + cmocka_run_group_tests_name("ops, items backwards", ops_cases, backwards, close_sides);
}
