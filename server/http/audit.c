/* The audit log: written for every request that is no GET, and /v1/organization/audit_logs. */
#include "server/http/audit.h"

#include <string.h>

#include "api/generation_body.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/http/client.h"
#include "server/http/reply.h"

static struct audit_row *describe(struct request *request) {
  struct audit_row *row = &request->audit;
  const char *object = request->match.count ? request->match.param[0] : NULL;
  char key_id[KEY_ID_BYTES], address[CLIENT_ADDRESS_BYTES];
  char *type = arena_string(&request->arena, request->endpoint->operation), *line;
  client_address(address, request->client);
  if (type && (line = strchr(type, '_')))
    *line = '.';
  *row = (struct audit_row){.tenant = request->tenant,
                            .created_at = clock_unix(),
                            .type = type,
                            .object = object && key_parse(key_id, object) ? NULL : object, /* a key, in a wrong place */
                            .result = "success",
                            .actor = request->caller.actor,
                            .actor_id = request->caller.key_id,
                            .address = arena_string(&request->arena, address),
                            .request = request->id};
  return row;
}

/* What a model is asked changes nothing. */
static bool is_audited(const struct request *request) {
  return request->caller.actor && request->endpoint->method != HTTP_GET && !request->audited &&
         !generation_body_fields(request->match.op);
}

void audit_begin(struct request *request) {
  if (is_audited(request))
    db_with_next(request->server->db, db_audit_add, describe(request));
}

/* Whoever sent it may see to it that many are refused, but no more than he could have had carried out. */
void audit_end(struct request *request) {
  struct error err;
  if (!is_audited(request))
    return;
  bool waits = db_with_none(request->server->db);
  request->audited = !waits;
  if (!waits || request->phase == REQUEST_WAITING || !request->error)
    return;
  request->audited = true;
  request->audit.result = status_code(request->error);
  if (db_apply(request->server->db, db_audit_add, &request->audit, false, &err))
    log_warn("the audit log lacks that %s was refused: %s", request->id, err.text);
}

static json_t *audit_object(const struct audit_row *row) {
  char id[40];
  snprintf(id, sizeof id, "audit_log-%lld", (long long)row->seq);
  json_t *actor = json_pack("{s:s, s:s?, s:s?}", "type", row->actor, "id", row->actor_id, "ip_address", row->address);
  return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:s?, s:s, s:s?}", "id", id, "object", "organization.audit_log",
                   "type", row->type, "effective_at", (json_int_t)row->created_at, "tenant", row->tenant, "actor",
                   actor, "object_id", row->object, "result", row->result, "request_id", row->request);
}

void http_audit_list(struct request *request) {
  struct page page;
  struct audit_row *rows;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = db_audit_list(&rows, &count, &more, request->server->db, request->tenant, &page, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, audit_object(&rows[i]));
  reply_json(request, reply_list(data, more));
}
