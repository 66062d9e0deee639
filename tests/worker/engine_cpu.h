/* The CPU's backend, with the memory and the parameters of a test program's graphs: set up once for all its tests.
   Included by it once, in place of engine_impl.h. */
#ifndef TESTS_WORKER_ENGINE_CPU_H
#define TESTS_WORKER_ENGINE_CPU_H

#include "tests/worker/engine_impl.h"

static struct backend backend;
static struct arena arena;
static struct parameter_list list;

static int engine_setup(void **state) {
  struct error err;
  (void)state;
  arena_init(&arena, (size_t)1 << 28);
  list = (struct parameter_list){.arena = &arena};
  return cpu_open(&backend, 2, NULL, &err) != STATUS_OK;
}

static int engine_teardown(void **state) {
  (void)state;
  backend_close(&backend);
  arena_done(&arena);
  return 0;
}

/* A parameter of random numbers; cols 0: a vector. */
static inline struct parameter *matrix(const char *name, int64_t rows, int64_t cols, uint64_t seed) {
  struct parameter *p = parameter_add(&list, name, cols ? 2 : 1, rows, cols);
  assert_non_null(p);
  fill(p->data, p->count, seed);
  return p;
}

#endif
