#include "storage/db_file.h"

#include "storage/row.h"

static const char *const status_names[] = {
    [FILE_UPLOADED] = "uploaded", [FILE_PROCESSED] = "processed", [FILE_ERROR] = "error"};
_Static_assert(COUNT_OF(status_names) == FILE_STATUS_COUNT, "a name for every status");

const char *file_status_name(enum file_status status) {
  CHECK(status < FILE_STATUS_COUNT);
  return status_names[status];
}

static bool parse_status(void *member, const char *word) {
  size_t at = row_word(status_names, FILE_STATUS_COUNT, word);
  *(enum file_status *)member = (enum file_status)at;
  return at < FILE_STATUS_COUNT;
}

#define AT(member) offsetof(struct file_row, member)
static const struct column columns[] = {
    {"id", COLUMN_TEXT, AT(id), NULL},
    {"tenant", COLUMN_TEXT, AT(tenant), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"expires_at", COLUMN_INT, AT(expires_at), NULL},
    {"filename", COLUMN_TEXT, AT(filename), NULL},
    {"purpose", COLUMN_TEXT, AT(purpose), NULL},
    {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"sha256", COLUMN_TEXT, AT(sha256), NULL},
    {"path", COLUMN_TEXT, AT(path), NULL},
    {"job_id", COLUMN_TEXT, AT(job_id), NULL},
    {"status", COLUMN_WORD, AT(status), parse_status},
    {"status_details", COLUMN_TEXT, AT(status_details), NULL},
    {"report", COLUMN_TEXT, AT(report), NULL},
    {"idempotency_key", COLUMN_TEXT, AT(idempotency_key), NULL},
    {"body_sha256", COLUMN_TEXT, AT(body_sha256), NULL},
};
#undef AT
static const struct row_type file_type = {"a file", sizeof(struct file_row), columns, COUNT_OF(columns)};

/* At most `limit` rows; `more` may be NULL. */
static enum status read_list(struct file_row **out, size_t *count, bool *more, struct stmt *stmt, int64_t limit,
                             struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status = row_list(&list, &file_type, stmt, limit, arena, err);
  *out = list.rows;
  *count = list.count;
  if (more)
    *more = list.more;
  return status;
}

enum status db_file_insert(struct db *db, const struct file_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT INTO file (id, created_at, expires_at, filename, purpose, bytes, sha256, path,"
                                 " job_id, status, status_details, report, idempotency_key, body_sha256, tenant)"
                                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
                                 " iif(?9 IS NULL, ?15, (SELECT tenant FROM job WHERE id = ?9)))",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->id);
  stmt_int(&stmt, row->created_at);
  stmt_int_or_null(&stmt, row->expires_at);
  stmt_text(&stmt, row->filename);
  stmt_text(&stmt, row->purpose);
  stmt_int(&stmt, row->bytes);
  stmt_text(&stmt, row->sha256);
  stmt_text(&stmt, row->path);
  stmt_text(&stmt, row->job_id);
  stmt_text(&stmt, file_status_name(row->status));
  stmt_text(&stmt, row->status_details);
  stmt_text(&stmt, row->report);
  stmt_text(&stmt, row->idempotency_key);
  stmt_text(&stmt, row->body_sha256);
  stmt_text(&stmt, row->tenant);
  return stmt_run(&stmt, NULL, err);
}

enum status db_file_get(struct file_row *out, struct db *db, const char *tenant, const char *id, int64_t now,
                        struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found;
  enum status status = row_open(&stmt, db, &file_type,
                                "SELECT * FROM file WHERE id = ?1 AND tenant = ?3"
                                " AND (expires_at IS NULL OR expires_at > ?2)",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_int(&stmt, now);
  stmt_text(&stmt, tenant);
  status = row_next(out, &found, &file_type, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_FILE_NOT_FOUND, "file_id", "no file has the id %.64s", id);
  return status;
}

enum status db_file_same(struct file_row *out, bool *found, struct db *db, const char *tenant, const char *key,
                         const char *body_sha256, int64_t since, struct arena *arena, struct error *err) {
  return row_same(out, found, &file_type, db,
                  "SELECT * FROM file WHERE tenant = ?3 AND idempotency_key = ?1 AND created_at >= ?2"
                  " ORDER BY created_at DESC, seq DESC LIMIT 1",
                  "SELECT * FROM file WHERE tenant = ?3 AND body_sha256 = ?1 AND created_at >= ?2"
                  " AND idempotency_key IS NULL ORDER BY created_at DESC, seq DESC LIMIT 1",
                  tenant, key, body_sha256, since, arena, err);
}

enum status db_file_list(struct file_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                         const struct page *page, const char *purpose, int64_t now, struct arena *arena,
                         struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  int64_t after;
#define LIST "SELECT * FROM file WHERE tenant = ?4 AND (expires_at IS NULL OR expires_at > ?1) AND seq "
  enum status status = row_cursor(&after, db, "SELECT seq FROM file WHERE id = ?1 AND tenant = ?2", tenant, page, err);
  if (!status && purpose)
    status = row_open(&stmt, db, &file_type,
                      page->ascending ? LIST "> ?2 AND purpose = ?5 ORDER BY seq LIMIT ?3"
                                      : LIST "< ?2 AND purpose = ?5 ORDER BY seq DESC LIMIT ?3",
                      err);
  else if (!status)
    status =
        row_open(&stmt, db, &file_type,
                 page->ascending ? LIST "> ?2 ORDER BY seq LIMIT ?3" : LIST "< ?2 ORDER BY seq DESC LIMIT ?3", err);
#undef LIST
  if (status)
    return status;
  stmt_int(&stmt, now);
  stmt_int(&stmt, after);
  stmt_int(&stmt, page->limit + 1);
  stmt_text(&stmt, tenant);
  if (purpose)
    stmt_text(&stmt, purpose);
  return read_list(out, count, more, &stmt, page->limit, arena, err);
}

enum status db_file_checked(struct db *db, const char *id, enum file_status status, const char *details,
                            const char *report, bool *changed, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  int64_t rows = 0;
  *changed = false;
  enum status outcome = stmt_open(&stmt, db,
                                  "UPDATE file SET status = ?2, status_details = ?3, report = ?4"
                                  " WHERE id = ?1 AND status = 'uploaded'",
                                  err);
  if (outcome)
    return outcome;
  stmt_text(&stmt, id);
  stmt_text(&stmt, file_status_name(status));
  stmt_text(&stmt, details);
  stmt_text(&stmt, report);
  outcome = stmt_run(&stmt, &rows, err);
  *changed = rows > 0;
  return outcome;
}

enum status db_file_delete(struct db *db, const char *tenant, const char *id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  int64_t users;
  enum status status = stmt_number2(&users, db,
                                    "SELECT count(*) FROM (SELECT 1 FROM job"
                                    " WHERE (training_file = ?1 OR validation_file = ?1) AND +tenant = ?2"
                                    " AND state IN ('validating_files', 'queued', 'running', 'paused')"
                                    " UNION ALL SELECT 1 FROM job INDEXED BY job_of_source WHERE tenant = ?2"
                                    " AND from_checkpoint = ?1"
                                    " AND state IN ('validating_files', 'queued', 'running', 'paused') LIMIT 1001)",
                                    id, tenant, err);
  if (!status && users > 0)
    return error_set(err, STATUS_FILE_IN_USE, "file_id",
                     "%s%lld job%s not ended yet need%s this file; cancel %s first or wait",
                     users > 1000 ? "more than " : "", (long long)users - (users > 1000),
                     users == 1 ? " that has" : "s that have", users == 1 ? "s" : "", users == 1 ? "it" : "them");
  if (!status)
    status = stmt_open(&stmt, db, "DELETE FROM file WHERE id = ?1 AND tenant = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  return stmt_run(&stmt, NULL, err);
}

enum status db_file_delete_of_job(struct db *db, const char *job_id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "DELETE FROM file WHERE job_id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  return stmt_run(&stmt, NULL, err);
}

enum status db_file_unchecked(struct file_row **out, size_t *count, struct db *db, int64_t limit, struct arena *arena,
                              struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      row_open(&stmt, db, &file_type, "SELECT * FROM file WHERE status = 'uploaded' ORDER BY seq LIMIT ?1", err);
  if (status)
    return status;
  stmt_int(&stmt, limit);
  return read_list(out, count, NULL, &stmt, limit, arena, err);
}

enum status db_file_expired(struct file_row **out, size_t *count, struct db *db, int64_t now, int64_t limit,
                            struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = row_open(&stmt, db, &file_type,
                                "SELECT * FROM file WHERE expires_at <= ?1 AND NOT EXISTS (SELECT 1 FROM job"
                                " WHERE (training_file = file.id OR validation_file = file.id)"
                                " AND state IN ('validating_files', 'queued', 'running', 'paused'))"
                                " AND NOT EXISTS (SELECT 1 FROM job INDEXED BY job_of_source"
                                " WHERE job.tenant = file.tenant AND from_checkpoint = file.id"
                                " AND state IN ('validating_files', 'queued', 'running', 'paused')) LIMIT ?2",
                                err);
  if (status)
    return status;
  stmt_int(&stmt, now);
  stmt_int(&stmt, limit);
  return read_list(out, count, NULL, &stmt, limit, arena, err);
}

enum status db_file_known(bool *out, struct db *db, const char *id, struct error *err) {
  int64_t rows = 0;
  enum status status = stmt_number(
      &rows, db, "SELECT (SELECT count(*) FROM file WHERE id = ?1) + (SELECT count(*) FROM upload_part WHERE id = ?1)",
      id, err);
  *out = rows > 0;
  return status;
}
