#include "storage/db_artifact.h"

#include <string.h>

#include "storage/stmt.h"

#define COLUMNS "job_id, name, path, bytes, sha256, file_id, created_at"

static enum status read_row(struct artifact_row *out, const struct stmt *stmt, struct arena *arena,
                            struct error *err) {
  *out = (struct artifact_row){.job_id = stmt_get_text(stmt, 0, arena),
                               .name = stmt_get_text(stmt, 1, arena),
                               .path = stmt_get_text(stmt, 2, arena),
                               .bytes = stmt_get_int(stmt, 3),
                               .sha256 = stmt_get_text(stmt, 4, arena),
                               .file_id = stmt_get_text(stmt, 5, arena),
                               .created_at = stmt_get_int(stmt, 6)};
  if (!out->job_id || !out->name || !out->path || !out->sha256)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading an artifact's row");
  return STATUS_OK;
}

enum status db_artifact_add(struct db *db, const struct artifact_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db, "INSERT INTO artifact (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", err);
  if (status)
    return status;
  stmt_text(&stmt, row->job_id);
  stmt_text(&stmt, row->name);
  stmt_text(&stmt, row->path);
  stmt_int(&stmt, row->bytes);
  stmt_text(&stmt, row->sha256);
  stmt_text(&stmt, row->file_id);
  stmt_int(&stmt, row->created_at);
  return stmt_run(&stmt, NULL, err);
}

enum status db_artifact_list(struct artifact_row **out, size_t *count, struct db *db, const char *job_id,
                             struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  int64_t rows;
  bool row;
  *count = 0;
  enum status status = stmt_number(&rows, db, "SELECT count(*) FROM artifact WHERE job_id = ?1", job_id, err);
  if (!status)
    status = stmt_open(&stmt, db, "SELECT " COLUMNS " FROM artifact WHERE job_id = ?1 ORDER BY seq", err);
  if (status)
    return status;
  *out = arena_array(arena, (size_t)rows, sizeof **out);
  if (!*out)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "the list of artifacts is too long");
  stmt_text(&stmt, job_id);
  while (!(status = stmt_step(&stmt, &row, err)) && row && *count < (size_t)rows)
    if ((status = read_row(*out + (*count)++, &stmt, arena, err)))
      break;
  return status;
}

enum status db_artifact_get(struct artifact_row *out, struct db *db, const char *job_id, const char *name,
                            struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  enum status status = stmt_open(&stmt, db, "SELECT " COLUMNS " FROM artifact WHERE job_id = ?1 AND name = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_text(&stmt, name);
  status = stmt_step(&stmt, &row, err);
  if (!status && !row)
    return error_set(err, STATUS_ARTIFACT_NOT_FOUND, "name", "the job has no artifact named %.128s", name);
  return status ? status : read_row(out, &stmt, arena, err);
}

enum status db_artifact_delete_of_job(struct db *db, const char *job_id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "DELETE FROM artifact WHERE job_id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  return stmt_run(&stmt, NULL, err);
}
