/* Proves: attempts follow at intervals that double up to an hour, never twice the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/webhooks.h"

static void intervals(void **state) {
  (void)state;
  int64_t most = 1;
  for (int64_t attempts = 1; attempts < 40; attempts++) {
    int64_t shortest = INT64_MAX, longest = 0;
    for (uint32_t random = 0; random < 5000; random++) {
      int64_t wait = webhooks_retry_s(attempts, random * 2654435761u);
      shortest = wait < shortest ? wait : shortest;
      longest = wait > longest ? wait : longest;
    }
    assert_true(shortest >= 1 && shortest >= most / 2 && longest <= most);
    assert_true(most < 4 || longest - shortest > most / 4);
    most = most * 2 < 3600 ? most * 2 : 3600;
  }
  assert_int_equal(webhooks_retry_s(0, 0), 1);
  assert_int_equal(webhooks_retry_s(INT64_MAX, 0), 3600);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(intervals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
