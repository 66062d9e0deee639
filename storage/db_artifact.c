#include "storage/db_artifact.h"

#include "storage/row.h"

#define AT(member) offsetof(struct artifact_row, member)
static const struct column columns[] = {
    {"job_id", COLUMN_TEXT, AT(job_id), NULL},
    {"name", COLUMN_TEXT, AT(name), NULL},
    {"path", COLUMN_TEXT, AT(path), NULL},
    {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"sha256", COLUMN_TEXT, AT(sha256), NULL},
    {"file_id", COLUMN_TEXT, AT(file_id), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
};
#undef AT
static const struct row_type artifact_type = {"an artifact", sizeof(struct artifact_row), columns, COUNT_OF(columns)};

static enum status insert_artifact(struct db *db, const struct artifact_row *row, bool is_preview, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db,
                "INSERT INTO artifact (job_id, name, path, bytes, sha256, file_id, created_at, is_preview)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                err);
  if (status)
    return status;
  stmt_text(&stmt, row->job_id);
  stmt_text(&stmt, row->name);
  stmt_text(&stmt, row->path);
  stmt_int(&stmt, row->bytes);
  stmt_text(&stmt, row->sha256);
  stmt_text(&stmt, row->file_id);
  stmt_int(&stmt, row->created_at);
  stmt_int(&stmt, is_preview);
  return stmt_run(&stmt, NULL, err);
}

enum status db_artifact_add(struct db *db, const struct artifact_row *row, struct error *err) {
  return insert_artifact(db, row, false, err);
}

/* The preview that had the name. */
static enum status forget_same_name(struct db *db, const struct artifact_row *row, struct error *err) {
  static const char *const statements[] = {
      "INSERT OR IGNORE INTO removal SELECT path FROM artifact"
      " WHERE job_id = ?1 AND name = ?2 AND is_preview AND path <> ?3",
      "DELETE FROM artifact WHERE job_id = ?1 AND name = ?2 AND is_preview",
  };
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(statements); i++) {
    AUTO(stmt_done) struct stmt stmt = {0};
    status = stmt_open(&stmt, db, statements[i], err);
    if (status)
      return status;
    stmt_text(&stmt, row->job_id);
    stmt_text(&stmt, row->name);
    if (i == 0)
      stmt_text(&stmt, row->path);
    status = stmt_run(&stmt, NULL, err);
  }
  return status;
}

/* Of the job's previews the newest `keep` stay. */
static enum status forget_oldest(struct db *db, const char *job_id, int64_t keep, int64_t *forgotten,
                                 struct error *err) {
#define OLDEST                                                                                                         \
  " FROM artifact WHERE job_id = ?1 AND is_preview AND seq <="                                                         \
  " (SELECT seq FROM artifact WHERE job_id = ?1 AND is_preview ORDER BY seq DESC LIMIT 1 OFFSET ?2)"
  static const char *const statements[] = {"INSERT OR IGNORE INTO removal SELECT path" OLDEST, "DELETE" OLDEST};
#undef OLDEST
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(statements); i++) {
    AUTO(stmt_done) struct stmt stmt = {0};
    status = stmt_open(&stmt, db, statements[i], err);
    if (status)
      return status;
    stmt_text(&stmt, job_id);
    stmt_int(&stmt, keep);
    status = stmt_run(&stmt, forgotten, err);
  }
  return status;
}

enum status db_artifact_add_preview(struct db *db, const struct artifact_row *row, int64_t keep, int64_t *forgotten,
                                    struct error *err) {
  enum status status = forget_same_name(db, row, err);
  status = status ? status : insert_artifact(db, row, true, err);
  return status ? status : forget_oldest(db, row->job_id, keep, forgotten, err);
}

enum status db_artifact_list(struct artifact_row **out, size_t *count, struct db *db, const char *job_id,
                             struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  *count = 0;
  enum status status =
      row_open(&stmt, db, &artifact_type, "SELECT * FROM artifact WHERE job_id = ?1 ORDER BY seq", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  status = row_list(&list, &artifact_type, &stmt, INT64_MAX, arena, err);
  *out = list.rows;
  *count = list.count;
  return status;
}

enum status db_artifact_get(struct artifact_row *out, struct db *db, const char *job_id, const char *name,
                            struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found;
  enum status status =
      row_open(&stmt, db, &artifact_type, "SELECT * FROM artifact WHERE job_id = ?1 AND name = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_text(&stmt, name);
  status = row_next(out, &found, &artifact_type, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_ARTIFACT_NOT_FOUND, "name", "the job has no artifact named %.128s", name);
  return status;
}

enum status db_artifact_delete_of_job(struct db *db, const char *job_id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "DELETE FROM artifact WHERE job_id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  return stmt_run(&stmt, NULL, err);
}
