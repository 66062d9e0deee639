/* Proves: an address that tried ten wrong keys waits for the end of its minute, others do not, and whoever comes when
   the table is full takes the place of who began longest ago. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/attempts.h"

static struct attempts attempts;
static unsigned char address[ADDRESS_KEY_BYTES];

static const unsigned char *of(unsigned number) {
  memset(address, 0, sizeof address);
  address[14] = (unsigned char)(number >> 8);
  address[15] = (unsigned char)number;
  return address;
}

static void the_eleventh_waits(void **state) {
  (void)state;
  memset(&attempts, 0, sizeof attempts);
  for (int i = 0; i < ATTEMPTS_MAX; i++) {
    assert_int_equal(attempts_wait_ms(&attempts, of(1), 1000 + i), 0);
    attempts_note(&attempts, of(1), 1000 + i);
  }
  assert_int_equal(attempts_wait_ms(&attempts, of(1), 2000), 1000 + ATTEMPTS_WINDOW_MS - 2000);
  assert_int_equal(attempts_wait_ms(&attempts, of(2), 2000), 0);
  assert_int_equal(attempts_wait_ms(&attempts, of(1), 1000 + ATTEMPTS_WINDOW_MS), 0);
  attempts_note(&attempts, of(1), 1000 + ATTEMPTS_WINDOW_MS); /* a new minute counts anew */
  assert_int_equal(attempts_wait_ms(&attempts, of(1), 1001 + ATTEMPTS_WINDOW_MS), 0);
}

static void the_oldest_makes_room(void **state) {
  (void)state;
  memset(&attempts, 0, sizeof attempts);
  for (unsigned number = 0; number < ATTEMPTS_ADDRESSES; number++)
    for (int i = 0; i < ATTEMPTS_MAX; i++)
      attempts_note(&attempts, of(number), number + 1);
  attempts_note(&attempts, of(1000), 999);
  assert_int_equal(attempts_wait_ms(&attempts, of(0), 1000), 0);
  for (unsigned number = 1; number < ATTEMPTS_ADDRESSES; number++)
    assert_true(attempts_wait_ms(&attempts, of(number), 1000) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_eleventh_waits), cmocka_unit_test(the_oldest_makes_room)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
