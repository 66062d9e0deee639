#include "server/fsck.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "server/command.h"
#include "server/data.h"
#include "server/paths.h"
#include "storage/artifact.h"
#include "storage/db_check.h"
#include "storage/db_content.h"
#include "storage/db_file.h"
#include "storage/db_removal.h"

enum { ARENA_BYTES = 1 << 20, FRESH_SECONDS = 60 };

struct fsck {
  const char *data;
  struct db *db;
  bool alive; /* a daemon uses the folder: what is new may not have its row yet */
  FILE *out;
  size_t faults, notes;
  struct error *err;
};

static void fault(void *context, const char *what, const char *text) {
  struct fsck *fsck = context;
  fsck->faults++;
  fprintf(fsck->out, "%s: %s\n", what, text);
}

static void note(struct fsck *fsck, const char *what, const char *text) {
  fsck->notes++;
  fprintf(fsck->out, "note: %s: %s\n", what, text);
}

/* ---- from the rows to the files ---- */

/* Is the row still there? A daemon deletes rows first and their bytes afterwards. */
static enum status still_there(bool *out, struct fsck *fsck, enum content_kind kind, const struct content_row *row) {
  AUTO(arena_done) struct arena arena;
  struct content_row again;
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_content_next(&again, out, fsck->db, kind, row->seq - 1, &arena, fsck->err);
  *out = *out && again.seq == row->seq && strcmp(again.path, row->path) == 0;
  return status;
}

static enum status check_there(const struct fsck *fsck, const char *path, struct error *why) {
  char full[PATH_BYTES];
  struct stat info;
  enum status status = path_format(full, why, "%s/%s", fsck->data, path);
  if (!status && lstat(full, &info) != 0)
    status = error_set(why, STATUS_IO, NULL, "the checkpoint is gone");
  return status;
}

/* A worker removes states that are not kept before the store hears of it. */
static enum status tell_broken(struct fsck *fsck, enum content_kind kind, const struct content_row *row,
                               const struct error *why) {
  char what[PATH_BYTES];
  bool known, running = false;
  snprintf(what, sizeof what, "%s (%s)", row->path, row->owner);
  enum status status = STATUS_OK;
  if (kind == CONTENT_STATE)
    status = db_content_job(&known, &running, fsck->db, row->owner, fsck->err);
  if (!status && running)
    note(fsck, what, why->text);
  else if (!status)
    fault(fsck, what, why->text);
  return status;
}

static enum status check_content(struct fsck *fsck, enum content_kind kind) {
  bool found;
  for (int64_t after = 0;;) {
    AUTO(arena_done) struct arena arena;
    struct content_row row;
    struct error why;
    arena_init(&arena, ARENA_BYTES);
    enum status status = db_content_next(&row, &found, fsck->db, kind, after, &arena, fsck->err);
    if (status || !found)
      return status;
    after = row.seq;
    enum status broken = !artifact_path_valid(row.path)
                             ? error_set(&why, STATUS_IO, NULL, "%s names a path that is not allowed", row.owner)
                         : row.sha256 ? artifact_verify(fsck->data, row.path, row.bytes, row.sha256, &why)
                                      : check_there(fsck, row.path, &why);
    if (broken)
      status = still_there(&found, fsck, kind, &row);
    if (status)
      return status;
    if (broken && found)
      status = tell_broken(fsck, kind, &row, &why);
    if (status)
      return status;
  }
}

/* ---- from the files to the rows ---- */

typedef enum status on_entry(struct fsck *fsck, const char *folder, const char *name);

/* Every entry of a folder of the data folder; one that is not there has none. */
static enum status walk(struct fsck *fsck, const char *folder, on_entry *entry_of) {
  char full[PATH_BYTES];
  enum status status = path_format(full, fsck->err, "%s/%s", fsck->data, folder);
  DIR *dir = status ? NULL : opendir(full);
  if (!dir)
    return status || errno == ENOENT ? status : error_set_errno(fsck->err, STATUS_IO, NULL, "cannot read %s", full);
  for (struct dirent *entry; !status && (entry = readdir(dir));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      status = entry_of(fsck, folder, entry->d_name);
  closedir(dir);
  return status;
}

static bool is_temporary(const char *name) {
  return strncmp(name, ".tmp-", 5) == 0;
}

/* Is it there, and not so new that its row may follow? */
static bool settled(const struct fsck *fsck, const char *path) {
  char full[PATH_BYTES];
  struct stat info;
  if (path_format(full, NULL, "%s/%s", fsck->data, path) || lstat(full, &info) != 0)
    return false;
  int64_t age = (int64_t)time(NULL) - (int64_t)info.st_ctim.tv_sec;
  return !fsck->alive || age < 0 || age > FRESH_SECONDS;
}

static enum status check_upload(struct fsck *fsck, const char *folder, const char *name) {
  char path[PATH_BYTES];
  bool known = false;
  enum status status = path_format(path, fsck->err, "%s/%s", folder, name);
  if (!status && !is_temporary(name))
    status = db_file_known(&known, fsck->db, name, fsck->err);
  if (!status && !known && !is_temporary(name))
    status = db_removal_noted(&known, fsck->db, path, fsck->err);
  if (status || known || !settled(fsck, path))
    return status;
  if (fsck->alive)
    fault(fsck, path, "no row names it");
  else if (is_temporary(name))
    note(fsck, path, "an upload that was cut off: the next start removes it");
  else
    note(fsck, path, "no row names it: the next start moves it to lost+found");
  return STATUS_OK;
}

/* jobs/<id>/exports/<seq> */
static enum status check_export(struct fsck *fsck, const char *folder, const char *name) {
  char id[64], path[PATH_BYTES];
  bool known;
  const char *from = strchr(folder, '/') + 1;
  snprintf(id, sizeof id, "%.*s", (int)strcspn(from, "/"), from);
  enum status status = db_content_of_export(&known, fsck->db, id, llabs(strtoll(name, NULL, 10)), fsck->err);
  if (!status)
    status = path_format(path, fsck->err, "%s/%s", folder, name);
  if (!status && !known && settled(fsck, path))
    fault(fsck, path, "no export made it");
  return status;
}

static enum status check_made(struct fsck *fsck, const char *folder, const char *name) {
  char path[PATH_BYTES];
  enum status status = path_format(path, fsck->err, "%s/%s", folder, name);
  if (!status && is_temporary(name) && settled(fsck, path))
    fault(fsck, path, "a temporary file that nobody writes any more");
  return status;
}

/* jobs/<id>/<token> */
static enum status check_output(struct fsck *fsck, const char *job_id, const char *name, const char *path) {
  bool known, running = false;
  char *end;
  int64_t token = strtoll(name, &end, 10);
  if (*end || end == name || token < 0) {
    fault(fsck, path, "nothing of a job is called so");
    return STATUS_OK;
  }
  enum status status = db_content_of_run(&known, fsck->db, job_id, token, fsck->err);
  if (!status && !known) {
    if (settled(fsck, path))
      fault(fsck, path, "it belongs to no run of its job");
    return STATUS_OK;
  }
  if (!status)
    status = db_content_job(&known, &running, fsck->db, job_id, fsck->err);
  return status || running ? status : walk(fsck, path, check_made);
}

static enum status check_entry_of_job(struct fsck *fsck, const char *folder, const char *name) {
  char path[PATH_BYTES];
  enum status status = path_format(path, fsck->err, "%s/%s", folder, name);
  if (status || strcmp(name, "log.txt") == 0)
    return status;
  if (strcmp(name, "exports") == 0)
    return walk(fsck, path, check_export);
  return check_output(fsck, strchr(folder, '/') + 1, name, path);
}

static enum status check_job_folder(struct fsck *fsck, const char *folder, const char *name) {
  char path[PATH_BYTES];
  bool known, running;
  enum status status = path_format(path, fsck->err, "%s/%s", folder, name);
  if (!status)
    status = db_content_job(&known, &running, fsck->db, name, fsck->err);
  if (!status && !known) {
    bool noted;
    status = db_removal_noted(&noted, fsck->db, path, fsck->err);
    if (!status && !noted && settled(fsck, path))
      fault(fsck, path, "it belongs to no job");
    return status;
  }
  if (!status && running && !fsck->alive)
    note(fsck, name, "was running when the daemon died: the next start queues it again");
  return status ? status : walk(fsck, path, check_entry_of_job);
}

/* ---- all of it ---- */

static enum status check_store_id(struct fsck *fsck) {
  char id[DB_ID_BYTES], noted[DB_ID_BYTES];
  enum status status = db_id(id, fsck->db, fsck->err);
  if (!status)
    status = data_store_id(noted, fsck->data, fsck->err);
  if (!status && strcmp(id, noted) != 0)
    fault(fsck, "store.id", noted[0] ? "names another store than the one that is here" : "is missing");
  return status;
}

static enum status check_all(struct fsck *fsck) {
  enum status status = db_check_pages(fsck->db, fault, fsck, fsck->err);
  if (status || fsck->faults > 0) /* rows of a damaged database say nothing */
    return status;
  status = check_store_id(fsck);
  if (!status)
    status = db_check_rows(fsck->db, fault, fsck, fsck->err);
  for (int kind = 0; !status && kind < CONTENT_KIND_COUNT; kind++)
    status = check_content(fsck, (enum content_kind)kind);
  if (!status)
    status = walk(fsck, "files", check_upload);
  return status ? status : walk(fsck, "jobs", check_job_folder);
}

enum status fsck_run(size_t *faults, const char *data, FILE *out, struct error *err) {
  char path[PATH_BYTES];
  struct fsck fsck = {.data = data, .out = out, .err = err};
  *faults = 0;
  enum status status = path_format(path, err, "%s/reflectd.db", data);
  if (!status)
    status = data_in_use(&fsck.alive, data, err);
  if (!status)
    status = db_open_reader(&fsck.db, path, err);
  if (!status)
    status = check_all(&fsck);
  db_close(fsck.db);
  *faults = fsck.faults;
  return status;
}

int fsck_command(int argc, char **argv) {
  AUTO(arena_done) struct arena arena;
  struct config config;
  struct error err;
  size_t faults;
  arena_init(&arena, ARENA_BYTES);
  if (command_config(&config, argc, argv, &arena, &err) || fsck_run(&faults, config.data, stdout, &err)) {
    command_fault(&err);
    return COMMAND_USAGE;
  }
  printf("%s: %zu fault%s\n", config.data, faults, faults == 1 ? "" : "s");
  return faults ? COMMAND_FAILED : COMMAND_OK;
}
