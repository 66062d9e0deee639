#include "server/training.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "server/data.h"
#include "server/host.h"
#include "server/materials.h"
#include "server/paths.h"
#include "server/process.h"
#include "server/removal.h"
#include "server/reports.h"
#include "storage/db_event.h"
#include "storage/db_export.h"
#include "storage/db_file.h"
#include "storage/db_state.h"

enum { ROOM_BYTES = 1 << 20, JOB_ARENA_BYTES = 8 << 20 };

struct training {
  struct run run;
  struct lease lease;
  char device[DEVICE_NAME_MAX]; /* that it was given */
  int64_t priority;
  const char *fine_tuned_model;
  struct string_list exports;   /* formats that it leaves, normalised */
  struct artifacts artifacts;
  struct reports reports;
  int64_t free_at_exit;         /* bytes of the disk when its process had ended */
  double began;                 /* clock_seconds */
  struct budget_need need;      /* as it was given */
};

static struct training *of(struct run *run) {
  return (struct training *)run;
}

const char *training_device(const struct run *run) {
  return ((const struct training *)run)->device;
}

int64_t training_priority(const struct run *run) {
  return ((const struct training *)run)->priority;
}

struct budget_need training_need(const struct run *run) {
  const struct training *training = (const struct training *)run;
  struct budget_need need = training->need;
  if (training->reports.memory_mib != BUDGET_UNKNOWN)
    need.memory_mib = training->reports.memory_mib;
  return need;
}

double training_began(const struct run *run) {
  return ((const struct training *)run)->began;
}

/* ---- how it ends ---- */

struct end {
  struct training *training;
  struct verdict verdict;
  int64_t attempt;
  int64_t needs_free; /* the disk was full: bytes that the job waits for */
  int64_t wait_ms;    /* after a crash */
};

static enum status store_success(struct training *training, struct error *err) {
  struct run *run = &training->run;
  const struct string_list *exports = &training->exports;
  char text[256];
  enum status status = artifacts_store(&training->artifacts, err);
  for (size_t i = 1; !status && i < exports->count; i++) /* the first is "peft" */
    status = db_export_add(run->server->db, run->id, exports->item[i], EXPORT_SUCCEEDED, clock_unix(), err);
  snprintf(text, sizeof text, "New fine-tuned model created: %s", training->fine_tuned_model);
  if (!status)
    status = run_add_event(run, LOG_INFO, text, err);
  return status ? status : run_add_event(run, LOG_INFO, "The job has succeeded", err);
}

/* Why it is queued again, for its events; "": they say so already. */
static void say_queued(char *out, size_t size, const struct end *end) {
  const struct run *run = &end->training->run;
  const char *why = end->verdict.why.text;
  out[0] = '\0';
  switch (end->verdict.cause) {
  case CAUSE_HOST:
    if (end->needs_free)
      snprintf(out, size, "The disk is full: the job is queued again and waits for room (%s)", why);
    else if (!run->server->hold.why.status)
      snprintf(out, size, "The job is queued again: %s", why);
    return;
  case CAUSE_CRASH:
    snprintf(out, size, "Attempt %lld of %lld ended in a crash, the next begins in %.0f s: %s", (long long)end->attempt,
             (long long)run->server->config->attempts_max, (double)end->wait_ms / 1e3, why);
    return;
  case CAUSE_NOBODY:
    snprintf(out, size, "%s",
             run->server->draining       ? "The server is shutting down: the job is queued again"
             : run->stop == STOP_PREEMPT ? "The job has made room: it is queued again, and goes on from its saved state"
             : run->stop == STOP_RESUME  ? "The job had paused already: it is queued again"
                                         : "The run was interrupted by the server: the job is queued again");
    return;
  case CAUSE_JOB: break;
  }
  CHECK(!"a cause of a job that is queued again");
}

static enum status store_queued(const struct end *end, struct error *err) {
  struct run *run = &end->training->run;
  char text[sizeof end->verdict.why.text + 120];
  enum status status = STATUS_OK;
  if (end->needs_free)
    status = db_job_wait_for_room(run->server->db, run->id, end->needs_free, err);
  if (!status && end->wait_ms)
    status = db_job_wait_until(run->server->db, run->id, clock_boot_ms() + end->wait_ms, err);
  say_queued(text, sizeof text, end);
  return status || !text[0] ? status : run_add_event(run, LOG_WARN, text, err);
}

/* A run that its host or its operator ended is no attempt of the job's. */
static enum status store_release(bool *held, const struct end *end, struct error *err) {
  struct training *training = end->training;
  struct db *db = training->run.server->db;
  const struct verdict *verdict = &end->verdict;
  if (verdict->cause == CAUSE_HOST && !end->needs_free) /* nothing ran */
    return db_job_unclaim(db, &training->lease, held, err);
  const struct error *why = verdict->to == JOB_FAILED ? &verdict->why : NULL;
  enum status status = db_job_release(db, &training->lease, verdict->to, why, clock_unix(), held, err);
  bool refund = verdict->cause == CAUSE_NOBODY || verdict->cause == CAUSE_HOST;
  return status || !refund || !*held ? status : db_job_refund(db, training->run.id, err);
}

/* The job's new state and what belongs to it. */
static enum status store_end(struct db *db, const void *what, struct error *err) {
  const struct end *end = what;
  struct training *training = end->training;
  struct run *run = &training->run;
  bool held;
  enum status status = store_release(&held, end, err);
  if (status)
    return status;
  if (!held) {
    log_error("%s: the lease was lost; how its worker ended is not stored", run->id);
    return STATUS_OK;
  }
  bool succeeded = end->verdict.to == JOB_SUCCEEDED;
  switch (end->verdict.to) {
  case JOB_SUCCEEDED: status = store_success(training, err); break;
  case JOB_FAILED: status = run_add_event(run, LOG_ERROR, end->verdict.why.text, err); break;
  case JOB_CANCELLED: status = run_add_event(run, LOG_WARN, "The job was cancelled", err); break;
  case JOB_PAUSED: status = run_add_event(run, LOG_INFO, "The job is paused", err); break;
  case JOB_QUEUED: status = store_queued(end, err); break;
  case JOB_VALIDATING:
  case JOB_RUNNING:
  case JOB_STATE_COUNT: CHECK(!"an end of a run");
  }
  return status ? status
                : removal_of_leftovers(db, run->server->config, run->id, succeeded ? training->lease.token : 0, err);
}

/* What must be free before a run that the disk was too full for is worth another try: more than it left. */
static int64_t room_needed(const struct training *training) {
  int64_t left = removal_leftover_bytes(training->run.server, training->run.id);
  return training->free_at_exit + left + (left / 4 > ROOM_BYTES ? left / 4 : ROOM_BYTES);
}

/* For the metrics: how long it ran, and why it runs again. */
static void count_end(const struct training *training, const struct verdict *verdict) {
  static const enum metrics_restart reasons[] = {
      [CAUSE_NOBODY] = RESTART_STOPPED, [CAUSE_HOST] = RESTART_HOST, [CAUSE_CRASH] = RESTART_CRASH};
  struct metrics *metrics = &training->run.server->metrics;
  metrics_ran(metrics, verdict->to, clock_seconds() - training->began);
  bool preempted = training->run.stop == STOP_PREEMPT;
  if (verdict->to == JOB_QUEUED)
    metrics->restarts[preempted ? RESTART_PREEMPTED : reasons[verdict->cause]]++;
}

/* A job's first run: it has never been paused, interrupted or tried before. */
static void count_start(struct training *training, const struct job_row *job) {
  if (job->attempts == 1 && !job->restarts && !job->interruptions && !job->progress)
    metrics_waited(&training->run.server->metrics, (double)(job->started_at - job->created_at));
}

static enum status settle(struct run *run, struct error *err) {
  struct training *training = of(run);
  AUTO(arena_done) struct arena arena;
  char tail[LOG_TAIL_BYTES];
  struct job_row job;
  uint32_t random;
  struct evidence evidence = artifacts_evidence(&training->artifacts);
  arena_init(&arena, JOB_ARENA_BYTES);
  enum status status = db_job_of_any(&job, run->server->db, run->id, &arena, err);
  if (status)
    return status;
  run_log_tail(tail, run);
  evidence.log_tail = tail;
  evidence.step = training->reports.last_step;
  evidence.attempt = job.attempts;
  evidence.attempts_max = run->server->config->attempts_max;
  evidence.furthest = job.furthest_step;
  struct end end = {.training = training, .verdict = verdict_of_training(&evidence), .attempt = job.attempts};
  const struct verdict *verdict = &end.verdict;
  rng_secret(&random, sizeof random);
  if (verdict->cause == CAUSE_HOST && verdict->why.status == STATUS_NO_SPACE)
    end.needs_free = room_needed(training);
  if (verdict->cause == CAUSE_CRASH && verdict->to == JOB_QUEUED)
    end.wait_ms = verdict_retry_ms(job.attempts, random);
  status = db_apply(run->server->db, store_end, &end, true, err);
  if (status)
    return status;
  count_end(training, verdict);
  log_info("%s is %s%s%s", run->id, job_state_name(verdict->to), verdict->why.text[0] ? ": " : "", verdict->why.text);
  if (verdict->cause == CAUSE_HOST && !end.needs_free)
    hold_begin(&run->server->hold, &verdict->why);
  removal_start(run->server);
  return STATUS_OK;
}

static void on_verified(struct run *run) {
  run_settle(run, settle);
}

/* ---- what its worker does ---- */

static enum status on_event(struct run *run, const struct event *event, const char *line, size_t length,
                            struct error *err) {
  return reports_event(&of(run)->reports, event, line, length, err);
}

static void on_batch(struct run *run) {
  reports_batch(&of(run)->reports);
}

/* Read at once: room that somebody makes from now on is room that the job did not have. */
static void on_exited(struct run *run) {
  of(run)->free_at_exit = host_free_bytes(run->server->config);
}

static void on_ended(struct run *run) {
  artifacts_verify(&of(run)->artifacts, on_verified);
}

static void on_stopping(struct run *run) {
  reports_stopping(&of(run)->reports);
}

static void on_done(struct run *run) {
  reports_done(&of(run)->reports);
}

const struct run_kind training_kind = {.task = TASK_TRAIN,
                                       .bytes = sizeof(struct training),
                                       .has_log = true,
                                       .event = on_event,
                                       .batch = on_batch,
                                       .exited = on_exited,
                                       .ended = on_ended,
                                       .stopping = on_stopping,
                                       .done = on_done,
                                       .resumes = true};

/* ---- how it starts ---- */

/* The states that training goes on from, as the worker names them. */
static enum status find_states(struct string_list *out, struct run *run, struct error *err) {
  struct state_row *states;
  size_t count;
  enum status status = db_state_list(&states, &count, run->server->db, run->id, &run->arena, err);
  if (status || count == 0)
    return status;
  const char **paths = arena_array(&run->arena, count, sizeof *paths);
  if (!paths)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", run->id);
  for (size_t i = 0; i < count; i++) {
    paths[i] = arena_format(&run->arena, "%s/%s", run->server->config->data, states[i].path);
    if (!paths[i])
      return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", run->id);
  }
  *out = (struct string_list){.count = count, .item = paths};
  return STATUS_OK;
}

/* Everything the worker must know besides the spec, and its folder. */
static enum status make_task(struct task *task, struct training *training, const struct job_row *job,
                             struct error *err) {
  struct run *run = &training->run;
  const struct config *config = run->server->config;
  char path[PATH_BYTES];
  enum status status = materials_find(task, run, job->tenant, err);
  if (!status)
    status = find_states(&task->resume, run, err);
  if (!status)
    status = data_keep_finished(config, training->artifacts.output, err);
  if (!status)
    status = path_format(path, err, "%s/%s", config->data, training->artifacts.output);
  if (!status)
    status = file_remove_tree(path, err);
  if (!status)
    status = file_mkdirs(path, err);
  if (status)
    return status;
  training->exports = task->spec.exports;
  task->output_dir = arena_string(&run->arena, path);
  /* A device that is not there gets no place of its own: the worker then says what there is. */
  bool given = device_matches(job->device_wanted, training->device);
  task->device = arena_string(&run->arena, given ? training->device : job->device_wanted);
  task->memory_bytes_max = budget_bytes(run->server->budget.memory_mib);
  task->memory_bytes = budget_bytes(training->need.memory_mib);
  if (training->need.memory_mib == BUDGET_UNKNOWN)
    task->memory_bytes = task->memory_bytes_max;
  task->device_may_fit = strcmp(job->device_wanted, "auto") == 0 && run->server->devices.cpu;
  return task->output_dir && task->device ? STATUS_OK
                                          : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", run->id);
}

static enum status start_worker(struct training *training, const struct job_row *job, struct error *err) {
  struct run *run = &training->run;
  AUTO(json_release) json_t *document = NULL;
  struct task task = {.kind = TASK_TRAIN,
                      .job_id = job->id,
                      .request_id = job->request_id,
                      .attempt = job->attempts,
                      .fine_tuned_model = training->fine_tuned_model};
  enum status status = db_job_spec(&task.spec, &document, job, &run->arena, err);
  if (!status)
    status = make_task(&task, training, job, err);
  return status ? status : run_start_worker(run, &task, err);
}

/* The worker lives: the store learns who it is. */
static enum status store_worker(struct db *db, const void *what, struct error *err) {
  struct training *const *training = what;
  struct run *run = &(*training)->run;
  char name[PROCESS_NAME_BYTES];
  bool held = true;
  enum status status = STATUS_OK;
  if (process_name(name, worker_pid(run->worker))) /* else it has ended already */
    status = db_job_set_worker(db, &(*training)->lease, name, &held, err);
  return status ? status : run_add_event(run, LOG_INFO, "running", err);
}

struct refusal {
  struct training *training;
  bool repeated;  /* the job's events say so already */
};

/* No worker: the job fails when the reason is its own, else its claim is given back. */
static enum status store_refusal(struct db *db, const void *what, struct error *err) {
  const struct refusal *refusal = what;
  struct run *run = &refusal->training->run;
  const struct lease *lease = &refusal->training->lease;
  const struct error *why = &run->refusal;
  bool held, host = host_caused(why->status);
  enum status status = host ? db_job_unclaim(db, lease, &held, err)
                            : db_job_release(db, lease, JOB_FAILED, why, clock_unix(), &held, err);
  if (!status) /* its folder may be there: the token is not used again */
    status = removal_of_leftovers(db, run->server->config, run->id, 0, err);
  if (status || (host && refusal->repeated))
    return status;
  return run_add_event(run, host ? LOG_WARN : LOG_ERROR, why->text, err);
}

static enum status settle_refusal(struct run *run, struct error *err) {
  struct refusal refusal = {.training = of(run), .repeated = run->server->hold.why.status};
  enum status status = db_apply(run->server->db, store_refusal, &refusal, true, err);
  if (!status)
    removal_start(run->server);
  return status;
}

enum status training_start(struct run *run, const struct job_row *job, const char *device,
                           const struct budget_need *need, struct error *err) {
  struct training *training = of(run);
  training->need = *need;
  snprintf(training->device, sizeof training->device, "%s", device);
  training->priority = job->priority;
  training->began = clock_seconds();
  training->lease = (struct lease){.job_id = run->id, .token = job->lease_token};
  training->fine_tuned_model = arena_string(&run->arena, job->fine_tuned_model);
  training->artifacts.run = run;
  training->artifacts.output = arena_format(&run->arena, PATH_OUTPUT, run->id, (long long)job->lease_token);
  reports_init(&training->reports, &training->artifacts, &training->lease, device);
  enum status status = db_event_last(&training->reports.told, run->server->db, run->id, err);
  if (!status && (!training->fine_tuned_model || !training->artifacts.output))
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", run->id);
  if (!status)
    status = start_worker(training, job, err);
  if (status) {
    log_error("%s: cannot start: %s", run->id, err->text);
    run->refusal = *err;
    run_settle(run, settle_refusal);
    return host_caused(status) ? status : STATUS_OK;
  }
  count_start(training, job);
  log_info("%s runs as process %d", run->id, worker_pid(run->worker));
  struct error store;
  if (db_apply(run->server->db, store_worker, &training, false, &store)) {
    log_error("%s: %s; its worker is stopped and the job queued again", run->id, store.text);
    run_stop(run, STOP_DRAIN, true);
  }
  return STATUS_OK;
}
