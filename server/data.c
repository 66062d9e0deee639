#include "server/data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "server/paths.h"
#include "storage/db_file.h"
#include "storage/db_removal.h"

enum { LOCK_TRIES = 5, LOCK_STEP_NS = 20 * 1000 * 1000 };

enum status data_lock(int *lock, const struct config *config, struct error *err) {
  char path[PATH_BYTES];
  static const char *const folders[] = {"files", "jobs"};
  *lock = -1;
  /* The folder itself: a file in it could be deleted, and the lock with it. */
  int fd = open(config->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, STATUS_IO, "data", "cannot use the data folder %s", config->data);
  enum status status = STATUS_OK;
  struct statfs disk;
  const char *network = fstatfs(fd, &disk) == 0 ? disk_network_name((int64_t)disk.f_type) : NULL;
  if (network)
    log_warn("the data folder %s is on a network file system (%s): a crash may damage the database there, and a second"
             " machine may not see that the folder is in use; use a disk of this machine", config->data, network);
  /* Whoever asks whether the folder is used holds it for a moment. */
  int held = flock(fd, LOCK_EX | LOCK_NB);
  for (int i = 0; held != 0 && errno == EWOULDBLOCK && i < LOCK_TRIES; i++) {
    nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_NS}, NULL);
    held = flock(fd, LOCK_EX | LOCK_NB);
  }
  if (held != 0)
    status = errno == EWOULDBLOCK ? error_set(err, STATUS_INVALID_VALUE, "data",
                                              "another reflectd uses the data folder %s", config->data)
                                  : error_set_errno(err, STATUS_IO, "data", "cannot lock %s", config->data);
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

enum status data_in_use(bool *out, const char *data, struct error *err) {
  int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, STATUS_INVALID_VALUE, "data", "cannot use the data folder %s", data);
  *out = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(fd);
  return STATUS_OK;
}

/* How many entries the folder has, without hidden ones: those are no file that was ever accepted. */
static enum status count_entries(size_t *out, const char *data, const char *name, struct error *err) {
  char path[PATH_BYTES];
  *out = 0;
  enum status status = path_format(path, err, "%s/%s", data, name);
  DIR *dir = status ? NULL : opendir(path);
  if (!dir)
    return status ? status : error_set_errno(err, STATUS_IO, NULL, "cannot read %s", path);
  for (struct dirent *entry; (entry = readdir(dir));)
    *out += entry->d_name[0] != '.';
  closedir(dir);
  return STATUS_OK;
}

static enum status read_id(char out[DB_ID_BYTES], const char *path, struct error *err) {
  char *text;
  size_t length;
  out[0] = '\0';
  if (access(path, F_OK) != 0 && errno == ENOENT)
    return STATUS_OK;
  enum status status = file_read(&text, &length, path, DB_ID_BYTES, err);
  if (status)
    return status;
  snprintf(out, DB_ID_BYTES, "%.*s", (int)strcspn(text, "\n"), text);
  free(text);
  return STATUS_OK;
}

enum status data_store_id(char out[DB_ID_BYTES], const char *data, struct error *err) {
  char path[PATH_BYTES];
  enum status status = path_format(path, err, "%s/store.id", data);
  return status ? status : read_id(out, path, err);
}

static enum status refuse(struct error *err, const char *db, const char *what, size_t files, size_t jobs) {
  return error_set(err, STATUS_INVALID_VALUE, "data",
                   "%s %s, but the data folder holds %zu files and %zu jobs, which would be lost to it: put the"
                   " database back from a backup and start again; to begin anew, use another data folder or move"
                   " files, jobs and store.id out of this one",
                   db, what, files, jobs);
}

/* Does the open store belong to this folder? From then on the folder names it. */
static enum status own(struct db *db, const char *id_path, const char *path, size_t files, size_t jobs,
                       struct error *err) {
  char id[DB_ID_BYTES], last[DB_ID_BYTES];
  bool unused;
  enum status status = db_id(id, db, err);
  if (!status)
    status = read_id(last, id_path, err);
  if (!status)
    status = db_unused(&unused, db, err);
  if (status || strcmp(id, last) == 0)
    return status;
  if (files + jobs > 0 && last[0])
    return refuse(err, path, "is the database of another data folder", files, jobs);
  if (files + jobs > 0 && unused)
    return refuse(err, path, "knows of no file and no job", files, jobs);
  return file_put(id_path, id, strlen(id), err);
}

enum status data_open_store(struct server *server, struct error *err) {
  char path[PATH_BYTES], id_path[PATH_BYTES];
  size_t files, jobs;
  const char *data = server->config->data;
  enum status status = path_format(path, err, "%s/reflectd.db", data);
  if (!status)
    status = path_format(id_path, err, "%s/store.id", data);
  if (!status)
    status = count_entries(&files, data, "files", err);
  if (!status)
    status = count_entries(&jobs, data, "jobs", err);
  if (status)
    return status;
  status = db_open(&server->db, path, files + jobs == 0, err);
  if (status == STATUS_NOT_FOUND)
    return refuse(err, path, "is missing or empty", files, jobs);
  return status ? status : own(server->db, id_path, path, files, jobs, err);
}

enum status data_open_beside(struct db **out, const struct config *config, struct error *err) {
  char path[PATH_BYTES];
  struct stat info;
  struct server server = {.config = config};
  int lock;
  bool used = false;
  *out = NULL;
  enum status status = path_format(path, err, "%s/reflectd.db", config->data);
  if (!status)
    status = file_mkdirs(config->data, err);
  if (!status && stat(config->data, &info) == 0 && info.st_uid != geteuid())
    status = error_set(err, STATUS_INVALID_VALUE, "data",
                       "%s belongs to the user %u: run this as that user, or what"
                       " it makes cannot be used by the daemon",
                       config->data, (unsigned)info.st_uid);
  if (!status)
    status = data_in_use(&used, config->data, err);
  if (status || used)
    return status ? status : db_open_beside(out, path, err);
  status = data_lock(&lock, config, err); /* until the store has this program's version: then a daemon may start */
  if (status)
    return status;
  status = data_open_store(&server, err);
  *out = server.db;
  close(lock);
  return status;
}

/* Moves `path`, relative to the data folder, to lost+found/`name`, beside what has that name already. */
static enum status keep(const struct config *config, const char *path, const char *name, struct error *err) {
  char from[PATH_BYTES], to[PATH_BYTES];
  struct stat info;
  enum status status = path_format(from, err, "%s/%s", config->data, path);
  if (!status)
    status = path_format(to, err, "%s/lost+found", config->data);
  if (!status)
    status = file_mkdirs(to, err);
  for (int n = 0; !status; n++) {
    status = n ? path_format(to, err, "%s/lost+found/%s.%d", config->data, name, n)
               : path_format(to, err, "%s/lost+found/%s", config->data, name);
    if (!status && lstat(to, &info) != 0)
      break;
  }
  if (status)
    return status;
  if (rename(from, to) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot move %s to %s", from, to);
  log_warn("the store knows nothing of %s: it was moved to %s", path, to);
  return STATUS_OK;
}

enum status data_keep_unknown(struct server *server, struct error *err) {
  char folder[PATH_BYTES], path[PATH_BYTES];
  enum status status = path_format(folder, err, "%s/files", server->config->data);
  DIR *dir = status ? NULL : opendir(folder);
  if (!dir)
    return status ? status : error_set_errno(err, STATUS_IO, NULL, "cannot read %s", folder);
  for (struct dirent *entry; !status && (entry = readdir(dir));) {
    bool known = false;
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
      continue;
    if (strncmp(name, ".tmp-", 5) == 0) {
      if (unlinkat(dirfd(dir), name, 0) == 0)
        log_info("removed %s/%s, an upload that was cut off", folder, name);
      continue;
    }
    status = path_format(path, err, PATH_FILE, name);
    if (!status)
      status = db_file_known(&known, server->db, name, err);
    if (!status && !known)
      status = db_removal_noted(&known, server->db, path, err);
    if (!status && !known)
      status = keep(server->config, path, name, err);
  }
  closedir(dir);
  return status;
}

enum status data_keep_finished(const struct config *config, const char *path, struct error *err) {
  char weights[PATH_BYTES], name[PATH_BYTES];
  enum status status = path_format(weights, err, "%s/%s/adapter_model.safetensors", config->data, path);
  if (status || access(weights, F_OK) != 0)
    return status;
  snprintf(name, sizeof name, "%s", path);
  for (char *slash; (slash = strchr(name, '/'));)
    *slash = '-';
  return keep(config, path, name, err);
}
