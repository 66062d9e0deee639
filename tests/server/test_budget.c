/* Proves what starts beside what runs: a job whose memory is known, one that has to be asked, one that never fits; that
   models which nobody asks make room and others do not; and what the defaults are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/budget.h"

static const struct budget budget = {.memory_mib = 1000, .cores = 4, .processors = 4};

static enum budget_verdict judge(struct budget_use use, int64_t memory_mib, int64_t cores) {
  const struct budget_need need = {memory_mib, cores};
  return budget_judge(&budget, &use, &need);
}

static void test_fits(void **state) {
  (void)state;
  struct budget_use none = {0}, some = {.memory_mib = 600, .cores = 2};
  assert_int_equal(judge(none, 1000, 4), BUDGET_START);
  assert_int_equal(judge(none, 1001, 1), BUDGET_NEVER);
  assert_int_equal(judge(some, 400, 2), BUDGET_START);
  assert_int_equal(judge(some, 401, 2), BUDGET_WAIT_MEMORY);
  assert_int_equal(judge(some, 400, 3), BUDGET_WAIT_CORES);
  assert_int_equal(judge(some, 1001, 1), BUDGET_NEVER);
}

/* Alone at once, else asked; and nothing joins one of which nobody knows what it takes. */
static void test_unknown(void **state) {
  (void)state;
  struct budget_use use = {0};
  assert_int_equal(judge(use, BUDGET_UNKNOWN, 1), BUDGET_START);
  use.idle_mib = 1;
  assert_int_equal(judge(use, BUDGET_UNKNOWN, 1), BUDGET_ASK);
  use = (struct budget_use){0};
  budget_count(&use, &(struct budget_need){BUDGET_UNKNOWN, 1});
  assert_true(use.unknown == 1 && use.memory_mib == 0 && use.cores == 1);
  assert_int_equal(judge(use, BUDGET_UNKNOWN, 1), BUDGET_ASK);
  assert_int_equal(judge(use, 1, 1), BUDGET_WAIT_MEMORY);
  budget_count(&use, &(struct budget_need){300, 2});
  assert_true(use.unknown == 1 && use.memory_mib == 300 && use.cores == 3);
}

/* One is ended only where that makes the room, and no further one while one leaves that is enough. */
static void test_idle(void **state) {
  (void)state;
  assert_int_equal(judge((struct budget_use){.memory_mib = 300, .idle_mib = 300}, 400, 1), BUDGET_START);
  assert_int_equal(judge((struct budget_use){.memory_mib = 300, .idle_mib = 300}, 401, 1), BUDGET_END_IDLE);
  assert_int_equal(judge((struct budget_use){.memory_mib = 300, .idle_mib = 300}, 700, 1), BUDGET_END_IDLE);
  assert_int_equal(judge((struct budget_use){.memory_mib = 300, .idle_mib = 300}, 701, 1), BUDGET_WAIT_MEMORY);
  assert_int_equal(judge((struct budget_use){.idle_mib = 300, .leaving_mib = 300}, 700, 1), BUDGET_WAIT_MEMORY);
  assert_int_equal(judge((struct budget_use){.idle_mib = 300, .leaving_mib = 300}, 701, 1), BUDGET_END_IDLE);
}

/* A machine that does not say what it has bounds no memory; cores are counted none the less. A job alone has as many as
   it wants, so that none waits for ever. */
static void test_no_limit(void **state) {
  (void)state;
  const struct budget open = {.cores = 2, .processors = 2};
  const struct budget_need need = {BUDGET_UNKNOWN, 3};
  struct budget_use use = {.memory_mib = 1 << 20, .unknown = 1};
  assert_int_equal(budget_judge(&open, &use, &need), BUDGET_START);
  use.cores = 1;
  assert_int_equal(budget_judge(&open, &use, &need), BUDGET_WAIT_CORES);
}

static void test_words(void **state) {
  (void)state;
  assert_string_equal(budget_waits_for(BUDGET_WAIT_MEMORY), "memory");
  assert_string_equal(budget_waits_for(BUDGET_ASK), "memory");
  assert_string_equal(budget_waits_for(BUDGET_END_IDLE), "memory");
  assert_string_equal(budget_waits_for(BUDGET_WAIT_CORES), "cores");
  assert_null(budget_waits_for(BUDGET_START));
  assert_null(budget_waits_for(BUDGET_NEVER));
}

static void test_defaults(void **state) {
  (void)state;
  struct config config = {.workers_max = 1};
  static const int64_t mib = 1 << 20;
  assert_int_equal(budget_of(&config, (uint64_t)(16384 * mib), 8).memory_mib, 14336);
  assert_int_equal(budget_of(&config, (uint64_t)(2048 * mib), 8).memory_mib, 1536);
  assert_int_equal(budget_of(&config, (uint64_t)(131072 * mib), 8).memory_mib, 131072 - 4096);
  assert_int_equal(budget_of(&config, (uint64_t)(600 * mib), 8).memory_mib, 300);
  assert_int_equal(budget_of(&config, 0, 8).memory_mib, 0);
  assert_int_equal(budget_of(&config, 0, 8).cores, 8);
  config.threads = 12; /* what the operator gives a worker is there */
  assert_int_equal(budget_of(&config, 0, 8).cores, 12);
  config.workers_max = 20;
  assert_int_equal(budget_of(&config, 0, 8).cores, 20);
  config.memory_budget_mib = 77;
  config.core_budget = 3;
  assert_true(budget_of(&config, (uint64_t)(16384 * mib), 8).memory_mib == 77);
  assert_true(budget_of(&config, 0, 8).cores == 3);
}

static int threads(int64_t workers, int64_t of_config, int64_t cores, int64_t requested) {
  const struct config config = {.workers_max = workers, .threads = of_config, .core_budget = cores};
  const struct budget got = budget_of(&config, 0, 8);
  return budget_threads(&got, &config, requested);
}

static void test_threads(void **state) {
  (void)state;
  assert_int_equal(threads(1, 0, 0, 0), 8);
  assert_int_equal(threads(3, 0, 0, 0), 2);
  assert_int_equal(threads(20, 0, 0, 0), 1);
  assert_int_equal(threads(20, 0, 0, 12), 8); /* there are no more */
  assert_int_equal(threads(1, 4, 0, 0), 4);
  assert_int_equal(threads(1, 4, 0, 6), 4);
  assert_int_equal(threads(2, 0, 4, 0), 2);
  assert_int_equal(threads(1, 0, 4, 6), 4); /* it fits when it is alone */
  assert_int_equal(threads(1, 12, 0, 0), 12);
}

static int64_t side_by_side(int64_t memory, int64_t cores, int64_t needs_memory, int64_t needs_cores) {
  const struct budget of = {.memory_mib = memory, .cores = cores};
  return budget_side_by_side(&of, &(struct budget_need){needs_memory, needs_cores});
}

static void test_side_by_side(void **state) {
  (void)state;
  assert_int_equal(side_by_side(1000, 8, 400, 2), 2);
  assert_int_equal(side_by_side(1000, 8, 100, 3), 2);
  assert_int_equal(side_by_side(0, 8, 400, 2), 4); /* no limit */
  assert_int_equal(side_by_side(1000, 8, BUDGET_UNKNOWN, 2), 4);
  assert_int_equal(side_by_side(1000, 2, 2000, 4), 1);
}

static void test_units(void **state) {
  (void)state;
  assert_int_equal(budget_mib(1), 1);
  assert_int_equal(budget_mib(1 << 20), 1);
  assert_int_equal(budget_mib((1 << 20) + 1), 2);
  assert_int_equal(budget_bytes(3), 3 << 20);
  assert_int_equal(budget_bytes(BUDGET_UNKNOWN), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fits),     cmocka_unit_test(test_unknown),  cmocka_unit_test(test_idle),
      cmocka_unit_test(test_no_limit), cmocka_unit_test(test_words),    cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_threads),  cmocka_unit_test(test_units),    cmocka_unit_test(test_side_by_side),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
