/* /v1/organization/admin_api_keys: the keys of a tenant. A key is shown once, when it is made. */
#include "server/keys.h"

#include <string.h>

#include "base/clock.h"
#include "server/http/reply.h"

/* `value`: the key itself, just made; NULL: nobody knows it any more. */
static json_t *key_object(const struct key_row *key, const char *value) {
  char redacted[KEY_BYTES];
  snprintf(redacted, sizeof redacted, "rfd_%s_...", key->id);
  json_t *owner =
      json_pack("{s:s, s:s, s:s}", "type", "service_account", "name", key->tenant, "role", scope_name(key->scope));
  json_t *out =
      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:s?, s:o}", "id", key->id, "object",
                "organization.admin_api_key", "name", key->name, "tenant", key->tenant, "scope", scope_name(key->scope),
                "redacted_value", redacted, "created_at", (json_int_t)key->created_at, "expires_at",
                reply_number(key->expires_at), "revoked_at", reply_number(key->revoked_at), "last_used_at",
                reply_number(key->last_used_at), "replaced_by", key->replaced_by, "owner", owner);
  if (out && value)
    json_object_set_new(out, "value", json_string(value));
  return out;
}

void http_keys_list(struct request *request) {
  struct page page;
  struct key_row *keys;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = db_key_list(&keys, &count, &more, request->server->db, request->tenant, &page, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, key_object(&keys[i], NULL));
  reply_json(request, reply_list(data, more));
}

/* Wipes `value`. */
static void reply_made(struct request *request, const struct key_row *key, char value[KEY_BYTES]) {
  reply_json(request, key_object(key, value));
  explicit_bzero(value, KEY_BYTES);
}

void http_keys_create(struct request *request) {
  struct key_body wanted;
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct error err;
  char value[KEY_BYTES];
  if (request_json(&body, request, &err)) {
    reply_error(request, &err);
    return;
  }
  field_read(body_fields(OP_keys_create), &wanted, body, "", NULL, &request->arena, &faults);
  if (faults.count) {
    reply_faults(request, &faults);
    return;
  }
  struct key_row key = {.tenant = request->tenant,
                        .name = wanted.name,
                        .scope = (enum scope)(SCOPE_READ + wanted.scope),
                        .expires_at = wanted.expires_in_s ? clock_unix() + wanted.expires_in_s : 0};
  if (keys_create(value, &key, request->server->db, &request->audit, &request->arena, &err))
    reply_error(request, &err);
  else
    reply_made(request, &key, value);
}

static enum status find(struct key_row *out, struct request *request, struct error *err) {
  return db_key_get(out, request->server->db, request->tenant, request_param(request, 0), &request->arena, err);
}

void http_keys_retrieve(struct request *request) {
  struct key_row key;
  struct error err;
  if (find(&key, request, &err))
    reply_error(request, &err);
  else
    reply_json(request, key_object(&key, NULL));
}

void http_keys_delete(struct request *request) {
  struct key_row key;
  struct error err;
  enum status status = find(&key, request, &err);
  if (!status)
    status = keys_revoke(&key, request->server->db, &request->audit, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, json_pack("{s:s, s:s, s:b}", "id", key.id, "object", "organization.admin_api_key.deleted",
                                  "deleted", 1));
}

void http_keys_rotate(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct key_row old, key;
  struct error err;
  struct rotate_body wanted;
  char value[KEY_BYTES];
  enum status status = find(&old, request, &err);
  if (!status)
    status = request_json(&body, request, &err);
  if (!status)
    field_read(body_fields(OP_keys_rotate), &wanted, body, "", NULL, &request->arena, &faults);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  if (!status)
    status = keys_rotate(value, &key, &old, wanted.grace_s, request->server->db, &request->audit, &request->arena,
                         &err);
  if (status)
    reply_error(request, &err);
  else
    reply_made(request, &key, value);
}
