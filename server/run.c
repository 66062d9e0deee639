/* What all runs share: their life, their worker, and that the store learns how they end. */
#include "server/run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/log.h"
#include "storage/db_event.h"

enum {
  RUN_ARENA_BYTES = 64 << 20,
  PROGRESS_BYTES = 4 * EVENT_LINE_MAX,
  KEPT_BYTES = 4 * EVENT_LINE_MAX,
  TERM_MS = 5000,
  RETRY_MS = 500,
  RETRIES_TOLD = 60, /* a line in the log for so many */
};

struct run *run_new(struct server *server, enum task_kind kind, const char *id, run_ended *ended, void *context) {
  struct run *run = calloc(1, sizeof *run);
  if (!run)
    return NULL;
  run->ended = ended;
  run->context = context;
  run->server = server;
  run->kind = kind;
  run->trained_tokens = -1;
  snprintf(run->id, sizeof run->id, "%s", id);
  arena_init(&run->arena, RUN_ARENA_BYTES);
  str_init(&run->progress, PROGRESS_BYTES);
  str_init(&run->kept, KEPT_BYTES);
  CHECK(uv_timer_init(server->uv, &run->timer) == 0);
  run->timer.data = run;
  return run;
}

static void on_closed(uv_handle_t *handle) {
  struct run *run = handle->data;
  json_decref(run->report);
  str_done(&run->progress);
  str_done(&run->kept);
  arena_done(&run->arena);
  free(run);
}

void run_end(struct run *run) {
  run->ended(run->context, run);
  uv_close((uv_handle_t *)&run->timer, on_closed);
}

static void on_timer(uv_timer_t *timer) {
  struct run *run = timer->data;
  run->again(run);
}

void run_again(struct run *run, void (*again)(struct run *run)) {
  run->again = again;
  CHECK(uv_timer_start(&run->timer, on_timer, RETRY_MS, 0) == 0);
}

static void settle(struct run *run) {
  struct error err;
  enum status status = run->store_end(run, &err);
  if (status && run->tries++ % RETRIES_TOLD == 0)
    log_error("%s: its end cannot be stored%s: %s", run->id, run->server->draining ? "" : " yet", err.text);
  if (status && !run->server->draining)
    run_again(run, settle);
  else
    run_end(run);
}

void run_settle(struct run *run, run_store *store_end) {
  run->store_end = store_end;
  run->tries = 0;
  settle(run);
}

enum status run_add_event(struct run *run, enum log_level level, const char *message, struct error *err) {
  struct event_row row = {.job_id = run->id, .created_at = clock_unix(), .level = level, .message = message};
  return db_event_add(run->server->db, &row, err);
}

enum status run_log_path(char out[PATH_BYTES], const struct run *run, struct error *err) {
  return path_format(out, err, "%s/" PATH_LOG, run->server->config->data, run->id);
}

enum status run_start_worker(struct run *run, const struct task *task, const struct worker_calls *calls,
                             struct error *err) {
  const struct config *config = run->server->config;
  char log[PATH_BYTES];
  bool logs = run->kind == TASK_TRAIN || run->kind == TASK_EXPORT;
  enum status status = logs ? run_log_path(log, run, err) : STATUS_OK;
  if (status)
    return status;
  AUTO(json_release) json_t *document = task_json(task);
  if (!document)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting a worker for %s", run->id);
  struct worker_options options = {.program = config->worker_path,
                                   .task = document,
                                   .log_path = logs ? log : NULL,
                                   .silence_ms = config->worker_silence_s * 1000,
                                   .calls = *calls,
                                   .context = run};
  return worker_start(&run->worker, run->server->uv, &options, err);
}

void run_note_error(struct run *run, const struct event *event) {
  run->has_reported = true;
  error_set(&run->reported, event->code == STATUS_OK ? STATUS_WORKER_CRASHED : event->code, event->param, "%s",
            event->message);
}

int run_threads(const struct run *run, int64_t asked) {
  const struct config *config = run->server->config;
  int64_t cores = cpu_allowed();
  int64_t share = cores > config->workers_max ? cores / config->workers_max : 1;
  int64_t most = config->threads ? config->threads : cores;
  int64_t threads = asked ? asked : config->threads ? config->threads : share;
  return (int)(threads < most ? threads : most);
}

void run_stop(struct run *run, enum stop stop, bool at_once) {
  int64_t grace_ms = run->server->config->shutdown_grace_s * 1000;
  int64_t term_ms = grace_ms / 2 < TERM_MS ? grace_ms / 2 : TERM_MS;
  if (run->stop != STOP_CANCEL) /* what a user was promised outlives a shutdown */
    run->stop = stop;
  if (run->stopping)
    run->stopping(run);
  if (run->worker)
    worker_stop(run->worker, "cancel", at_once ? 0 : term_ms, at_once ? 0 : term_ms + grace_ms);
}

/* Control characters become blanks, so that the tail is one line. */
static void flatten(char *out, size_t size, const char *text) {
  size_t n = 0;
  for (; *text && n + 1 < size; text++)
    out[n++] = (unsigned char)*text < 0x20 || *text == 0x7F ? ' ' : *text;
  while (n > 0 && out[n - 1] == ' ')
    n--;
  out[n] = '\0';
}

void run_log_tail(char out[LOG_TAIL_BYTES], const char *path) {
  char text[2 * LOG_TAIL_BYTES];
  out[0] = '\0';
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return;
  off_t size = lseek(fd, 0, SEEK_END);
  off_t start = size > LOG_TAIL_BYTES - 1 ? size - (LOG_TAIL_BYTES - 1) : 0;
  ssize_t n = pread(fd, text, LOG_TAIL_BYTES - 1, start);
  close(fd);
  if (n <= 0)
    return;
  text[n] = '\0';
  const char *from = text;
  if (start > 0 && strchr(text, '\n') && strchr(text, '\n')[1])
    from = strchr(text, '\n') + 1; /* not from the middle of a line */
  if (utf8_valid(from, strlen(from), NULL))
    flatten(out, LOG_TAIL_BYTES, from);
}
