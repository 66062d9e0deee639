#include "storage/db_upload.h"

#include "storage/row.h"

static const char *const status_names[UPLOAD_STATUS_COUNT] = {[UPLOAD_PENDING] = "pending",
                                                              [UPLOAD_COMPLETED] = "completed",
                                                              [UPLOAD_CANCELLED] = "cancelled",
                                                              [UPLOAD_EXPIRED] = "expired"};

const char *upload_status_name(enum upload_status status) {
  CHECK(status < UPLOAD_STATUS_COUNT);
  return status_names[status];
}

static bool parse_status(void *member, const char *word) {
  size_t at = row_word(status_names, UPLOAD_STATUS_COUNT, word);
  *(enum upload_status *)member = (enum upload_status)at;
  return at < UPLOAD_STATUS_COUNT;
}

#define AT(member) offsetof(struct upload_row, member)
static const struct column upload_columns[] = {
    {"id", COLUMN_TEXT, AT(id), NULL},
    {"tenant", COLUMN_TEXT, AT(tenant), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"expires_at", COLUMN_INT, AT(expires_at), NULL},
    {"filename", COLUMN_TEXT, AT(filename), NULL},
    {"purpose", COLUMN_TEXT, AT(purpose), NULL},
    {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"file_expires_after", COLUMN_INT, AT(file_expires_after), NULL},
    {"status", COLUMN_WORD, AT(status), parse_status},
    {"file_id", COLUMN_TEXT, AT(file_id), NULL},
    {"completed_by", COLUMN_TEXT, AT(completed_by), NULL},
    {"arrived", COLUMN_INT, AT(arrived), NULL},
};
#undef AT
static const struct row_type upload_type = {"an upload", sizeof(struct upload_row), upload_columns,
                                            COUNT_OF(upload_columns)};

#define AT(member) offsetof(struct part_row, member)
static const struct column part_columns[] = {
    {"id", COLUMN_TEXT, AT(id), NULL},
    {"upload_id", COLUMN_TEXT, AT(upload_id), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"sha256", COLUMN_TEXT, AT(sha256), NULL},
    {"path", COLUMN_TEXT, AT(path), NULL},
};
#undef AT
static const struct row_type part_type = {"a part of an upload", sizeof(struct part_row), part_columns,
                                          COUNT_OF(part_columns)};

static void age(struct upload_row *row, int64_t now) {
  if (row->status == UPLOAD_PENDING && row->expires_at <= now)
    row->status = UPLOAD_EXPIRED;
}

enum status db_upload_insert(struct db *db, const struct upload_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT INTO upload (id, tenant, created_at, expires_at, filename, purpose, bytes,"
                                 " file_expires_after, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending')",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->id);
  stmt_text(&stmt, row->tenant);
  stmt_int(&stmt, row->created_at);
  stmt_int(&stmt, row->expires_at);
  stmt_text(&stmt, row->filename);
  stmt_text(&stmt, row->purpose);
  stmt_int(&stmt, row->bytes);
  stmt_int_or_null(&stmt, row->file_expires_after);
  return stmt_run(&stmt, NULL, err);
}

enum status db_upload_get(struct upload_row *out, struct db *db, const char *tenant, const char *id, int64_t now,
                          struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found;
  enum status status = row_open(&stmt, db, &upload_type, "SELECT * FROM upload WHERE id = ?1 AND tenant = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  status = row_next(out, &found, &upload_type, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_UPLOAD_NOT_FOUND, "upload_id", "no upload has the id %.64s", id);
  if (!status)
    age(out, now);
  return status;
}

enum status db_upload_list(struct upload_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                           const struct page *page, int64_t now, struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status =
      row_page(&list, &upload_type, db, "SELECT seq FROM upload WHERE id = ?1 AND tenant = ?2",
               page->ascending ? "SELECT * FROM upload WHERE tenant = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
                               : "SELECT * FROM upload WHERE tenant = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
               tenant, page, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  for (size_t i = 0; !status && i < list.count; i++)
    age(&(*out)[i], now);
  return status;
}

enum status db_upload_end(struct db *db, const char *tenant, const char *id, enum upload_status status,
                          const char *file_id, const char *completed_by, bool *ended, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  int64_t rows = 0;
  *ended = false;
  enum status outcome = stmt_open(&stmt, db,
                                  "UPDATE upload SET status = ?3, file_id = ?4, completed_by = ?5"
                                  " WHERE id = ?1 AND tenant = ?2 AND status = 'pending'",
                                  err);
  if (outcome)
    return outcome;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  stmt_text(&stmt, upload_status_name(status));
  stmt_text(&stmt, file_id);
  stmt_text(&stmt, completed_by);
  outcome = stmt_run(&stmt, &rows, err);
  *ended = rows > 0;
  return outcome;
}

enum status db_upload_due(struct upload_row **out, size_t *count, struct db *db, int64_t now, int64_t limit,
                          struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  *count = 0;
  enum status status = row_open(&stmt, db, &upload_type,
                                "SELECT * FROM upload WHERE status = 'pending' AND expires_at <= ?1 LIMIT ?2", err);
  if (status)
    return status;
  stmt_int(&stmt, now);
  stmt_int(&stmt, limit);
  status = row_list(&list, &upload_type, &stmt, limit, arena, err);
  *out = list.rows;
  *count = list.count;
  return status;
}

enum status db_upload_forget(struct db *db, int64_t before, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(
      &stmt, db, "DELETE FROM upload WHERE status IN ('completed', 'cancelled', 'expired') AND expires_at < ?1", err);
  if (status)
    return status;
  stmt_int(&stmt, before);
  return stmt_run(&stmt, NULL, err);
}

enum status db_part_add(struct db *db, const char *tenant, const struct part_row *row, bool *added, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  int64_t rows = 0;
  *added = false;
  enum status status = stmt_open(
      &stmt, db,
      "INSERT INTO upload_part (id, upload_id, created_at, bytes, sha256, path)"
      " SELECT ?1, id, ?3, ?4, ?5, ?6 FROM upload WHERE id = ?2 AND tenant = ?7 AND status = 'pending'"
      " AND expires_at > ?3 AND ?4 <= bytes - arrived AND parts < ?8 ON CONFLICT (upload_id, sha256) DO NOTHING",
      err);
  if (status)
    return status;
  stmt_text(&stmt, row->id);
  stmt_text(&stmt, row->upload_id);
  stmt_int(&stmt, row->created_at);
  stmt_int(&stmt, row->bytes);
  stmt_text(&stmt, row->sha256);
  stmt_text(&stmt, row->path);
  stmt_text(&stmt, tenant);
  stmt_int(&stmt, UPLOAD_PARTS_MAX);
  status = stmt_run(&stmt, &rows, err);
  *added = rows > 0;
  return status;
}

enum status db_part_with(struct part_row *out, bool *found, struct db *db, const char *tenant, const char *upload_id,
                         const char *sha256, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, &part_type,
                                "SELECT * FROM upload_part WHERE upload_id = ?1 AND sha256 = ?2"
                                " AND upload_id IN (SELECT id FROM upload WHERE id = ?1 AND tenant = ?3)",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, upload_id);
  stmt_text(&stmt, sha256);
  stmt_text(&stmt, tenant);
  return row_next(out, found, &part_type, &stmt, arena, err);
}

enum status db_part_list(struct part_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                         const char *upload_id, const struct page *page, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  int64_t after;
#define LIST                                                                                                           \
  "SELECT * FROM upload_part WHERE upload_id = ?1 AND upload_id IN (SELECT id FROM upload WHERE id = ?1 AND tenant ="  \
  " ?4) AND seq "
  enum status status =
      row_cursor(&after, db, "SELECT seq FROM upload_part WHERE id = ?1 AND upload_id = ?2", upload_id, page, err);
  if (!status)
    status =
        row_open(&stmt, db, &part_type,
                 page->ascending ? LIST "> ?2 ORDER BY seq LIMIT ?3" : LIST "< ?2 ORDER BY seq DESC LIMIT ?3", err);
#undef LIST
  if (status)
    return status;
  stmt_text(&stmt, upload_id);
  stmt_int(&stmt, after);
  stmt_int(&stmt, page->limit + 1);
  stmt_text(&stmt, tenant);
  status = row_list(&list, &part_type, &stmt, page->limit, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}
