/* Proves that panels cover all rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/backend/cpu/cpu.h"

static void panels_cover_all_rows_once(void **state) {
  (void)state;
  for (size_t rows = 1; rows < 3000; rows += 7) {
    size_t count = cpu_panels(rows), next = 0;
    for (size_t i = 0; i < count; i++) {
      size_t first, n = cpu_panel(&first, rows, i, count);
      assert_true(first == next && n > 0);
      next += n;
    }
    assert_true(next == rows);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(panels_cover_all_rows_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
