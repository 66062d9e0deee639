#include "server/reports.h"

#include <string.h>

#include "api/device.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/removal.h"
#include "storage/artifact.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_state.h"
#include "storage/db_telemetry.h"

enum {
  DATA_BYTES = 4 * EVENT_LINE_MAX,
  PROGRESS_BYTES = 4 * EVENT_LINE_MAX,
  KEPT_BYTES = 4 * EVENT_LINE_MAX,
  LINE_ARENA_BYTES = 1 << 20,
  RETRIES_LOGGED = 60, /* a line in the log for so many */
};

void reports_init(struct reports *reports, struct artifacts *artifacts, const struct lease *lease,
                  const char *device) {
  *reports = (struct reports){.run = artifacts->run,
                              .artifacts = artifacts,
                              .db = artifacts->run->server->db,
                              .lease = *lease,
                              .trained_tokens = -1,
                              .memory_mib = BUDGET_UNKNOWN};
  reports->pace.step = lease->token == 1 ? 0 : -1;
  snprintf(reports->pace.device, sizeof reports->pace.device, "%s", device);
  str_init(&reports->progress, PROGRESS_BYTES);
  str_init(&reports->kept, KEPT_BYTES);
}

void reports_done(struct reports *reports) {
  str_done(&reports->progress);
  str_done(&reports->kept);
}

/* `relative` below the run's folder. */
static enum status full_path(const char **out, struct reports *reports, const char *relative, struct error *err) {
  if (!artifact_path_valid(relative))
    return error_set(err, STATUS_WORKER_CRASHED, "path", "a path that is not allowed: %.80s", relative);
  *out = arena_format(&reports->run->arena, "%s/%s", reports->artifacts->output, relative);
  return *out ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing what a worker has written");
}

/* Values that a run which goes on from a state tells otherwise: they are of its clock. */
static const char *const of_clock[] = {"tokens_per_second", "seconds_remaining"};

static bool same_metrics(const json_t *data, const char *stored) {
  AUTO(json_release) json_t *now = json_copy((json_t *)(uintptr_t)data);
  AUTO(json_release) json_t *then = NULL;
  if (json_parse(&then, stored, strlen(stored), NULL, NULL))
    return false;
  for (size_t i = 0; i < COUNT_OF(of_clock); i++) {
    json_object_del(now, of_clock[i]);
    json_object_del(then, of_clock[i]);
  }
  return json_equal(now, then);
}

/* Has a former run of the job told it already? */
static enum status find_told(bool *out, struct reports *reports, const struct event_row *row, const json_t *data,
                             struct error *err) {
  AUTO(arena_done) struct arena arena;
  const char *stored;
  int64_t step;
  arena_init(&arena, LINE_ARENA_BYTES);
  *out = false;
  if (reports->lease.token == 1) /* there is none */
    return STATUS_OK;
  if (!row->metrics)
    return db_event_said(out, reports->db, row, reports->told, err);
  enum status status = json_get_int(&step, data, "step", -1, 0, INT64_MAX, err);
  if (!status)
    status = db_event_metrics(&stored, reports->db, row->job_id, step, &arena, err);
  if (status || !stored)
    return status;
  *out = true;
  if (!reports->told_otherwise && !same_metrics(data, stored)) {
    log_warn("%s: step %lld has other metrics than before: %.400s was stored, now it is %.400s", row->job_id,
             (long long)step, stored, row->data);
    reports->told_otherwise = true;
  }
  return STATUS_OK;
}

static enum status store_event(struct reports *reports, const struct event *event, struct error *err) {
  AUTO(str_done) struct str data;
  bool told;
  str_init(&data, DATA_BYTES);
  if (event->data && !json_append(&data, event->data))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing an event");
  struct event_row row = {.job_id = reports->run->id,
                          .created_at = clock_unix(),
                          .level = event->level,
                          .metrics = event->kind == EVENT_METRICS,
                          .message = event->message,
                          .data = event->data ? data.text : NULL};
  enum status status = find_told(&told, reports, &row, event->data, err);
  return status || told ? status : db_event_add(reports->db, &row, err);
}

static enum status store_telemetry(struct reports *reports, const struct event *event, struct error *err) {
  AUTO(str_done) struct str data;
  struct telemetry_row row;
  str_init(&data, DATA_BYTES);
  enum status status = json_get_int(&row.step, event->data, "step", -1, 0, INT64_MAX, err);
  if (status)
    return status;
  if (!json_append(&data, event->data))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing telemetry");
  row.data = data.text;
  return db_telemetry_add(reports->db, reports->lease.job_id, &row, err);
}

static enum status tell_checkpoint(struct reports *reports, int64_t step, struct error *err) {
  char text[80];
  snprintf(text, sizeof text, "Checkpoint created at step %lld", (long long)step);
  AUTO(json_release) json_t *data = json_pack("{s:{s:I}}", "checkpoint", "step_number", (json_int_t)step);
  const struct event event = {.kind = EVENT_MESSAGE, .level = LOG_INFO, .message = text, .data = data};
  return data ? store_event(reports, &event, err) : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing a checkpoint");
}

static enum status store_checkpoint(struct reports *reports, const struct event *event, struct error *err) {
  AUTO(str_done) struct str metrics;
  const char *path;
  struct checkpoint_row row = {.job_id = reports->lease.job_id, .created_at = clock_unix()};
  str_init(&metrics, DATA_BYTES);
  enum status status = json_get_string(&path, event->data, "path", "", err);
  if (!status)
    status = json_get_int(&row.step, event->data, "step", -1, 0, INT64_MAX, err);
  if (!status)
    status = json_get_int(&row.bytes, event->data, "bytes", 0, 0, INT64_MAX, err);
  if (!status)
    status = full_path(&row.path, reports, path, err);
  if (status)
    return status;
  const json_t *values = json_object_get(event->data, "metrics"), *removed;
  if (!json_is_object(values))
    str_puts(&metrics, "{}");
  else if (!json_append(&metrics, values))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing a checkpoint");
  row.metrics = metrics.text;
  status = db_checkpoint_add(reports->db, &row, err);
  if (!status)
    status = tell_checkpoint(reports, row.step, err);
  size_t i;
  json_array_foreach(json_object_get(event->data, "removed_steps"), i, removed) {
    if (!status)
      status = db_checkpoint_drop(reports->db, row.job_id, json_integer_value(removed), err);
  }
  int64_t forgotten = 0;
  status = status ? status : db_checkpoint_forget_dropped(reports->db, &forgotten, err);
  reports->forgotten += forgotten;
  return status;
}

static enum status store_state(struct reports *reports, const struct event *event, struct error *err) {
  struct state_row row = {.created_at = clock_unix()};
  const char *path;
  bool held;
  enum status status = json_get_string(&path, event->data, "path", "", err);
  if (!status)
    status = json_get_string(&row.sha256, event->data, "sha256", "", err);
  if (!status)
    status = json_get_int(&row.step, event->data, "step", -1, 0, INT64_MAX, err);
  if (!status)
    status = json_get_int(&row.bytes, event->data, "bytes", -1, 0, INT64_MAX, err);
  if (!status)
    status = full_path(&row.path, reports, path, err);
  return status ? status : db_state_add(reports->db, &reports->lease, &row, &held, err);
}

/* What was trained since the last report joins the metrics. What is told again after a fault of the store, or by a run
   that begins anew, is behind what was counted. */
static void count_progress(struct reports *reports, const json_t *data) {
  struct pace *pace = &reports->pace;
  const char *phase = json_string_value(json_object_get(data, "phase"));
  int64_t step = json_integer_value(json_object_get(data, "step"));
  int64_t tokens = json_integer_value(json_object_get(data, "trained_tokens"));
  double rate = json_number_value(json_object_get(data, "tokens_per_second"));
  double seconds = rate > 0 ? (double)tokens / rate : 0;
  if (!phase || strcmp(phase, "train") != 0 || step <= pace->step)
    return;
  int64_t steps = step - pace->step, new_tokens = tokens - pace->tokens;
  double each = (seconds - pace->seconds) / (double)steps;
  if (pace->step >= 0 && new_tokens >= 0)
    metrics_trained(&reports->run->server->metrics, pace->device, (uint64_t)steps, (uint64_t)new_tokens, each);
  pace->step = step;
  pace->tokens = tokens;
  pace->seconds = seconds;
}

/* What it will take, as the run's first steps show; it is kept apart. */
static enum status store_estimate(struct reports *reports, json_t *data, struct error *err) {
  AUTO(str_done) struct str text;
  const json_t *estimate = json_object_get(data, "estimate");
  str_init(&text, DATA_BYTES);
  if (!json_is_object(estimate))
    return STATUS_OK;
  if (!json_append(&text, estimate))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing an estimate");
  json_object_del(data, "estimate");
  return db_job_set_estimate(reports->db, reports->lease.job_id, text.text, err);
}

static enum status note_progress(struct reports *reports, const struct event *event, struct error *err) {
  int64_t before = reports->trained_tokens;
  enum status status =
      json_get_int(&reports->trained_tokens, event->data, "trained_tokens", before, -1, INT64_MAX, err);
  if (!status)
    status = json_get_int(&reports->last_step, event->data, "step", reports->last_step, 0, INT64_MAX, err);
  if (!status)
    status = store_estimate(reports, event->data, err);
  if (status)
    return status;
  str_clear(&reports->progress);
  if (!event->data)
    return error_set(err, STATUS_WORKER_CRASHED, NULL, "a progress event without its data");
  if (!json_append(&reports->progress, event->data))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing the progress");
  count_progress(reports, event->data);
  return STATUS_OK;
}

/* A message that names the device is where the job runs from now on. */
static enum status store_message(struct reports *reports, const struct event *event, struct error *err) {
  const char *device = json_string_value(json_object_get(event->data, "device"));
  bool held;
  enum status status = store_event(reports, event, err);
  if (status || !device)
    return status;
  if (!device_wanted_valid(device))
    return error_set(err, STATUS_WORKER_CRASHED, "device", "a device that is none: %.40s", device);
  snprintf(reports->pace.device, sizeof reports->pace.device, "%s", device);
  return db_job_set_device(reports->db, &reports->lease, device, &held, err);
}

/* What it takes at most of the host's memory. */
static enum status store_plan(struct reports *reports, const struct event *event, struct error *err) {
  int64_t bytes;
  bool held;
  enum status status = json_get_int(&bytes, event->data, "peak_memory_bytes", -1, 0, INT64_MAX, err);
  if (status || bytes < 0)
    return status ? status : error_set(err, STATUS_WORKER_CRASHED, NULL, "a plan without its peak_memory_bytes");
  reports->memory_mib = budget_mib(bytes);
  status = db_job_held(&held, reports->db, &reports->lease, err);
  return status || !held ? status
                         : db_job_set_needs(reports->db, reports->lease.job_id, reports->memory_mib, err);
}

static enum status handle(struct reports *reports, const struct event *event, struct error *err) {
  switch (event->kind) {
  case EVENT_MESSAGE: return store_message(reports, event, err);
  case EVENT_METRICS: return store_event(reports, event, err);
  case EVENT_PROGRESS: return note_progress(reports, event, err);
  case EVENT_TELEMETRY: return store_telemetry(reports, event, err);
  case EVENT_CHECKPOINT: return store_checkpoint(reports, event, err);
  case EVENT_STATE: return store_state(reports, event, err);
  case EVENT_ARTIFACT:
    return artifacts_is_preview(event) ? artifacts_store_preview(reports->artifacts, event, &reports->forgotten, err)
                                       : artifacts_note(reports->artifacts, event, err);
  case EVENT_ALIVE: return STATUS_OK;
  case EVENT_ERROR:
    run_note_error(reports->run, event);
    return STATUS_OK;
  case EVENT_REPORT: return store_plan(reports, event, err);
  case EVENT_GENERATION: return error_set(err, STATUS_WORKER_CRASHED, NULL, "an answer, which training does not send");
  case EVENT_KIND_COUNT: break;
  }
  CHECK(!"an event kind");
}

/* Can the store take the same later? */
static bool passes(enum status status) {
  return status == STATUS_DATABASE_BUSY || status == STATUS_NO_SPACE || status == STATUS_IO ||
         status == STATUS_OUT_OF_MEMORY || status == STATUS_UNAVAILABLE;
}

static void roll_back(struct reports *reports) {
  if (reports->in_transaction)
    db_rollback(reports->db);
  reports->in_transaction = false;
  reports->forgotten = 0;
  reports->artifacts->count = reports->artifacts_stored;
  str_clear(&reports->progress);
}

/* The run is to end. */
static void drop(struct reports *reports) {
  roll_back(reports);
  str_clear(&reports->kept);
  reports->muted = true;
  reports->artifacts->count = 0;
  if (!reports->stalled)
    return;
  reports->stalled = false;
  CHECK(uv_timer_stop(&reports->run->timer) == 0);
  if (reports->run->worker)
    worker_pause(reports->run->worker, false);
}

void reports_stopping(struct reports *reports) {
  if (reports->stalled)
    drop(reports);
}

/* The run ends here and the job is queued again, so that nothing it reported is missing in the end. */
static void give_up(struct reports *reports, const struct error *err) {
  log_error("%s: %s; its worker is stopped and the job queued again", reports->run->id, err->text);
  drop(reports);
  run_stop(reports->run, STOP_DRAIN, true);
}

/* The store does not take what was said. Later it may: the lines are kept, unless the run is to end anyway. */
static void refuse(struct reports *reports, const struct error *err) {
  if (!passes(err->status)) {
    give_up(reports, err);
    return;
  }
  if (reports->run->stop != STOP_NONE) {
    drop(reports);
    return;
  }
  roll_back(reports);
  if (reports->tries++ % RETRIES_LOGGED == 0)
    log_warn("%s: what its worker says cannot be stored yet: %s", reports->run->id, err->text);
  reports->stalled = true;
}

static enum status begin(struct reports *reports, struct error *err) {
  bool held;
  if (reports->in_transaction)
    return STATUS_OK;
  reports->artifacts_stored = reports->artifacts->count;
  enum status status = db_begin(reports->db, err);
  if (status)
    return status;
  reports->in_transaction = true;
  status = db_job_held(&held, reports->db, &reports->lease, err);
  if (!status && !held)
    status = error_set(err, STATUS_INTERNAL, NULL, "the lease is lost");
  return status;
}

static bool is_store_fault(enum status status) {
  return passes(status) || status == STATUS_INTERNAL;
}

enum status reports_event(struct reports *reports, const struct event *event, const char *line, size_t length,
                          struct error *err) {
  enum status status = STATUS_OK;
  if (!reports->muted && (!str_add(&reports->kept, line, length) || !str_putc(&reports->kept, '\n')))
    status = error_set(err, STATUS_INTERNAL, NULL, "keeping what the worker says");
  if (!status && !reports->muted && !reports->stalled) {
    status = begin(reports, err);
    if (!status)
      status = handle(reports, event, err);
  }
  if (!is_store_fault(status))
    return status;
  refuse(reports, err);
  return STATUS_OK;
}

/* The end of the lines that are kept: one transaction. */
static enum status commit(struct reports *reports, struct error *err) {
  bool held;
  enum status status = STATUS_OK;
  if (reports->in_transaction && reports->progress.length)
    status = db_job_set_progress(reports->db, &reports->lease, reports->progress.text, reports->trained_tokens, &held,
                                 err);
  if (!status && reports->in_transaction) {
    reports->in_transaction = false;
    status = db_commit(reports->db, err);
  }
  if (status)
    return status;
  str_clear(&reports->progress);
  str_clear(&reports->kept);
  reports->tries = 0;
  if (reports->forgotten > 0)
    removal_start(reports->run->server);
  reports->forgotten = 0;
  return STATUS_OK;
}

static enum status store_kept(struct reports *reports, struct error *err) {
  enum status status = begin(reports, err);
  const char *line = reports->kept.text;
  for (const char *end; !status && (end = strchr(line, '\n')); line = end + 1) {
    AUTO(arena_done) struct arena arena;
    struct event event;
    arena_init(&arena, LINE_ARENA_BYTES);
    status = event_parse(&event, line, (size_t)(end - line), &arena, err);
    if (status)
      break;
    status = handle(reports, &event, err);
    json_decref(event.data);
  }
  return status ? status : commit(reports, err);
}

static void store_again(void *context) {
  struct reports *reports = context;
  struct error err;
  enum status status = store_kept(reports, &err);
  if (status && !is_store_fault(status)) { /* no event that it may send */
    drop(reports);
    if (reports->run->worker)
      worker_reject(reports->run->worker, &err);
    return;
  }
  if (status)
    refuse(reports, &err);
  if (status && reports->stalled) {
    run_again(reports->run, store_again, reports);
    return;
  }
  if (status)
    return; /* it is to end */
  reports->stalled = false;
  worker_pause(reports->run->worker, false);
}

void reports_batch(struct reports *reports) {
  struct error err;
  if (!reports->stalled && commit(reports, &err))
    refuse(reports, &err);
  if (!reports->stalled)
    return;
  worker_pause(reports->run->worker, true);
  run_again(reports->run, store_again, reports);
}
