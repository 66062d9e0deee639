/* Opening, migrating, transactions. */
#include "storage/db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "storage/stmt.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
/* What brings a database from version i to i + 1. */
static const char *const schemas[] = {
#include "storage/schema.sql.inc"
    ,
#include "storage/schema_2.sql.inc"
    ,
#include "storage/schema_3.sql.inc"
    ,
#include "storage/schema_4.sql.inc"
    ,
#include "storage/schema_5.sql.inc"
    ,
#include "storage/schema_6.sql.inc"
    ,
#include "storage/schema_7.sql.inc"
    ,
#include "storage/schema_8.sql.inc"
    ,
#include "storage/schema_9.sql.inc"
    ,
#include "storage/schema_10.sql.inc"
    ,
#include "storage/schema_11.sql.inc"
    ,
#include "storage/schema_12.sql.inc"
    ,
#include "storage/schema_13.sql.inc"
    ,
#include "storage/schema_14.sql.inc"
    ,
#include "storage/schema_15.sql.inc"
    ,
#include "storage/schema_16.sql.inc"
    ,
#include "storage/schema_17.sql.inc"
    ,
#include "storage/schema_18.sql.inc"
    ,
#include "storage/schema_19.sql.inc"
    ,
#include "storage/schema_20.sql.inc"
    ,
#include "storage/schema_21.sql.inc"
    ,
#include "storage/schema_22.sql.inc"
    ,
#include "storage/schema_23.sql.inc"
    ,
#include "storage/schema_24.sql.inc"
};
#pragma GCC diagnostic pop

enum {
  APPLICATION_ID = 0x7265666C, /* "refl" */
  SCHEMA_VERSION = COUNT_OF(schemas),
  /* At start another program may be about to leave. Later nobody may hold the loop up: who meets a lock tries again. */
  OPEN_TIMEOUT_MS = 5000,
  BUSY_TIMEOUT_MS = 50,
  RESERVE_BYTES = 1 << 20,
};

static enum status execute(struct db *db, const char *sql, struct error *err) {
  int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? STATUS_OK : stmt_fault(db, code, err);
}

/* Refuses a database that this program must not touch. */
static enum status check_identity(struct db *db, int64_t *version, struct error *err) {
  int64_t application, objects;
  enum status status = stmt_number(version, db, "PRAGMA user_version", NULL, err);
  if (!status)
    status = stmt_number(&application, db, "PRAGMA application_id", NULL, err);
  if (!status)
    status = stmt_number(&objects, db, "SELECT count(*) FROM sqlite_schema", NULL, err);
  if (status)
    return status;
  if (objects > 0 && application != APPLICATION_ID)
    return error_set(err, STATUS_INTERNAL, NULL, "this is a database of another program");
  if (*version > SCHEMA_VERSION)
    return error_set(err, STATUS_INTERNAL, NULL,
                     "the database has schema version %" PRId64 "; this program knows versions up to %d: start a newer"
                     " one, or restore a backup of before the upgrade", *version, SCHEMA_VERSION);
  return STATUS_OK;
}

/* And one that is damaged. */
static enum status check(struct db *db, int64_t *version, struct error *err) {
  struct stmt stmt;
  bool row;
  enum status status = check_identity(db, version, err);
  if (status)
    return status;
  status = stmt_open(&stmt, db, "PRAGMA quick_check(1)", err);
  if (!status)
    status = stmt_step(&stmt, &row, err);
  if (!status && (!row || strcmp((const char *)sqlite3_column_text(stmt.handle, 0), "ok") != 0))
    status = error_set(err, STATUS_INTERNAL, NULL, "the database is damaged: %s" STMT_ADVICE,
                       row ? (const char *)sqlite3_column_text(stmt.handle, 0) : "no answer");
  stmt_done(&stmt);
  return status;
}

static enum status migrate(struct db *db, int64_t version, struct error *err) {
  if (version == SCHEMA_VERSION)
    return STATUS_OK;
  char stamp[96];
  sqlite3_snprintf(sizeof stamp, stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID,
                   SCHEMA_VERSION);
  enum status status = db_begin(db, err);
  if (status)
    return status;
  for (int64_t i = version; !status && i < SCHEMA_VERSION; i++)
    status = execute(db, schemas[i], err);
  if (!status)
    status = execute(db, stamp, err);
  if (status) {
    db_rollback(db);
    return status;
  }
  return db_commit(db, err);
}

static enum status set_up(struct db *db, const char *path, bool create, struct error *err) {
  int64_t version = 0, objects = 0;
  if (!create && db_absent(path))
    return error_set(err, STATUS_NOT_FOUND, NULL, "the database is missing or empty");
  int code = sqlite3_open_v2(path, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
  if (code != SQLITE_OK)
    return stmt_fault(db, code, err);
  sqlite3_busy_timeout(db->handle, OPEN_TIMEOUT_MS);
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  /* Else a statement is prepared anew at each use, where a partial index could do for one value of a parameter. */
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
  sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, 16 << 20);
  sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
  enum status status = stmt_number(&objects, db, "SELECT count(*) FROM sqlite_schema", NULL, err);
  if (!status && objects == 0 && !create)
    return error_set(err, STATUS_NOT_FOUND, NULL, "the database is empty");
  if (!status)
    status = execute(db,
                     "PRAGMA cell_size_check=ON; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY",
                     err);
  if (!status)
    status = check(db, &version, err);
  if (!status)
    status = migrate(db, version, err);
  sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
  return status;
}

static enum status open_once(struct db **out, const char *path, bool create, struct error *err) {
  struct db *db = calloc(1, sizeof *db);
  *out = NULL;
  if (!db)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "opening %s", path);
  if ((size_t)snprintf(db->reserve, sizeof db->reserve, "%s-reserve", path) >= sizeof db->reserve) {
    free(db);
    return error_set(err, STATUS_IO, NULL, "the path %.80s... is too long", path);
  }
  enum status status = set_up(db, path, create, err);
  if (status) {
    error_prefix(err, "%s", path);
    db_close(db);
    return status;
  }
  *out = db;
  return STATUS_OK;
}

/* Beside a daemon: whoever does not write changes neither the file nor its settings. */
static enum status set_up_beside(struct db *db, const char *path, bool writes, struct error *err) {
  int64_t version;
  int mode = writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  int code = sqlite3_open_v2(path, &db->handle, mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
  if (code != SQLITE_OK)
    return stmt_fault(db, code, err);
  sqlite3_busy_timeout(db->handle, OPEN_TIMEOUT_MS);
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  enum status status = execute(db,
                               "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=ON;"
                               "PRAGMA synchronous=FULL",
                               err);
  if (!status)
    status = check_identity(db, &version, err);
  if (!status && version < SCHEMA_VERSION)
    status = error_set(err, STATUS_INTERNAL, NULL,
                       "the database has schema version %" PRId64 "; this program needs version %d, to which its daemon"
                       " brings it when it starts",
                       version, SCHEMA_VERSION);
  return status;
}

static enum status open_beside(struct db **out, const char *path, bool writes, struct error *err) {
  *out = NULL;
  if (db_absent(path))
    return error_set(err, STATUS_NOT_FOUND, NULL, "%s is missing or empty", path);
  struct db *db = calloc(1, sizeof *db);
  if (!db)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "opening %s", path);
  enum status status = set_up_beside(db, path, writes, err);
  if (status) {
    error_prefix(err, "%s", path);
    db_close(db);
    return status;
  }
  *out = db;
  return STATUS_OK;
}

enum status db_open_reader(struct db **out, const char *path, struct error *err) {
  return open_beside(out, path, false, err);
}

enum status db_open_beside(struct db **out, const char *path, struct error *err) {
  return open_beside(out, path, true, err);
}

enum status db_copy(struct db *db, const char *path, struct error *err) {
  struct db to = {0};
  int code = sqlite3_open_v2(path, &to.handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
  sqlite3_backup *backup = code == SQLITE_OK ? sqlite3_backup_init(to.handle, "main", db->handle, "main") : NULL;
  if (backup) {
    sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
  }
  code = sqlite3_errcode(to.handle);
  enum status status = code == SQLITE_OK ? execute(&to, "PRAGMA journal_mode=DELETE", err) : stmt_fault(&to, code, err);
  sqlite3_close(to.handle);
  return status ? error_prefix(err, "copying the database to %s", path) : STATUS_OK;
}

enum status db_open(struct db **out, const char *path, bool create, struct error *err) {
  char reserve[1024];
  enum status status = open_once(out, path, create, err);
  if (status != STATUS_NO_SPACE)
    return status;
  /* Recovery after a crash writes too. */
  snprintf(reserve, sizeof reserve, "%s-reserve", path);
  return unlink(reserve) == 0 ? open_once(out, path, create, err) : status;
}

bool db_absent(const char *path) {
  struct stat info;
  return stat(path, &info) != 0 ? errno == ENOENT : info.st_size == 0;
}

enum status db_id(char out[DB_ID_BYTES], struct db *db, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  enum status status = stmt_open(&stmt, db, "SELECT id FROM store LIMIT 1", err);
  if (!status)
    status = stmt_step(&stmt, &row, err);
  if (status)
    return status;
  const char *id = row ? (const char *)sqlite3_column_text(stmt.handle, 0) : NULL;
  if (!id)
    return error_set(err, STATUS_INTERNAL, NULL, "the database is damaged: it has lost its id" STMT_ADVICE);
  snprintf(out, DB_ID_BYTES, "%s", id);
  return STATUS_OK;
}

enum status db_unused(bool *out, struct db *db, struct error *err) {
  int64_t rows = 0;
  enum status status =
      stmt_number(&rows, db, "SELECT EXISTS (SELECT 1 FROM file) OR EXISTS (SELECT 1 FROM job)", NULL, err);
  *out = rows == 0;
  return status;
}

void db_close(struct db *db) {
  if (!db)
    return;
  for (size_t i = 0; i < db->count; i++)
    sqlite3_finalize(db->statement[i].handle);
  int code = sqlite3_close(db->handle);
  if (code != SQLITE_OK)
    log_error("closing the database: %s", sqlite3_errstr(code));
  free(db);
}

static enum status run_literal(struct db *db, const char *sql, struct error *err) {
  struct stmt stmt;
  enum status status = stmt_open(&stmt, db, sql, err);
  if (!status)
    status = stmt_run(&stmt, NULL, err);
  stmt_done(&stmt);
  return status;
}

#define UNDONE "what was to be stored together was undone"

/* An error of SQLite may have rolled back all of a transaction by itself. */
static bool undone(const struct db *db) {
  return sqlite3_get_autocommit(db->handle);
}

/* One more transaction in the group. Whoever joined it is a savepoint of his own, around his transactions. */
static enum status begin_together(struct db *db, struct error *err) {
  enum status status = STATUS_OK;
  if (db->group && undone(db)) {
    db->faults++;
    return error_set(err, STATUS_DATABASE_BUSY, NULL, UNDONE);
  }
  if (!db->group) {
    status = run_literal(db, "BEGIN IMMEDIATE", err);
    db->group = !status;
  }
  if (!status && !db->member) {
    status = run_literal(db, "SAVEPOINT member", err);
    db->member = !status;
  }
  return status ? status : run_literal(db, "SAVEPOINT change", err);
}

enum status db_begin(struct db *db, struct error *err) {
  CHECK(!db->in_transaction && (db->joined || !db->group));
  enum status status = db->joined ? begin_together(db, err) : run_literal(db, "BEGIN IMMEDIATE", err);
  db->in_transaction = !status;
  return status;
}

enum status db_commit(struct db *db, struct error *err) {
  CHECK(db->in_transaction);
  enum status status = db->next ? db->next(db, db->next_what, err) : STATUS_OK;
  if (!status)
    status = run_literal(db, db->joined ? "RELEASE change" : "COMMIT", err);
  if (status)
    db_rollback(db);
  else
    db->next = NULL;
  db->in_transaction = false;
  return status;
}

static void undo(struct db *db, const char *sql) {
  if (undone(db) || !run_literal(db, sql, NULL))
    return;
  log_error("rolling back: %s", sqlite3_errmsg(db->handle));
  db->spoilt = true;
}

void db_rollback(struct db *db) {
  CHECK(db->in_transaction);
  db->in_transaction = false;
  undo(db, db->joined ? "ROLLBACK TO change" : "ROLLBACK");
  if (db->joined)
    undo(db, "RELEASE change");
}

void db_join(struct db *db) {
  CHECK(!db->in_transaction && !db->joined);
  db->joined = true;
  db->faults_before = db->faults;
}

bool db_leave(struct db *db) {
  CHECK(!db->in_transaction && db->joined);
  bool good = db->faults == db->faults_before;
  if (db->member && good)
    good = !run_literal(db, "RELEASE member", NULL);
  if (db->member && !good) {
    undo(db, "ROLLBACK TO member");
    undo(db, "RELEASE member");
  }
  db->member = db->joined = false;
  return good;
}

uint64_t db_busy(const struct db *db) {
  return db->busy;
}

/* The index of SQLite's log (https://sqlite.org/walformat.html, 2.1) lies in memory that all processes share. It begins
   with two copies of its header, written one after the other by who commits and read in the other order, so that two
   that are the same are one header. It holds a counter, the log's salts, its length and the sum of all of it. */
enum status db_version(struct db_version *out, struct db *db, struct error *err) {
  enum { REGION_BYTES = 32768 }; /* in which the index is shared */
  unsigned char second[sizeof out->index];
  void volatile *index = NULL;
  out->changes = sqlite3_total_changes64(db->handle);
  int code = SQLITE_OK;
  if (!db->file)
    code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&db->file);
  sqlite3_file *file = db->file;
  if (code == SQLITE_OK)
    code = file->pMethods->xShmMap(file, 0, REGION_BYTES, false, &index);
  if (code != SQLITE_OK)
    return stmt_fault(db, code, err);
  if (!index)
    return error_set(err, STATUS_DATABASE_BUSY, NULL, "the database has no log yet");
  const unsigned char *header = (const unsigned char *)(uintptr_t)index;
  memcpy(out->index, header, sizeof out->index);
  file->pMethods->xShmBarrier(file);
  memcpy(second, header + sizeof out->index, sizeof second);
  if (memcmp(out->index, second, sizeof second) != 0)
    return error_set(err, STATUS_DATABASE_BUSY, NULL, "something is being stored");
  return STATUS_OK;
}

bool db_version_same(const struct db_version *a, const struct db_version *b) {
  return a->changes == b->changes && memcmp(a->index, b->index, sizeof a->index) == 0;
}

bool db_gathered(const struct db *db) {
  return db->group;
}

enum status db_settle(struct db *db, struct error *err) {
  CHECK(db->group && !db->joined);
  bool whole = !undone(db) && !db->spoilt;
  enum status status = whole ? run_literal(db, "COMMIT", err) : error_set(err, STATUS_DATABASE_BUSY, NULL, UNDONE);
  db->group = db->spoilt = false;
  if (status)
    undo(db, "ROLLBACK");
  return status;
}

void db_with_next(struct db *db, db_change *change, const void *what) {
  CHECK(!db->next);
  db->next = change;
  db->next_what = what;
}

bool db_with_none(struct db *db) {
  bool waits = db->next != NULL;
  db->next = NULL;
  return waits;
}

static void on_change(void *context, int operation, const char *schema, const char *table, sqlite3_int64 row) {
  const struct db *db = context;
  (void)operation;
  (void)schema;
  if (strcmp(table, "job") == 0)
    db->changed(db->changed_context, false, row);
  else if (strcmp(table, "event") == 0)
    db->changed(db->changed_context, true, row);
}

void db_watch(struct db *db, db_changed *changed, void *context) {
  db->changed = changed;
  db->changed_context = context;
  sqlite3_update_hook(db->handle, changed ? on_change : NULL, db);
}

void db_reserve(struct db *db) {
  struct statvfs disk;
  struct stat info;
  if (stat(db->reserve, &info) == 0 && info.st_size == RESERVE_BYTES)
    return;
  if (statvfs(sqlite3_db_filename(db->handle, "main"), &disk) != 0 ||
      (uint64_t)disk.f_bavail * disk.f_frsize < (uint64_t)4 * RESERVE_BYTES)
    return;
  int fd = open(db->reserve, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  int code = fd < 0 ? errno : posix_fallocate(fd, 0, RESERVE_BYTES);
  if (fd >= 0)
    close(fd);
  if (!code)
    return;
  log_warn("no bytes can be set aside for a full disk: %s", strerror(code));
  unlink(db->reserve);
}

/* Gives up the reserve, and begins the log of changes anew, which needs no room beyond what it has. */
static void make_room(struct db *db) {
  struct error err;
  int64_t busy;
  if (unlink(db->reserve) == 0)
    log_warn("the disk is full: the bytes that were set aside are used to end and to delete things");
  if (stmt_number(&busy, db, "PRAGMA wal_checkpoint(RESTART)", NULL, &err))
    log_warn("%s", err.text);
}

static enum status apply_once(struct db *db, db_change *change, const void *what, struct error *err) {
  enum status status = db_begin(db, err);
  if (status)
    return status;
  status = change(db, what, err);
  if (!status)
    return db_commit(db, err);
  db_rollback(db);
  return status;
}

enum status db_apply(struct db *db, db_change *change, const void *what, bool frees, struct error *err) {
  enum status status = apply_once(db, change, what, err);
  if (status != STATUS_NO_SPACE || !frees || db->joined)
    return status;
  make_room(db);
  return apply_once(db, change, what, err);
}

enum status db_probe(struct db *db, struct error *err) {
  enum status status = db_begin(db, err);
  if (!status)
    db_rollback(db);
  return status;
}
