#include "server/http/job_object.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/http/reply.h"
#include "storage/db_artifact.h"
#include "storage/db_queue.h"

static enum status result_files(json_t **out, struct server *server, const struct job_row *job, struct arena *arena,
                                struct error *err) {
  struct artifact_row *artifacts;
  size_t count = 0;
  enum status status = STATUS_OK;
  *out = NULL;
  if (job->state == JOB_SUCCEEDED && !job->model_deleted)
    status = db_artifact_list(&artifacts, &count, server->db, job->id, arena, err);
  if (status)
    return status;
  *out = json_array();
  for (size_t i = 0; i < count; i++)
    if (artifacts[i].file_id)
      json_array_append_new(*out, json_string(artifacts[i].file_id));
  return STATUS_OK;
}

/* OpenAI's own three, out of the complete set under `method`. */
static json_t *hyperparameters(const json_t *spec) {
  static const char *const names[] = {"n_epochs", "batch_size", "learning_rate_multiplier"};
  const json_t *method = json_object_get(spec, "method");
  const json_t *all = json_object_get(json_object_get(method, "supervised"), "hyperparameters");
  json_t *out = json_object();
  for (size_t i = 0; i < COUNT_OF(names); i++)
    json_object_set(out, names[i], json_object_get(all, names[i]));
  return out;
}

static json_t *estimated_finish(const struct job_row *job, const json_t *progress) {
  const json_t *left = json_object_get(progress, "seconds_remaining");
  if (job->state != JOB_RUNNING || !json_is_number(left) || json_number_value(left) < 0)
    return json_null();
  return json_integer((json_int_t)((double)clock_unix() + json_number_value(left)));
}

static json_t *error_member(const struct server *server, const struct job_row *job) {
  if (!job->error_code)
    return json_null();
  return json_pack("{s:s, s:o, s:s?}", "code", job->error_code, "message",
                   reply_message(server, job->error_message), "param", job->error_param);
}

/* What was requested. A row whose text is damaged is shown without it. */
static json_t *read_spec(const struct job_row *job, struct arena *arena) {
  json_t *document;
  struct error err;
  if (db_job_spec(NULL, &document, job, arena, &err) == STATUS_OK)
    return document;
  log_error("%s", err.text);
  return json_object();
}

enum status job_object(json_t **out, struct server *server, const struct job_row *job, int64_t position,
                       struct arena *arena, struct error *err) {
  AUTO(json_release) json_t *spec = read_spec(job, arena);
  AUTO(json_release) json_t *results = NULL;
  json_t *progress;
  *out = NULL;
  enum status status = result_files(&results, server, job, arena, err);
  if (status)
    return status;
  json_object_set_new(json_object_get(spec, "scheduling"), "queue_position",
                      position >= 0 ? json_integer(position) : json_null());
  bool done = job->state == JOB_SUCCEEDED;
  progress = reply_stored(job->progress);
  json_t *core = json_pack(
      "{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s?, s:O, s:o, s:o, s:s?, s:o, s:o, s:o, s:n, s:o, s:I, s:s?, s:o, s:I,"
      " s:b}",
      "id", job->id, "object", "fine_tuning.job", "created_at", (json_int_t)job->created_at, "organization_id",
      "org-local", "status", job_state_name(job->state), "model", job->model, "training_file", job->training_file,
      "validation_file", job->validation_file, "result_files", results, "hyperparameters", hyperparameters(spec),
      "error", error_member(server, job), "fine_tuned_model", done ? job->fine_tuned_model : NULL, "started_at",
      reply_number(job->started_at), "finished_at", reply_number(job->finished_at), "estimated_finish",
      estimated_finish(job, progress), "integrations", "trained_tokens",
      job->trained_tokens >= 0 ? json_integer(job->trained_tokens) : json_null(), "restarts", (json_int_t)job->restarts,
      "device", job->device, "progress", progress, "attempts", (json_int_t)job->attempts, "pausing",
      job->state == JOB_RUNNING && job->pause_requested_at != 0);
  /* What was requested (method, adapter, seed, suffix, metadata, ...) beside what became of it. */
  if (!core || json_object_update(spec, core) != 0) {
    json_decref(core);
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "showing %s", job->id);
  }
  json_decref(core);
  *out = json_incref(spec);
  return STATUS_OK;
}

void job_object_reply(struct request *request, const struct job_row *job, bool replayed) {
  json_t *object;
  int64_t position;
  struct error err;
  if (db_queue_positions(&position, request->server->db, request->tenant, job, 1, &err) ||
      job_object(&object, request->server, job, position, &request->arena, &err))
    reply_error(request, &err);
  else
    reply_json_with(request, object, replayed ? "Idempotency-Replayed" : NULL, "true");
}

void job_object_reply_id(struct request *request, const char *id) {
  struct job_row job;
  struct error err;
  if (db_job_get(&job, request->server->db, request->tenant, id, &request->arena, &err))
    reply_error(request, &err);
  else
    job_object_reply(request, &job, false);
}
