/* /v1/models: base models and what was trained from them. */
#include "server/models.h"

#include <string.h>

#include "server/http/model_object.h"
#include "server/http/reply.h"
#include "server/http/wait.h"
#include "server/removal.h"
#include "storage/db_checkpoint.h"
#include "storage/db_job.h"

void http_models_list(struct request *request) {
  struct base_model *bases;
  struct job_model *tuned;
  struct error err;
  size_t base_count, tuned_count;
  bool more;
  enum status status = models_list(&bases, &base_count, request->server->config->models, &request->arena, &err);
  if (!status)
    status = db_job_models(&tuned, &tuned_count, &more, request->server->db, request->tenant, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < base_count; i++)
    json_array_append_new(data, model_base_object(request->server, &bases[i]));
  for (size_t i = 0; i < tuned_count; i++)
    json_array_append_new(data, model_tuned_object(tuned[i].name, tuned[i].finished_at));
  reply_json(request, reply_list(data, more));
}

static void show_base(struct request *request, const struct base_model *base) {
  if (!wait_for_model(request, base))
    reply_json(request, model_base_object(request->server, base));
}

void http_models_retrieve(struct request *request) {
  struct base_model base;
  struct job_row job;
  struct error err;
  const char *id = request_param(request, 0);
  if (db_job_of_model(&job, request->server->db, request->tenant, id, &request->arena, &err) == STATUS_OK)
    reply_json(request, model_tuned_object(job.fine_tuned_model, job.finished_at));
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
  return status ? status : removal_of_checkpoint(server, &job, &checkpoint, &request->arena, err);
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
    status =
        error_set(&err, STATUS_NOT_DELETABLE, "model",
                  "\"%.128s\" is a base model of this server and cannot be deleted; only fine-tuned models can", id);
  if (!status && !checkpoint)
    status = removal_of_model(server, &job, &request->arena, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, json_pack("{s:s, s:s, s:b}", "id", id, "object", "model", "deleted", 1));
}
