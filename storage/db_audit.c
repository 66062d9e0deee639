#include "storage/db_audit.h"

#include "storage/row.h"

#define AT(member) offsetof(struct audit_row, member)
static const struct column columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"tenant", COLUMN_TEXT, AT(tenant), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"type", COLUMN_TEXT, AT(type), NULL},
    {"object", COLUMN_TEXT, AT(object), NULL},
    {"result", COLUMN_TEXT, AT(result), NULL},
    {"actor", COLUMN_TEXT, AT(actor), NULL},
    {"actor_id", COLUMN_TEXT, AT(actor_id), NULL},
    {"address", COLUMN_TEXT, AT(address), NULL},
    {"request", COLUMN_TEXT, AT(request), NULL},
};
#undef AT
static const struct row_type audit_type = {"the audit log", sizeof(struct audit_row), columns, COUNT_OF(columns)};

enum status db_audit_add(struct db *db, const void *what, struct error *err) {
  const struct audit_row *row = what;
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT INTO audit (tenant, created_at, type, object, result, actor, actor_id,"
                                 " address, request) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->tenant);
  stmt_int(&stmt, row->created_at);
  stmt_text(&stmt, row->type);
  stmt_text(&stmt, row->object);
  stmt_text(&stmt, row->result);
  stmt_text(&stmt, row->actor);
  stmt_text(&stmt, row->actor_id);
  stmt_text(&stmt, row->address);
  stmt_text(&stmt, row->request);
  return stmt_run(&stmt, NULL, err);
}

enum status db_audit_list(struct audit_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                          const struct page *page, struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status = row_page(&list, &audit_type, db,
                                "SELECT seq FROM audit WHERE 'audit_log-' || seq = ?1"
                                " AND seq = CAST(substr(?1, 11) AS INTEGER) AND tenant = ?2",
                                "SELECT * FROM audit WHERE tenant = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3", tenant,
                                page, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}
