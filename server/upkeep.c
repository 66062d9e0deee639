#include "server/upkeep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "server/http/files.h"
#include "server/paths.h"
#include "server/process.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_export.h"
#include "storage/db_job.h"

enum { ARENA_BYTES = 64 << 20, SWEEP_MAX = 100 };

enum status upkeep_lock(int *lock, const struct config *config, struct error *err) {
  char path[PATH_BYTES];
  static const char *const folders[] = {"files", "jobs"};
  *lock = -1;
  enum status status = path_format(path, err, "%s/lock", config->data);
  if (status)
    return status;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return error_set_errno(err, STATUS_IO, "data", "cannot use the data folder %s", config->data);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0)
    status = errno == EWOULDBLOCK
                 ? error_set(err, STATUS_INVALID_VALUE, "data", "another reflectd uses the data folder %s",
                             config->data)
                 : error_set_errno(err, STATUS_IO, "data", "cannot lock %s", path);
  for (size_t i = 0; !status && i < COUNT_OF(folders); i++) {
    status = path_format(path, err, "%s/%s", config->data, folders[i]);
    if (!status)
      status = file_mkdirs(path, err);
  }
  if (status)
    close(fd);
  else
    *lock = fd;
  return status;
}

/* A job that was running when the daemon before this one died. */
static enum status recover_job(struct server *server, const struct job_row *job, struct error *err) {
  char path[PATH_BYTES];
  bool held;
  int64_t now = clock_unix();
  bool cancelled = job->cancel_requested_at != 0;
  if (job->worker && !process_kill_named(job->worker))
    return error_set(err, STATUS_INTERNAL, NULL, "the worker of %s (process %.12s) does not die", job->id, job->worker);
  enum status status =
      path_format(path, err, "%s/" PATH_OUTPUT, server->config->data, job->id, (long long)job->lease_token);
  if (!status)
    status = file_remove_tree(path, err);
  if (!status)
    status = db_begin(server->db, err);
  if (status)
    return status;
  struct lease lease = {.job_id = job->id, .token = job->lease_token};
  struct event_row event = {.job_id = job->id,
                            .created_at = now,
                            .level = LOG_WARN,
                            .message = cancelled ? "The job was cancelled"
                                                 : "The server stopped while the job ran: the job is queued again"};
  status = db_job_release(server->db, &lease, cancelled ? JOB_CANCELLED : JOB_QUEUED, NULL, now, &held, err);
  if (!status)
    status = db_checkpoint_delete_of_job(server->db, job->id, err);
  if (!status)
    status = db_event_add(server->db, &event, err);
  if (status) {
    db_rollback(server->db);
    return status;
  }
  log_warn("%s was running when the server stopped: it is %s", job->id, cancelled ? "cancelled" : "queued again");
  return db_commit(server->db, err);
}

/* Bytes without a row: an upload that a crash cut off, or a deletion that it did. */
static enum status remove_orphans(struct server *server, struct error *err) {
  char folder[PATH_BYTES], path[PATH_BYTES];
  enum status status = path_format(folder, err, "%s/files", server->config->data);
  DIR *dir = status ? NULL : opendir(folder);
  if (!dir)
    return status ? status : error_set_errno(err, STATUS_IO, NULL, "cannot read %s", folder);
  for (struct dirent *entry; !status && (entry = readdir(dir));) {
    bool known;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    status = path_format(path, err, PATH_FILE, entry->d_name);
    if (!status)
      status = db_file_known(&known, server->db, entry->d_name, err);
    if (!status && !known && unlinkat(dirfd(dir), entry->d_name, 0) == 0)
      log_info("removed %s, which belongs to no file", path);
  }
  closedir(dir);
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
  return status ? status : remove_orphans(server, err);
}

void upkeep_sweep(struct server *server) {
  AUTO(arena_done) struct arena arena;
  struct file_row *files;
  struct error err;
  size_t count;
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_file_expired(&files, &count, server->db, clock_unix(), SWEEP_MAX, &arena, &err);
  for (size_t i = 0; !status && i < count; i++) {
    status = file_delete(server, &files[i], &err);
    if (!status)
      log_info("%s has expired and was deleted", files[i].id);
  }
  if (status)
    log_error("deleting expired files: %s", err.text);
}
