/* /v1/capabilities: all that a form for a job needs. */
#include "api/capabilities.h"

#include <string.h>

#include "server/http/model_object.h"
#include "server/http/reply.h"
#include "server/inspected.h"
#include "server/limits.h"

static json_t *device_json(const char *name, const char *processor, int64_t memory, bool gpu, int64_t places) {
  return json_pack("{s:s, s:s?, s:o, s:b, s:I}", "name", name, "processor", processor, "memory_bytes",
                   reply_number(memory), "gpu", gpu, "places", (json_int_t)places);
}

/* "auto" is not among them: it is none of its own. */
static json_t *devices(const struct server *server) {
  const struct devices *found = &server->devices;
  json_t *out = json_array();
  if (found->cpu)
    json_array_append_new(out, device_json("cpu", found->cpu_processor[0] ? found->cpu_processor : NULL, 0, false,
                                           server->config->workers_max));
  for (size_t i = 0; i < found->count; i++)
    json_array_append_new(out, device_json(found->other[i].name, found->other[i].processor, found->other[i].memory,
                                           found->other[i].gpu, 1));
  return out;
}

/* null: there is none. */
static json_t *limits(const struct server *server, const struct tenant_row *tenant) {
  const struct config *config = server->config;
  const struct limits own = limits_of(config, tenant);
  json_t *of_tenant =
      json_pack("{s:s, s:o, s:o, s:o}", "id", tenant->name, "queued_jobs_max", reply_number(own.queued_max),
                "running_jobs_max", reply_number(own.running_max), "stored_bytes_max", reply_number(own.bytes_max));
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:o}", "upload_bytes_max",
                   (json_int_t)config->upload_bytes_max, "body_bytes_max", (json_int_t)config->body_bytes_max,
                   "queued_jobs_max", (json_int_t)config->queue_max, "running_jobs_max",
                   (json_int_t)config->workers_max, "threads_max",
                   (json_int_t)budget_threads_max(&server->budget, config), "memory_budget_mib",
                   reply_number(server->budget.memory_mib), "core_budget", (json_int_t)server->budget.cores,
                   "preemption", reply_number(config->preemption), "tenant", of_tenant);
}

/* Whom the server takes the client for. `key_id` null: of the configured key, and where no key is needed. */
static json_t *caller(const struct caller *caller) {
  bool needed = !caller->actor || strcmp(caller->actor, "anyone") != 0;
  return json_pack("{s:s, s:s?, s:b}", "scope", scope_name(caller->scope), "key_id", caller->key_id, "key_needed",
                   needed);
}

/* A model with the names of the tasks that a job of it can have. */
static json_t *model(struct server *server, const struct base_model *base) {
  json_t *out = model_base_object(server, base);
  const struct inspected *inspected = inspected_of(server->inspected, base);
  bool known = inspected && inspected->state == INSPECTED_KNOWN && inspected->report;
  json_object_set_new(out, "tasks", known ? capabilities_tasks(inspected_tasks(inspected)) : json_null());
  return out;
}

static enum status models(json_t **out, struct request *request, struct error *err) {
  struct base_model *bases;
  size_t count;
  enum status status = models_list(&bases, &count, request->server->config->models, &request->arena, err);
  if (status)
    return status;
  *out = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(*out, model(request->server, &bases[i]));
  return STATUS_OK;
}

void http_capabilities(struct request *request) {
  struct tenant_row tenant;
  struct error err;
  json_t *found;
  enum status status = db_tenant_get(&tenant, request->server->db, request->tenant, &request->arena, &err);
  if (!status)
    status = models(&found, request, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *out = capabilities_json();
  json_object_set_new(out, "object", json_string("capabilities"));
  json_object_set_new(out, "devices", devices(request->server));
  json_object_set_new(out, "limits", limits(request->server, &tenant));
  json_object_set_new(out, "caller", caller(&request->caller));
  json_object_set_new(out, "models", found);
  reply_json(request, out);
}
