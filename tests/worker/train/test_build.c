/* A build has an ID of the linker's: 40 hexadecimal digits, always the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/train/build.h"

static void has_an_id(void **state) {
  (void)state;
  char a[BUILD_ID_HEX], b[BUILD_ID_HEX];
  build_id(a);
  build_id(b);
  assert_int_equal(strspn(a, "0123456789abcdef"), 40);
  assert_int_equal(strlen(a), 40);
  assert_string_equal(a, b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(has_an_id)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
