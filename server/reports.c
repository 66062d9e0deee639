#include "server/reports.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/artifacts.h"
#include "storage/artifact.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"

enum { DATA_BYTES = 4 * EVENT_LINE_MAX, LINE_ARENA_BYTES = 1 << 20, RETRIES_TOLD = 60 };

static enum status store_checkpoint(struct run *run, const struct event *event, struct error *err) {
  AUTO(str_done) struct str metrics;
  const char *path;
  int64_t step;
  str_init(&metrics, DATA_BYTES);
  enum status status = json_get_string(&path, event->data, "path", "", err);
  if (!status)
    status = json_get_int(&step, event->data, "step", -1, 0, INT64_MAX, err);
  if (status)
    return status;
  if (!artifact_path_valid(path))
    return error_set(err, STATUS_WORKER_CRASHED, "path", "a checkpoint at a path that is not allowed: %.80s", path);
  const json_t *values = json_object_get(event->data, "metrics");
  if (!json_is_object(values))
    str_puts(&metrics, "{}");
  else if (!json_append(&metrics, values))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing a checkpoint");
  const char *full = arena_format(&run->arena, "%s/%s", run->output, path);
  if (!full)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing a checkpoint");
  struct checkpoint_row row = {.job_id = run->lease.job_id,
                               .created_at = clock_unix(),
                               .step = step,
                               .path = full,
                               .metrics = metrics.text};
  status = db_checkpoint_add(run->server->db, &row, err);
  int64_t removed;
  if (!status)
    status = json_get_int(&removed, event->data, "removed_step", -1, -1, INT64_MAX, err);
  return status || removed < 0 ? status : db_checkpoint_delete(run->server->db, run->lease.job_id, removed, err);
}

static enum status note_progress(struct run *run, const struct event *event, struct error *err) {
  enum status status =
      json_get_int(&run->trained_tokens, event->data, "trained_tokens", run->trained_tokens, -1, INT64_MAX, err);
  if (status)
    return status;
  str_clear(&run->progress);
  if (!event->data || !json_append(&run->progress, event->data))
    return error_set(err, STATUS_WORKER_CRASHED, NULL, "a progress event without its data");
  return STATUS_OK;
}

static enum status store_event(struct run *run, const struct event *event, struct error *err) {
  AUTO(str_done) struct str data;
  str_init(&data, DATA_BYTES);
  if (event->data && !json_append(&data, event->data))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing an event");
  struct event_row row = {.job_id = run->id,
                          .created_at = clock_unix(),
                          .level = event->level,
                          .metrics = event->kind == EVENT_METRICS,
                          .message = event->message,
                          .data = event->data ? data.text : NULL};
  return db_event_add(run->server->db, &row, err);
}

static enum status handle(struct run *run, const struct event *event, struct error *err) {
  switch (event->kind) {
  case EVENT_MESSAGE:
  case EVENT_METRICS: return store_event(run, event, err);
  case EVENT_PROGRESS: return note_progress(run, event, err);
  case EVENT_CHECKPOINT: return store_checkpoint(run, event, err);
  case EVENT_ARTIFACT: return artifacts_note(run, event, err);
  case EVENT_ERROR:
    run_note_error(run, event);
    return STATUS_OK;
  case EVENT_REPORT: return error_set(err, STATUS_WORKER_CRASHED, NULL, "a report, which training does not send");
  case EVENT_KIND_COUNT: break;
  }
  CHECK(!"an event kind");
}

/* Can the store take the same later? */
static bool passes(enum status status) {
  return status == STATUS_DATABASE_BUSY || status == STATUS_NO_SPACE || status == STATUS_IO ||
         status == STATUS_OUT_OF_MEMORY || status == STATUS_UNAVAILABLE;
}

static void roll_back(struct run *run) {
  if (run->in_transaction)
    db_rollback(run->server->db);
  run->in_transaction = false;
  run->announced_count = run->announced_stored;
  str_clear(&run->progress);
}

/* The run is to end. */
static void drop(struct run *run) {
  roll_back(run);
  str_clear(&run->kept);
  run->deaf = true;
  run->announced_count = 0;
  if (!run->stalled)
    return;
  run->stalled = false;
  CHECK(uv_timer_stop(&run->timer) == 0);
  if (run->worker)
    worker_pause(run->worker, false);
}

void reports_stopping(struct run *run) {
  if (run->stalled)
    drop(run);
}

/* The run ends here and the job is queued again, so that nothing it reported is missing in the end. */
static void give_up(struct run *run, const struct error *err) {
  log_error("%s: %s; its worker is stopped and the job queued again", run->id, err->text);
  drop(run);
  run_stop(run, STOP_DRAIN, true);
}

/* The store does not take what was said. Later it may: the lines are kept, unless the run is to end anyway. */
static void refuse(struct run *run, const struct error *err) {
  if (!passes(err->status)) {
    give_up(run, err);
    return;
  }
  if (run->stop != STOP_NONE) {
    drop(run);
    return;
  }
  roll_back(run);
  if (run->tries++ % RETRIES_TOLD == 0)
    log_warn("%s: what its worker says cannot be stored yet: %s", run->id, err->text);
  run->stalled = true;
}

static enum status begin(struct run *run, struct error *err) {
  bool held;
  if (run->in_transaction)
    return STATUS_OK;
  run->announced_stored = run->announced_count;
  enum status status = db_begin(run->server->db, err);
  if (status)
    return status;
  run->in_transaction = true;
  status = db_job_held(&held, run->server->db, &run->lease, err);
  if (!status && !held)
    status = error_set(err, STATUS_INTERNAL, NULL, "the lease is lost");
  return status;
}

static bool is_store_fault(enum status status) {
  return passes(status) || status == STATUS_INTERNAL;
}

bool reports_line(void *context, const char *text, size_t length, struct error *err) {
  struct run *run = context;
  AUTO(arena_done) struct arena arena;
  struct event event;
  arena_init(&arena, LINE_ARENA_BYTES);
  if (event_parse(&event, text, length, &arena, err))
    return false;
  enum status status = STATUS_OK;
  if (!run->deaf && (!str_add(&run->kept, text, length) || !str_putc(&run->kept, '\n')))
    status = error_set(err, STATUS_INTERNAL, NULL, "keeping what the worker says");
  if (!status && !run->deaf && !run->stalled) {
    status = begin(run, err);
    if (!status)
      status = handle(run, &event, err);
  }
  json_decref(event.data);
  if (!is_store_fault(status))
    return status == STATUS_OK;
  refuse(run, err);
  return true;
}

/* The end of the lines that are kept: one transaction. */
static enum status commit(struct run *run, struct error *err) {
  bool held;
  enum status status = STATUS_OK;
  if (run->in_transaction && run->progress.length)
    status = db_job_set_progress(run->server->db, &run->lease, run->progress.text, run->trained_tokens, &held, err);
  if (!status && run->in_transaction) {
    run->in_transaction = false;
    status = db_commit(run->server->db, err);
  }
  if (status)
    return status;
  str_clear(&run->progress);
  str_clear(&run->kept);
  run->tries = 0;
  return STATUS_OK;
}

static enum status store_kept(struct run *run, struct error *err) {
  enum status status = begin(run, err);
  const char *line = run->kept.text;
  for (const char *end; !status && (end = strchr(line, '\n')); line = end + 1) {
    AUTO(arena_done) struct arena arena;
    struct event event;
    arena_init(&arena, LINE_ARENA_BYTES);
    status = event_parse(&event, line, (size_t)(end - line), &arena, err);
    if (status)
      break;
    status = handle(run, &event, err);
    json_decref(event.data);
  }
  return status ? status : commit(run, err);
}

static void store_again(struct run *run) {
  struct error err;
  enum status status = store_kept(run, &err);
  if (status && !is_store_fault(status)) { /* no event that it may send */
    drop(run);
    if (run->worker)
      worker_reject(run->worker, &err);
    return;
  }
  if (status)
    refuse(run, &err);
  if (status && run->stalled) {
    run_again(run, store_again);
    return;
  }
  if (status)
    return; /* it is to end */
  run->stalled = false;
  worker_pause(run->worker, false);
}

void reports_batch(void *context) {
  struct run *run = context;
  struct error err;
  if (!run->stalled && commit(run, &err))
    refuse(run, &err);
  if (!run->stalled)
    return;
  worker_pause(run->worker, true);
  run_again(run, store_again);
}
