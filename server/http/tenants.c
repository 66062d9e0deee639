/* /v1/organization/tenants: who there is, what they use and what they may. An operator sees all, everybody else
   himself; and /v1/organization/audit_logs. */
#include <string.h>

#include "api/body.h"
#include "api/tenant.h"
#include "base/clock.h"
#include "server/http/reply.h"
#include "server/limits.h"
#include "storage/db_queue.h"
#include "storage/db_tenant.h"

static enum status tenant_object(json_t **out, const struct server *server, const struct tenant_row *tenant,
                                 struct error *err) {
  const struct limits limits = limits_of(server->config, tenant);
  int64_t queued, running;
  enum status status = db_queue_of_tenant(&queued, &running, server->db, tenant->name, err);
  if (status)
    return status;
  *out = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "id", tenant->name, "object", "organization.tenant",
                   "created_at", (json_int_t)tenant->created_at, "queued_jobs", (json_int_t)queued, "running_jobs",
                   (json_int_t)running, "stored_bytes", (json_int_t)tenant->bytes, "queued_jobs_max",
                   reply_number(limits.queued_max), "running_jobs_max", reply_number(limits.running_max),
                   "stored_bytes_max", reply_number(limits.bytes_max));
  return STATUS_OK;
}

void http_tenants_list(struct request *request) {
  struct tenant_row *tenants, own;
  struct error err;
  size_t count = 1;
  bool more = false;
  enum status status = request->caller.is_operator
                           ? db_tenant_list(&tenants, &count, &more, request->server->db, &request->arena, &err)
                           : db_tenant_get(tenants = &own, request->server->db, request->tenant, &request->arena, &err);
  json_t *data = json_array(), *object;
  for (size_t i = 0; !status && i < count; i++) {
    status = tenant_object(&object, request->server, &tenants[i], &err);
    if (!status)
      json_array_append_new(data, object);
  }
  if (!status) {
    reply_json(request, reply_list(data, more));
    return;
  }
  json_decref(data);
  reply_error(request, &err);
}

/* Another's is not there. */
static enum status find(struct tenant_row *out, struct request *request, const char *name, struct error *err) {
  if (!request->caller.is_operator && strcmp(name, request->tenant) != 0)
    return error_set(err, STATUS_TENANT_NOT_FOUND, "tenant", "no tenant has the name %.64s", name);
  return db_tenant_get(out, request->server->db, name, &request->arena, err);
}

static void reply_tenant(struct request *request, const char *name) {
  struct tenant_row tenant;
  struct error err;
  json_t *object;
  if (find(&tenant, request, name, &err) || tenant_object(&object, request->server, &tenant, &err))
    reply_error(request, &err);
  else
    reply_json(request, object);
}

void http_tenants_retrieve(struct request *request) {
  reply_tenant(request, request_param(request, 0));
}

static enum status store(struct db *db, const void *what, struct error *err) {
  const struct tenant_row *tenant = what;
  enum status status = db_tenant_add(db, tenant->name, clock_unix(), err);
  return status ? status : db_tenant_limit(db, tenant, err);
}

/* A limit that the body does not name stays; null is the option's. */
static void read_limits(struct tenant_row *tenant, const json_t *body, struct arena *arena, struct fault_list *faults) {
  struct tenant_body read;
  field_read(body_fields(OP_tenants_update), &read, body, "", NULL, arena, faults);
  if (json_object_get(body, "queued_jobs_max"))
    tenant->queued_max = read.queued_max;
  if (json_object_get(body, "running_jobs_max"))
    tenant->running_max = read.running_max;
  if (json_object_get(body, "stored_bytes_max"))
    tenant->bytes_max = read.bytes_max;
}

void http_tenants_update(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  const char *name = request_param(request, 0);
  struct tenant_row tenant;
  struct error err;
  enum status status = find(&tenant, request, name, &err);
  if (!status && !request->caller.is_operator)
    status = error_set(&err, STATUS_SCOPE, NULL, "only an admin key of the tenant \"%s\" sets limits", TENANT_DEFAULT);
  if (status == STATUS_TENANT_NOT_FOUND && request->caller.is_operator) {
    tenant = (struct tenant_row){.name = name,
                                 .queued_max = TENANT_AS_CONFIGURED,
                                 .running_max = TENANT_AS_CONFIGURED,
                                 .bytes_max = TENANT_AS_CONFIGURED};
    status = tenant_valid(name) ? STATUS_OK
                                : error_set(&err, STATUS_INVALID_VALUE, "tenant",
                                            "the name of a tenant is 1 to %d of a-z, 0-9 and -", TENANT_BYTES - 1);
  }
  if (!status)
    status = request_json(&body, request, &err);
  if (!status)
    read_limits(&tenant, body, &request->arena, &faults);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  if (!status)
    status = db_apply(request->server->db, store, &tenant, false, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_tenant(request, name);
}
