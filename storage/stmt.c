#include "storage/stmt.h"

#include <errno.h>

enum status stmt_fault(struct db *db, int code, struct error *err) {
  db->faults++;
  const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
  int number = db->handle ? sqlite3_system_errno(db->handle) : 0;
  if ((code & 0xFF) == SQLITE_IOERR && (number == ENOSPC || number == EDQUOT))
    code = SQLITE_FULL; /* of the file that readers and writers share */
  switch (code & 0xFF) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    db->busy++;
    return error_set(err, STATUS_DATABASE_BUSY, NULL, "the database is busy: %s", text);
  case SQLITE_FULL: return error_set(err, STATUS_NO_SPACE, NULL, "the database cannot grow: %s", text);
  case SQLITE_NOMEM: return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "the database needs memory: %s", text);
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB: return error_set(err, STATUS_INTERNAL, NULL, "the database is damaged: %s" STMT_ADVICE, text);
  case SQLITE_IOERR: return error_set(err, STATUS_IO, NULL, "the database cannot be read or written: %s", text);
  }
  return error_set(err, STATUS_INTERNAL, NULL, "the database failed: %s (%d)", text, code);
}

bool stmt_find(struct stmt *out, struct db *db, const char *sql) {
  *out = (struct stmt){.db = db};
  for (size_t i = 0; i < db->count && !out->handle; i++)
    if (db->statement[i].sql == sql)
      out->handle = db->statement[i].handle;
  CHECK(!out->handle || !sqlite3_stmt_busy(out->handle));
  return out->handle != NULL;
}

enum status stmt_prepare(struct stmt *out, struct db *db, const char *sql, const char *text, struct error *err) {
  *out = (struct stmt){.db = db};
  CHECK(db->count < STATEMENTS_MAX);
  int code = sqlite3_prepare_v3(db->handle, text, -1, SQLITE_PREPARE_PERSISTENT, &out->handle, NULL);
  if (code != SQLITE_OK)
    return stmt_fault(db, code, err);
  db->statement[db->count].sql = sql;
  db->statement[db->count++].handle = out->handle;
  return STATUS_OK;
}

enum status stmt_open(struct stmt *out, struct db *db, const char *sql, struct error *err) {
  return stmt_find(out, db, sql) ? STATUS_OK : stmt_prepare(out, db, sql, sql, err);
}

void stmt_done(struct stmt *stmt) {
  if (!stmt->handle)
    return;
  sqlite3_reset(stmt->handle);
  sqlite3_clear_bindings(stmt->handle);
  stmt->handle = NULL;
}

static void note(struct stmt *stmt, int code) {
  if (code != SQLITE_OK && !stmt->fault)
    stmt->fault = code;
}

void stmt_text(struct stmt *stmt, const char *text) {
  note(stmt, sqlite3_bind_text(stmt->handle, ++stmt->bound, text, -1, SQLITE_STATIC));
}

void stmt_int(struct stmt *stmt, int64_t value) {
  note(stmt, sqlite3_bind_int64(stmt->handle, ++stmt->bound, value));
}

void stmt_int_or_null(struct stmt *stmt, int64_t value) {
  if (value)
    stmt_int(stmt, value);
  else
    stmt_text(stmt, NULL);
}

enum status stmt_step(struct stmt *stmt, bool *row, struct error *err) {
  *row = false;
  if (stmt->fault)
    return stmt_fault(stmt->db, stmt->fault, err);
  int code = sqlite3_step(stmt->handle);
  *row = code == SQLITE_ROW;
  return *row || code == SQLITE_DONE ? STATUS_OK : stmt_fault(stmt->db, code, err);
}

enum status stmt_run(struct stmt *stmt, int64_t *changed, struct error *err) {
  bool row;
  enum status status;
  do
    status = stmt_step(stmt, &row, err);
  while (!status && row);
  if (changed)
    *changed = status ? 0 : sqlite3_changes64(stmt->db->handle);
  return status;
}

int64_t stmt_get_int(const struct stmt *stmt, int column) {
  return sqlite3_column_int64(stmt->handle, column);
}

const char *stmt_get_text(const struct stmt *stmt, int column, struct arena *arena) {
  const char *text = (const char *)sqlite3_column_text(stmt->handle, column);
  return text ? arena_copy(arena, text, (size_t)sqlite3_column_bytes(stmt->handle, column)) : NULL;
}

enum status stmt_number(int64_t *out, struct db *db, const char *sql, const char *param, struct error *err) {
  return stmt_number2(out, db, sql, param, NULL, err);
}

enum status stmt_number2(int64_t *out, struct db *db, const char *sql, const char *first, const char *second,
                         struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  enum status status = stmt_open(&stmt, db, sql, err);
  if (status)
    return status;
  if (first)
    stmt_text(&stmt, first);
  if (second)
    stmt_text(&stmt, second);
  status = stmt_step(&stmt, &row, err);
  *out = row ? stmt_get_int(&stmt, 0) : -1;
  return status;
}
