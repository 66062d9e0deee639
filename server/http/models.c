/* /v1/models: base models and what was trained from them. */
#include "server/models.h"

#include <string.h>

#include "server/http/reply.h"
#include "server/http/wait.h"
#include "server/inspected.h"
#include "server/removal.h"
#include "storage/db_checkpoint.h"
#include "storage/db_job.h"

/* Takes the references of the last three. */
static json_t *model_object(const char *id, int64_t created, const char *owner, const char *format, json_t *usable,
                            json_t *error, json_t *capabilities) {
  return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:o}", "id", id, "object", "model", "created",
                   (json_int_t)created, "owned_by", owner, "format", format, "usable", usable, "error", error,
                   "capabilities", capabilities);
}

/* `usable` is null as long as nobody has looked at the model. */
static json_t *base_object(struct server *server, const struct base_model *base) {
  const struct inspected *inspected = inspected_of(server->inspected, base);
  json_t *usable = json_null(), *error = json_null(), *capabilities = json_null();
  if (inspected && inspected->state == INSPECTED_KNOWN && inspected->error.status) {
    usable = json_false();
    error = json_pack("{s:s, s:o}", "code", status_code(inspected->error.status), "message",
                      reply_message(server, inspected->error.text));
  } else if (inspected && inspected->state == INSPECTED_KNOWN && inspected->report) {
    usable = json_true();
    capabilities = json_incref(inspected->report);
  }
  return model_object(base->id, base->created, "reflectd", model_format_name(base->format), usable, error,
                      capabilities);
}

static json_t *tuned_object(const char *name, int64_t finished_at) {
  return model_object(name, finished_at, "user", "peft", json_true(), json_null(), json_null());
}

void http_models_list(struct request *request) {
  struct base_model *bases;
  struct job_model *tuned;
  struct error err;
  size_t base_count, tuned_count;
  bool more;
  enum status status =
      models_list(&bases, &base_count, request->server->config->models, &request->arena, &err);
  if (!status)
    status = db_job_models(&tuned, &tuned_count, &more, request->server->db, request->tenant, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < base_count; i++)
    json_array_append_new(data, base_object(request->server, &bases[i]));
  for (size_t i = 0; i < tuned_count; i++)
    json_array_append_new(data, tuned_object(tuned[i].name, tuned[i].finished_at));
  reply_json(request, reply_list(data, more));
}

static void show_base(struct request *request, const struct base_model *base) {
  if (!wait_for_model(request, base))
    reply_json(request, base_object(request->server, base));
}

void http_models_retrieve(struct request *request) {
  struct base_model base;
  struct job_row job;
  struct error err;
  const char *id = request_param(request, 0);
  if (db_job_of_model(&job, request->server->db, request->tenant, id, &request->arena, &err) == STATUS_OK)
    reply_json(request, tuned_object(job.fine_tuned_model, job.finished_at));
  else if (err.status == STATUS_MODEL_NOT_FOUND &&
           models_find(&base, request->server->config->models, id, &request->arena, &err) == STATUS_OK)
    show_base(request, &base);
  else
    reply_error(request, &err);
}

/* A checkpoint by the name that the list of its job's checkpoints shows, whatever became of the job. */
static enum status delete_checkpoint(bool *found, struct request *request, const char *name, struct error *err) {
  struct checkpoint_row checkpoint;
  struct job_row job;
  struct server *server = request->server;
  enum status status =
      db_checkpoint_of_name(&checkpoint, found, server->db, request->tenant, name, &request->arena, err);
  if (status || !*found)
    return status;
  status = db_job_get(&job, server->db, request->tenant, checkpoint.job_id, &request->arena, err);
  if (!status && !job_state_terminal(job.state))
    status = error_set(err, STATUS_FILE_IN_USE, "model",
                       "%s has not ended: its checkpoints are still its own; cancel it first or wait", job.id);
  return status ? status : removal_of_checkpoint(server, &job, &checkpoint, err);
}

void http_models_delete(struct request *request) {
  struct base_model base;
  struct job_row job;
  struct error err;
  const char *id = request_param(request, 0);
  struct server *server = request->server;
  bool checkpoint = false;
  enum status status = db_job_of_model(&job, server->db, request->tenant, id, &request->arena, &err);
  if (status == STATUS_MODEL_NOT_FOUND) {
    struct error other;
    enum status outcome = delete_checkpoint(&checkpoint, request, id, &other);
    if (outcome || checkpoint) {
      status = outcome;
      err = other;
    }
  }
  if (status == STATUS_MODEL_NOT_FOUND &&
      models_find(&base, server->config->models, id, &request->arena, &err) == STATUS_OK)
    status = error_set(&err, STATUS_INVALID_REQUEST, "model",
                       "\"%.128s\" is a base model of this server and cannot be deleted; only fine-tuned models can",
                       id);
  if (!status && !checkpoint)
    status = removal_of_model(server, &job, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, json_pack("{s:s, s:s, s:b}", "id", id, "object", "model", "deleted", 1));
}
