#include "server/pool.h"

enum { THREADS = 4 }; /* libuv's default */

static void wait_for_all(void *begin) {
  uv_mutex_lock(begin);
  uv_mutex_unlock(begin);
}

/* Can so many threads live at once? libc keeps the stacks of those that have ended: what is made next takes them. */
static int try_threads(void) {
  uv_thread_t threads[THREADS];
  uv_mutex_t begin;
  int count = 0, code = uv_mutex_init(&begin);
  if (code)
    return code;
  uv_mutex_lock(&begin);
  while (count < THREADS && !(code = uv_thread_create(&threads[count], wait_for_all, &begin)))
    count++;
  uv_mutex_unlock(&begin);
  while (count > 0)
    uv_thread_join(&threads[--count]);
  uv_mutex_destroy(&begin);
  return code;
}

static void nothing(uv_work_t *work) {
  (void)work;
}

enum status pool_start(uv_loop_t *uv, struct error *err) {
  uv_work_t first;
  int code = try_threads();
  if (code)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "the threads that write files cannot be started: %s",
                     uv_strerror(code));
  code = uv_queue_work(uv, &first, nothing, NULL);
  if (code)
    return error_set(err, STATUS_INTERNAL, NULL, "the threads that write files cannot be started: %s",
                     uv_strerror(code));
  uv_run(uv, UV_RUN_DEFAULT);
  return STATUS_OK;
}
