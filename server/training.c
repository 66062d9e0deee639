/* One training run: from a claimed job to its end in the store. Every write carries the lease. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "server/models.h"
#include "server/paths.h"
#include "server/process.h"
#include "server/run.h"
#include "server/source.h"
#include "storage/artifact.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_file.h"

enum { STARTS_MAX = 3, DATA_BYTES = 4 * EVENT_LINE_MAX, LINE_ARENA_BYTES = 1 << 20, RETRY_MS = 2000 };

static enum status add_event(struct run *run, enum log_level level, bool metrics, const char *message, const char *data,
                             struct error *err) {
  struct event_row row = {.job_id = run->lease.job_id,
                          .created_at = clock_unix(),
                          .level = level,
                          .metrics = metrics,
                          .message = message,
                          .data = data};
  return db_event_add(run->server->db, &row, err);
}

/* ---- what it says ---- */

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
  return add_event(run, event->level, event->kind == EVENT_METRICS, event->message, event->data ? data.text : NULL,
                   err);
}

static enum status handle(struct run *run, const struct event *event, struct error *err) {
  switch (event->kind) {
  case EVENT_MESSAGE:
  case EVENT_METRICS: return store_event(run, event, err);
  case EVENT_PROGRESS: return note_progress(run, event, err);
  case EVENT_CHECKPOINT: return store_checkpoint(run, event, err);
  case EVENT_ARTIFACT: return artifacts_note(run, event, err);
  case EVENT_ERROR:
    run->has_reported = true;
    error_set(&run->reported, event->code == STATUS_OK ? STATUS_WORKER_CRASHED : event->code, event->param, "%s",
              event->message);
    return STATUS_OK;
  case EVENT_REPORT: return error_set(err, STATUS_WORKER_CRASHED, NULL, "a report, which training does not send");
  case EVENT_KIND_COUNT: break;
  }
  CHECK(!"an event kind");
}

/* The store did not take what the worker said: the run ends here and the job is queued again, so that
   nothing it reported is missing in the end. */
static void give_up(struct run *run, const struct error *err) {
  log_error("%s: %s; its worker is stopped and the job queued again", run->id, err->text);
  if (run->in_transaction)
    db_rollback(run->server->db);
  run->in_transaction = false;
  run->deaf = true;
  run->announced_count = 0;
  run_stop(run, STOP_DRAIN, true);
}

static bool is_store_fault(enum status status) {
  return status == STATUS_DATABASE_BUSY || status == STATUS_NO_SPACE || status == STATUS_IO ||
         status == STATUS_INTERNAL || status == STATUS_OUT_OF_MEMORY;
}

static enum status begin(struct run *run, struct error *err) {
  bool held;
  if (run->in_transaction)
    return STATUS_OK;
  enum status status = db_begin(run->server->db, err);
  if (status)
    return status;
  run->in_transaction = true;
  status = db_job_held(&held, run->server->db, &run->lease, err);
  if (!status && !held)
    status = error_set(err, STATUS_INTERNAL, NULL, "the lease is lost");
  return status;
}

static bool on_line(void *context, const char *text, size_t length, struct error *err) {
  struct run *run = context;
  AUTO(arena_done) struct arena arena;
  struct event event;
  arena_init(&arena, LINE_ARENA_BYTES);
  if (event_parse(&event, text, length, &arena, err))
    return false;
  enum status status = STATUS_OK;
  if (!run->deaf) {
    status = begin(run, err);
    if (!status)
      status = handle(run, &event, err);
  }
  json_decref(event.data);
  if (status && is_store_fault(status)) {
    give_up(run, err);
    return true;
  }
  return status == STATUS_OK;
}

static void on_batch(void *context) {
  struct run *run = context;
  struct error err;
  bool held;
  enum status status = STATUS_OK;
  if (!run->in_transaction)
    return;
  if (run->progress.length)
    status = db_job_set_progress(run->server->db, &run->lease, run->progress.text, run->trained_tokens, &held, &err);
  str_clear(&run->progress);
  if (!status) {
    run->in_transaction = false;
    status = db_commit(run->server->db, &err);
  }
  if (status)
    give_up(run, &err);
}

/* ---- how it ends ---- */

static enum status store_success(struct run *run, struct error *err) {
  char text[256];
  enum status status = artifacts_store(run, err);
  for (size_t i = 1; !status && i < run->exports.count; i++) /* the first is "peft" */
    status = db_export_add(run->server->db, run->id, run->exports.item[i], EXPORT_SUCCEEDED, clock_unix(), err);
  snprintf(text, sizeof text, "New fine-tuned model created: %s", run->fine_tuned_model);
  if (!status)
    status = add_event(run, LOG_INFO, false, text, NULL, err);
  return status ? status : add_event(run, LOG_INFO, false, "The job has succeeded", NULL, err);
}

/* Inside a transaction: the job's new state and what belongs to it. */
static enum status store_end(struct run *run, enum job_state to, const struct error *why, struct error *err) {
  bool held;
  enum status status = db_job_release(run->server->db, &run->lease, to, to == JOB_FAILED ? why : NULL, clock_unix(),
                                      &held, err);
  if (status)
    return status;
  if (!held) {
    log_error("%s: the lease was lost; how its worker ended is not stored", run->id);
    return STATUS_OK;
  }
  switch (to) {
  case JOB_SUCCEEDED: return store_success(run, err);
  case JOB_FAILED: return add_event(run, LOG_ERROR, false, why->text, NULL, err);
  case JOB_CANCELLED: return add_event(run, LOG_WARN, false, "The job was cancelled", NULL, err);
  case JOB_QUEUED:
    status = db_checkpoint_delete_of_job(run->server->db, run->id, err);
    return status ? status
                  : add_event(run, LOG_WARN, false,
                              run->server->draining ? "The server is shutting down: the job is queued again"
                                                    : "The run was interrupted by the server: the job is queued again",
                              NULL, err);
  case JOB_VALIDATING:
  case JOB_RUNNING:
  case JOB_PAUSED:
  case JOB_STATE_COUNT: break;
  }
  CHECK(!"an end of a run");
}

/* Checkpoints are kept; what else a run that did not succeed made is worth nothing. */
static void tidy_output(struct run *run, enum job_state to) {
  struct checkpoint_row *checkpoints;
  struct error err;
  char path[PATH_BYTES];
  size_t count;
  bool more;
  if (to == JOB_SUCCEEDED)
    return;
  enum status status = db_checkpoint_list(&checkpoints, &count, &more, run->server->db, run->id,
                                          &(struct page){.limit = 1}, &run->arena, &err);
  if (!status && count > 0)
    return;
  if (!status)
    status = path_format(path, &err, "%s/%s", run->server->config->data, run->output);
  if (!status)
    status = file_remove_tree(path, &err);
  if (status)
    log_warn("%s: %s", run->id, err.text);
}

static enum status settle(struct run *run, struct error *err) {
  char tail[LOG_TAIL_BYTES] = "", path[PATH_BYTES];
  struct error why = {0};
  if (!run_log_path(path, run, NULL))
    run_log_tail(tail, path);
  struct evidence evidence = {.death = run->death,
                              .stop = run->stop,
                              .reported = run->has_reported ? &run->reported : NULL,
                              .artifact_count = run->announced_count,
                              .broken = run->is_broken ? &run->broken : NULL,
                              .log_tail = tail};
  enum job_state to = verdict_of_training(&why, &evidence);
  enum status status = db_begin(run->server->db, err);
  if (status)
    return status;
  status = store_end(run, to, &why, err);
  if (status)
    db_rollback(run->server->db);
  else
    status = db_commit(run->server->db, err);
  if (status)
    return status;
  log_info("%s is %s%s%s", run->id, job_state_name(to), why.text[0] ? ": " : "", why.text);
  tidy_output(run, to);
  return STATUS_OK;
}

static void on_timer_closed(uv_handle_t *handle) {
  free(handle);
}

static void settle_or_retry(struct run *run);

static void on_retry(uv_timer_t *timer) {
  settle_or_retry(timer->data);
}

/* The store must learn of the end: a full disk may have room again later. A daemon that stops leaves it
   to the recovery of the next one. */
static void settle_or_retry(struct run *run) {
  struct error err;
  enum status status = settle(run, &err);
  if (status)
    log_error("%s: its end cannot be stored: %s", run->id, err.text);
  if (status && !run->server->draining) {
    if (!run->retry && (run->retry = malloc(sizeof *run->retry)))
      uv_timer_init(run->server->uv, run->retry);
    if (run->retry) {
      run->retry->data = run;
      CHECK(uv_timer_start(run->retry, on_retry, RETRY_MS, 0) == 0);
      return;
    }
  }
  if (run->retry)
    uv_close((uv_handle_t *)run->retry, on_timer_closed);
  run_end(run);
}

static void on_end(void *context, const struct death *death) {
  struct run *run = context;
  run->worker = NULL;
  run->death = *death;
  artifacts_verify(run, settle_or_retry);
}

/* ---- how it starts ---- */

static enum status find_file(struct task_file *out, struct run *run, const char *id, struct error *err) {
  struct file_row file;
  enum status status = db_file_get(&file, run->server->db, id, 0, &run->arena, err);
  if (status)
    return status;
  *out = (struct task_file){.id = file.id,
                            .path = arena_format(&run->arena, "%s/%s", run->server->config->data, file.path),
                            .filename = file.filename};
  return out->path ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", run->id);
}

/* Everything the worker must know, and its folder. `body` must outlive *task. */
static enum status make_task(struct task *task, struct run *run, const struct job_row *job, const json_t *body,
                             struct error *err) {
  struct fault_list faults = {0};
  struct base_model model;
  const struct config *config = run->server->config;
  char path[PATH_BYTES];
  *task = (struct task){.kind = TASK_TRAIN, .job_id = job->id, .fine_tuned_model = run->fine_tuned_model};
  job_spec_parse(&task->spec, body, 0, &run->arena, &faults);
  if (faults.count) {
    *err = faults.item[0];
    return err->status;
  }
  enum status status = models_find(&model, config->models, job->model, &run->arena, err);
  if (!status)
    status = find_file(&task->training, run, job->training_file, err);
  if (!status && job->validation_file)
    status = find_file(&task->validation, run, job->validation_file, err);
  struct source source = {0};
  if (!status && task->spec.from_checkpoint)
    status = source_find(&source, run->server, task->spec.from_checkpoint, &run->arena, err);
  json_decref(source.adapter);
  if (!status)
    status = path_format(path, err, "%s/%s", config->data, run->output);
  if (!status)
    status = file_remove_tree(path, err);
  if (!status)
    status = file_mkdirs(path, err);
  if (status)
    return status;
  task->start = source.path;
  run->exports = task->spec.exports;
  task->model_dir = model.path;
  task->output_dir = arena_string(&run->arena, path);
  task->threads = task->spec.scheduling.threads ? task->spec.scheduling.threads : config->threads;
  if (!task->threads) {
    int cores = cpu_allowed();
    task->threads = cores > config->workers_max ? cores / config->workers_max : 1;
  }
  return task->output_dir ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", run->id);
}

static enum status start_worker(struct run *run, const struct job_row *job, struct error *err) {
  AUTO(json_release) json_t *body = NULL;
  struct task task;
  enum status status = json_parse(&body, job->spec, strlen(job->spec), NULL, err);
  if (!status)
    status = make_task(&task, run, job, body, err);
  return status ? status
                : run_start_worker(run, &task, &(struct worker_calls){on_line, on_batch, on_end}, err);
}

/* The worker lives: the store learns who it is. When that fails the worker is stopped again. */
static void register_worker(struct run *run) {
  char name[PROCESS_NAME_BYTES];
  struct error err;
  bool held = true;
  enum status status = STATUS_OK;
  status = db_begin(run->server->db, &err);
  if (!status) {
    run->in_transaction = true;
    if (process_name(name, worker_pid(run->worker))) /* else it has ended already */
      status = db_job_set_worker(run->server->db, &run->lease, name, &held, &err);
  }
  if (!status)
    status = add_event(run, LOG_INFO, false, "running", NULL, &err);
  if (!status) {
    run->in_transaction = false;
    status = db_commit(run->server->db, &err);
  }
  if (status)
    give_up(run, &err);
}

/* No worker: the job fails when the reason is its own, else it is queued again a few times. */
static enum status refuse(struct run *run, const struct job_row *job, struct error *err) {
  struct error store;
  bool held;
  bool own = status_http(err->status) < 500;
  bool last = job->restarts + 1 >= STARTS_MAX;
  enum job_state to = own || last ? JOB_FAILED : JOB_QUEUED;
  log_error("%s: cannot start: %s", run->id, err->text);
  enum status status = db_begin(run->server->db, &store);
  if (!status) {
    status = db_job_release(run->server->db, &run->lease, to, to == JOB_FAILED ? err : NULL, clock_unix(), &held,
                            &store);
    if (!status)
      status = add_event(run, to == JOB_FAILED ? LOG_ERROR : LOG_WARN, false, err->text, NULL, &store);
    if (status)
      db_rollback(run->server->db);
    else
      status = db_commit(run->server->db, &store);
  }
  if (status)
    log_error("%s: %s", run->id, store.text);
  return own ? STATUS_OK : err->status;
}

enum status training_start(struct run *run, const struct job_row *job, struct error *err) {
  run->lease = (struct lease){.job_id = run->id, .token = job->lease_token};
  run->fine_tuned_model = arena_string(&run->arena, job->fine_tuned_model);
  run->output = arena_format(&run->arena, PATH_OUTPUT, run->id, (long long)job->lease_token);
  enum status status = STATUS_OK;
  if (!run->fine_tuned_model || !run->output)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", run->id);
  if (!status)
    status = start_worker(run, job, err);
  if (status)
    return refuse(run, job, err);
  log_info("%s runs as process %d", run->id, worker_pid(run->worker));
  register_worker(run);
  return STATUS_OK;
}
