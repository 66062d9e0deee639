/* What is ordered of a job: cancel, pause, resume, checkpoint. Each order is noted in the store before its worker hears
   of it, so that it outlives the daemon. Repeating one changes nothing and is answered as the first was. */
#include "server/http/orders.h"

#include "base/clock.h"
#include "server/http/job_object.h"
#include "server/http/reply.h"
#include "server/removal.h"
#include "server/scheduler.h"
#include "server/supervisor.h"
#include "storage/db_event.h"
#include "storage/db_job.h"

struct order {
  const struct server *server;
  const struct job_row *job;
  enum job_state to; /* of a job that no worker has */
  enum log_level level;
  const char *message;
};

struct orders_of_jobs {
  struct server *server;
  const struct job_row *jobs;
  size_t count;
};

/* The move of a job that no worker has, and its event. */
static enum status store_move(struct db *db, const void *what, struct error *err) {
  const struct order *order = what;
  const struct job_row *job = order->job;
  bool moved;
  int64_t now = clock_unix();
  struct event_row event = {.job_id = job->id, .created_at = now, .level = order->level, .message = order->message};
  enum status status = db_job_move(db, job->id, job->state, order->to, NULL, now, &moved, err);
  CHECK(status || moved); /* one thread: the state read before is the state now */
  if (!status)
    status = db_event_add(db, &event, err);
  return status || !job_state_terminal(order->to) ? status
                                                  : removal_of_leftovers(db, order->server->config, job->id, 0, err);
}

static enum status add_event(struct db *db, const char *job_id, const char *message, struct error *err) {
  struct event_row event = {.job_id = job_id, .created_at = clock_unix(), .level = LOG_INFO, .message = message};
  return db_event_add(db, &event, err);
}

/* Each as its state demands: those that have ended stay as they are. */
static enum status store_cancels(struct db *db, const void *what, struct error *err) {
  const struct orders_of_jobs *all = what;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < all->count; i++) {
    const struct job_row *job = &all->jobs[i];
    const struct order order = {all->server, job, JOB_CANCELLED, LOG_WARN, "The job was cancelled"};
    if (job->state == JOB_RUNNING)
      status = db_job_request_cancel(db, job->id, clock_unix(), err);
    else if (!job_state_terminal(job->state))
      status = store_move(db, &order, err);
  }
  return status;
}

static enum status store_pause_request(struct db *db, const void *what, struct error *err) {
  const struct job_row *job = what;
  enum status status = db_job_request_pause(db, job->id, clock_unix(), err);
  return status ? status : add_event(db, job->id, "Pausing: the worker writes down how far it has come", err);
}

static enum status store_pause_withdrawal(struct db *db, const void *what, struct error *err) {
  const struct job_row *job = what;
  enum status status = db_job_withdraw_pause(db, job->id, err);
  return status ? status : add_event(db, job->id, "Resumed while pausing: the job will be queued again", err);
}

/* ---- the orders ---- */

enum status orders_cancel(struct server *server, const struct job_row *jobs, size_t count, struct error *err) {
  const struct orders_of_jobs all = {server, jobs, count};
  enum status status = db_apply(server->db, store_cancels, &all, true, err);
  if (status)
    return status;
  removal_start(server);
  for (size_t i = 0; i < count; i++)
    if (jobs[i].state == JOB_RUNNING)
      supervisor_cancel(server->supervisor, jobs[i].id);
  return STATUS_OK;
}

static enum status cancel(struct server *server, const struct job_row *job, struct error *err) {
  if (job->state == JOB_SUCCEEDED || job->state == JOB_FAILED)
    return error_set(err, STATUS_JOB_FINISHED, "job_id", "the job has %s and cannot be cancelled",
                     job_state_name(job->state));
  return job->state == JOB_CANCELLED ? STATUS_OK : orders_cancel(server, job, 1, err);
}

static enum status pause(struct server *server, const struct job_row *job, struct error *err) {
  const struct order order = {server, job, JOB_PAUSED, LOG_INFO, "The job is paused"};
  enum status status;
  switch (job->state) {
  case JOB_QUEUED: return db_apply(server->db, store_move, &order, true, err);
  case JOB_RUNNING:
    if (job->cancel_requested_at)
      return error_set(err, STATUS_JOB_NOT_PAUSABLE, "job_id", "the job is being cancelled and cannot be paused");
    if (job->pause_requested_at)
      return STATUS_OK;
    status = db_apply(server->db, store_pause_request, job, true, err);
    if (!status)
      supervisor_pause(server->supervisor, job->id);
    return status;
  case JOB_PAUSED: return STATUS_OK;
  case JOB_VALIDATING:
    return error_set(err, STATUS_JOB_NOT_PAUSABLE, "job_id",
                     "the job's files are still being checked: it can be paused when it is queued");
  case JOB_SUCCEEDED:
  case JOB_FAILED:
  case JOB_CANCELLED:
    return error_set(err, STATUS_JOB_NOT_PAUSABLE, "job_id", "the job has ended (%s) and cannot be paused",
                     job_state_name(job->state));
  case JOB_STATE_COUNT: break;
  }
  CHECK(!"a state");
}

static enum status resume(struct server *server, const struct job_row *job, struct error *err) {
  const struct order order = {server, job, JOB_QUEUED, LOG_INFO, "The job is resumed: it is queued"};
  enum status status;
  switch (job->state) {
  case JOB_PAUSED:
    status = db_apply(server->db, store_move, &order, true, err);
    if (!status)
      scheduler_wake(server->scheduler);
    return status;
  case JOB_RUNNING:
    if (job->cancel_requested_at)
      return error_set(err, STATUS_JOB_NOT_RESUMABLE, "job_id", "the job is being cancelled and cannot be resumed");
    if (!job->pause_requested_at)
      return STATUS_OK;
    status = db_apply(server->db, store_pause_withdrawal, job, true, err);
    if (!status)
      supervisor_resume(server->supervisor, job->id);
    return status;
  case JOB_VALIDATING:
  case JOB_QUEUED: return STATUS_OK; /* it goes on */
  case JOB_SUCCEEDED:
  case JOB_FAILED:
  case JOB_CANCELLED:
    return error_set(err, STATUS_JOB_NOT_RESUMABLE, "job_id", "the job has ended (%s) and cannot be resumed",
                     job_state_name(job->state));
  case JOB_STATE_COUNT: break;
  }
  CHECK(!"a state");
}

static enum status checkpoint(struct server *server, const struct job_row *job, struct error *err) {
  bool runs = job->state == JOB_RUNNING && !job->cancel_requested_at && !job->pause_requested_at;
  if (!runs || !supervisor_checkpoint(server->supervisor, job->id))
    return error_set(err, STATUS_JOB_NOT_RUNNING, "job_id", "the job is %s: a checkpoint is made of one that runs",
                     job->state != JOB_RUNNING ? job_state_name(job->state) : "about to leave its worker");
  return add_event(server->db, job->id, "A checkpoint was requested", err);
}

static void carry_out(struct request *request,
                      enum status (*order)(struct server *server, const struct job_row *job, struct error *err)) {
  struct job_row job;
  struct error err;
  enum status status =
      db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status && job.state == JOB_RUNNING && !request->alone) { /* its worker hears of it when it is stored */
    request->alone = true;
    return;
  }
  if (!status)
    status = order(request->server, &job, &err);
  if (status)
    reply_error(request, &err);
  else
    job_object_reply_id(request, job.id);
}

void http_jobs_cancel(struct request *request) {
  carry_out(request, cancel);
}

void http_jobs_pause(struct request *request) {
  carry_out(request, pause);
}

void http_jobs_resume(struct request *request) {
  carry_out(request, resume);
}

void http_jobs_checkpoint(struct request *request) {
  carry_out(request, checkpoint);
}
