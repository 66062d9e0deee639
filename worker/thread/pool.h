/* One pool of threads for the whole engine. Work is given as `count` numbered tasks; which thread
   runs which is not fixed, so tasks write only to places that belong to their number: results never
   depend on the number of threads. The caller works too. */
#ifndef WORKER_THREAD_POOL_H
#define WORKER_THREAD_POOL_H

#include <stddef.h>

#include "base/error.h"

struct pool;

/* `task` is 0..count-1; `thread` is 0..threads-1, for scratch memory. */
typedef void pool_task(void *payload, size_t task, int thread);

/* threads 0: as many processors as this process may use (base/cpu.h). */
NODISCARD enum status pool_new(struct pool **out, int threads, struct error *err);
void pool_free(struct pool *pool);
int pool_threads(const struct pool *pool);
/* `beat` is called by whoever calls pool_run, before each parallel loop, of any pool: it learns that a long computation
   goes on. NULL: nobody does. */
typedef void pool_beat(void *with);
void pool_watch(pool_beat *beat, void *with);
/* Returns when every task has ended. Not reentrant. */
void pool_run(struct pool *pool, size_t count, pool_task *task, void *payload);

#endif
