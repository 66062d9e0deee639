/* What all runs share: their life, their worker, and that the store learns how they end. */
#include "server/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "storage/db_event.h"

enum {
  RUN_ARENA_BYTES = 64 << 20,
  LINE_ARENA_BYTES = 1 << 20,
  TERM_MS = 5000,
  RETRY_MS = 500,
  RETRIES_LOGGED = 60, /* a line in the log for so many */
};

/* ---- the daemon's log of it ---- */

static const char *const log_keys[] = {
    [TASK_TRAIN] = "job",  [TASK_CHECK] = "file",  [TASK_INSPECT] = "model", [TASK_ESTIMATE] = "model",
    [TASK_PLAN] = "model", [TASK_SURVEY] = "file", [TASK_EXPORT] = "job",    [TASK_GENERATE] = "model"};

void run_log_begin(const struct run *run) {
  log_scope(log_keys[run->kind->task], run->id);
  if (run->attempt)
    log_scope_number("attempt", run->attempt);
}

void run_log_end(const struct run *run) {
  log_scope(log_keys[run->kind->task], NULL);
  log_scope_number("attempt", -1);
}

/* ---- its life ---- */

struct run *run_new(struct server *server, const struct run_kind *kind, const char *id, run_ended *ended,
                    void *context) {
  struct run *run = calloc(1, kind->bytes);
  if (!run)
    return NULL;
  run->ended = ended;
  run->context = context;
  run->server = server;
  run->kind = kind;
  snprintf(run->id, sizeof run->id, "%s", id);
  arena_init(&run->arena, RUN_ARENA_BYTES);
  CHECK(uv_timer_init(server->uv, &run->timer) == 0);
  run->timer.data = run;
  return run;
}

static void on_closed(uv_handle_t *handle) {
  struct run *run = handle->data;
  if (run->kind->done)
    run->kind->done(run);
  arena_done(&run->arena);
  free(run);
}

void run_end(struct run *run) {
  run->ended(run->context, run);
  uv_close((uv_handle_t *)&run->timer, on_closed);
}

static void on_timer(uv_timer_t *timer) {
  struct run *run = timer->data;
  void (*again)(void *context) = run->again;
  run_log_begin(run);
  again(run->again_context);
  run_log_end(run);
}

void run_again(struct run *run, void (*again)(void *context), void *context) {
  run->again = again;
  run->again_context = context;
  CHECK(uv_timer_start(&run->timer, on_timer, RETRY_MS, 0) == 0);
}

static void try_to_settle(void *context) {
  struct run *run = context;
  struct error err;
  enum status status = run->settle(run, &err);
  if (status && run->tries++ % RETRIES_LOGGED == 0)
    log_error("%s: its end cannot be stored%s: %s", run->id, run->server->draining ? "" : " yet", err.text);
  if (status && !run->server->draining)
    run_again(run, try_to_settle, run);
  else
    run_end(run);
}

void run_settle(struct run *run, run_store *settle) {
  run->settle = settle;
  run->tries = 0;
  try_to_settle(run);
}

enum status run_add_event(struct run *run, enum log_level level, const char *message, struct error *err) {
  struct event_row row = {.job_id = run->id, .created_at = clock_unix(), .level = level, .message = message};
  return db_event_add(run->server->db, &row, err);
}

/* ---- its worker ---- */

static bool on_line(void *context, const char *text, size_t length, struct error *err) {
  struct run *run = context;
  AUTO(arena_done) struct arena arena;
  struct event event;
  arena_init(&arena, LINE_ARENA_BYTES);
  if (event_parse(&event, text, length, &arena, err))
    return false;
  run_log_begin(run);
  enum status status = run->kind->event(run, &event, text, length, err);
  run_log_end(run);
  json_decref(event.data);
  return status == STATUS_OK;
}

static void on_batch(void *context) {
  struct run *run = context;
  run_log_begin(run);
  if (run->kind->batch)
    run->kind->batch(run);
  run_log_end(run);
}

static void on_exited(void *context) {
  struct run *run = context;
  if (run->kind->exited)
    run->kind->exited(run);
}

static void remove_scratch(const struct run *run) {
  struct error err;
  char path[PATH_BYTES];
  if (!run->output || path_format(path, &err, "%s/" SANDBOX_SCRATCH, run->output))
    return;
  if (access(path, F_OK) == 0 && file_remove_tree(path, &err))
    log_warn("%s: %s", run->id, err.text);
}

static void on_end(void *context, const struct death *death) {
  struct run *run = context;
  run_log_begin(run);
  remove_scratch(run);
  run->worker = NULL;
  run->death = *death;
  run->death.short_of_memory |= cgroup_end(run->cgroup);
  run->kind->ended(run);
  run_log_end(run);
}

static enum status log_path(char out[PATH_BYTES], const struct run *run, struct error *err) {
  return path_format(out, err, "%s/" PATH_LOG, run->server->config->data, run->id);
}

enum status run_start_worker(struct run *run, const struct task *task, struct error *err) {
  const struct config *config = run->server->config;
  char log[PATH_BYTES];
  enum status status = run->kind->has_log ? log_path(log, run, err) : STATUS_OK;
  if (status)
    return status;
  /* One that is not there: never the task's own fault. */
  if (access(config->worker_path, X_OK) != 0)
    return error_set(err, STATUS_UNAVAILABLE, "worker_path", "cannot start %s: %s", config->worker_path,
                     strerror(errno));
  run->output = task->output_dir;
  struct sandbox_command command;
  AUTO(json_release) json_t *document = task_json(task);
  if (!document)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting a worker for %s", run->id);
  status = cgroup_make(run->cgroup, &run->server->cgroups, sandbox_memory(task), err);
  if (status)
    return status;
  struct worker_options options = {.command = command.argument,
                                   .task = document,
                                   .log_path = run->kind->has_log ? log : NULL,
                                   .silence_ms = config->worker_silence_s * 1000,
                                   .calls = {on_line, on_batch, on_exited, on_end},
                                   .context = run};
  status = sandbox_command(&command, &run->server->sandbox, config, task, run->cgroup, &run->arena, err);
  status = status ? status : worker_start(&run->worker, run->server->uv, &options, err);
  if (status)
    cgroup_end(run->cgroup);
  return status;
}

void run_note_error(struct run *run, const struct event *event) {
  run->has_error_event = true;
  error_set(&run->error_event, event->code == STATUS_OK ? STATUS_WORKER_CRASHED : event->code, event->param, "%s",
            event->message);
}

struct evidence run_evidence(const struct run *run) {
  return (struct evidence){.death = run->death,
                           .stop = run->stop,
                           .error_event = run->has_error_event ? &run->error_event : NULL,
                           .log_tail = ""};
}

void run_stop(struct run *run, enum stop stop, bool at_once) {
  const struct config *config = run->server->config;
  int64_t grace_ms = config->shutdown_grace_s * 1000, silence_ms = config->worker_silence_s * 1000;
  int64_t term_ms = grace_ms / 2 < TERM_MS ? grace_ms / 2 : TERM_MS;
  if (stop > run->stop) /* what a user was promised outlives a shutdown */
    run->stop = stop;
  if (run->kind->stopping)
    run->kind->stopping(run);
  if (!run->worker)
    return;
  const char *cancel = run->kind->reads_lines ? NULL : "cancel";
  if (at_once)
    worker_stop(run->worker, cancel, 0, 0);
  else if (run->stop == STOP_CANCEL || !run->kind->resumes)
    worker_stop(run->worker, cancel, term_ms, term_ms + grace_ms);
  else if (stop == STOP_PAUSE || stop == STOP_PREEMPT) /* nobody is in a hurry */
    worker_stop(run->worker, "pause", silence_ms, silence_ms);
  else /* SIGTERM would cost what it is about to write */
    worker_stop(run->worker, "pause", grace_ms, grace_ms);
}

void run_resume(struct run *run) {
  if (run->stop == STOP_PAUSE)
    run->stop = STOP_RESUME;
}

/* ---- its log ---- */

/* Control characters become blanks, so that the tail is one line. */
static void flatten(char *out, size_t size, const char *text) {
  size_t n = 0;
  for (; *text && n + 1 < size; text++)
    out[n++] = (unsigned char)*text < 0x20 || *text == 0x7F ? ' ' : *text;
  while (n > 0 && out[n - 1] == ' ')
    n--;
  out[n] = '\0';
}

void run_log_tail(char out[LOG_TAIL_BYTES], const struct run *run) {
  char text[2 * LOG_TAIL_BYTES], path[PATH_BYTES];
  out[0] = '\0';
  if (log_path(path, run, NULL))
    return;
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
