#include "server/checking.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "server/paths.h"

enum { REPORT_BYTES = 4 * EVENT_LINE_MAX, LINE_ARENA_BYTES = 1 << 20 };

/* The worker's complaint, with the place in front when the message does not name it. */
static void note_error(struct run *run, const struct event *event) {
  const json_t *line = json_object_get(event->data, "line"), *column = json_object_get(event->data, "column");
  run_note_error(run, event);
  if (!json_is_integer(line) || strncmp(event->message, "line ", 5) == 0)
    return;
  if (json_is_integer(column))
    error_prefix(&run->reported, "line %" JSON_INTEGER_FORMAT ", column %" JSON_INTEGER_FORMAT,
                 json_integer_value(line), json_integer_value(column));
  else
    error_prefix(&run->reported, "line %" JSON_INTEGER_FORMAT, json_integer_value(line));
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

struct outcome {
  struct run *run;
  enum status verdict;
  struct error why;
};

static enum status store_outcome(struct db *db, const void *what, struct error *err) {
  const struct outcome *outcome = what;
  struct run *run = outcome->run;
  AUTO(str_done) struct str report;
  bool changed, bad = outcome->verdict != STATUS_OK;
  str_init(&report, REPORT_BYTES);
  if (run->report && !json_append(&report, run->report))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing the report of %s", run->id);
  return db_file_checked(db, run->id, bad ? FILE_ERROR : FILE_PROCESSED, bad ? outcome->why.text : NULL,
                         run->report ? report.text : NULL, &changed, err);
}

/* A file whose check the host kept from running stays `uploaded` and is checked again. */
static enum status settle(struct run *run, struct error *err) {
  struct outcome outcome = {.run = run};
  struct server *server = run->server;
  struct evidence evidence = {.death = run->death,
                              .stop = run->stop,
                              .reported = run->has_reported ? &run->reported : NULL,
                              .log_tail = ""};
  outcome.verdict = verdict_of_check(&outcome.why, &evidence, run->report != NULL);
  if (outcome.verdict == STATUS_UNAVAILABLE && !run->has_reported) {
    hold_begin(&server->hold, &outcome.why);
    return STATUS_OK;
  }
  if (outcome.verdict == STATUS_WORKER_CRASHED || outcome.verdict == STATUS_WORKER_UNRESPONSIVE)
    error_prefix(&outcome.why, "the check of this file failed");
  enum status status = db_apply(server->db, store_outcome, &outcome, true, err);
  if (status)
    return status;
  log_info("%s is %s%s", run->id, outcome.verdict ? "not usable: " : "checked", outcome.why.text);
  snprintf(run->known, sizeof run->known, "%s", run->id);
  return STATUS_OK;
}

static void on_end(void *context, const struct death *death) {
  struct run *run = context;
  run->worker = NULL;
  run->death = *death;
  if (run->stop == STOP_NONE)
    run_settle(run, settle);
  else /* stopped by us: the file stays `uploaded` and is checked again by the next daemon */
    run_end(run);
}

enum status checking_start(struct run *run, const struct file_row *file, struct error *err) {
  char path[PATH_BYTES];
  enum status status = path_format(path, err, "%s/%s", run->server->config->data, file->path);
  struct task task = {.kind = TASK_CHECK,
                      .training = {.id = file->id, .path = path, .filename = file->filename},
                      .threads = 1};
  if (!status)
    status = run_start_worker(run, &task, &(struct worker_calls){on_line, on_batch, NULL, on_end}, err);
  if (status)
    run_end(run);
  return status;
}
