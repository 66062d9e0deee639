/* The check of an upload: a worker reads the file from end to end; its report or its complaint is stored
   with the file. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "server/admission.h"
#include "server/http/front.h"
#include "server/paths.h"
#include "server/run.h"

enum { REPORT_BYTES = 4 * EVENT_LINE_MAX, LINE_ARENA_BYTES = 1 << 20 };

/* The worker's complaint, with the place in front when the message does not name it. */
static void note_error(struct run *run, const struct event *event) {
  const json_t *line = json_object_get(event->data, "line"), *column = json_object_get(event->data, "column");
  run->has_reported = true;
  enum status code = event->code == STATUS_OK ? STATUS_WORKER_CRASHED : event->code;
  if (!json_is_integer(line) || strncmp(event->message, "line ", 5) == 0)
    error_set(&run->reported, code, event->param, "%s", event->message);
  else if (json_is_integer(column))
    error_set(&run->reported, code, event->param, "line %" JSON_INTEGER_FORMAT ", column %" JSON_INTEGER_FORMAT ": %s",
              json_integer_value(line), json_integer_value(column), event->message);
  else
    error_set(&run->reported, code, event->param, "line %" JSON_INTEGER_FORMAT ": %s", json_integer_value(line),
              event->message);
}

static bool on_line(void *context, const char *text, size_t length, struct error *err) {
  struct run *run = context;
  AUTO(arena_done) struct arena arena;
  struct event event;
  arena_init(&arena, LINE_ARENA_BYTES);
  if (event_parse(&event, text, length, &arena, err))
    return false;
  bool known = true;
  switch (event.kind) {
  case EVENT_REPORT:
    json_decref(run->report);
    run->report = json_incref(event.data);
    break;
  case EVENT_ERROR: note_error(run, &event); break;
  case EVENT_MESSAGE: log_debug("check of %s: %s", run->id, event.message); break;
  case EVENT_PROGRESS: break;
  case EVENT_METRICS:
  case EVENT_CHECKPOINT:
  case EVENT_ARTIFACT:
    error_set(err, STATUS_WORKER_CRASHED, NULL, "an event that a check does not send");
    known = false;
    break;
  case EVENT_KIND_COUNT: CHECK(!"an event kind");
  }
  json_decref(event.data);
  return known;
}

static void on_batch(void *context) {
  (void)context;
}

static enum status store_outcome(struct run *run, struct error *err) {
  AUTO(str_done) struct str report;
  struct error why = {0};
  bool changed;
  str_init(&report, REPORT_BYTES);
  struct evidence evidence = {.death = run->death,
                              .stop = run->stop,
                              .reported = run->has_reported ? &run->reported : NULL,
                              .log_tail = ""};
  enum status verdict = verdict_of_check(&why, &evidence, run->report != NULL);
  if (run->report && !json_append(&report, run->report))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing the report of %s", run->id);
  if (verdict == STATUS_WORKER_CRASHED || verdict == STATUS_WORKER_UNRESPONSIVE)
    error_prefix(&why, "the check of this file failed");
  log_info("%s is %s%s%s", run->id, verdict ? "not usable: " : "checked", verdict ? why.text : "", "");
  return db_file_checked(run->server->db, run->id, verdict ? FILE_ERROR : FILE_PROCESSED, verdict ? why.text : NULL,
                         run->report ? report.text : NULL, &changed, err);
}

static void on_end(void *context, const struct death *death) {
  struct run *run = context;
  struct server *server = run->server;
  struct error err;
  char id[sizeof run->id];
  memcpy(id, run->id, sizeof id);
  run->worker = NULL;
  run->death = *death;
  /* Stopped by us: the file stays `uploaded` and is checked again by the next daemon. */
  bool stored = run->stop == STOP_NONE && !store_outcome(run, &err);
  if (run->stop == STOP_NONE && !stored)
    log_error("storing the check of %s: %s", id, err.text);
  run_end(run);
  if (!stored)
    return;
  if (admission_resume(server, &err))
    log_error("jobs that wait for %s: %s", id, err.text);
  front_wake(server->front, id);
}

enum status checking_start(struct run *run, const struct file_row *file, struct error *err) {
  char path[PATH_BYTES];
  enum status status = path_format(path, err, "%s/%s", run->server->config->data, file->path);
  if (status)
    return status;
  struct task task = {.kind = TASK_CHECK,
                      .training = {.id = file->id, .path = path, .filename = file->filename},
                      .threads = 1};
  return run_start_worker(run, &task, &(struct worker_calls){on_line, on_batch, on_end}, err);
}
