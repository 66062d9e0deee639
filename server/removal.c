#include "server/removal.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/file.h"
#include "base/log.h"
#include "server/paths.h"
#include "storage/artifact.h"
#include "storage/db_artifact.h"
#include "storage/db_export.h"
#include "storage/db_removal.h"

enum { ARENA_BYTES = 1 << 16 };

/* The one that is under way. */
struct removal {
  uv_work_t work;
  struct server *server;
  char path[PATH_BYTES];  /* relative to the data folder, as it is noted */
  enum status status;
  struct error err;
};

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

static enum status delete_model(struct db *db, const void *what, struct error *err) {
  const struct job_row *job = what;
  char path[PATH_BYTES];
  enum status status = db_job_delete_model(db, job->id, err);
  if (!status)
    status = db_artifact_delete_of_job(db, job->id, err);
  if (!status)
    status = db_checkpoint_delete_of_job(db, job->id, err);
  if (!status)
    status = db_export_delete_of_job(db, job->id, err);
  if (!status)
    status = db_file_delete_of_job(db, job->id, err);
  if (!status)
    status = path_format(path, err, PATH_OUTPUT, job->id, (long long)job->lease_token);
  if (!status)
    status = db_removal_add(db, path, err);
  if (!status)
    status = path_format(path, err, PATH_EXPORTS, job->id);
  return status ? status : db_removal_add(db, path, err);
}

enum status removal_of_model(struct server *server, const struct job_row *job, struct error *err) {
  enum status status = db_apply(server->db, delete_model, job, true, err);
  if (!status)
    removal_start(server);
  return status;
}

struct one_checkpoint {
  const struct job_row *job;
  const struct checkpoint_row *checkpoint;
};

static enum status delete_checkpoint(struct db *db, const void *what, struct error *err) {
  const struct one_checkpoint *one = what;
  int64_t left;
  char output[PATH_BYTES];
  enum status status = db_checkpoint_delete(db, one->job->id, one->checkpoint->step, err);
  if (!status)
    status = db_checkpoint_count(&left, db, one->job->id, err);
  if (!status && (left > 0 || one->job->state == JOB_SUCCEEDED))
    return db_removal_add(db, one->checkpoint->path, err);
  if (!status)
    status = path_format(output, err, PATH_OUTPUT, one->job->id, (long long)one->job->lease_token);
  return status ? status : db_removal_add(db, output, err);
}

enum status removal_of_checkpoint(struct server *server, const struct job_row *job,
                                  const struct checkpoint_row *checkpoint, struct error *err) {
  struct one_checkpoint one = {job, checkpoint};
  enum status status = db_apply(server->db, delete_checkpoint, &one, true, err);
  if (!status)
    removal_start(server);
  return status;
}

/* ---- the bytes ---- */

static void next(struct removal *removal);

static void remove_bytes(uv_work_t *work) {
  struct removal *removal = work->data;
  char full[PATH_BYTES];
  removal->status = path_format(full, &removal->err, "%s/%s", removal->server->config->data, removal->path);
  if (!removal->status && !artifact_path_valid(removal->path)) /* never outside of the folder */
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
  if (server->removal || server->draining)
    return;
  server->removal = calloc(1, sizeof *server->removal);
  if (!server->removal)
    return; /* the next call */
  server->removal->server = server;
  next(server->removal);
}
