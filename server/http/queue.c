/* /v1/queue: what runs, and what waits in the order in which it will start. */
#include <string.h>

#include "base/json_text.h"
#include "server/forecast.h"
#include "server/http/job_object.h"
#include "server/http/reply.h"
#include "storage/db_queue.h"

/* A string or null of the spec's own text. */
static json_t *spec_text(const struct job_row *job, const char *name) {
  struct json_text spec = {job->spec, strlen(job->spec)}, value;
  if (!json_text_valid(spec) || !json_text_get(&value, spec, name))
    return json_null();
  json_t *out = json_loadb(value.at, value.length, JSON_DECODE_ANY, NULL);
  return out ? out : json_null();
}

static enum status entry(json_t **out, struct request *request, const struct job_row *job, int64_t position,
                         struct error *err) {
  int64_t start, others;
  enum status status = forecast_start(&start, &others, request->server, job, position, err);
  if (status)
    return status;
  bool waits = job->state == JOB_QUEUED;
  AUTO(json_release) json_t *progress = reply_stored(job->progress);
  *out = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:s?, s:s, s:s?}", "id", job->id,
                   "object", "queue.entry", "status", job_state_name(job->state), "model", job->model, "display_name",
                   spec_text(job, "display_name"), "suffix", spec_text(job, "suffix"), "priority",
                   (json_int_t)job->priority, "queue_position", waits ? json_integer(position) : json_null(),
                   "jobs_of_others_ahead", waits ? json_integer(others) : json_null(), "expected_start",
                   reply_number(start), "created_at", (json_int_t)job->created_at, "started_at",
                   reply_number(waits ? 0 : job->started_at), "estimated_finish",
                   reply_number(job_object_finish(job, progress)), "device", waits ? NULL : job->device,
                   "device_wanted", job->device_wanted, "waiting_for", job_object_waits_for(job));
  return *out ? STATUS_OK : error_no_memory(err, "the queue");
}

/* Takes `count` jobs into the list; the position of the first that waits is `position`. */
static enum status add(json_t *data, struct request *request, const struct job_row *jobs, size_t count,
                       int64_t position, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < count; i++) {
    json_t *item;
    bool waits = jobs[i].state == JOB_QUEUED;
    status = entry(&item, request, &jobs[i], waits ? position++ : -1, err);
    if (!status)
      json_array_append_new(data, item);
  }
  return status;
}

void http_queue_list(struct request *request) {
  struct db *db = request->server->db;
  struct job_row after, *running, *waiting;
  struct page page;
  struct error err;
  size_t running_count = 0, waiting_count = 0;
  int64_t position = -1;
  bool more = false;
  AUTO(json_release) json_t *data = json_array();
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status && page.after)
    status = db_job_get(&after, db, request->tenant, page.after, &request->arena, &err);
  if (status == STATUS_JOB_NOT_FOUND)
    status = error_set(&err, STATUS_INVALID_CURSOR, "after", "`after` names no job: %.64s", page.after);
  bool behind = !status && page.after && after.state == JOB_QUEUED;
  if (behind)
    status = db_queue_positions(&position, db, request->tenant, &after, 1, &err);
  if (!status && !behind)
    status = db_queue_running(&running, &running_count, db, request->tenant, &request->arena, &err);
  if (!status)
    status = db_queue_list(&waiting, &waiting_count, &more, db, request->tenant, behind ? &after : NULL, page.limit,
                           &request->arena, &err);
  if (!status && running_count)
    status = add(data, request, running, running_count, -1, &err);
  if (!status)
    status = add(data, request, waiting, waiting_count, position + 1, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, reply_list(json_incref(data), more));
}
