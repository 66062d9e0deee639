#include "server/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "server/command.h"
#include "server/fsck.h"
#include "server/paths.h"
#include "storage/artifact.h"
#include "storage/db_content.h"

enum { ARENA_BYTES = 1 << 20, CHUNK_BYTES = 1 << 16, ROUNDS = 5 };

/* What is copied: two data folders. */
struct copy {
  const char *from, *to;
};

/* A file at the same path; with `sha256` its content must be that. */
static enum status copy_file(const struct copy *copy, const char *path, const char *sha256, struct error *err) {
  char full[PATH_BYTES], chunk[CHUNK_BYTES], digest[HASH_HEX];
  struct file_new file;
  int64_t size;
  int fd;
  enum status status = path_format(full, err, "%s/%s", copy->to, path);
  if (!status)
    status = artifact_open(&fd, &size, copy->from, path, err);
  if (status)
    return status;
  char *name = strrchr(full, '/');
  *name = '\0';
  status = file_mkdirs(full, err);
  *name = '/';
  if (!status)
    status = file_create(&file, full, err);
  ssize_t n = 0;
  while (!status && ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR)))
    if (n > 0)
      status = file_write(&file, chunk, (size_t)n, err);
  if (!status && n < 0) {
    status = error_set_errno(err, STATUS_IO, NULL, "reading %s/%s", copy->from, path);
    file_discard(&file);
  }
  close(fd);
  if (!status)
    status = file_publish(&file, digest, err);
  if (!status && sha256 && strcmp(digest, sha256) != 0)
    status = error_set(err, STATUS_DAMAGED, NULL, "%s/%s is not what was stored: fsck tells more", copy->from, path);
  return status;
}

/* All files in a folder; what is temporary stays behind. */
static enum status copy_folder(const struct copy *copy, const char *path, struct error *err) {
  char full[PATH_BYTES];
  char *const roots[] = {full, NULL};
  enum status status = path_format(full, err, "%s/%s", copy->from, path);
  FTS *tree = status ? NULL : fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
  if (!tree)
    return status ? status : error_set_errno(err, STATUS_IO, NULL, "cannot read %s", full);
  for (FTSENT *entry; !status && (entry = fts_read(tree));) {
    if (entry->fts_info == FTS_NS || entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR) {
      errno = entry->fts_errno;
      status = error_set_errno(err, STATUS_IO, NULL, "cannot read %s", entry->fts_path);
    }
    if (entry->fts_info == FTS_F && strncmp(entry->fts_name, ".tmp-", 5) != 0)
      status = copy_file(copy, entry->fts_path + strlen(copy->from) + 1, NULL, err);
  }
  fts_close(tree);
  return status;
}

static bool exists(const char *folder, const char *path) {
  char full[PATH_BYTES];
  return !path_format(full, NULL, "%s/%s", folder, path) && access(full, F_OK) == 0;
}

/* What the copied store names and an earlier round has not brought. */
static enum status copy_content(const struct copy *copy, struct db *db, enum content_kind kind, struct error *err) {
  bool found;
  for (int64_t after = 0;;) {
    AUTO(arena_done) struct arena arena;
    struct content_row row;
    arena_init(&arena, ARENA_BYTES);
    enum status status = db_content_next(&row, &found, db, kind, after, &arena, err);
    if (status || !found)
      return status;
    after = row.seq;
    if (!artifact_path_valid(row.path))
      return error_set(err, STATUS_DAMAGED, NULL, "%s names a path that is not allowed", row.owner);
    if (exists(copy->to, row.path))
      continue;
    bool known, running = false;
    status = row.sha256 ? copy_file(copy, row.path, row.sha256, err) : copy_folder(copy, row.path, err);
    if (status && kind >= CONTENT_STATE &&
        !exists(copy->from, row.path)) /* its worker removes it: fsck knows of that too */
      if (db_content_job(&known, &running, db, row.owner, NULL) == STATUS_OK && running)
        status = STATUS_OK;
    if (status)
      return status;
  }
}

/* The logs of jobs belong to no row. */
static enum status copy_logs(const struct copy *copy, struct error *err) {
  char full[PATH_BYTES];
  char *const roots[] = {full, NULL};
  enum status status = path_format(full, err, "%s/jobs", copy->from);
  FTS *tree = status ? NULL : fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
  for (FTSENT *entry; tree && !status && (entry = fts_read(tree));) {
    if (entry->fts_level == 2 && entry->fts_info == FTS_F && strcmp(entry->fts_name, "log.txt") == 0)
      status = copy_file(copy, entry->fts_path + strlen(copy->from) + 1, NULL, err);
    if (entry->fts_level == 2 && entry->fts_info == FTS_D)
      fts_set(tree, entry, FTS_SKIP);
  }
  if (tree)
    fts_close(tree);
  return status;
}

/* The store as it is now, and all that it names. */
static enum status copy_round(const struct copy *copy, struct error *err) {
  char from[PATH_BYTES], to[PATH_BYTES];
  struct db *db = NULL;
  enum status status = path_format(from, err, "%s/reflectd.db", copy->from);
  if (!status)
    status = path_format(to, err, "%s/reflectd.db", copy->to);
  if (!status)
    status = db_open_reader(&db, from, err);
  if (!status)
    status = db_copy(db, to, err);
  db_close(db);
  db = NULL;
  if (!status)
    status = db_open_reader(&db, to, err);
  for (int kind = 0; !status && kind < CONTENT_KIND_COUNT; kind++)
    status = copy_content(copy, db, (enum content_kind)kind, err);
  db_close(db);
  return status;
}

/* A daemon may delete what the store named a moment ago: then the store is asked again, and little is left to copy. */
static enum status copy_all(const struct copy *copy, struct error *err) {
  enum status status = STATUS_IO;
  for (int round = 0; round < ROUNDS && status == STATUS_IO; round++)
    status = copy_round(copy, err);
  if (!status)
    status = copy_file(copy, "store.id", NULL, err);
  return status ? status : copy_logs(copy, err);
}

enum status backup_copy(size_t *faults, const char *from, const char *to, struct error *err) {
  char part[PATH_BYTES], unique[40];
  rng_id(unique, sizeof unique, ".partial-");
  enum status status = path_format(part, err, "%s%s", to, unique);
  if (!status && rmdir(to) != 0 && errno != ENOENT)
    status = error_set_errno(err, STATUS_INVALID_VALUE, NULL, "%s must be a new folder or an empty one", to);
  if (!status)
    status = file_mkdirs(part, err);
  if (status)
    return status;
  const struct copy copy = {.from = from, .to = part};
  status = copy_all(&copy, err);
  if (!status)
    status = fsck_run(faults, part, stdout, err);
  if (!status && rename(part, to) != 0)
    status = error_set_errno(err, STATUS_IO, NULL, "cannot name %s %s", part, to);
  if (!status) {
    char *slash = strrchr(part, '/');
    if (slash && slash != part)
      *slash = '\0';
    return file_sync_dir(slash ? part : ".", err);
  }
  if (file_remove_tree(part, NULL))
    fprintf(stderr, "reflectd: %s is left behind\n", part);
  return status;
}

/* A folder's name without the slashes at its end. */
static const char *trimmed(const char *path, struct arena *arena) {
  char *copy = arena_string(arena, path);
  for (size_t n = copy ? strlen(copy) : 0; n > 1 && copy[n - 1] == '/'; n--)
    copy[n - 1] = '\0';
  return copy;
}

/* `other`: the command's own option; the daemon's folder is the other end. */
static int run(int argc, char **argv, const char *other, bool out) {
  AUTO(arena_done) struct arena arena;
  struct config config;
  struct error err;
  const char *place;
  size_t faults = 0;
  arena_init(&arena, ARENA_BYTES);
  if (command_take(&place, &argc, argv, other, &err) || command_config(&config, argc, argv, &arena, &err))
    return command_fault(&err);
  if (!place) {
    error_set(&err, STATUS_MISSING_PARAMETER, other, "%s needs %s FOLDER", argv[0], other);
    return command_fault(&err);
  }
  const char *folder = trimmed(place, &arena), *data = trimmed(config.data, &arena);
  enum status status = folder && data ? backup_copy(&faults, out ? data : folder, out ? folder : data, &err)
                                      : error_no_memory(&err, "the arguments");
  if (status)
    return command_fault(&err);
  printf("%s: copied to %s, %zu fault%s\n", out ? data : folder, out ? folder : data, faults, faults == 1 ? "" : "s");
  return faults ? COMMAND_FAILED : COMMAND_OK;
}

int backup_command(int argc, char **argv) {
  return run(argc, argv, "--to", true);
}

int backup_restore(int argc, char **argv) {
  return run(argc, argv, "--from", false);
}
