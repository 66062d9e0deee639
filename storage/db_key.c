#include "storage/db_key.h"

#include "storage/row.h"

static bool parse_scope(void *member, const char *word) {
  return scope_parse(member, word);
}

#define AT(member) offsetof(struct key_row, member)
static const struct column columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"id", COLUMN_TEXT, AT(id), NULL},
    {"tenant", COLUMN_TEXT, AT(tenant), NULL},
    {"name", COLUMN_TEXT, AT(name), NULL},
    {"scope", COLUMN_WORD, AT(scope), parse_scope},
    {"sha256", COLUMN_TEXT, AT(sha256), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"expires_at", COLUMN_INT, AT(expires_at), NULL},
    {"revoked_at", COLUMN_INT, AT(revoked_at), NULL},
    {"replaced_by", COLUMN_TEXT, AT(replaced_by), NULL},
    {"last_used_at", COLUMN_INT, AT(last_used_at), NULL},
};
#undef AT
static const struct row_type key_type = {"an API key", sizeof(struct key_row), columns, COUNT_OF(columns)};

enum status db_key_insert(struct db *db, const struct key_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT INTO api_key (id, tenant, name, scope, sha256, created_at, expires_at)"
                                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->id);
  stmt_text(&stmt, row->tenant);
  stmt_text(&stmt, row->name);
  stmt_text(&stmt, scope_name(row->scope));
  stmt_text(&stmt, row->sha256);
  stmt_int(&stmt, row->created_at);
  stmt_int_or_null(&stmt, row->expires_at);
  return stmt_run(&stmt, NULL, err);
}

enum status db_key_get(struct key_row *out, struct db *db, const char *tenant, const char *id, struct arena *arena,
                       struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found;
  enum status status = row_open(&stmt, db, &key_type, "SELECT * FROM api_key WHERE id = ?1 AND tenant = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  status = row_next(out, &found, &key_type, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_KEY_NOT_FOUND, "key_id", "no API key has the id %.64s", id);
  return status;
}

enum status db_key_shown(struct key_row *out, bool *found, struct db *db, const char *id, struct arena *arena,
                         struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, &key_type, "SELECT * FROM api_key WHERE id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  return row_next(out, found, &key_type, &stmt, arena, err);
}

enum status db_key_list(struct key_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                        const struct page *page, struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status = row_page(&list, &key_type, db, "SELECT seq FROM api_key WHERE id = ?1 AND tenant = ?2",
                                "SELECT * FROM api_key WHERE tenant = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
                                tenant, page, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

/* Each request asks this: what is stored is remembered until anything is. */
enum status db_key_any(bool *out, struct db *db, struct error *err) {
  struct db_version version;
  int64_t rows = 0;
  bool lasts = sqlite3_get_autocommit(db->handle) && !db_version(&version, db, err);
  if (lasts && db->keys.known && db_version_same(&version, &db->keys.version)) {
    *out = db->keys.any;
    return STATUS_OK;
  }
  enum status status = stmt_number(&rows, db, "SELECT ifnull(max(seq), 0) FROM api_key", NULL, err);
  *out = rows > 0;
  db->keys.known = lasts && !status;
  if (db->keys.known) {
    db->keys.version = version;
    db->keys.any = *out;
  }
  return status;
}

enum status db_key_revoke(struct db *db, const char *tenant, const char *id, int64_t now, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db, "UPDATE api_key SET revoked_at = ifnull(revoked_at, ?3) WHERE id = ?1 AND tenant = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  stmt_int(&stmt, now);
  return stmt_run(&stmt, NULL, err);
}

enum status db_key_replace(struct db *db, const char *tenant, const char *id, const char *replaced_by,
                           int64_t expires_at, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE api_key SET replaced_by = ?3, expires_at = min(ifnull(expires_at, ?4), ?4)"
                                 " WHERE id = ?1 AND tenant = ?2",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  stmt_text(&stmt, replaced_by);
  stmt_int(&stmt, expires_at);
  return stmt_run(&stmt, NULL, err);
}

enum status db_key_used(struct db *db, const char *id, int64_t now, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "UPDATE api_key SET last_used_at = ?2 WHERE id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_int(&stmt, now);
  return stmt_run(&stmt, NULL, err);
}
