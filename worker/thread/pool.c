/* Workers wait on a generation number: for a moment by spinning, because the next parallel loop of a
   step follows within microseconds, then by futex through a condition variable. */
#include "worker/thread/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cpu.h"

enum { SPINS = 4000, THREADS_MAX = 256 };

struct worker_thread {
  struct pool *pool;
  pthread_t thread;
  int index;
};

struct pool {
  int threads; /* the caller included */
  struct worker_thread *workers;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  atomic_uint generation; /* one more for each pool_run */
  atomic_int busy;        /* workers that have not finished this generation */
  atomic_size_t next;     /* the next task */
  size_t count;
  pool_task *task;
  void *payload;
  bool stop;
};

static struct {
  pool_beat *beat;
  void *with;
} watch;

static void work(struct pool *pool, int thread) {
  for (;;) {
    size_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (task >= pool->count)
      return;
    pool->task(pool->payload, task, thread);
  }
}

static void *thread_main(void *arg) {
  struct worker_thread *worker = arg;
  struct pool *pool = worker->pool;
  unsigned seen = 0;
  for (;;) {
    for (int i = 0; i < SPINS && atomic_load_explicit(&pool->generation, memory_order_acquire) == seen; i++)
      cpu_pause();
    pthread_mutex_lock(&pool->lock);
    while (atomic_load_explicit(&pool->generation, memory_order_relaxed) == seen)
      pthread_cond_wait(&pool->wake, &pool->lock);
    seen = atomic_load_explicit(&pool->generation, memory_order_relaxed);
    bool stop = pool->stop;
    pthread_mutex_unlock(&pool->lock);
    if (stop)
      return NULL;
    work(pool, worker->index);
    atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_release);
  }
}

enum status pool_new(struct pool **out, int threads, struct error *err) {
  *out = NULL;
  if (threads <= 0)
    threads = cpu_allowed();
  if (threads > THREADS_MAX)
    threads = THREADS_MAX;
  struct pool *pool = calloc(1, sizeof *pool);
  struct worker_thread *workers = calloc((size_t)threads, sizeof *workers);
  if (!pool || !workers) {
    free(pool);
    free(workers);
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for %d threads", threads);
  }
  pool->workers = workers;
  pool->threads = 1;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->wake, NULL);
  for (int i = 1; i < threads; i++) {
    workers[i] = (struct worker_thread){.pool = pool, .index = i};
    if (pthread_create(&workers[i].thread, NULL, thread_main, &workers[i]) != 0) {
      pool_free(pool);
      return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "cannot start thread %d of %d", i + 1, threads);
    }
    pool->threads++;
  }
  *out = pool;
  return STATUS_OK;
}

static void start(struct pool *pool) {
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
}

void pool_free(struct pool *pool) {
  if (!pool)
    return;
  pool->stop = true;
  start(pool);
  for (int i = 1; i < pool->threads; i++)
    pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->lock);
  free(pool->workers);
  free(pool);
}

int pool_threads(const struct pool *pool) {
  return pool->threads;
}

void pool_watch(pool_beat *beat, void *with) {
  watch.beat = beat;
  watch.with = with;
}

void pool_run(struct pool *pool, size_t count, pool_task *task, void *payload) {
  if (watch.beat)
    watch.beat(watch.with);
  if (pool->threads == 1 || count < 2) {
    for (size_t i = 0; i < count; i++)
      task(payload, i, 0);
    return;
  }
  pool->count = count;
  pool->task = task;
  pool->payload = payload;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->busy, pool->threads - 1, memory_order_relaxed);
  start(pool);
  work(pool, 0);
  for (int i = 0; atomic_load_explicit(&pool->busy, memory_order_acquire) > 0; i++)
    if (i < SPINS)
      cpu_pause();
    else
      sched_yield(); /* another process has the core that the last task needs */
}
