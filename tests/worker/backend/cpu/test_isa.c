/* Proves that the best instruction set that runs here is chosen, others by name, and none that does not run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/backend/cpu/cpu.h"
#include "worker/backend/cpu/isa.h"

static void isa_is_found_by_name(void **state) {
  (void)state;
  const struct isa *found, *last = NULL;
  struct error err;
  assert_int_equal(isa_find(&found, NULL, &err), STATUS_OK);
  assert_ptr_equal(found, isa_next(NULL));
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa)) {
    assert_int_equal(isa_find(&found, isa->name, &err), STATUS_OK);
    assert_ptr_equal(found, isa);
    last = isa;
  }
  assert_non_null(last);
  assert_string_equal(last->name, "generic");
  assert_string_equal(last->kernels->isa, "generic");
}

static void unknown_isa_is_refused(void **state) {
  (void)state;
  struct backend backend;
  struct error err;
  assert_int_equal(cpu_open(&backend, 1, "altivec", &err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "altivec"));
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa))
    assert_non_null(strstr(err.text, isa->name));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(isa_is_found_by_name),
      cmocka_unit_test(unknown_isa_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
