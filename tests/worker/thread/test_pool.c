/* Proves that the pool runs each task once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/thread/pool.h"

static void count_task(void *payload, size_t task, int thread) {
  (void)thread;
  atomic_fetch_add((atomic_int *)payload + task, 1);
}

static void pool_runs_each_task_once(void **state) {
  (void)state;
  static atomic_int ran[1000];
  struct pool *pool;
  struct error err;
  assert_int_equal(pool_new(&pool, 4, &err), STATUS_OK);
  for (int round = 1; round <= 50; round++) {
    pool_run(pool, COUNT_OF(ran), count_task, ran);
    for (size_t i = 0; i < COUNT_OF(ran); i++)
      assert_int_equal(atomic_load(&ran[i]), round);
  }
  pool_free(pool);
}

static void count_beat(void *with) {
  ++*(int *)with;
}

/* Each loop is told of, whether threads share it or not, until nobody listens. */
static void loops_are_told_of(void **state) {
  (void)state;
  static atomic_int ran[3];
  struct pool *one, *four;
  struct error err;
  int beats = 0;
  assert_int_equal(pool_new(&one, 1, &err), STATUS_OK);
  assert_int_equal(pool_new(&four, 4, &err), STATUS_OK);
  pool_watch(count_beat, &beats);
  pool_run(one, COUNT_OF(ran), count_task, ran);
  pool_run(four, COUNT_OF(ran), count_task, ran);
  assert_int_equal(beats, 2);
  pool_watch(NULL, NULL);
  pool_run(four, COUNT_OF(ran), count_task, ran);
  assert_int_equal(beats, 2);
  pool_free(one);
  pool_free(four);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pool_runs_each_task_once),
      cmocka_unit_test(loops_are_told_of),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
