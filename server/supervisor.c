#include "server/supervisor.h"

#include <stdlib.h>
#include <string.h>

#include "server/asking.h"
#include "server/checking.h"
#include "server/exporting.h"
#include "server/inspecting.h"
#include "server/serving.h"
#include "server/training.h"

struct supervisor {
  struct server *server;
  supervisor_ended *ended;
  void *context;
  struct run *runs;
};

enum status supervisor_new(struct supervisor **out, struct server *server, supervisor_ended *ended, void *context,
                           struct error *err) {
  *out = calloc(1, sizeof **out);
  if (!*out)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "making the supervisor");
  **out = (struct supervisor){.server = server, .ended = ended, .context = context};
  return STATUS_OK;
}

void supervisor_free(struct supervisor *supervisor) {
  CHECK(!supervisor || !supervisor->runs);
  free(supervisor);
}

static void on_end(void *context, struct run *run) {
  struct supervisor *supervisor = context;
  struct run **link = &supervisor->runs;
  while (*link != run)
    link = &(*link)->next;
  *link = run->next;
  supervisor->ended(supervisor->context, run->known[0] ? run->known : NULL);
}

static enum status add(struct run **out, struct supervisor *supervisor, const struct run_kind *kind, const char *id,
                       struct error *err) {
  *out = run_new(supervisor->server, kind, id, on_end, supervisor);
  if (!*out)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting a worker for %s", id);
  (*out)->next = supervisor->runs;
  supervisor->runs = *out;
  return STATUS_OK;
}

enum status supervisor_start_job(struct supervisor *supervisor, const struct job_row *job, const char *device,
                                 const struct budget_need *need, struct error *err) {
  struct run *run;
  enum status status = add(&run, supervisor, &training_kind, job->id, err);
  if (status)
    return status;
  run->attempt = job->attempts;
  run_log_begin(run);
  status = training_start(run, job, device, need, err);
  run_log_end(run);
  return status;
}

enum status supervisor_start_check(struct supervisor *supervisor, const struct file_row *file, struct error *err) {
  struct run *run;
  enum status status = add(&run, supervisor, &checking_kind, file->id, err);
  return status ? status : checking_start(run, file, err);
}

enum status supervisor_start_inspection(struct supervisor *supervisor, struct inspected *inspected, struct error *err) {
  struct run *run;
  enum status status = add(&run, supervisor, &inspecting_kind, inspected->id, err);
  return status ? status : inspecting_start(run, inspected, err);
}

enum status supervisor_start_export(struct supervisor *supervisor, const struct export_row *export, struct error *err) {
  struct run *run;
  enum status status = add(&run, supervisor, &exporting_kind, export->job_id, err);
  return status ? status : exporting_start(run, export, err);
}

/* Where the job that it is about would run. What it takes of the host's memory is planned for the CPU, where it may. */
static const char *asking_device(const struct supervisor *supervisor, const struct question *question) {
  const struct devices *devices = &supervisor->server->devices;
  bool any = strcmp(question->device, "auto") == 0;
  if (question->kind == TASK_SURVEY || (question->kind == TASK_PLAN && any))
    return "cpu";
  for (size_t i = 0; i < devices->count; i++) {
    const struct device_info *device = &devices->other[i];
    if (device_takes(device, question->device) && !(any && supervisor_jobs(supervisor, device->name)))
      return device->name;
  }
  return "cpu";
}

enum status supervisor_start_asking(struct supervisor *supervisor, struct question *question, struct error *err) {
  struct run *run;
  enum status status = add(&run, supervisor, &asking_kind, question->key, err);
  return status ? status : asking_start(run, question, asking_device(supervisor, question), err);
}

enum status supervisor_start_serving(struct supervisor *supervisor, struct serving *serving, struct error *err) {
  struct run *run;
  enum status status = add(&run, supervisor, &serving_kind, serving->model, err);
  return status ? status : serving_start(run, serving, err);
}

/* The one that was asked nothing for the longest time. */
void supervisor_retire_serving(struct supervisor *supervisor) {
  struct run *idlest = NULL;
  for (struct run *run = supervisor->runs; run; run = run->next)
    if (run->kind == &serving_kind && serving_idle(run) && (!idlest || serving_idle_ms(run) < serving_idle_ms(idlest)))
      idlest = run;
  if (idlest)
    serving_retire(idlest);
}

static struct run *find(const struct supervisor *supervisor, const struct run_kind *kind, const char *id) {
  for (struct run *run = supervisor->runs; run; run = run->next)
    if (run->kind == kind && strcmp(run->id, id) == 0)
      return run;
  return NULL;
}

static size_t count(const struct supervisor *supervisor, const struct run_kind *kind) {
  size_t n = 0;
  for (const struct run *run = supervisor->runs; run; run = run->next)
    n += run->kind == kind;
  return n;
}

bool supervisor_is_checking(const struct supervisor *supervisor, const char *file_id) {
  return find(supervisor, &checking_kind, file_id) != NULL;
}

size_t supervisor_jobs(const struct supervisor *supervisor, const char *device) {
  size_t n = 0;
  for (const struct run *run = supervisor->runs; run; run = run->next)
    n += run->kind == &training_kind && strcmp(training_device(run), device) == 0;
  return n;
}

size_t supervisor_running(struct running_job *out, size_t max, const struct supervisor *supervisor) {
  size_t n = 0;
  for (const struct run *run = supervisor->runs; run && n < max; run = run->next)
    if (run->kind == &training_kind)
      out[n++] = (struct running_job){.id = run->id,
                                      .device = training_device(run),
                                      .priority = training_priority(run),
                                      .began = training_began(run),
                                      .leaves = run->stop != STOP_NONE || !run->worker};
  return n;
}

struct budget_use supervisor_use(const struct supervisor *supervisor) {
  struct budget_use use = {0};
  for (const struct run *run = supervisor->runs; run; run = run->next) {
    struct budget_need need = {0};
    if (run->kind == &training_kind)
      need = training_need(run);
    else if (run->kind == &exporting_kind)
      need = exporting_need(run);
    else if (run->kind == &serving_kind)
      serving_count(&use, run);
    budget_count(&use, &need);
  }
  return use;
}

size_t supervisor_checks(const struct supervisor *supervisor) {
  return count(supervisor, &checking_kind);
}

size_t supervisor_inspections(const struct supervisor *supervisor) {
  return count(supervisor, &inspecting_kind);
}

size_t supervisor_askings(const struct supervisor *supervisor) {
  return count(supervisor, &asking_kind);
}

size_t supervisor_exports(const struct supervisor *supervisor) {
  return count(supervisor, &exporting_kind);
}

size_t supervisor_servings(const struct supervisor *supervisor) {
  return count(supervisor, &serving_kind);
}

bool supervisor_idle(const struct supervisor *supervisor) {
  return !supervisor->runs;
}

void supervisor_cancel(struct supervisor *supervisor, const char *job_id) {
  struct run *run = find(supervisor, &training_kind, job_id);
  if (run)
    run_stop(run, STOP_CANCEL, false);
}

void supervisor_pause(struct supervisor *supervisor, const char *job_id) {
  struct run *run = find(supervisor, &training_kind, job_id);
  if (run)
    run_stop(run, STOP_PAUSE, false);
}

void supervisor_preempt(struct supervisor *supervisor, const char *job_id) {
  struct run *run = find(supervisor, &training_kind, job_id);
  if (run)
    run_stop(run, STOP_PREEMPT, false);
}

void supervisor_resume(struct supervisor *supervisor, const char *job_id) {
  struct run *run = find(supervisor, &training_kind, job_id);
  if (run)
    run_resume(run);
}

bool supervisor_checkpoint(struct supervisor *supervisor, const char *job_id) {
  struct run *run = find(supervisor, &training_kind, job_id);
  return run && run->worker && run->stop == STOP_NONE && worker_order(run->worker, "checkpoint");
}

void supervisor_drain(struct supervisor *supervisor, bool at_once) {
  for (struct run *run = supervisor->runs; run; run = run->next)
    if (run->kind == &serving_kind && !at_once)
      serving_drain(run);
    else
      run_stop(run, STOP_DRAIN, at_once || run->kind != &training_kind);
}
