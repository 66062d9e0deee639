#include "server/supervisor.h"

#include <stdlib.h>
#include <string.h>

#include "server/run.h"

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

enum status supervisor_start_job(struct supervisor *supervisor, const struct job_row *job, struct error *err) {
  struct run *run = run_new(supervisor, supervisor->server, TASK_TRAIN, job->id);
  if (!run)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", job->id);
  return training_start(run, job, err);
}

enum status supervisor_start_check(struct supervisor *supervisor, const struct file_row *file, struct error *err) {
  struct run *run = run_new(supervisor, supervisor->server, TASK_CHECK, file->id);
  if (!run)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "checking %s", file->id);
  return checking_start(run, file, err);
}

enum status supervisor_start_inspection(struct supervisor *supervisor, struct inspected *inspected,
                                        struct error *err) {
  struct run *run = run_new(supervisor, supervisor->server, TASK_INSPECT, inspected->id);
  if (!run)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "looking at the model %s", inspected->id);
  return inspecting_start(run, inspected, err);
}

enum status supervisor_start_export(struct supervisor *supervisor, const struct export_row *export,
                                    struct error *err) {
  struct run *run = run_new(supervisor, supervisor->server, TASK_EXPORT, export->job_id);
  if (!run)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "exporting %s", export->job_id);
  return exporting_start(run, export, err);
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

size_t supervisor_inspections(const struct supervisor *supervisor) {
  return count(supervisor, TASK_INSPECT);
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
