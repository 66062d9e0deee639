/* /v1/fine_tuning/jobs/{job_id}/artifacts */
#include "server/http/reply.h"
#include "storage/db_artifact.h"
#include "storage/db_job.h"

static json_t *artifact_object(const struct artifact_row *artifact) {
  return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s?, s:I}", "id", artifact->name, "object",
                   "fine_tuning.job.artifact", "name", artifact->name, "bytes", (json_int_t)artifact->bytes, "sha256",
                   artifact->sha256, "file_id", artifact->file_id, "created_at", (json_int_t)artifact->created_at);
}

void http_artifacts_list(struct request *request) {
  struct job_row job;
  struct artifact_row *artifacts;
  struct error err;
  size_t count;
  enum status status =
      db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status = db_artifact_list(&artifacts, &count, request->server->db, job.id, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, artifact_object(&artifacts[i]));
  reply_json(request, reply_list(data, false));
}

void http_artifacts_content(struct request *request) {
  struct job_row job;
  struct artifact_row artifact;
  struct error err;
  enum status status =
      db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status =
        db_artifact_get(&artifact, request->server->db, job.id, request_param(request, 1), &request->arena, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_content(request, artifact.path, artifact.bytes, artifact.sha256, artifact.name);
}
