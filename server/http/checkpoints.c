/* /v1/fine_tuning/jobs/{job_id}/checkpoints */
#include "server/http/reply.h"
#include "storage/db_checkpoint.h"
#include "storage/db_job.h"

static json_t *checkpoint_object(const struct job_row *job, const struct checkpoint_row *checkpoint) {
  char id[40], model[512];
  snprintf(id, sizeof id, "ftckpt-%lld", (long long)checkpoint->seq);
  snprintf(model, sizeof model, "%s:ckpt-step-%lld", job->fine_tuned_model, (long long)checkpoint->step);
  return json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:o}", "id", id, "object", "fine_tuning.job.checkpoint",
                   "created_at", (json_int_t)checkpoint->created_at, "fine_tuned_model_checkpoint", model,
                   "fine_tuning_job_id", job->id, "step_number", (json_int_t)checkpoint->step, "metrics",
                   reply_stored(checkpoint->metrics));
}

void http_jobs_checkpoints(struct request *request) {
  struct page page;
  struct job_row job;
  struct checkpoint_row *checkpoints;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status = db_checkpoint_list(&checkpoints, &count, &more, request->server->db, job.id, &page, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, checkpoint_object(&job, &checkpoints[i]));
  reply_json(request, reply_list(data, more));
}
