#include "storage/db_sweep.h"

#include "storage/row.h"

#define AT(member) offsetof(struct sweep_row, member)
static const struct column columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"id", COLUMN_TEXT, AT(id), NULL},
    {"tenant", COLUMN_TEXT, AT(tenant), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"name", COLUMN_TEXT, AT(name), NULL},
    {"metric", COLUMN_TEXT, AT(metric), NULL},
    {"goal", COLUMN_TEXT, AT(goal), NULL},
    {"fields", COLUMN_TEXT, AT(fields), NULL},
    {"request", COLUMN_TEXT, AT(request), NULL},
    {"idempotency_key", COLUMN_TEXT, AT(idempotency_key), NULL},
    {"body_sha256", COLUMN_TEXT, AT(body_sha256), NULL},
};
#undef AT
static const struct row_type sweep_type = {"a sweep", sizeof(struct sweep_row), columns, COUNT_OF(columns)};

static bool parse_state(void *member, const char *word) {
  return job_state_parse(member, word);
}

#define AT(member) offsetof(struct sweep_member, member)
static const struct column member_columns[] = {
    {"id", COLUMN_TEXT, AT(id), NULL},
    {"state", COLUMN_WORD, AT(state), parse_state},
    {"sweep_values", COLUMN_TEXT, AT(values), NULL},
    {"started_at", COLUMN_INT, AT(started_at), NULL},
    {"finished_at", COLUMN_INT, AT(finished_at), NULL},
    {"progress", COLUMN_TEXT, AT(progress), NULL},
    {"estimate", COLUMN_TEXT, AT(estimate), NULL},
    {"error_code", COLUMN_TEXT, AT(error_code), NULL},
    {"error_message", COLUMN_TEXT, AT(error_message), NULL},
    {"fine_tuned_model", COLUMN_TEXT, AT(fine_tuned_model), NULL},
    {"iif(json_valid(spec), ifnull(json_extract(spec, '$.checkpointing.load_best_at_end'), 0), 0)", COLUMN_BOOL,
     AT(best_at_end), NULL},
};
#undef AT
static const struct row_type member_type = {"a job of a sweep", sizeof(struct sweep_member), member_columns,
                                            COUNT_OF(member_columns)};

enum status db_sweep_insert(struct db *db, const struct sweep_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT INTO sweep (id, tenant, created_at, name, metric, goal, fields, request,"
                                 " idempotency_key, body_sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->id);
  stmt_text(&stmt, row->tenant);
  stmt_int(&stmt, row->created_at);
  stmt_text(&stmt, row->name);
  stmt_text(&stmt, row->metric);
  stmt_text(&stmt, row->goal);
  stmt_text(&stmt, row->fields);
  stmt_text(&stmt, row->request);
  stmt_text(&stmt, row->idempotency_key);
  stmt_text(&stmt, row->body_sha256);
  return stmt_run(&stmt, NULL, err);
}

enum status db_sweep_get(struct sweep_row *out, struct db *db, const char *tenant, const char *id, struct arena *arena,
                         struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found = false;
  enum status status = row_open(&stmt, db, &sweep_type, "SELECT * FROM sweep WHERE id = ?1 AND tenant = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  status = row_next(out, &found, &sweep_type, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_SWEEP_NOT_FOUND, "sweep_id", "no sweep has the id %.64s", id);
  return status;
}

enum status db_sweep_list(struct sweep_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                          const struct page *page, struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status = row_page(&list, &sweep_type, db, "SELECT seq FROM sweep WHERE id = ?1 AND tenant = ?2",
                                "SELECT * FROM sweep WHERE tenant = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3", tenant,
                                page, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

enum status db_sweep_same(struct sweep_row *out, bool *found, struct db *db, const char *tenant, const char *key,
                          const char *body_sha256, int64_t since, struct arena *arena, struct error *err) {
  return row_same(out, found, &sweep_type, db,
                  "SELECT * FROM sweep WHERE tenant = ?3 AND idempotency_key = ?1 AND created_at >= ?2"
                  " ORDER BY created_at DESC, seq DESC LIMIT 1",
                  "SELECT * FROM sweep WHERE tenant = ?3 AND body_sha256 = ?1 AND created_at >= ?2"
                  " AND idempotency_key IS NULL ORDER BY created_at DESC, seq DESC LIMIT 1",
                  tenant, key, body_sha256, since, arena, err);
}

enum status db_sweep_delete(struct db *db, const char *tenant, const char *id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "DELETE FROM sweep WHERE id = ?1 AND tenant = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  return stmt_run(&stmt, NULL, err);
}

enum status db_sweep_members(struct sweep_member **out, size_t *count, struct db *db, const char *tenant,
                             const char *id, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  *count = 0;
  enum status status =
      row_open(&stmt, db, &member_type, "SELECT * FROM job WHERE sweep = ?1 AND tenant = ?2 ORDER BY seq", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  status = row_list(&list, &member_type, &stmt, INT64_MAX, arena, err);
  *out = list.rows;
  *count = list.count;
  return status;
}
