#include "server/upkeep.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/admission.h"
#include "server/data.h"
#include "server/paths.h"
#include "server/process.h"
#include "server/removal.h"
#include "server/scheduler.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_export.h"
#include "storage/db_job.h"
#include "storage/db_removal.h"

enum { ARENA_BYTES = 64 << 20, SWEEP_MAX = 100 };

struct interrupted {
  const struct job_row *job;
  char output[PATH_BYTES];
  bool cancelled;
};

static enum status store_interrupted(struct db *db, const void *what, struct error *err) {
  const struct interrupted *it = what;
  bool held;
  int64_t now = clock_unix();
  struct lease lease = {.job_id = it->job->id, .token = it->job->lease_token};
  struct event_row event = {.job_id = it->job->id,
                            .created_at = now,
                            .level = LOG_WARN,
                            .message = it->cancelled ? "The job was cancelled"
                                                     : "The server stopped while the job ran: the job is queued again"};
  enum status status = db_job_release(db, &lease, it->cancelled ? JOB_CANCELLED : JOB_QUEUED, NULL, now, &held, err);
  if (!status)
    status = db_checkpoint_delete_of_job(db, it->job->id, err);
  if (!status)
    status = db_event_add(db, &event, err);
  return status ? status : db_removal_add(db, it->output, err);
}

/* A job that was running when the daemon before this one died. */
static enum status recover_job(struct server *server, const struct job_row *job, struct error *err) {
  struct interrupted it = {.job = job, .cancelled = job->cancel_requested_at != 0};
  if (job->worker && !process_kill_named(job->worker))
    return error_set(err, STATUS_INTERNAL, NULL, "the worker of %s (process %.12s) does not die", job->id, job->worker);
  enum status status = path_format(it.output, err, PATH_OUTPUT, job->id, (long long)job->lease_token);
  if (!status)
    status = data_keep_finished(server->config, it.output, err);
  if (!status)
    status = db_apply(server->db, store_interrupted, &it, true, err);
  if (!status)
    log_warn("%s was running when the server stopped: it is %s", job->id, it.cancelled ? "cancelled" : "queued again");
  return status;
}

enum status upkeep_recover(struct server *server, struct error *err) {
  enum status status = STATUS_OK;
  bool found = true;
  for (int64_t after = 0; !status && found;) {
    AUTO(arena_done) struct arena arena;
    struct job_row job;
    arena_init(&arena, ARENA_BYTES);
    status = db_job_next(&job, &found, server->db, JOB_RUNNING, after, &arena, err);
    if (status || !found)
      break;
    after = job.seq;
    status = recover_job(server, &job, err);
  }
  if (!status)
    status = db_export_requeue(server->db, err);
  return status ? status : data_keep_unknown(server, err);
}

void upkeep_sweep(struct server *server) {
  AUTO(arena_done) struct arena arena;
  struct file_row *files;
  struct error err;
  size_t count;
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_file_expired(&files, &count, server->db, clock_unix(), SWEEP_MAX, &arena, &err);
  for (size_t i = 0; !status && i < count; i++) {
    status = removal_of_file(server, &files[i], &err);
    if (!status)
      log_info("%s has expired and was deleted", files[i].id);
  }
  if (status)
    log_error("deleting expired files: %s", err.text);
  if (admission_resume(server, &err))
    log_error("jobs that wait for the check of a file: %s", err.text);
  scheduler_wake(server->scheduler);
  db_reserve(server->db);
  removal_start(server);
}
