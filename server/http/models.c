/* /v1/models: base models and what was trained from them. */
#include "server/models.h"

#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "server/http/reply.h"
#include "server/paths.h"
#include "storage/db_artifact.h"
#include "storage/db_checkpoint.h"
#include "storage/db_export.h"
#include "storage/db_file.h"
#include "storage/db_job.h"

static json_t *model_object(const char *id, int64_t created, const char *owner, const char *format) {
  return json_pack("{s:s, s:s, s:I, s:s, s:s}", "id", id, "object", "model", "created", (json_int_t)created,
                   "owned_by", owner, "format", format);
}

static json_t *base_object(const struct base_model *base) {
  return model_object(base->id, base->created, "reflectd", model_format_name(base->format));
}

static json_t *tuned_object(const char *name, int64_t finished_at) {
  return model_object(name, finished_at, "user", "peft");
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
    status = db_job_models(&tuned, &tuned_count, &more, request->server->db, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < base_count; i++)
    json_array_append_new(data, base_object(&bases[i]));
  for (size_t i = 0; i < tuned_count; i++)
    json_array_append_new(data, tuned_object(tuned[i].name, tuned[i].finished_at));
  reply_json(request, reply_list(data, more));
}

void http_models_retrieve(struct request *request) {
  struct base_model base;
  struct job_row job;
  struct error err;
  const char *id = request_param(request, 0);
  if (db_job_of_model(&job, request->server->db, id, &request->arena, &err) == STATUS_OK)
    reply_json(request, tuned_object(job.fine_tuned_model, job.finished_at));
  else if (err.status == STATUS_MODEL_NOT_FOUND &&
           models_find(&base, request->server->config->models, id, &request->arena, &err) == STATUS_OK)
    reply_json(request, base_object(&base));
  else
    reply_error(request, &err);
}

static enum status delete_rows(struct db *db, const char *job_id, struct error *err) {
  enum status status = db_begin(db, err);
  if (status)
    return status;
  status = db_job_delete_model(db, job_id, err);
  if (!status)
    status = db_artifact_delete_of_job(db, job_id, err);
  if (!status)
    status = db_checkpoint_delete_of_job(db, job_id, err);
  if (!status)
    status = db_export_delete_of_job(db, job_id, err);
  if (!status)
    status = db_file_delete_of_job(db, job_id, err);
  if (status) {
    db_rollback(db);
    return status;
  }
  return db_commit(db, err);
}

void http_models_delete(struct request *request) {
  struct base_model base;
  struct job_row job;
  struct error err;
  char path[PATH_BYTES];
  const char *id = request_param(request, 0);
  const struct server *server = request->server;
  enum status status = db_job_of_model(&job, server->db, id, &request->arena, &err);
  if (status == STATUS_MODEL_NOT_FOUND &&
      models_find(&base, server->config->models, id, &request->arena, &err) == STATUS_OK)
    status = error_set(&err, STATUS_INVALID_REQUEST, "model",
                       "\"%.128s\" is a base model of this server and cannot be deleted; only fine-tuned models can",
                       id);
  if (!status)
    status = delete_rows(server->db, job.id, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  status = path_format(path, &err, "%s/" PATH_OUTPUT, server->config->data, job.id, (long long)job.lease_token);
  if (!status)
    status = file_remove_tree(path, &err);
  if (!status)
    status = path_format(path, &err, "%s/" PATH_EXPORTS, server->config->data, job.id);
  if (!status)
    status = file_remove_tree(path, &err);
  if (status)
    log_warn("%s was deleted, but not all of its files: %s", id, err.text);
  reply_json(request, json_pack("{s:s, s:s, s:b}", "id", id, "object", "model", "deleted", 1));
}
