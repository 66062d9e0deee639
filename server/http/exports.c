/* /v1/fine_tuning/jobs/{job_id}/exports: a finished job's adapter in other formats. */
#include "api/body.h"
#include "api/job.h"
#include "base/clock.h"
#include "base/json.h"
#include "server/http/reply.h"
#include "server/limits.h"
#include "server/models.h"
#include "server/scheduler.h"
#include "storage/db_artifact.h"
#include "storage/db_export.h"
#include "storage/db_job.h"

static json_t *export_object(const struct server *server, const struct export_row *row) {
  json_t *error = json_null();
  if (row->state == EXPORT_FAILED)
    error = json_pack("{s:s?, s:o}", "code", row->error_code, "message", reply_message(server, row->error_message));
  json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "id", row->format, "object", "fine_tuning.job.export",
                          "job_id", row->job_id, "format", row->format, "status", export_state_name(row->state),
                          "created_at", (json_int_t)row->created_at, "error", error);
  json_object_set_new(out, "finished_at", row->finished_at ? json_integer(row->finished_at) : json_null());
  return out;
}

static void reply_exports(struct request *request, const char *job_id) {
  struct export_row *rows;
  struct error err;
  size_t count;
  if (db_export_list(&rows, &count, request->server->db, job_id, &request->arena, &err)) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, export_object(request->server, &rows[i]));
  reply_json(request, reply_list(data, false));
}

void http_exports_list(struct request *request) {
  struct job_row job;
  struct error err;
  if (db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err))
    reply_error(request, &err);
  else
    reply_exports(request, job.id);
}

/* What the job's task says of its model; without one, that a classifier's adapter comes with labels.json. */
static enum export_model model_of(const struct job_spec *spec, bool classifies) {
  if (spec->task == JOB_TASK_AUTO)
    return classifies ? EXPORT_MODEL_TEXT : EXPORT_MODEL_ANY;
  enum job_output output = job_task_output((enum job_task)spec->task);
  return output == OUTPUT_IMAGE  ? EXPORT_MODEL_IMAGE
         : output == OUTPUT_TEXT ? EXPORT_MODEL_LANGUAGE
                                 : EXPORT_MODEL_TEXT;
}

/* What the kind of the job's model rules out; its base must still be there. */
static enum status judge_base(const struct string_list *formats, const struct job_row *job, const struct job_spec *spec,
                              struct request *request, struct fault_list *faults, struct error *err) {
  struct base_model model;
  struct artifact_row labels;
  enum status status = models_find(&model, request->server->config->models, job->model, &request->arena, err);
  if (status)
    return status;
  status = db_artifact_get(&labels, request->server->db, job->id, "labels.json", &request->arena, err);
  if (status && status != STATUS_ARTIFACT_NOT_FOUND)
    return status;
  job_exports_judge(formats, model_of(spec, status == STATUS_OK), faults);
  return STATUS_OK;
}

/* The body {"exports": [...]}, judged by the method of the job's adapter and by its base. */
static enum status read_formats(struct string_list *out, const json_t *body, const struct job_row *job,
                                struct request *request, struct fault_list *faults, struct error *err) {
  AUTO(json_release) json_t *document = NULL;
  struct exports_body read;
  struct job_spec spec;
  field_read(body_fields(OP_exports_create), &read, body, "", NULL, &request->arena, faults);
  *out = read.exports;
  if (faults->count)
    return STATUS_OK;
  enum status status = db_job_spec(&spec, &document, job, &request->arena, err);
  if (status)
    return status;
  job_exports_settle(out, &spec.adapter, &request->arena, faults);
  return faults->count ? STATUS_OK : judge_base(out, job, &spec, request, faults, err);
}

struct wanted {
  const struct job_row *job;
  const struct string_list *formats;
};

static enum status add_all(struct db *db, const void *what, struct error *err) {
  const struct wanted *wanted = what;
  enum status status = STATUS_OK;
  for (size_t i = 1; !status && i < wanted->formats->count; i++) /* the first is "peft", which is there */
    status = db_export_add(db, wanted->job->id, wanted->formats->item[i], EXPORT_QUEUED, clock_unix(), err);
  return status;
}

void http_exports_create(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct string_list formats = {0};
  struct job_row job;
  struct error err;
  enum status status =
      db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status = request_json(&body, request, &err);
  if (!status && (job.state != JOB_SUCCEEDED || job.model_deleted))
    status = error_set(&err, STATUS_JOB_NOT_SUCCEEDED, "job_id",
                       "only a job that has succeeded can be exported; this one %s",
                       job.model_deleted ? "has had its adapter deleted" : job_state_name(job.state));
  if (!status)
    status = limits_bytes(request->server, request->tenant, 0, NULL, &err);
  if (!status)
    status = read_formats(&formats, body, &job, request, &faults, &err);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  const struct wanted wanted = {&job, &formats};
  if (!status)
    status = db_apply(request->server->db, add_all, &wanted, false, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  scheduler_wake(request->server->scheduler);
  reply_exports(request, job.id);
}
