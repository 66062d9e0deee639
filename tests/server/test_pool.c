/* Proves that the pool's threads are there once it is started, and that a lack of memory for them is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/pool.h"

enum {
#if defined(__SANITIZE_THREAD__)
  OWN_THREADS = 2, /* it starts one of its own beside the first that a program makes */
#else
  OWN_THREADS = 1,
#endif
  POOL_THREADS = 4
};

static int threads_of_process(void) {
  char line[128];
  int count = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "Threads: %d", &count) == 1)
      break;
  if (file)
    fclose(file);
  return count;
}

/* A thread that was joined is counted for a moment yet, so the count is asked for until it is the wanted one, for ten
   seconds at most. Returns the last count. */
static int wait_for_threads(int wanted) {
  int count = threads_of_process();
  for (int tries = 0; tries < 1000 && count != wanted; tries++) {
    usleep(10000);
    count = threads_of_process();
  }
  return count;
}

static int start(struct error *err) {
  uv_loop_t uv;
  if (uv_loop_init(&uv) != 0)
    return -1;
  int status = (int)pool_start(&uv, err);
  return uv_loop_close(&uv) == 0 ? status : -1;
}

/* A child's memory is bounded below what a thread's stack takes. */
static void test_no_memory(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* their shadow is larger than any bound */
#endif
  pid_t child = fork();
  if (child == 0) {
    struct error err = {0};
    struct rlimit bound = {1 << 20, 1 << 20};
    uv_loop_t uv;
    if (uv_loop_init(&uv) != 0 || setrlimit(RLIMIT_AS, &bound) != 0)
      _exit(100);
    int status = (int)pool_start(&uv, &err);
    _exit(strstr(err.text, "threads") ? status : 101);
  }
  int code = 0;
  assert_int_equal(waitpid(child, &code, 0), child);
  assert_true(WIFEXITED(code));
  assert_int_equal(WEXITSTATUS(code), STATUS_OUT_OF_MEMORY);
}

static void test_start(void **state) {
  struct error err;
  (void)state;
  for (int times = 0; times < 2; times++) {
    assert_int_equal(start(&err), STATUS_OK);
    assert_int_equal(wait_for_threads(OWN_THREADS + POOL_THREADS), OWN_THREADS + POOL_THREADS);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_memory), cmocka_unit_test(test_start)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
