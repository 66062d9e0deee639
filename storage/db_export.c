#include "storage/db_export.h"

#include <string.h>

#include "storage/stmt.h"

#define COLUMNS "seq, job_id, format, created_at, finished_at, state, error_code, error_message"

static const char *const names[EXPORT_STATE_COUNT] = {[EXPORT_QUEUED] = "queued",
                                                      [EXPORT_RUNNING] = "running",
                                                      [EXPORT_SUCCEEDED] = "succeeded",
                                                      [EXPORT_FAILED] = "failed"};

const char *export_state_name(enum export_state state) {
  CHECK(state < EXPORT_STATE_COUNT);
  return names[state];
}

static enum status read_row(struct export_row *out, const struct stmt *stmt, struct arena *arena, struct error *err) {
  const char *state = stmt_get_text(stmt, 5, arena);
  *out = (struct export_row){.seq = stmt_get_int(stmt, 0),
                             .job_id = stmt_get_text(stmt, 1, arena),
                             .format = stmt_get_text(stmt, 2, arena),
                             .created_at = stmt_get_int(stmt, 3),
                             .finished_at = stmt_get_int(stmt, 4),
                             .error_code = stmt_get_text(stmt, 6, arena),
                             .error_message = stmt_get_text(stmt, 7, arena)};
  if (!state || !out->job_id || !out->format)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading an export's row");
  while (strcmp(names[out->state], state) != 0) /* the table lets no other in */
    out->state++;
  return STATUS_OK;
}

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
  bool row;
  int64_t total;
  *count = 0;
  enum status status = stmt_number(&total, db, "SELECT count(*) FROM export WHERE job_id = ?1", job_id, err);
  if (!status)
    status = stmt_open(&stmt, db, "SELECT " COLUMNS " FROM export WHERE job_id = ?1 ORDER BY seq", err);
  if (status)
    return status;
  *out = arena_array(arena, (size_t)total + 1, sizeof **out);
  if (!*out)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "the list of exports is too long");
  stmt_text(&stmt, job_id);
  while (!(status = stmt_step(&stmt, &row, err)) && row && *count < (size_t)total) {
    status = read_row(*out + (*count)++, &stmt, arena, err);
    if (status)
      return status;
  }
  return status;
}

enum status db_export_queued(int64_t *out, struct db *db, struct error *err) {
  return stmt_number(out, db, "SELECT count(*) FROM export WHERE state = 'queued'", NULL, err);
}

enum status db_export_claim(struct export_row *out, bool *found, struct db *db, struct arena *arena,
                            struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE export SET state = 'running' WHERE seq = (SELECT seq FROM export"
                                 " WHERE state = 'queued' ORDER BY seq LIMIT 1) RETURNING " COLUMNS,
                                 err);
  if (!status)
    status = stmt_step(&stmt, found, err);
  return status || !*found ? status : read_row(out, &stmt, arena, err);
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
