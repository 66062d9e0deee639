/* /v1/webhook_endpoints: who is told of a tenant's jobs. A signing secret is shown when it is made, and never again. */
#include "server/webhooks.h"

#include <string.h>

#include "api/webhook.h"
#include "base/clock.h"
#include "base/field.h"
#include "base/rng.h"
#include "base/signature.h"
#include "server/http/reply.h"
#include "server/http/wait.h"

enum {
  ENDPOINTS_MAX = 50, /* of a tenant */
  TYPES_BYTES = 2048,
  TEST_WAIT_MS = 20000,
  OVERLAP_S = 24 * 3600,
};

/* `secret`: just made; NULL: it is not shown. */
static json_t *endpoint_object(const struct webhook_row *row, const char *secret) {
  char hint[24];
  size_t length = strlen(row->secret);
  snprintf(hint, sizeof hint, "whsec_...%s", row->secret + (length > 4 ? length - 4 : 0));
  json_t *out =
      json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:o, s:s}", "id", row->id, "object", "webhook_endpoint", "created_at",
                (json_int_t)row->created_at, "updated_at", (json_int_t)row->updated_at, "name", row->name, "url",
                row->url, "event_types", reply_stored(row->event_types), "signing_secret_hint", hint);
  if (out && secret)
    json_object_set_new(out, "signing_secret", json_string(secret));
  return out;
}

static enum status find(struct webhook_row *out, struct request *request, struct error *err) {
  return db_webhook_get(out, request->server->db, request->tenant, request_param(request, 0), &request->arena, err);
}

/* ---- what a client sets ---- */

static void read_wanted(struct webhook_body *out, const json_t *body, struct request *request,
                        struct fault_list *faults) {
  const struct config *config = request->server->config;
  struct error err;
  *out = (struct webhook_body){0};
  field_read(body_fields(request->match.op), out, body, "", NULL, &request->arena, faults);
  if (out->url &&
      webhook_check_url(out->url, config->webhook_http, (enum webhook_targets)config->webhook_targets, &err))
    fault_add(faults, err.status, err.param, "%s", err.text);
  for (size_t i = 0; i < out->event_types.count; i++)
    if (webhook_check_event(out->event_types.item[i], "event_types", &err))
      fault_add(faults, err.status, err.param, "%s", err.text);
}

static const char *types_text(const struct string_list *types, struct arena *arena) {
  AUTO(str_done) struct str text;
  AUTO(json_release) json_t *list = json_array();
  str_init(&text, TYPES_BYTES);
  for (size_t i = 0; i < types->count; i++)
    json_array_append_new(list, json_string(types->item[i]));
  return list && json_append(&text, list) ? arena_string(arena, text.text) : NULL;
}

static enum status check_allowed(const struct request *request, struct error *err) {
  return request->server->config->webhook_targets == WEBHOOK_NONE
             ? error_set(err, STATUS_UNSUPPORTED_VALUE, NULL, "this server sends no webhooks (webhook_targets)")
             : STATUS_OK;
}

/* ---- the store ---- */

static enum status store_new(struct db *db, const void *what, struct error *err) {
  return db_webhook_insert(db, what, err);
}

static enum status store_changed(struct db *db, const void *what, struct error *err) {
  return db_webhook_update(db, what, err);
}

static enum status store_gone(struct db *db, const void *what, struct error *err) {
  const struct webhook_row *row = what;
  return db_webhook_delete(db, row->tenant, row->id, err);
}

/* ---- the handlers ---- */

void http_webhooks_list(struct request *request) {
  struct page page;
  struct webhook_row *rows;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = db_webhook_list(&rows, &count, &more, request->server->db, request->tenant, &page, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, endpoint_object(&rows[i], NULL));
  reply_json(request, reply_list(data, more));
}

static enum status check_room(struct request *request, struct error *err) {
  int64_t count;
  enum status status = db_webhook_count(&count, request->server->db, request->tenant, err);
  return status || count < ENDPOINTS_MAX
             ? status
             : error_set(err, STATUS_QUOTA, NULL, "there are %d webhook endpoints, which is the limit", ENDPOINTS_MAX);
}

static void create(struct request *request, const struct webhook_body *wanted) {
  char id[40], secret[SIGNATURE_SECRET_BYTES];
  struct error err;
  int64_t now = clock_unix();
  rng_id(id, sizeof id, "we_");
  signature_secret(secret);
  struct webhook_row row = {.id = id,
                            .tenant = request->tenant,
                            .created_at = now,
                            .updated_at = now,
                            .name = wanted->name,
                            .url = wanted->url,
                            .event_types = types_text(&wanted->event_types, &request->arena),
                            .secret = secret};
  request->audit.object = arena_string(&request->arena, id);
  enum status status = row.event_types ? check_room(request, &err)
                                       : error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "making a webhook endpoint");
  if (!status)
    status = db_apply(request->server->db, store_new, &row, false, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, endpoint_object(&row, secret));
  explicit_bzero(secret, sizeof secret);
}

void http_webhooks_create(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct webhook_body wanted;
  struct error err;
  if (check_allowed(request, &err) || request_json(&body, request, &err)) {
    reply_error(request, &err);
    return;
  }
  read_wanted(&wanted, body, request, &faults);
  if (faults.count)
    reply_faults(request, &faults);
  else
    create(request, &wanted);
}

void http_webhooks_retrieve(struct request *request) {
  struct webhook_row row;
  struct error err;
  if (find(&row, request, &err))
    reply_error(request, &err);
  else
    reply_json(request, endpoint_object(&row, NULL));
}

void http_webhooks_update(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct webhook_body wanted;
  struct webhook_row row;
  struct error err;
  enum status status = find(&row, request, &err);
  if (!status)
    status = check_allowed(request, &err);
  if (!status)
    status = request_json(&body, request, &err);
  if (!status)
    read_wanted(&wanted, body, request, &faults);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  if (!status) {
    row.name = wanted.name ? wanted.name : row.name;
    row.url = wanted.url ? wanted.url : row.url;
    row.event_types = wanted.event_types.count ? types_text(&wanted.event_types, &request->arena) : row.event_types;
    row.updated_at = clock_unix();
    status = row.event_types ? db_apply(request->server->db, store_changed, &row, false, &err)
                             : error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "changing a webhook endpoint");
  }
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, endpoint_object(&row, NULL));
}

void http_webhooks_delete(struct request *request) {
  struct webhook_row row;
  struct error err;
  enum status status = find(&row, request, &err);
  if (!status)
    status = db_apply(request->server->db, store_gone, &row, true, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, json_pack("{s:s, s:s, s:b}", "id", row.id, "object", "webhook_endpoint.deleted", "deleted", 1));
}

void http_webhooks_rotate_secret(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct webhook_row row;
  struct error err;
  struct webhook_secret_body wanted = {0};
  char secret[SIGNATURE_SECRET_BYTES];
  enum status status = find(&row, request, &err);
  if (!status && request->body.length > 0)
    status = request_json(&body, request, &err);
  if (!status && body)
    field_read(body_fields(OP_webhooks_rotate_secret), &wanted, body, "", NULL, &request->arena, &faults);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  if (!status) {
    signature_secret(secret);
    row.updated_at = clock_unix();
    row.old_secret = wanted.keep ? row.secret : NULL;
    row.old_secret_until = wanted.keep ? row.updated_at + OVERLAP_S : 0;
    row.secret = secret;
    status = db_apply(request->server->db, store_changed, &row, false, &err);
  }
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, endpoint_object(&row, secret));
  explicit_bzero(secret, sizeof secret);
}

static enum status read_event(const char **out, const json_t *body, struct request *request, struct fault_list *faults,
                              struct error *err) {
  struct webhook_test_body wanted = {0};
  field_read(body_fields(OP_webhooks_test), &wanted, body, "", NULL, &request->arena, faults);
  *out = wanted.event_type;
  return faults->count ? STATUS_OK : webhook_check_event(*out, "event_type", err);
}

static void reply_tested(struct request *request, const char *event_type) {
  struct delivery_result result;
  struct error err;
  if (!webhooks_tested(&result, request->server->webhooks, request->wait_key))
    snprintf(result.error, sizeof result.error, "it took too long"), result.http_status = 0;
  if (result.http_status) {
    reply_json(request, json_pack("{s:s, s:s, s:i, s:b, s:s}", "object", "webhook_endpoint.test", "event_type",
                                  event_type, "status_code", result.http_status, "success", 1, "webhook_endpoint_id",
                                  request_param(request, 0)));
    return;
  }
  error_set(&err, STATUS_WEBHOOK_FAILED, NULL, "the webhook endpoint did not answer: %s", result.error);
  reply_error(request, &err);
}

/* Sent once, while the request waits. It is alone: what was sent is not taken back. */
void http_webhooks_test(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  const char *event_type = NULL;
  struct webhook_row row;
  struct error err;
  char key[WEBHOOKS_KEY];
  enum status status = find(&row, request, &err);
  if (!status)
    status = check_allowed(request, &err);
  if (!status)
    status = request_json(&body, request, &err);
  if (!status)
    status = read_event(&event_type, body, request, &faults, &err);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  if (!status && request->waited) {
    reply_tested(request, event_type);
    return;
  }
  if (!status)
    status = webhooks_test(key, request->server->webhooks, &row, event_type, &err);
  if (status)
    reply_error(request, &err);
  else
    wait_for(request, key, TEST_WAIT_MS);
}

static json_t *delivery_object(const struct request *request, const struct webhook_delivery *row) {
  char id[40];
  bool pending = row->status == DELIVERY_PENDING;
  snprintf(id, sizeof id, "whd-%lld", (long long)row->seq);
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:o, s:o, s:o, s:o}", "id", id, "object",
                   "webhook_endpoint.delivery", "webhook_endpoint_id", row->endpoint_id, "event_id", row->event_id,
                   "event_type", row->event_type, "job_id", row->job_id, "created_at", (json_int_t)row->created_at,
                   "status", webhook_delivery_status(row->status), "attempts", (json_int_t)row->attempts,
                   "next_attempt_at", reply_number(pending ? row->due_at : 0), "status_code",
                   reply_number(row->status_code), "error", reply_message(request->server, row->error), "finished_at",
                   reply_number(row->finished_at));
}

void http_webhooks_deliveries(struct request *request) {
  struct page page;
  struct webhook_row endpoint;
  struct webhook_delivery *rows;
  struct error err;
  size_t count;
  bool more;
  enum status status = find(&endpoint, request, &err);
  if (!status)
    status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status =
        db_webhook_deliveries(&rows, &count, &more, request->server->db, endpoint.id, &page, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, delivery_object(request, &rows[i]));
  reply_json(request, reply_list(data, more));
}

void http_webhooks_events(struct request *request) {
  json_t *data = json_array();
  for (const char *const *event = webhook_events; *event; event++)
    json_array_append_new(data, json_string(*event));
  reply_json(request, json_pack("{s:s, s:o}", "object", "list", "data", data));
}
