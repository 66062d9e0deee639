/* What is changed of a job that exists: its priority and its place among those of its tenant as long as it waits, its
   names and metadata. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "server/http/job_draft.h"
#include "server/http/job_object.h"
#include "server/http/reply.h"
#include "server/scheduler.h"
#include "storage/db_event.h"
#include "storage/db_job_change.h"
#include "storage/db_queue.h"

struct change {
  struct job_row job; /* as it will be */
  const struct job_row *old;
  bool moves; /* its place changes: */
  bool first; /* before all others of its priority, */
  struct job_row before;
  bool last; /* or behind them; else before that one */
};

static bool waits(const struct job_row *job) {
  return job->state == JOB_VALIDATING || job->state == JOB_QUEUED || job->state == JOB_PAUSED;
}

/* "scheduling": {"before": ...}, which is no member of a spec: *rest is what else was sent, a new reference. */
static enum status take_before(struct change *change, json_t **rest, const json_t *body, struct request *request,
                               struct error *err) {
  json_t *scheduling = json_object_get(body, "scheduling"), *before = json_object_get(scheduling, "before");
  const char *id = json_string_value(before);
  *rest = json_deep_copy(body);
  if (!*rest)
    return error_no_memory(err, "the change");
  if (!before)
    return STATUS_OK;
  json_object_del(json_object_get(*rest, "scheduling"), "before");
  change->moves = true;
  change->last = json_is_null(before);
  change->first = id && strcmp(id, "all") == 0;
  if (change->last || change->first)
    return STATUS_OK;
  if (!id)
    return error_set(err, STATUS_INVALID_VALUE, "scheduling.before",
                     "scheduling.before must be the id of a queued job, \"all\", or null: behind all");
  enum status status = db_job_get(&change->before, request->server->db, request->tenant, id, &request->arena, err);
  if (status == STATUS_JOB_NOT_FOUND)
    return error_set(err, status, "scheduling.before", "scheduling.before names no job: %.64s", id);
  return status;
}

/* May it be changed so, in the state in which it is? */
static enum status judge(const struct change *change, struct error *err) {
  const struct job_row *job = change->old;
  bool reprioritised = change->job.priority != job->priority;
  bool renamed = strcmp(change->job.fine_tuned_model, job->fine_tuned_model) != 0;
  if ((reprioritised || change->moves) && !waits(job))
    return error_set(err, STATUS_JOB_NOT_WAITING, reprioritised ? "scheduling.priority" : "scheduling.before",
                     "the job %s: only jobs that wait have a place in the queue",
                     job->state == JOB_RUNNING ? "runs" : "has ended");
  if (renamed && (!waits(job) || job->lease_token > 0))
    return error_set(err, STATUS_JOB_NOT_WAITING, "suffix",
                     "the suffix is part of the fine-tuned model's name, which stands since a worker began the job;"
                     " display_name can be changed at any time");
  if (!change->moves || change->first || change->last)
    return STATUS_OK;
  const struct job_row *before = &change->before;
  if (strcmp(before->id, job->id) == 0)
    return error_set(err, STATUS_INVALID_VALUE, "scheduling.before", "a job cannot stand before itself");
  if (before->state != JOB_QUEUED)
    return error_set(err, STATUS_JOB_NOT_WAITING, "scheduling.before", "%s is %s and not queued", before->id,
                     job_state_name(before->state));
  if (before->priority != change->job.priority)
    return error_set(err, STATUS_JOB_NOT_WAITING, "scheduling.before",
                     "%s has the priority %lld and this job %lld: among others of its priority a job can be moved;"
                     " scheduling.priority can be changed with it",
                     before->id, (long long)before->priority, (long long)change->job.priority);
  return STATUS_OK;
}

/* The place that is wanted, noted in the transaction in which the row changes. */
static enum status move(struct db *db, const struct change *change, struct arena *arena, struct error *err) {
  const struct job_row *job = &change->job;
  struct job_row first;
  bool found = true;
  if (!change->first)
    return db_queue_move(db, job, job->priority, change->last ? NULL : &change->before, err);
  enum status status = db_queue_first(&first, &found, db, job->tenant, job->priority, arena, err);
  if (status || !found || strcmp(first.id, job->id) == 0)
    return status;
  return db_queue_move(db, job, job->priority, &first, err);
}

static const char *describe(const struct change *change, struct arena *arena) {
  const struct job_row *old = change->old, *job = &change->job;
  const char *text = "";
  if (job->priority != old->priority)
    text = arena_format(arena, "Priority %lld, it was %lld", (long long)job->priority, (long long)old->priority);
  if (text && change->moves)
    text = arena_format(arena, "%s%s%s%s", text, text[0] ? "; moved " : "Moved ",
                        change->first  ? "before all others of its priority"
                        : change->last ? "behind all others of its priority"
                                       : "before ",
                        change->first || change->last ? "" : change->before.id);
  return text && !text[0] && strcmp(job->spec, old->spec) != 0 ? "Names or metadata were changed" : text;
}

struct storing {
  const struct change *change;
  const char *message;
  struct arena *arena;
};

static enum status write_change(struct db *db, const void *what, struct error *err) {
  const struct storing *storing = what;
  const struct change *change = storing->change;
  struct event_row event = {
      .job_id = change->job.id, .created_at = clock_unix(), .level = LOG_INFO, .message = storing->message};
  enum status status = db_job_update(db, &change->job, err);
  if (!status && change->moves)
    status = move(db, change, storing->arena, err);
  return status ? status : db_event_add(db, &event, err);
}

static enum status store(struct request *request, const struct change *change, struct error *err) {
  struct storing storing = {change, describe(change, &request->arena), &request->arena};
  if (!storing.message)
    return error_no_memory(err, "the change");
  return storing.message[0] ? db_apply(request->server->db, write_change, &storing, false, err) : STATUS_OK;
}

/* The job as it will be, from what was sent. */
static enum status make(struct change *change, struct request *request, const json_t *body, struct fault_list *faults,
                        struct error *err) {
  AUTO(json_release) json_t *document = NULL;
  AUTO(json_release) json_t *rest = NULL;
  struct job_spec spec;
  enum status status = take_before(change, &rest, body, request, err);
  if (!status)
    status = db_job_spec(NULL, &document, change->old, &request->arena, err);
  if (status)
    return status;
  job_spec_amend(&spec, document, rest, &request->arena, faults);
  if (!faults->count)
    job_draft_check_size(&spec, faults);
  if (faults->count)
    return STATUS_OK;
  change->job = *change->old;
  status = job_draft_row(&change->job, &spec, &request->arena, err);
  return status ? status : judge(change, err);
}

static void update(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct job_row job;
  struct change change = {.old = &job};
  struct error err;
  enum status status =
      db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status = request_json(&body, request, &err);
  if (!status)
    status = make(&change, request, body, &faults, &err);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  if (!status)
    status = store(request, &change, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  scheduler_wake(request->server->scheduler);
  job_object_reply_id(request, job.id);
}

void http_jobs_update(struct request *request) {
  update(request);
}

void http_jobs_modify(struct request *request) {
  update(request);
}
