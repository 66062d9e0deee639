#include "storage/db_export.h"

#include "storage/row.h"

static const char *const names[EXPORT_STATE_COUNT] = {[EXPORT_QUEUED] = "queued",
                                                      [EXPORT_RUNNING] = "running",
                                                      [EXPORT_SUCCEEDED] = "succeeded",
                                                      [EXPORT_FAILED] = "failed"};

const char *export_state_name(enum export_state state) {
  CHECK(state < EXPORT_STATE_COUNT);
  return names[state];
}

static bool parse_state(void *member, const char *word) {
  size_t at = row_word(names, EXPORT_STATE_COUNT, word);
  *(enum export_state *)member = (enum export_state)at;
  return at < EXPORT_STATE_COUNT;
}

#define AT(member) offsetof(struct export_row, member)
static const struct column columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"job_id", COLUMN_TEXT, AT(job_id), NULL},
    {"format", COLUMN_TEXT, AT(format), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"finished_at", COLUMN_INT, AT(finished_at), NULL},
    {"state", COLUMN_WORD, AT(state), parse_state},
    {"error_code", COLUMN_TEXT, AT(error_code), NULL},
    {"error_message", COLUMN_TEXT, AT(error_message), NULL},
};
#undef AT
static const struct row_type export_type = {"an export", sizeof(struct export_row), columns, COUNT_OF(columns)};

enum status db_export_add(struct db *db, const char *job_id, const char *format, enum export_state state, int64_t now,
                          struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db,
                "INSERT INTO export (job_id, format, created_at, finished_at, state)"
                " VALUES (?1, ?2, ?3, iif(?4 = 'succeeded', ?3, NULL), ?4)"
                " ON CONFLICT (job_id, format) DO UPDATE SET state = excluded.state, created_at = excluded.created_at,"
                " finished_at = excluded.finished_at, error_code = NULL, error_message = NULL WHERE state = 'failed'",
                err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_text(&stmt, format);
  stmt_int(&stmt, now);
  stmt_text(&stmt, export_state_name(state));
  return stmt_run(&stmt, NULL, err);
}

enum status db_export_list(struct export_row **out, size_t *count, struct db *db, const char *job_id,
                           struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  *count = 0;
  enum status status = row_open(&stmt, db, &export_type, "SELECT * FROM export WHERE job_id = ?1 ORDER BY seq", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  status = row_list(&list, &export_type, &stmt, INT64_MAX, arena, err);
  *out = list.rows;
  *count = list.count;
  return status;
}

enum status db_export_queued(int64_t *out, struct db *db, struct error *err) {
  return stmt_number(out, db, "SELECT count(*) FROM export WHERE state = 'queued'", NULL, err);
}

enum status db_export_claim(struct export_row *out, bool *found, struct db *db, struct arena *arena,
                            struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, &export_type,
                                "UPDATE export SET state = 'running' WHERE seq = (SELECT seq FROM export"
                                " WHERE state = 'queued' ORDER BY seq LIMIT 1) RETURNING *",
                                err);
  return status ? status : row_next(out, found, &export_type, &stmt, arena, err);
}

enum status db_export_end(struct db *db, int64_t seq, enum export_state to, const struct error *why, int64_t now,
                          struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE export SET state = ?2, finished_at = iif(?2 = 'queued', NULL, ?3),"
                                 " error_code = ?4, error_message = ?5 WHERE seq = ?1 AND state = 'running'",
                                 err);
  if (status)
    return status;
  bool failed = to == EXPORT_FAILED;
  stmt_int(&stmt, seq);
  stmt_text(&stmt, export_state_name(to));
  stmt_int(&stmt, now);
  stmt_text(&stmt, failed ? status_code(why->status) : NULL);
  stmt_text(&stmt, failed ? why->text : NULL);
  return stmt_run(&stmt, NULL, err);
}

enum status db_export_requeue(struct db *db, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "UPDATE export SET state = 'queued' WHERE state = 'running'", err);
  return status ? status : stmt_run(&stmt, NULL, err);
}

enum status db_export_delete_of_job(struct db *db, const char *job_id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "DELETE FROM export WHERE job_id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  return stmt_run(&stmt, NULL, err);
}
