/* Proves: a tenant's own limit goes before the configured one, and none before both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/limits.h"

static void its_own_go_first(void **state) {
  (void)state;
  const struct config config = {.tenant_queued_max = 10, .tenant_running_max = 2, .tenant_bytes_max = 0};
  const struct tenant_row as_configured = {
      .queued_max = TENANT_AS_CONFIGURED, .running_max = TENANT_AS_CONFIGURED, .bytes_max = TENANT_AS_CONFIGURED};
  const struct tenant_row own = {.queued_max = 0, .running_max = 5, .bytes_max = 7};
  struct limits limits = limits_of(&config, &as_configured);
  assert_true(limits.queued_max == 10 && limits.running_max == 2 && limits.bytes_max == 0);
  limits = limits_of(&config, &own);
  assert_true(limits.queued_max == 0 && limits.running_max == 5 && limits.bytes_max == 7);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(its_own_go_first)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
