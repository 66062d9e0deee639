#include "server/checking.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "server/paths.h"

enum { REPORT_BYTES = 4 * EVENT_LINE_MAX };

struct checking {
  struct run run;
  json_t *report;  /* NULL: none yet */
};

static struct checking *of(struct run *run) {
  return (struct checking *)run;
}

/* The worker's complaint, with the place in front when the message does not name it. */
static void note_error(struct run *run, const struct event *event) {
  const json_t *line = json_object_get(event->data, "line"), *column = json_object_get(event->data, "column");
  run_note_error(run, event);
  if (!json_is_integer(line) || strncmp(event->message, "line ", 5) == 0)
    return;
  if (json_is_integer(column))
    error_prefix(&run->error_event, "line %" JSON_INTEGER_FORMAT ", column %" JSON_INTEGER_FORMAT,
                 json_integer_value(line), json_integer_value(column));
  else
    error_prefix(&run->error_event, "line %" JSON_INTEGER_FORMAT, json_integer_value(line));
}

static enum status on_event(struct run *run, const struct event *event, const char *text, size_t length,
                            struct error *err) {
  struct checking *checking = of(run);
  (void)text;
  (void)length;
  switch (event->kind) {
  case EVENT_REPORT:
    json_decref(checking->report);
    checking->report = json_incref(event->data);
    return STATUS_OK;
  case EVENT_ERROR: note_error(run, event); return STATUS_OK;
  case EVENT_MESSAGE: log_debug("check of %s: %s", run->id, event->message); return STATUS_OK;
  case EVENT_PROGRESS:
  case EVENT_ALIVE: return STATUS_OK;
  case EVENT_METRICS:
  case EVENT_TELEMETRY:
  case EVENT_CHECKPOINT:
  case EVENT_STATE:
  case EVENT_GENERATION:
  case EVENT_ARTIFACT: return error_set(err, STATUS_WORKER_CRASHED, NULL, "an event that a check does not send");
  case EVENT_KIND_COUNT: break;
  }
  CHECK(!"an event kind");
}

struct outcome {
  const char *file_id;
  const json_t *report;
  enum status verdict;
  struct error why;
};

static enum status store_outcome(struct db *db, const void *what, struct error *err) {
  const struct outcome *outcome = what;
  AUTO(str_done) struct str report;
  bool changed, bad = outcome->verdict != STATUS_OK;
  str_init(&report, REPORT_BYTES);
  if (outcome->report && !json_append(&report, outcome->report))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing the report of %s", outcome->file_id);
  return db_file_checked(db, outcome->file_id, bad ? FILE_ERROR : FILE_PROCESSED, bad ? outcome->why.text : NULL,
                         outcome->report ? report.text : NULL, &changed, err);
}

/* A file whose check the host kept from running stays `uploaded` and is checked again. */
static enum status settle(struct run *run, struct error *err) {
  struct outcome outcome = {.file_id = run->id, .report = of(run)->report};
  struct server *server = run->server;
  struct evidence evidence = run_evidence(run);
  outcome.verdict = verdict_of_check(&outcome.why, &evidence, outcome.report != NULL);
  if (outcome.verdict == STATUS_UNAVAILABLE && !run->has_error_event) {
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

static void on_ended(struct run *run) {
  if (run->stop == STOP_NONE)
    run_settle(run, settle);
  else /* stopped by us: the file stays `uploaded` and is checked again by the next daemon */
    run_end(run);
}

static void on_done(struct run *run) {
  json_decref(of(run)->report);
}

const struct run_kind checking_kind = {.task = TASK_CHECK,
                                       .bytes = sizeof(struct checking),
                                       .event = on_event,
                                       .ended = on_ended,
                                       .done = on_done};

enum status checking_start(struct run *run, const struct file_row *file, struct error *err) {
  char path[PATH_BYTES];
  enum status status = path_format(path, err, "%s/%s", run->server->config->data, file->path);
  struct task task = {.kind = TASK_CHECK,
                      .training = {.id = file->id, .path = path, .filename = file->filename},
                      .threads = 1};
  if (!status)
    status = run_start_worker(run, &task, err);
  if (status)
    run_end(run);
  return status;
}
