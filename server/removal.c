#include "server/removal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "server/paths.h"
#include "storage/artifact.h"
#include "storage/db_artifact.h"
#include "storage/db_event.h"
#include "storage/db_export.h"
#include "storage/db_job_change.h"
#include "storage/db_removal.h"
#include "storage/db_state.h"

enum { ARENA_BYTES = 1 << 16, CHECKPOINTS_MAX = 10000, NAMES_BYTES = 1 << 20, EVENTS_AT_ONCE = 1000 };

typedef enum status visit_leftover(void *context, const char *path, struct error *err);

/* The one that is under way. */
struct removal {
  uv_work_t work;
  struct server *server;
  char path[PATH_BYTES]; /* relative to the data folder, as it is noted */
  enum status status;
  struct error err;
};

/* ---- who needs it ---- */

static void add_checkpoint(json_t *names, const struct job_row *job, const struct checkpoint_row *checkpoint) {
  json_array_append_new(names, json_sprintf("ftckpt-%lld", (long long)checkpoint->seq));
  json_array_append_new(names, json_sprintf("%s:ckpt-step-%lld", job->fine_tuned_model, (long long)checkpoint->step));
}

/* Everything by which another job can name what this one made: an array. */
static enum status list_names(json_t **out, struct db *db, const struct job_row *job, struct arena *arena,
                              struct error *err) {
  struct checkpoint_row *checkpoints;
  struct artifact_row *artifacts;
  struct page page = {.limit = CHECKPOINTS_MAX};
  size_t count, artifact_count;
  bool more;
  *out = NULL;
  enum status status = db_checkpoint_list(&checkpoints, &count, &more, db, job->id, &page, arena, err);
  if (!status)
    status = db_artifact_list(&artifacts, &artifact_count, db, job->id, arena, err);
  if (status)
    return status;
  *out = json_pack("[ss]", job->id, job->fine_tuned_model);
  for (size_t i = 0; i < count; i++)
    add_checkpoint(*out, job, &checkpoints[i]);
  for (size_t i = 0; i < artifact_count; i++)
    if (artifacts[i].file_id)
      json_array_append_new(*out, json_string(artifacts[i].file_id));
  return STATUS_OK;
}

/* Refuses where a job that has not ended starts from one of the names: its run, and each that follows it after a
   pause or a crash, reads the adapter. */
static enum status check_names(struct server *server, const struct job_row *job, const json_t *names,
                               enum status refusal, const char *param, struct arena *arena, struct error *err) {
  AUTO(str_done) struct str text;
  const char *needs;
  str_init(&text, NAMES_BYTES);
  if (!names || !json_append(&text, names))
    return error_no_memory(err, "looking for jobs");
  enum status status = db_job_that_needs(&needs, server->db, job->tenant, text.text, arena, err);
  return status || !needs
             ? status
             : error_set(err, refusal, param, "%s starts from what %s made and has not ended; cancel it first or wait",
                         needs, job->id);
}

static enum status check_made(struct server *server, const struct job_row *job, enum status refusal, const char *param,
                              struct arena *arena, struct error *err) {
  AUTO(json_release) json_t *names = NULL;
  enum status status = list_names(&names, server->db, job, arena, err);
  return status ? status : check_names(server, job, names, refusal, param, arena, err);
}

static enum status check_ended(struct server *server, const struct job_row *job, struct arena *arena,
                               struct error *err) {
  struct export_row *exports;
  size_t count = 0;
  if (!job_state_terminal(job->state))
    return error_set(err, STATUS_JOB_NOT_FINISHED, "job_id", "the job is %s: cancel it first, or wait",
                     job_state_name(job->state));
  enum status status = db_export_list(&exports, &count, server->db, job->id, arena, err);
  for (size_t i = 0; !status && i < count; i++)
    if (exports[i].state == EXPORT_QUEUED || exports[i].state == EXPORT_RUNNING)
      return error_set(err, STATUS_JOB_NOT_FINISHED, "job_id", "the job's export %s is being made: wait for its end",
                       exports[i].format);
  return status;
}

/* ---- the rows ---- */

static enum status delete_file(struct db *db, const void *what, struct error *err) {
  const struct file_row *file = what;
  enum status status = db_file_delete(db, file->tenant, file->id, err);
  return status || file->job_id ? status : db_removal_add(db, file->path, err);
}

enum status removal_of_file(struct server *server, const struct file_row *file, struct error *err) {
  enum status status = db_apply(server->db, delete_file, file, true, err);
  if (!status)
    removal_start(server);
  return status;
}

struct of_job {
  const struct server *server;
  const struct job_row *job;
  const struct checkpoint_row *checkpoint;
};

/* The rows of all that a job has made. */
static enum status delete_made(struct db *db, const char *id, struct error *err) {
  enum status status = db_artifact_delete_of_job(db, id, err);
  if (!status)
    status = db_checkpoint_delete_of_job(db, id, err);
  if (!status)
    status = db_export_delete_of_job(db, id, err);
  return status ? status : db_file_delete_of_job(db, id, err);
}

static enum status delete_model(struct db *db, const void *what, struct error *err) {
  const struct of_job *of = what;
  const char *id = of->job->id;
  char path[PATH_BYTES];
  enum status status = db_job_delete_model(db, id, err);
  if (!status)
    status = delete_made(db, id, err);
  if (!status)
    status = path_format(path, err, PATH_EXPORTS, id);
  if (!status)
    status = db_removal_add(db, path, err);
  return status ? status : removal_of_leftovers(db, of->server->config, id, 0, err);
}

enum status removal_of_model(struct server *server, const struct job_row *job, struct arena *arena, struct error *err) {
  struct of_job of = {server, job, NULL};
  enum status status = check_made(server, job, STATUS_MODEL_IN_USE, "model", arena, err);
  if (!status)
    status = db_apply(server->db, delete_model, &of, true, err);
  if (!status)
    removal_start(server);
  return status;
}

static enum status delete_job(struct db *db, const void *what, struct error *err) {
  const struct of_job *of = what;
  const char *id = of->job->id;
  char path[PATH_BYTES];
  enum status status = delete_made(db, id, err);
  if (!status)
    status = db_job_delete(db, of->job->tenant, id, err);
  if (!status)
    status = path_format(path, err, PATH_JOB, id);
  return status ? status : db_removal_add(db, path, err);
}

struct of_sweep {
  const struct server *server;
  const struct job_row *jobs;
  size_t count;
  const struct sweep_row *sweep; /* NULL: none */
};

static enum status delete_jobs(struct db *db, const void *what, struct error *err) {
  const struct of_sweep *all = what;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < all->count; i++) {
    struct of_job of = {all->server, &all->jobs[i], NULL};
    status = delete_job(db, &of, err);
  }
  return status || !all->sweep ? status : db_sweep_delete(db, all->sweep->tenant, all->sweep->id, err);
}

enum status removal_of_job(struct server *server, const struct job_row *job, struct arena *arena, struct error *err) {
  return removal_of_sweep(server, NULL, job, 1, arena, err);
}

enum status removal_of_sweep(struct server *server, const struct sweep_row *sweep, const struct job_row *jobs,
                             size_t count, struct arena *arena, struct error *err) {
  const struct of_sweep all = {server, jobs, count, sweep};
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < count; i++) {
    status = check_ended(server, &jobs[i], arena, err);
    if (!status)
      status = check_made(server, &jobs[i], STATUS_JOB_IN_USE, "job_id", arena, err);
  }
  if (!status)
    status = db_apply(server->db, delete_jobs, &all, true, err);
  if (!status)
    server->events_due = true;
  if (!status)
    removal_start(server);
  return status;
}

static enum status delete_checkpoint(struct db *db, const void *what, struct error *err) {
  const struct of_job *of = what;
  const struct job_row *job = of->job;
  enum status status = db_checkpoint_delete(db, job->id, of->checkpoint->step, err);
  if (!status)
    status = db_removal_add(db, of->checkpoint->path, err);
  return status ? status
                : removal_of_leftovers(db, of->server->config, job->id,
                                       job->state == JOB_SUCCEEDED ? job->lease_token : 0, err);
}

enum status removal_of_checkpoint(struct server *server, const struct job_row *job,
                                  const struct checkpoint_row *checkpoint, struct arena *arena, struct error *err) {
  struct of_job of = {server, job, checkpoint};
  AUTO(json_release) json_t *names = json_array();
  add_checkpoint(names, job, checkpoint);
  enum status status = check_names(server, job, names, STATUS_MODEL_IN_USE, "model", arena, err);
  if (!status)
    status = db_apply(server->db, delete_checkpoint, &of, true, err);
  if (!status)
    removal_start(server);
  return status;
}

static enum status forget_events(struct db *db, const void *what, struct error *err) {
  bool *const *more = what;
  return db_event_forget(*more, db, EVENTS_AT_ONCE, err);
}

void removal_of_events(struct server *server) {
  struct error err;
  bool more, *out = &more;
  if (!server->events_due || server->draining)
    return;
  if (db_apply(server->db, forget_events, &out, true, &err))
    log_warn("events of jobs that were deleted: %s", err.text); /* tried again at the next tick */
  else
    server->events_due = more;
}

/* ---- what runs have left ---- */

/* Each entry of the folder `path` that no row names; of the job's folder, only those of runs. */
static enum status walk(struct db *db, const struct config *config, const char *job_id, const char *path, int64_t keep,
                        bool runs, visit_leftover *visit, void *context, struct error *err) {
  char full[PATH_BYTES], below[PATH_BYTES];
  enum status status = path_format(full, err, "%s/%s", config->data, path);
  DIR *dir = status ? NULL : opendir(full);
  if (!dir && !status && errno != ENOENT) /* what is in it waits for the next time */
    log_warn("cannot read %s: %s", full, strerror(errno));
  if (!dir)
    return status;
  for (struct dirent *entry; !status && (entry = readdir(dir));) {
    const char *name = entry->d_name;
    bool is_run = strspn(name, "0123456789") == strlen(name), named = true;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (runs && (!is_run || strtoll(name, NULL, 10) == keep)))
      continue;
    status = path_format(below, err, "%s/%s", path, name);
    if (!status && artifact_path_stays(below)) /* else it goes with its folder */
      status = db_path_named(&named, db, job_id, below, err);
    if (!status && !named)
      status = visit(context, below, err);
    else if (!status && runs)
      status = walk(db, config, job_id, below, keep, false, visit, context, err);
  }
  closedir(dir);
  return status;
}

static enum status note(void *context, const char *path, struct error *err) {
  struct db *db = context;
  return db_removal_add(db, path, err);
}

enum status removal_of_leftovers(struct db *db, const struct config *config, const char *job_id, int64_t keep,
                                 struct error *err) {
  char path[PATH_BYTES];
  enum status status = path_format(path, err, PATH_JOB, job_id);
  return status ? status : walk(db, config, job_id, path, keep, true, note, db, err);
}

struct sum {
  const char *data;
  int64_t bytes;
};

static enum status add_bytes(void *context, const char *path, struct error *err) {
  struct sum *sum = context;
  char full[PATH_BYTES];
  enum status status = path_format(full, err, "%s/%s", sum->data, path);
  sum->bytes += status ? 0 : file_tree_bytes(full);
  return status;
}

int64_t removal_leftover_bytes(const struct server *server, const char *job_id) {
  struct sum sum = {.data = server->config->data};
  char path[PATH_BYTES];
  struct error err;
  if (path_format(path, &err, PATH_JOB, job_id) ||
      walk(server->db, server->config, job_id, path, 0, true, add_bytes, &sum, &err))
    log_warn("%s: %s", job_id, err.text);
  return sum.bytes;
}

/* ---- the bytes ---- */

static void next(struct removal *removal);

static void remove_bytes(uv_work_t *work) {
  struct removal *removal = work->data;
  char full[PATH_BYTES];
  removal->status = path_format(full, &removal->err, "%s/%s", removal->server->config->data, removal->path);
  if (!removal->status && !artifact_path_stays(removal->path)) /* never outside of the folder */
    removal->status = error_set(&removal->err, STATUS_INTERNAL, NULL, "no path to remove: %.80s", removal->path);
  if (!removal->status)
    removal->status = file_remove_tree(full, &removal->err);
}

static void on_removed(uv_work_t *work, int code) {
  struct removal *removal = work->data;
  (void)code; /* never cancelled */
  if (!removal->status)
    removal->status = db_removal_done(removal->server->db, removal->path, &removal->err);
  if (removal->status) /* it stays noted and is tried again */
    log_warn("%s cannot be removed yet: %s", removal->path, removal->err.text);
  next(removal);
}

/* Goes on after the path that was tried last; at the end of the list it is over. */
static void next(struct removal *removal) {
  AUTO(arena_done) struct arena arena;
  struct server *server = removal->server;
  const char *path;
  arena_init(&arena, ARENA_BYTES);
  if (db_removal_next(&path, server->db, removal->path, &arena, &removal->err)) {
    log_warn("%s", removal->err.text);
    path = NULL;
  }
  if (!path || server->draining) {
    server->removal = NULL;
    free(removal);
    return;
  }
  snprintf(removal->path, sizeof removal->path, "%s", path);
  removal->work.data = removal;
  CHECK(uv_queue_work(server->uv, &removal->work, remove_bytes, on_removed) == 0);
}

void removal_start(struct server *server) {
  server->removal_due = db_gathered(server->db);
  if (server->removal || server->draining || server->removal_due)
    return;
  server->removal = calloc(1, sizeof *server->removal);
  if (!server->removal)
    return; /* the next call */
  server->removal->server = server;
  next(server->removal);
}
