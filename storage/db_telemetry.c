#include "storage/db_telemetry.h"

#include "storage/row.h"

static const struct column columns[] = {
    {"step", COLUMN_INT, offsetof(struct telemetry_row, step), NULL},
    {"data", COLUMN_TEXT, offsetof(struct telemetry_row, data), NULL},
};
static const struct row_type telemetry_type = {"telemetry", sizeof(struct telemetry_row), columns, COUNT_OF(columns)};

enum status db_telemetry_add(struct db *db, const char *job_id, const struct telemetry_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(
      &stmt, db, "INSERT INTO telemetry (job_id, step, data) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, row->step);
  stmt_text(&stmt, row->data);
  return stmt_run(&stmt, NULL, err);
}

enum status db_telemetry_list(struct telemetry_row **out, size_t *count, bool *more, struct db *db, const char *job_id,
                              int64_t first, int64_t limit, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  enum status status = row_open(&stmt, db, &telemetry_type,
                                "SELECT * FROM telemetry WHERE job_id = ?1 AND step >= ?2 ORDER BY step LIMIT ?3", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, first);
  stmt_int(&stmt, limit + 1);
  status = row_list(&list, &telemetry_type, &stmt, limit, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}
