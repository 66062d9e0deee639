#include "server/upkeep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/event.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "server/admission.h"
#include "server/data.h"
#include "server/http/joining.h"
#include "server/paths.h"
#include "server/process.h"
#include "server/removal.h"
#include "server/scheduler.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_export.h"
#include "storage/db_job.h"
#include "storage/db_state.h"
#include "storage/db_upload.h"

enum {
  ARENA_BYTES = 64 << 20,
  STATE_ARENA_BYTES = 1 << 16,
  SWEEP_MAX = 100,
  ROOM_SWEEPS = 20,
  UPLOAD_KEPT_S = 7 * 86400, /* that an upload which has ended can still be looked at */
  /* Deaths of the daemon while a job ran that got no further: so many begin it again at once, the next after a while
     in which others can run, and with the last it has failed, since it may be what kills the daemon. */
  INTERRUPTIONS_FREE = 3,
  INTERRUPTION_WAIT_MS = 2000,
  INTERRUPTIONS_MAX = 20,
};

/* A job that was running when the daemon before this one died. */
struct interrupted {
  struct server *server;
  const struct job_row *job;
  enum job_state to;
  struct error why; /* of a failure */
  char output[PATH_BYTES];
  bool output_gone;
};

/* What is said to the job's readers. */
static const char *say(const struct interrupted *it) {
  switch (it->to) {
  case JOB_CANCELLED: return "The job was cancelled";
  case JOB_PAUSED: return "The server stopped while the job was about to pause: it is paused";
  case JOB_FAILED: return it->why.text;
  default: return "The server stopped while the job ran: the job is queued again";
  }
}

/* The newest state in the run's folder that no row names: its worker wrote it when the daemon was gone. *step 0:
   none. */
static enum status find_state(int64_t *step, const struct interrupted *it, struct db *db, struct error *err) {
  char path[PATH_BYTES], name[64];
  struct stat info;
  *step = 0;
  enum status status = path_format(path, err, "%s/%s", it->server->config->data, it->output);
  DIR *dir = status ? NULL : opendir(path);
  if (!dir)
    return status;
  for (struct dirent *entry; !status && (entry = readdir(dir));) {
    int64_t n = 0;
    bool named = true;
    if (sscanf(entry->d_name, "state-%" SCNd64, &n) != 1 || n <= *step)
      continue;
    snprintf(name, sizeof name, EVENT_STATE_FILE, n);
    if (strcmp(name, entry->d_name) != 0 || fstatat(dirfd(dir), name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(info.st_mode))
      continue;
    status = path_format(path, err, "%s/%s", it->output, name);
    if (!status)
      status = db_path_named(&named, db, it->job->id, path, err);
    if (!status && !named)
      *step = n;
  }
  closedir(dir);
  return status;
}

/* The last step of which the store has heard all that the worker told of it, metrics and checkpoints; progress comes
   last, but for that of an evaluation. */
static int64_t step_heard(const struct job_row *job) {
  AUTO(json_release) json_t *progress = NULL;
  if (!job->progress || json_parse(&progress, job->progress, strlen(job->progress), NULL, NULL))
    return 0;
  const char *phase = json_string_value(json_object_get(progress, "phase"));
  int64_t step = json_integer_value(json_object_get(progress, "step"));
  return phase && strcmp(phase, "train") == 0 ? step : step - 1;
}

/* It counts as if it had been announced, unless the next run would then leave out what was told to nobody. That run's
   worker looks whether it is whole. */
static enum status adopt_state(const struct interrupted *it, const struct lease *lease, struct db *db,
                               struct error *err) {
  AUTO(arena_done) struct arena arena;
  char path[PATH_BYTES], full[PATH_BYTES], sha256[HASH_HEX];
  struct state_row *states;
  size_t count;
  uint64_t bytes;
  int64_t step;
  bool held;
  arena_init(&arena, STATE_ARENA_BYTES);
  enum status status = find_state(&step, it, db, err);
  if (!status && step)
    status = db_state_list(&states, &count, db, lease->job_id, &arena, err);
  if (status || step == 0 || step > step_heard(it->job) || (count > 0 && states[0].step >= step))
    return status;
  status = path_format(path, err, "%s/" EVENT_STATE_FILE, it->output, step);
  if (!status)
    status = path_format(full, err, "%s/%s", it->server->config->data, path);
  if (!status)
    status = file_hash(sha256, &bytes, full, err);
  struct state_row row = {
      .step = step, .path = path, .bytes = (int64_t)bytes, .sha256 = sha256, .created_at = clock_unix()};
  return status ? status : db_state_add(db, lease, &row, &held, err);
}

static enum status store_interrupted(struct db *db, const void *what, struct error *err) {
  const struct interrupted *it = what;
  const char *id = it->job->id;
  bool held;
  int64_t now = clock_unix();
  struct lease lease = {.job_id = id, .token = it->job->lease_token};
  struct event_row event = {
      .job_id = id, .created_at = now, .level = it->to == JOB_FAILED ? LOG_ERROR : LOG_WARN, .message = say(it)};
  enum status status = it->output_gone ? STATUS_OK : adopt_state(it, &lease, db, err);
  if (!status)
    status = db_job_release(db, &lease, it->to, it->to == JOB_FAILED ? &it->why : NULL, now, &held, err);
  if (!status) /* it is counted apart: the job may have nothing to do with it */
    status = db_job_refund(db, id, err);
  if (!status)
    status = db_job_interrupted(db, id, err);
  if (!status && it->to == JOB_QUEUED && it->job->interruptions >= INTERRUPTIONS_FREE)
    status = db_job_wait_until(db, id, clock_boot_ms() + it->job->interruptions * INTERRUPTION_WAIT_MS, err);
  if (!status && it->output_gone)
    status = db_checkpoint_delete_in(db, id, it->output, err);
  if (!status)
    status = db_event_add(db, &event, err);
  return status ? status : removal_of_leftovers(db, it->server->config, id, 0, err);
}

/* A finished adapter of which the store does not know is kept, unless training goes on from what lies beside it: then
   the same will be made again. */
static enum status keep_finished(struct interrupted *it, struct arena *arena, struct error *err) {
  const struct config *config = it->server->config;
  struct state_row *states;
  size_t count;
  char path[PATH_BYTES];
  enum status status = path_format(it->output, err, PATH_OUTPUT, it->job->id, (long long)it->job->lease_token);
  if (!status)
    status = db_state_list(&states, &count, it->server->db, it->job->id, arena, err);
  if (!status && count > 0)
    status = path_format(path, err, "%s/%s", config->data, states[0].path);
  if (status || (count > 0 && access(path, R_OK) == 0))
    return status;
  status = data_keep_finished(config, it->output, err);
  if (!status)
    status = path_format(path, err, "%s/%s", config->data, it->output);
  it->output_gone = !status && access(path, F_OK) != 0;
  return status;
}

static enum status recover_job(struct server *server, const struct job_row *job, struct arena *arena,
                               struct error *err) {
  struct interrupted it = {.server = server, .job = job, .to = JOB_QUEUED};
  if (job->worker && !process_kill_named(job->worker))
    return error_set(err, STATUS_INTERNAL, NULL, "the worker of %s (process %.12s) does not die", job->id, job->worker);
  if (job->cancel_requested_at)
    it.to = JOB_CANCELLED;
  else if (job->pause_requested_at)
    it.to = JOB_PAUSED;
  else if (job->interruptions + 1 >= INTERRUPTIONS_MAX)
    it.to = JOB_FAILED;
  if (it.to == JOB_FAILED)
    error_set(&it.why, STATUS_WORKER_CRASHED, NULL,
              "the server died %d times while the job ran and had not got beyond step %lld", INTERRUPTIONS_MAX,
              (long long)job->furthest_step);
  enum status status = keep_finished(&it, arena, err);
  if (!status)
    status = db_apply(server->db, store_interrupted, &it, true, err);
  if (!status)
    log_warn("%s was running when the server stopped: it is %s", job->id,
             it.to == JOB_QUEUED ? "queued again" : job_state_name(it.to));
  return status;
}

/* What a full disk had free as a job left it is no sure measure: another may have filled it for a moment. */
static void forget_room(struct server *server) {
  struct error err;
  if (server->sweeps++ % ROOM_SWEEPS == 0 && db_job_room_for_all(server->db, &err))
    log_warn("jobs that wait for room: %s", err.text);
}

static enum status expire_upload(struct db *db, const void *what, struct error *err) {
  const struct upload_row *upload = what;
  bool ended;
  return db_upload_end(db, upload->tenant, upload->id, UPLOAD_EXPIRED, NULL, NULL, &ended, err);
}

static enum status sweep_uploads(struct server *server, struct arena *arena, struct error *err) {
  struct upload_row *uploads;
  size_t count;
  int64_t now = clock_unix();
  enum status status = db_upload_due(&uploads, &count, server->db, now, SWEEP_MAX, arena, err);
  for (size_t i = 0; !status && i < count; i++)
    if (!joining_runs(server, uploads[i].id)) {
      status = db_apply(server->db, expire_upload, &uploads[i], true, err);
      if (!status)
        log_info("%s was not complete in time: its parts are removed", uploads[i].id);
    }
  return status ? status : db_upload_forget(server->db, now - UPLOAD_KEPT_S, err);
}

static enum status forget_dropped(struct db *db, const void *what, struct error *err) {
  int64_t forgotten;
  (void)what;
  return db_checkpoint_forget_dropped(db, &forgotten, err);
}

enum status upkeep_recover(struct server *server, struct error *err) {
  enum status status = db_job_forget_waits(server->db, err);
  bool found = true;
  for (int64_t after = 0; !status && found;) {
    AUTO(arena_done) struct arena arena;
    struct job_row job;
    arena_init(&arena, ARENA_BYTES);
    status = db_job_next(&job, &found, server->db, JOB_RUNNING, after, &arena, err);
    if (status || !found)
      break;
    after = job.seq;
    status = recover_job(server, &job, &arena, err);
  }
  forget_room(server);
  if (!status)
    status = db_export_requeue(server->db, err);
  AUTO(arena_done) struct arena arena;
  arena_init(&arena, ARENA_BYTES);
  if (!status)
    status = sweep_uploads(server, &arena, err);
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
  if (sweep_uploads(server, &arena, &err))
    log_error("uploads that have expired: %s", err.text);
  if (db_apply(server->db, forget_dropped, NULL, true, &err))
    log_error("checkpoints that are kept no more: %s", err.text);
  if (admission_resume(server, &err))
    log_error("jobs that wait for the check of a file: %s", err.text);
  forget_room(server);
  scheduler_wake(server->scheduler);
  db_reserve(server->db);
  removal_start(server);
}
