#include "storage/db_content.h"

#include "storage/row.h"

#define AT(member) offsetof(struct content_row, member)
/* Of parts too. */
static const struct column upload_columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},        {"id", COLUMN_TEXT, AT(owner), NULL},
    {"path", COLUMN_TEXT, AT(path), NULL},     {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"sha256", COLUMN_TEXT, AT(sha256), NULL},
};
/* Of states too. */
static const struct column artifact_columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},        {"job_id", COLUMN_TEXT, AT(owner), NULL},
    {"path", COLUMN_TEXT, AT(path), NULL},     {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"sha256", COLUMN_TEXT, AT(sha256), NULL},
};
static const struct column checkpoint_columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"job_id", COLUMN_TEXT, AT(owner), NULL},
    {"path", COLUMN_TEXT, AT(path), NULL},
};
#undef AT

static const struct {
  struct row_type type;
  const char *sql;
} kinds[CONTENT_KIND_COUNT] = {
    [CONTENT_UPLOAD] = {{"a file", sizeof(struct content_row), upload_columns, COUNT_OF(upload_columns)},
                        "SELECT * FROM file WHERE seq > ?1 AND job_id IS NULL ORDER BY seq LIMIT 1"},
    [CONTENT_PART] = {{"a part of an upload", sizeof(struct content_row), upload_columns, COUNT_OF(upload_columns)},
                      "SELECT * FROM upload_part WHERE seq > ?1 ORDER BY seq LIMIT 1"},
    [CONTENT_ARTIFACT] = {{"an artifact", sizeof(struct content_row), artifact_columns, COUNT_OF(artifact_columns)},
                          "SELECT * FROM artifact WHERE seq > ?1 ORDER BY seq LIMIT 1"},
    [CONTENT_STATE] = {{"a training state", sizeof(struct content_row), artifact_columns, COUNT_OF(artifact_columns)},
                       "SELECT * FROM training_state WHERE seq > ?1 ORDER BY seq LIMIT 1"},
    [CONTENT_CHECKPOINT] = {{"a checkpoint", sizeof(struct content_row), checkpoint_columns,
                             COUNT_OF(checkpoint_columns)},
                            "SELECT * FROM checkpoint WHERE seq > ?1 ORDER BY seq LIMIT 1"},
};

enum status db_content_next(struct content_row *out, bool *found, struct db *db, enum content_kind kind, int64_t after,
                            struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, &kinds[kind].type, kinds[kind].sql, err);
  if (status)
    return status;
  stmt_int(&stmt, after);
  return row_next(out, found, &kinds[kind].type, &stmt, arena, err);
}

/* `number` < 0: the query has none. */
static enum status exists(bool *out, struct db *db, const char *sql, const char *job_id, int64_t number,
                          struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  enum status status = stmt_open(&stmt, db, sql, err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  if (number >= 0)
    stmt_int(&stmt, number);
  status = stmt_step(&stmt, &row, err);
  *out = row && stmt_get_int(&stmt, 0);
  return status;
}

enum status db_content_job(bool *known, bool *running, struct db *db, const char *job_id, struct error *err) {
  *running = false;
  enum status status = exists(known, db, "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1)", job_id, -1, err);
  if (!status && *known)
    status =
        exists(running, db, "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND state = 'running')", job_id, -1, err);
  return status;
}

enum status db_content_of_run(bool *out, struct db *db, const char *job_id, int64_t token, struct error *err) {
  return exists(out, db,
                "WITH folder (path) AS (SELECT 'jobs/' || ?1 || '/' || ?2)"
                " SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND lease_token = ?2)"
                " OR EXISTS (SELECT 1 FROM artifact JOIN folder WHERE job_id = ?1"
                " AND substr(artifact.path, 1, length(folder.path) + 1) = folder.path || '/')"
                " OR EXISTS (SELECT 1 FROM checkpoint JOIN folder WHERE job_id = ?1"
                " AND substr(checkpoint.path, 1, length(folder.path) + 1) = folder.path || '/')"
                " OR EXISTS (SELECT 1 FROM training_state JOIN folder WHERE job_id = ?1"
                " AND substr(training_state.path, 1, length(folder.path) + 1) = folder.path || '/')"
                " OR EXISTS (SELECT 1 FROM removal JOIN folder USING (path))",
                job_id, token, err);
}

enum status db_content_of_export(bool *out, struct db *db, const char *job_id, int64_t seq, struct error *err) {
  return exists(out, db,
                "SELECT EXISTS (SELECT 1 FROM export WHERE job_id = ?1 AND seq = ?2)"
                " OR EXISTS (SELECT 1 FROM removal WHERE path IN ('jobs/' || ?1 || '/exports',"
                " 'jobs/' || ?1 || '/exports/' || ?2))",
                job_id, seq, err);
}
