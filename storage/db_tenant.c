#include "storage/db_tenant.h"

#include "storage/row.h"

#define AT(member) offsetof(struct tenant_row, member)
static const struct column columns[] = {
    {"name", COLUMN_TEXT, AT(name), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"ifnull(queued_max, -1)", COLUMN_INT, AT(queued_max), NULL},
    {"ifnull(running_max, -1)", COLUMN_INT, AT(running_max), NULL},
    {"ifnull(bytes_max, -1)", COLUMN_INT, AT(bytes_max), NULL},
};
#undef AT
static const struct row_type tenant_type = {"a tenant", sizeof(struct tenant_row), columns, COUNT_OF(columns)};

enum status db_tenant_add(struct db *db, const char *name, int64_t now, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "INSERT OR IGNORE INTO tenant (name, created_at) VALUES (?1, ?2)", err);
  if (status)
    return status;
  stmt_text(&stmt, name);
  stmt_int(&stmt, now);
  return stmt_run(&stmt, NULL, err);
}

enum status db_tenant_get(struct tenant_row *out, struct db *db, const char *name, struct arena *arena,
                          struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found;
  enum status status = row_open(&stmt, db, &tenant_type, "SELECT * FROM tenant WHERE name = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, name);
  status = row_next(out, &found, &tenant_type, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_TENANT_NOT_FOUND, "tenant", "no tenant has the name %.64s", name);
  return status;
}

enum status db_tenant_list(struct tenant_row **out, size_t *count, bool *more, struct db *db, struct arena *arena,
                           struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  enum status status = row_open(&stmt, db, &tenant_type, "SELECT * FROM tenant ORDER BY name", err);
  if (status)
    return status;
  status = row_list(&list, &tenant_type, &stmt, INT64_MAX, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

enum status db_tenant_limit(struct db *db, const struct tenant_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE tenant SET queued_max = nullif(?2, -1), running_max = nullif(?3, -1),"
                                 " bytes_max = nullif(?4, -1) WHERE name = ?1",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->name);
  stmt_int(&stmt, row->queued_max);
  stmt_int(&stmt, row->running_max);
  stmt_int(&stmt, row->bytes_max);
  return stmt_run(&stmt, NULL, err);
}
