#include "storage/db_webhook.h"

#include <string.h>

#include "storage/row.h"

static const char *const statuses[] = {
    [DELIVERY_PENDING] = "pending", [DELIVERY_DELIVERED] = "delivered", [DELIVERY_GIVEN_UP] = "failed"};

const char *webhook_delivery_status(enum delivery_status status) {
  CHECK(status < COUNT_OF(statuses));
  return statuses[status];
}

static bool parse_status(void *member, const char *word) {
  size_t at = row_word(statuses, COUNT_OF(statuses), word);
  *(enum delivery_status *)member = (enum delivery_status)at;
  return at < COUNT_OF(statuses);
}

#define AT(member) offsetof(struct webhook_row, member)
static const struct column endpoint_columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"id", COLUMN_TEXT, AT(id), NULL},
    {"tenant", COLUMN_TEXT, AT(tenant), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"updated_at", COLUMN_INT, AT(updated_at), NULL},
    {"name", COLUMN_TEXT, AT(name), NULL},
    {"url", COLUMN_TEXT, AT(url), NULL},
    {"event_types", COLUMN_TEXT, AT(event_types), NULL},
    {"secret", COLUMN_TEXT, AT(secret), NULL},
    {"old_secret", COLUMN_TEXT, AT(old_secret), NULL},
    {"old_secret_until", COLUMN_INT, AT(old_secret_until), NULL},
};
#undef AT
static const struct row_type endpoint_type = {"a webhook endpoint", sizeof(struct webhook_row), endpoint_columns,
                                              COUNT_OF(endpoint_columns)};

#define AT(member) offsetof(struct webhook_delivery, member)
static const struct column delivery_columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"endpoint_id", COLUMN_TEXT, AT(endpoint_id), NULL},
    {"event_id", COLUMN_TEXT, AT(event_id), NULL},
    {"event_type", COLUMN_TEXT, AT(event_type), NULL},
    {"job_id", COLUMN_TEXT, AT(job_id), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"status", COLUMN_WORD, AT(status), parse_status},
    {"attempts", COLUMN_INT, AT(attempts), NULL},
    {"due_at", COLUMN_INT, AT(due_at), NULL},
    {"status_code", COLUMN_INT, AT(status_code), NULL},
    {"error", COLUMN_TEXT, AT(error), NULL},
    {"finished_at", COLUMN_INT, AT(finished_at), NULL},
};
#undef AT
static const struct row_type delivery_type = {"a webhook delivery", sizeof(struct webhook_delivery), delivery_columns,
                                              COUNT_OF(delivery_columns)};

enum status db_webhook_insert(struct db *db, const struct webhook_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT INTO webhook_endpoint (id, tenant, created_at, updated_at, name, url,"
                                 " event_types, secret) VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7)",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->id);
  stmt_text(&stmt, row->tenant);
  stmt_int(&stmt, row->created_at);
  stmt_text(&stmt, row->name);
  stmt_text(&stmt, row->url);
  stmt_text(&stmt, row->event_types);
  stmt_text(&stmt, row->secret);
  return stmt_run(&stmt, NULL, err);
}

enum status db_webhook_get(struct webhook_row *out, struct db *db, const char *tenant, const char *id,
                           struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found = false;
  enum status status =
      row_open(&stmt, db, &endpoint_type, "SELECT * FROM webhook_endpoint WHERE id = ?1 AND tenant = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  status = row_next(out, &found, &endpoint_type, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_WEBHOOK_NOT_FOUND, "webhook_endpoint_id", "no webhook endpoint has the id %.64s", id);
  return status;
}

enum status db_webhook_list(struct webhook_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                            const struct page *page, struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status =
      row_page(&list, &endpoint_type, db, "SELECT seq FROM webhook_endpoint WHERE id = ?1 AND tenant = ?2",
               "SELECT * FROM webhook_endpoint WHERE tenant = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3", tenant, page,
               arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

enum status db_webhook_count(int64_t *out, struct db *db, const char *tenant, struct error *err) {
  return stmt_number(out, db, "SELECT count(*) FROM webhook_endpoint WHERE tenant = ?1", tenant, err);
}

enum status db_webhook_update(struct db *db, const struct webhook_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE webhook_endpoint SET updated_at = ?3, name = ?4, url = ?5, event_types = ?6,"
                                 " secret = ?7, old_secret = ?8, old_secret_until = ?9 WHERE id = ?1 AND tenant = ?2",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->id);
  stmt_text(&stmt, row->tenant);
  stmt_int(&stmt, row->updated_at);
  stmt_text(&stmt, row->name);
  stmt_text(&stmt, row->url);
  stmt_text(&stmt, row->event_types);
  stmt_text(&stmt, row->secret);
  stmt_text(&stmt, row->old_secret);
  stmt_int_or_null(&stmt, row->old_secret_until);
  return stmt_run(&stmt, NULL, err);
}

enum status db_webhook_delete(struct db *db, const char *tenant, const char *id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "DELETE FROM webhook_endpoint WHERE id = ?1 AND tenant = ?2", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  return stmt_run(&stmt, NULL, err);
}

enum status db_webhook_deliveries(struct webhook_delivery **out, size_t *count, bool *more, struct db *db,
                                  const char *endpoint_id, const struct page *page, struct arena *arena,
                                  struct error *err) {
  struct row_list list;
  enum status status =
      row_page(&list, &delivery_type, db,
               "SELECT seq FROM webhook_delivery WHERE 'whd-' || seq = ?1"
               " AND seq = CAST(substr(?1, 5) AS INTEGER) AND endpoint_id = ?2",
               "SELECT * FROM webhook_delivery WHERE endpoint_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
               endpoint_id, page, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

enum status db_webhook_due(struct webhook_row **out, size_t *count, struct db *db, int64_t now, int64_t limit,
                           struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  *count = 0;
  enum status status = row_open(&stmt, db, &endpoint_type,
                                "SELECT * FROM webhook_endpoint WHERE due_at <= ?1 ORDER BY sent_at LIMIT ?2", err);
  if (status)
    return status;
  stmt_int(&stmt, now);
  stmt_int(&stmt, limit);
  status = row_list(&list, &endpoint_type, &stmt, limit, arena, err);
  *out = list.rows;
  *count = list.count;
  return status;
}

enum status db_webhook_next(struct webhook_delivery *out, bool *found, struct db *db, const char *endpoint_id,
                            int64_t now, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, &delivery_type,
                                "SELECT * FROM webhook_delivery WHERE endpoint_id = ?1 AND status = 'pending'"
                                " AND due_at <= ?2 ORDER BY due_at, seq LIMIT 1",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, endpoint_id);
  stmt_int(&stmt, now);
  return row_next(out, found, &delivery_type, &stmt, arena, err);
}

static enum status note_sent(struct db *db, const char *endpoint_id, int64_t now, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "UPDATE webhook_endpoint SET sent_at = ?2 WHERE id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, endpoint_id);
  stmt_int(&stmt, now);
  return stmt_run(&stmt, NULL, err);
}

enum status db_webhook_tried(struct db *db, const struct webhook_delivery *delivery, int64_t now, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE webhook_delivery SET status = ?2, attempts = attempts + 1, due_at = ?3,"
                                 " status_code = ?4, error = ?5, finished_at = iif(?2 = 'pending', NULL, ?6)"
                                 " WHERE seq = ?1 AND status = 'pending'",
                                 err);
  if (status)
    return status;
  stmt_int(&stmt, delivery->seq);
  stmt_text(&stmt, webhook_delivery_status(delivery->status));
  stmt_int(&stmt, delivery->due_at);
  stmt_int_or_null(&stmt, delivery->status_code);
  stmt_text(&stmt, delivery->error);
  stmt_int(&stmt, now);
  status = stmt_run(&stmt, NULL, err);
  return status ? status : note_sent(db, delivery->endpoint_id, now, err);
}

enum status db_webhook_forget(struct db *db, int64_t before, int64_t limit, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "DELETE FROM webhook_delivery WHERE seq IN (SELECT seq FROM webhook_delivery"
                                 " WHERE finished_at < ?1 LIMIT ?2)",
                                 err);
  if (status)
    return status;
  stmt_int(&stmt, before);
  stmt_int(&stmt, limit);
  return stmt_run(&stmt, NULL, err);
}
