#include "storage/db_removal.h"

#include "storage/stmt.h"

static enum status run_with(struct db *db, const char *sql, const char *path, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, sql, err);
  if (status)
    return status;
  stmt_text(&stmt, path);
  return stmt_run(&stmt, NULL, err);
}

enum status db_removal_add(struct db *db, const char *path, struct error *err) {
  return run_with(db, "INSERT OR IGNORE INTO removal VALUES (?1)", path, err);
}

enum status db_removal_done(struct db *db, const char *path, struct error *err) {
  return run_with(db, "DELETE FROM removal WHERE path = ?1", path, err);
}

enum status db_removal_next(const char **out, struct db *db, const char *after, struct arena *arena,
                            struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  *out = NULL;
  enum status status = stmt_open(&stmt, db, "SELECT path FROM removal WHERE path > ?1 ORDER BY path LIMIT 1", err);
  if (status)
    return status;
  stmt_text(&stmt, after);
  status = stmt_step(&stmt, &row, err);
  if (status || !row)
    return status;
  *out = stmt_get_text(&stmt, 0, arena);
  return *out ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading what is to be removed");
}

enum status db_removal_noted(bool *out, struct db *db, const char *path, struct error *err) {
  int64_t rows = 0;
  enum status status = stmt_number(&rows, db, "SELECT count(*) FROM removal WHERE path = ?1", path, err);
  *out = rows > 0;
  return status;
}
