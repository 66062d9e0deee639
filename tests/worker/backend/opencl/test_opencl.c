/* The device that OpenCL gives: what is not there is said by name, memory is what was written, parts of buffers are
   pointers of kernels, and launches are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/backend/opencl/opencl_list.h"

/* In a process of its own: the loader looks for drivers once. Before any test that uses them. */
static void test_no_platform(void **state) {
  (void)state;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    struct error err = {0};
    struct opencl_listed listed;
    size_t count = 77;
    setenv("OCL_ICD_VENDORS", "/nowhere/", 1);
    enum status status = opencl_list(&listed, 1, &count, &err);
    _exit(status == STATUS_UNSUPPORTED_VALUE && strstr(err.text, "no platform") && count == 77 ? 0 : 1);
  }
  int how;
  assert_true(waitpid(child, &how, 0) == child && WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void test_library(void **state) {
  (void)state;
  struct opencl_library cl;
  struct error err;
  assert_int_equal(opencl_library_open(&cl, "libOpenCL-of-nobody.so.1", &err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "libOpenCL-of-nobody.so.1"));
  assert_string_equal(err.param, "scheduling.device");
  assert_int_equal(opencl_library_open(&cl, "libm.so.6", &err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "libm.so.6 has no function clGetPlatformIDs"));
}

static void test_errors(void **state) {
  (void)state;
  struct error err;
  assert_int_equal(opencl_error_check(&err, CL_SUCCESS, "clFinish"), STATUS_OK);
  assert_int_equal(opencl_error_check(&err, CL_INVALID_ARG_SIZE, "clSetKernelArg"), STATUS_INTERNAL);
  assert_string_equal(err.text, "clSetKernelArg failed: CL_INVALID_ARG_SIZE");
  assert_int_equal(opencl_error_check(&err, CL_MEM_OBJECT_ALLOCATION_FAILURE, "clCreateBuffer"),
                   STATUS_OUT_OF_MEMORY);
  assert_string_equal(opencl_error_name(-12345), "error -12345");
}

static void test_list(void **state) {
  (void)state;
  struct opencl_listed listed[OPENCL_DEVICES_MAX];
  struct error err;
  size_t count = 0, again = 0;
  assert_int_equal(opencl_list(listed, OPENCL_DEVICES_MAX, &count, &err), STATUS_OK);
  assert_true(count >= 1);
  assert_string_equal(listed[0].id, "opencl:0");
  assert_true(listed[0].name[0] && listed[0].memory > 0);
  assert_int_equal(opencl_list(NULL, 0, &again, &err), STATUS_OK);
  assert_int_equal(again, count);
  struct device *device;
  const char *const absent[] = {"opencl:31", "opencl:00", "opencl", "gpu", ""};
  for (size_t i = 0; i < COUNT_OF(absent); i++) {
    assert_int_equal(opencl_open(&device, absent[i], &err), STATUS_UNSUPPORTED_VALUE);
    assert_non_null(strstr(err.text, "there is no device"));
  }
}

static void test_memory(void **state) {
  (void)state;
  struct device *d;
  struct error err;
  struct place a = {0}, b = {0};
  assert_int_equal(opencl_open(&d, "opencl:0", &err), STATUS_OK);
  assert_int_equal(d->ops->allocate(d, &a.buffer, (size_t)1 << 60, &err), STATUS_OUT_OF_MEMORY);
  assert_non_null(strstr(err.text, "1152921504606846976 bytes on"));
  char text[16] = "0123456789abcde", back[16] = "";
  assert_int_equal(d->ops->allocate(d, &a.buffer, sizeof text, &err), STATUS_OK);
  assert_int_equal(d->ops->allocate(d, &b.buffer, 0, &err), STATUS_OK);
  d->ops->release(d, b.buffer);
  assert_int_equal(d->ops->allocate(d, &b.buffer, sizeof text, &err), STATUS_OK);
  assert_int_equal(d->ops->write(d, a, text, sizeof text, &err), STATUS_OK);
  assert_int_equal(d->ops->write(d, b, text, sizeof text, &err), STATUS_OK);
  const struct place to = {b.buffer, 3}, from = {a.buffer, 10};
  assert_int_equal(d->ops->copy(d, to, from, 5, &err), STATUS_OK);
  assert_int_equal(d->ops->copy(d, to, from, 0, &err), STATUS_OK);
  assert_int_equal(d->ops->read(d, back, b, sizeof text, &err), STATUS_OK);
  assert_string_equal(back, "012abcde89abcde");
  assert_int_equal(d->ops->finish(d, &err), STATUS_OK);
  d->ops->release(d, a.buffer);
  d->ops->release(d, b.buffer);
  d->ops->release(d, NULL);
  d->ops->close(d);
}

/* Two places of one buffer in one launch. */
static void test_parts(void **state) {
  (void)state;
  enum { COUNT = PLACE_ALIGN / sizeof(float) };
  struct device *d;
  struct error err;
  struct place all = {0};
  float numbers[3 * COUNT];
  for (size_t i = 0; i < COUNT_OF(numbers); i++)
    numbers[i] = (float)i;
  assert_int_equal(opencl_open(&d, "opencl:0", &err), STATUS_OK);
  assert_int_equal(d->ops->allocate(d, &all.buffer, sizeof numbers, &err), STATUS_OK);
  assert_int_equal(d->ops->write(d, all, numbers, sizeof numbers, &err), STATUS_OK);
  const struct place pointers[] = {{all.buffer, 2 * PLACE_ALIGN}, {all.buffer, PLACE_ALIGN}};
  const struct elements_args args = {COUNT, 1, 0};
  assert_int_equal(d->launches, 0);
  assert_int_equal(d->ops->launch(d, DEVICE_add_to, (const size_t[]){1, 1, 1}, pointers, &args, &err), STATUS_OK);
  assert_int_equal(d->launches, 1);
  assert_int_equal(d->ops->launch(d, DEVICE_add_to, (const size_t[]){1, 0, 1}, pointers, &args, &err), STATUS_OK);
  assert_int_equal(d->launches, 1);
  assert_int_equal(d->ops->read(d, numbers, all, sizeof numbers, &err), STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(numbers); i++)
    assert_true(numbers[i] == (float)(i < 2 * COUNT ? i : i + i - COUNT));
  d->ops->release(d, all.buffer);
  d->ops->close(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_platform), cmocka_unit_test(test_library), cmocka_unit_test(test_errors),
      cmocka_unit_test(test_list),        cmocka_unit_test(test_memory),  cmocka_unit_test(test_parts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
