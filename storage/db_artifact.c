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

/* What makes room for a preview: the one that had its name, and of the others all but the newest `keep` - 1. */
static enum status forget_previews(struct db *db, const struct artifact_row *row, int64_t keep, int64_t *noted,
                                   struct error *err) {
#define THOSE                                                                                                          \
  " FROM artifact WHERE job_id = ?1 AND is_preview AND (name = ?2 OR seq <="                                           \
  " (SELECT seq FROM artifact WHERE job_id = ?1 AND is_preview AND name <> ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3))"
  static const char *const statements[] = {"INSERT OR IGNORE INTO removal SELECT path" THOSE " AND path <> ?4",
                                           "DELETE" THOSE};
#undef THOSE
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(statements); i++) {
    AUTO(stmt_done) struct stmt stmt = {0};
    status = stmt_open(&stmt, db, statements[i], err);
    if (status)
      return status;
    stmt_text(&stmt, row->job_id);
    stmt_text(&stmt, row->name);
    stmt_int(&stmt, keep - 1);
    if (i == 0)
      stmt_text(&stmt, row->path);
    status = stmt_run(&stmt, i == 0 ? noted : NULL, err);
  }
  return status;
}

enum status db_artifact_add_preview(struct db *db, const struct artifact_row *row, int64_t keep, int64_t *noted,
                                    struct error *err) {
  enum status status = forget_previews(db, row, keep, noted, err);
  return status ? status : insert_artifact(db, row, true, err);
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
