#include "server/supervisor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "server/run.h"
#include "server/scheduler.h"

enum { RUN_ARENA_BYTES = 64 << 20, PROGRESS_BYTES = 4 * EVENT_LINE_MAX, TERM_MS = 5000, LOG_LINES = 6 };

struct supervisor {
  struct server *server;
  struct run *runs;
};

enum status supervisor_new(struct supervisor **out, struct server *server, struct error *err) {
  *out = calloc(1, sizeof **out);
  if (!*out)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "making the supervisor");
  (*out)->server = server;
  return STATUS_OK;
}

void supervisor_free(struct supervisor *supervisor) {
  CHECK(!supervisor || !supervisor->runs);
  free(supervisor);
}

struct run *run_new(struct supervisor *supervisor, struct server *server, enum task_kind kind, const char *id) {
  struct run *run = calloc(1, sizeof *run);
  if (!run)
    return NULL;
  run->supervisor = supervisor;
  run->server = server;
  run->kind = kind;
  run->trained_tokens = -1;
  snprintf(run->id, sizeof run->id, "%s", id);
  arena_init(&run->arena, RUN_ARENA_BYTES);
  str_init(&run->progress, PROGRESS_BYTES);
  run->next = supervisor->runs;
  supervisor->runs = run;
  return run;
}

void run_end(struct run *run) {
  struct run **link = &run->supervisor->runs;
  while (*link != run)
    link = &(*link)->next;
  *link = run->next;
  scheduler_wake(run->server->scheduler);
  json_decref(run->report);
  str_done(&run->progress);
  arena_done(&run->arena);
  free(run);
}

enum status run_log_path(char out[PATH_BYTES], const struct run *run, struct error *err) {
  return path_format(out, err, "%s/" PATH_LOG, run->server->config->data, run->id);
}

enum status run_start_worker(struct run *run, const struct task *task, const struct worker_calls *calls,
                             struct error *err) {
  const struct config *config = run->server->config;
  char log[PATH_BYTES];
  bool logs = run->kind != TASK_CHECK;
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

void run_stop(struct run *run, enum stop stop, bool at_once) {
  int64_t grace_ms = run->server->config->shutdown_grace_s * 1000;
  int64_t term_ms = grace_ms / 2 < TERM_MS ? grace_ms / 2 : TERM_MS;
  if (run->stop != STOP_CANCEL) /* what a user was promised outlives a shutdown */
    run->stop = stop;
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

enum status supervisor_start_job(struct supervisor *supervisor, const struct job_row *job, struct error *err) {
  struct run *run = run_new(supervisor, supervisor->server, TASK_TRAIN, job->id);
  if (!run)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", job->id);
  enum status status = training_start(run, job, err);
  if (status || !run->worker)
    run_end(run);
  return status;
}

enum status supervisor_start_check(struct supervisor *supervisor, const struct file_row *file, struct error *err) {
  struct run *run = run_new(supervisor, supervisor->server, TASK_CHECK, file->id);
  if (!run)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "checking %s", file->id);
  enum status status = checking_start(run, file, err);
  if (status)
    run_end(run);
  return status;
}

enum status supervisor_start_export(struct supervisor *supervisor, const struct export_row *export,
                                    struct error *err) {
  struct run *run = run_new(supervisor, supervisor->server, TASK_EXPORT, export->job_id);
  if (!run)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "exporting %s", export->job_id);
  enum status status = exporting_start(run, export, err);
  if (status || !run->worker)
    run_end(run);
  return status;
}

static struct run *find(const struct supervisor *supervisor, enum task_kind kind, const char *id) {
  for (struct run *run = supervisor->runs; run; run = run->next)
    if (run->kind == kind && strcmp(run->id, id) == 0)
      return run;
  return NULL;
}

static size_t count(const struct supervisor *supervisor, enum task_kind kind) {
  size_t n = 0;
  for (const struct run *run = supervisor->runs; run; run = run->next)
    n += run->kind == kind;
  return n;
}

bool supervisor_is_checking(const struct supervisor *supervisor, const char *file_id) {
  return find(supervisor, TASK_CHECK, file_id) != NULL;
}

size_t supervisor_jobs(const struct supervisor *supervisor) {
  return count(supervisor, TASK_TRAIN);
}

size_t supervisor_checks(const struct supervisor *supervisor) {
  return count(supervisor, TASK_CHECK);
}

size_t supervisor_exports(const struct supervisor *supervisor) {
  return count(supervisor, TASK_EXPORT);
}

bool supervisor_idle(const struct supervisor *supervisor) {
  return !supervisor->runs;
}

void supervisor_cancel(struct supervisor *supervisor, const char *job_id) {
  struct run *run = find(supervisor, TASK_TRAIN, job_id);
  if (run)
    run_stop(run, STOP_CANCEL, false);
}

void supervisor_drain(struct supervisor *supervisor, bool at_once) {
  for (struct run *run = supervisor->runs; run; run = run->next)
    run_stop(run, STOP_DRAIN, at_once || run->kind != TASK_TRAIN);
}
