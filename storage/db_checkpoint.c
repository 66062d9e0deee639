#include "storage/db_checkpoint.h"

#include <string.h>

#include "storage/row.h"

#define AT(member) offsetof(struct checkpoint_row, member)
static const struct column columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"job_id", COLUMN_TEXT, AT(job_id), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"step", COLUMN_INT, AT(step), NULL},
    {"path", COLUMN_TEXT, AT(path), NULL},
    {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"metrics", COLUMN_TEXT, AT(metrics), NULL},
};
#undef AT
static const struct row_type checkpoint_type = {"a checkpoint", sizeof(struct checkpoint_row), columns,
                                                COUNT_OF(columns)};

/* The bytes of the one that a row of the same step has named so far. */
static enum status free_earlier(struct db *db, const struct checkpoint_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT OR IGNORE INTO removal SELECT path FROM checkpoint"
                                 " WHERE job_id = ?1 AND step = ?2 AND path <> ?3",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->job_id);
  stmt_int(&stmt, row->step);
  stmt_text(&stmt, row->path);
  return stmt_run(&stmt, NULL, err);
}

enum status db_checkpoint_add(struct db *db, const struct checkpoint_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = free_earlier(db, row, err);
  if (!status)
    status = stmt_open(&stmt, db,
                       "INSERT INTO checkpoint (job_id, created_at, step, path, metrics, bytes)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                       " ON CONFLICT (job_id, step) DO UPDATE SET path = excluded.path, bytes = excluded.bytes,"
                       " dropped = 0",
                       err);
  if (status)
    return status;
  stmt_text(&stmt, row->job_id);
  stmt_int(&stmt, row->created_at);
  stmt_int(&stmt, row->step);
  stmt_text(&stmt, row->path);
  stmt_text(&stmt, row->metrics);
  stmt_int(&stmt, row->bytes);
  return stmt_run(&stmt, NULL, err);
}

enum status db_checkpoint_list(struct checkpoint_row **out, size_t *count, bool *more, struct db *db,
                               const char *job_id, const struct page *page, struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status = row_page(&list, &checkpoint_type, db,
                                "SELECT seq FROM checkpoint WHERE 'ftckpt-' || seq = ?1"
                                " AND seq = CAST(substr(?1, 8) AS INTEGER) AND job_id = ?2",
                                "SELECT * FROM checkpoint WHERE job_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
                                job_id, page, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

enum status db_checkpoint_get(struct checkpoint_row *out, bool *found, struct db *db, const char *tenant,
                              const char *id, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, &checkpoint_type,
                                "SELECT * FROM checkpoint"
                                " WHERE 'ftckpt-' || seq = ?1 AND seq = CAST(substr(?1, 8) AS INTEGER)"
                                " AND job_id IN (SELECT id FROM job WHERE id = checkpoint.job_id AND tenant = ?2)",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  return row_next(out, found, &checkpoint_type, &stmt, arena, err);
}

enum status db_checkpoint_of_name(struct checkpoint_row *out, bool *found, struct db *db, const char *tenant,
                                  const char *name, struct arena *arena, struct error *err) {
  static const char between[] = ":ckpt-step-";
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  const char *at = NULL;
  for (const char *p = name; (p = strstr(p, between)); p++)
    at = p; /* the last: a model's name may hold anything */
  if (!at)
    return STATUS_OK;
  const char *model = arena_copy(arena, name, (size_t)(at - name));
  if (!model)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "finding a checkpoint");
  enum status status = row_open(&stmt, db, &checkpoint_type,
                                "SELECT * FROM checkpoint WHERE job_id = (SELECT id FROM job"
                                " WHERE fine_tuned_model = ?1 AND tenant = ?3) AND step = CAST(?2 AS INTEGER)"
                                " AND CAST(step AS TEXT) = ?2",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, model);
  stmt_text(&stmt, at + strlen(between));
  stmt_text(&stmt, tenant);
  return row_next(out, found, &checkpoint_type, &stmt, arena, err);
}

enum status db_checkpoint_drop(struct db *db, const char *job_id, int64_t step, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "UPDATE checkpoint SET dropped = 1 WHERE job_id = ?1 AND step = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, step);
  return stmt_run(&stmt, NULL, err);
}

/* Dropped, and named by no job that has not ended. */
#define UNUSED                                                                                                         \
  " WHERE dropped AND checkpoint.seq > 0 AND NOT EXISTS (SELECT 1 FROM job AS owner"                                   \
  " CROSS JOIN job AS user INDEXED BY job_of_source ON user.tenant = owner.tenant AND user.from_checkpoint IN"         \
  " ('ftckpt-' || checkpoint.seq, owner.fine_tuned_model || ':ckpt-step-' || checkpoint.step)"                         \
  " WHERE owner.id = checkpoint.job_id AND user.state IN ('validating_files', 'queued', 'running', 'paused'))"

static enum status run(struct db *db, const char *sql, int64_t *rows, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, sql, err);
  return status ? status : stmt_run(&stmt, rows, err);
}

enum status db_checkpoint_forget_dropped(struct db *db, int64_t *forgotten, struct error *err) {
  enum status status = run(db, "INSERT OR IGNORE INTO removal SELECT path FROM checkpoint" UNUSED, NULL, err);
  return status ? status : run(db, "DELETE FROM checkpoint" UNUSED, forgotten, err);
}

enum status db_checkpoint_delete_in(struct db *db, const char *job_id, const char *folder, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db, "DELETE FROM checkpoint WHERE job_id = ?1 AND path >= ?2 || '/' AND path < ?2 || '0'", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_text(&stmt, folder);
  return stmt_run(&stmt, NULL, err);
}

enum status db_checkpoint_delete(struct db *db, const char *job_id, int64_t step, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "DELETE FROM checkpoint WHERE job_id = ?1 AND step = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, step);
  return stmt_run(&stmt, NULL, err);
}

enum status db_checkpoint_delete_of_job(struct db *db, const char *job_id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "DELETE FROM checkpoint WHERE job_id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  return stmt_run(&stmt, NULL, err);
}

enum status db_checkpoint_count(int64_t *out, struct db *db, const char *job_id, struct error *err) {
  return stmt_number(out, db, "SELECT count(*) FROM checkpoint WHERE job_id = ?1", job_id, err);
}
