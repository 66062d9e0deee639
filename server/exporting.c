#include "server/exporting.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "server/artifacts.h"
#include "server/host.h"
#include "server/models.h"
#include "server/paths.h"
#include "server/removal.h"
#include "server/source.h"
#include "storage/db_removal.h"

struct exporting {
  struct run run;
  int64_t seq;          /* of its row */
  const char *format;
  struct artifacts artifacts;
  struct budget_need need;
};

enum { OWN_MIB = 256 }; /* of an export, beside its base's weights */

static struct exporting *of(struct run *run) {
  return (struct exporting *)run;
}

struct end {
  struct exporting *exporting;
  enum export_state to;
  const struct error *why;  /* of a failure */
};

static enum status store_end(struct db *db, const void *what, struct error *err) {
  const struct end *end = what;
  struct exporting *exporting = end->exporting;
  struct run *run = &exporting->run;
  char text[ERROR_TEXT + 64];
  int64_t now = clock_unix();
  bool failed = end->to == EXPORT_FAILED;
  enum status status = db_export_end(db, exporting->seq, end->to, failed ? end->why : NULL, now, err);
  if (!status)
    status = end->to == EXPORT_SUCCEEDED ? artifacts_store(&exporting->artifacts, err)
                                         : db_removal_add(db, exporting->artifacts.output, err);
  if (status || end->to == EXPORT_QUEUED)
    return status;
  snprintf(text, sizeof text, failed ? "Export %s failed: %s" : "Export %s is ready%s", exporting->format,
           failed ? end->why->text : "");
  return run_add_event(run, failed ? LOG_ERROR : LOG_INFO, text, err);
}

static enum status store(struct run *run, enum export_state to, const struct error *why, struct error *err) {
  struct end end = {of(run), to, why};
  enum status status = db_apply(run->server->db, store_end, &end, true, err);
  if (status)
    return status;
  log_info("export %s of %s: %s%s%s", of(run)->format, run->id, export_state_name(to), to == EXPORT_FAILED ? ": " : "",
           to == EXPORT_FAILED ? why->text : "");
  removal_start(run->server);
  return STATUS_OK;
}

static enum status settle(struct run *run, struct error *err) {
  struct evidence evidence = artifacts_evidence(&of(run)->artifacts);
  const struct verdict verdict = verdict_of_training(&evidence); /* an end means the same for both */
  const struct error *why = &verdict.why;
  switch (verdict.to) {
  case JOB_SUCCEEDED: return store(run, EXPORT_SUCCEEDED, NULL, err);
  case JOB_FAILED: return store(run, EXPORT_FAILED, why, err);
  case JOB_QUEUED:
    /* One that the disk is too full for is not tried again by itself: it can be requested again. */
    if (why->status == STATUS_NO_SPACE)
      return store(run, EXPORT_FAILED, why, err);
    if (why->status)
      hold_begin(&run->server->hold, why);
    return store(run, EXPORT_QUEUED, NULL, err);
  case JOB_CANCELLED:
  case JOB_VALIDATING:
  case JOB_RUNNING:
  case JOB_PAUSED:
  case JOB_STATE_COUNT: break;
  }
  CHECK(!"an end of an export");
}

static void on_verified(struct run *run) {
  run_settle(run, settle);
}

/* No worker: the export fails when the reason is its own, else it waits again. */
static enum status settle_refusal(struct run *run, struct error *err) {
  return store(run, host_caused(run->refusal.status) ? EXPORT_QUEUED : EXPORT_FAILED, &run->refusal, err);
}

/* ---- what its worker does ---- */

static enum status on_event(struct run *run, const struct event *event, const char *line, size_t length,
                            struct error *err) {
  (void)line;
  (void)length;
  switch (event->kind) {
  case EVENT_ARTIFACT: return artifacts_note(&of(run)->artifacts, event, err);
  case EVENT_ERROR: run_note_error(run, event); return STATUS_OK;
  case EVENT_MESSAGE: log_info("export of %s: %s", run->id, event->message); return STATUS_OK;
  case EVENT_PROGRESS:
  case EVENT_ALIVE: return STATUS_OK;
  case EVENT_METRICS:
  case EVENT_TELEMETRY:
  case EVENT_CHECKPOINT:
  case EVENT_STATE:
  case EVENT_GENERATION:
  case EVENT_REPORT: return error_set(err, STATUS_WORKER_CRASHED, NULL, "an event that an export does not send");
  case EVENT_KIND_COUNT: break;
  }
  CHECK(!"an event kind");
}

static void on_ended(struct run *run) {
  artifacts_verify(&of(run)->artifacts, on_verified);
}

const struct run_kind exporting_kind = {.task = TASK_EXPORT,
                                        .bytes = sizeof(struct exporting),
                                        .has_log = true,
                                        .event = on_event,
                                        .ended = on_ended};

/* ---- how it starts ---- */

static enum status make_task(struct task *task, struct exporting *exporting, const struct job_row *job,
                             struct error *err) {
  struct run *run = &exporting->run;
  const struct config *config = run->server->config;
  struct source source;
  struct base_model model;
  char path[PATH_BYTES];
  enum status status = source_find(&source, NULL, run->server, job->tenant, run->id, &run->arena, err);
  if (!status)
    status = models_find(&model, config->models, job->model, &run->arena, err);
  if (!status)
    status = path_format(path, err, "%s/%s", config->data, exporting->artifacts.output);
  if (!status)
    status = file_remove_tree(path, err);
  if (!status)
    status = file_mkdirs(path, err);
  if (status)
    return status;
  const char **formats = arena_array(&run->arena, 1, sizeof *formats);
  task->model_dir = model.path;
  task->start = source.path;
  task->output_dir = arena_string(&run->arena, path);
  task->threads = budget_threads(&run->server->budget, config, 0);
  if (!formats || !task->output_dir)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting an export of %s", run->id);
  formats[0] = exporting->format;
  task->exports = (struct string_list){1, formats};
  return STATUS_OK;
}

/* The base's weights are pages of its files; what is written goes through little memory. */
static struct budget_need need_of(const struct task *task) {
  int64_t weights = budget_mib((int64_t)sandbox_model_bytes(task->model_dir));
  return (struct budget_need){.memory_mib = weights + OWN_MIB, .cores = task->threads};
}

struct budget_need exporting_need(const struct run *run) {
  return ((const struct exporting *)run)->need;
}

static enum status start_worker(struct exporting *exporting, const struct job_row *job, struct error *err) {
  struct run *run = &exporting->run;
  AUTO(json_release) json_t *document = NULL;
  struct task task = {.kind = TASK_EXPORT, .job_id = run->id, .fine_tuned_model = job->fine_tuned_model};
  enum status status = db_job_spec(&task.spec, &document, job, &run->arena, err);
  if (!status)
    status = make_task(&task, exporting, job, err);
  if (!status)
    exporting->need = need_of(&task);
  return status ? status : run_start_worker(run, &task, err);
}

enum status exporting_start(struct run *run, const struct export_row *export, struct error *err) {
  struct exporting *exporting = of(run);
  struct job_row job;
  exporting->seq = export->seq;
  exporting->format = arena_string(&run->arena, export->format);
  exporting->artifacts.run = run;
  exporting->artifacts.output = arena_format(&run->arena, PATH_EXPORT, run->id, (long long)export->seq);
  enum status status = STATUS_OK;
  bool named = exporting->format && exporting->artifacts.output;
  if (!named)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting an export of %s", run->id);
  if (!status)
    status = db_job_of_any(&job, run->server->db, run->id, &run->arena, err);
  if (!status)
    status = start_worker(exporting, &job, err);
  if (!status) {
    log_info("export %s of %s runs as process %d", exporting->format, run->id, worker_pid(run->worker));
    return STATUS_OK;
  }
  log_error("an export of %s cannot start: %s", run->id, err->text);
  if (!named) {
    run_end(run); /* it stays claimed until the daemon starts anew */
    return status;
  }
  run->refusal = *err;
  run_settle(run, settle_refusal);
  return host_caused(status) ? status : STATUS_OK; /* a failure is seen where it was requested */
}
