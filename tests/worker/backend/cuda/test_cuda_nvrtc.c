/* The kernels through the NVRTC of this machine, where it has one: for a GPU that it knows, and as PTX for one that it
   does not. Needs no GPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/backend/cuda/cuda_nvrtc.h"
#include "worker/backend/device/device.h"
#include "worker/backend/device/program.h"

static void test_compile(void **state) {
  (void)state;
  struct cuda_compiler compiler;
  struct error err;
  char *image;
  size_t length;
  if (cuda_nvrtc_open(&compiler, 90, &err)) {
    print_message("# %s\n", err.text);
    skip();
  }
  assert_true(compiler.cubin);
  if (cuda_nvrtc_compile(&image, &length, &compiler, device_program, &err))
    fail_msg("%s", err.text);
  assert_true(length > 1000 && memcmp(image, "\177ELF", 4) == 0);
  free(image);
  assert_int_equal(cuda_nvrtc_open(&compiler, 990, &err), STATUS_OK);
  assert_false(compiler.cubin);
  if (cuda_nvrtc_compile(&image, &length, &compiler, device_program, &err))
    fail_msg("%s", err.text);
  for (int i = 0; i < DEVICE_KERNELS; i++) {
    char entry[128];
    snprintf(entry, sizeof entry, ".entry %s(", device_kernels[i].name);
    if (!strstr(image, entry))
      fail_msg("there is no %s", entry);
  }
  free(image);
  assert_int_equal(cuda_nvrtc_compile(&image, &length, &compiler, "int f( {", &err), STATUS_INTERNAL);
  assert_non_null(strstr(err.text, "NVRTC_ERROR_COMPILATION: kernels.cu(1): error"));
  assert_int_equal(cuda_nvrtc_open(&compiler, 20, &err), STATUS_UNSUPPORTED_VALUE);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_compile)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
