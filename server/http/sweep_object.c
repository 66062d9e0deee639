#include "server/http/sweep_object.h"

#include "base/clock.h"
#include "server/http/reply.h"
#include "server/http/sweep_results.h"

/* "queued" as long as none has begun, "finished" when none is open. */
static const char *status_of(const size_t counts[JOB_STATE_COUNT], size_t jobs) {
  size_t ended = counts[JOB_SUCCEEDED] + counts[JOB_FAILED] + counts[JOB_CANCELLED];
  if (ended == jobs)
    return "finished";
  return counts[JOB_VALIDATING] + counts[JOB_QUEUED] == jobs ? "queued" : "running";
}

static json_t *counts_json(const size_t counts[JOB_STATE_COUNT]) {
  json_t *out = json_object();
  for (int i = 0; i < JOB_STATE_COUNT; i++)
    json_object_set_new(out, job_state_name((enum job_state)i), json_integer((json_int_t)counts[i]));
  return out;
}

static json_t *jobs_json(const struct sweep_member *jobs, size_t count) {
  json_t *out = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(out, json_pack("{s:s, s:s, s:o}", "id", jobs[i].id, "status", job_state_name(jobs[i].state),
                                         "values", reply_stored(jobs[i].values)));
  return out;
}

enum status sweep_object(json_t **out, struct db *db, const struct sweep_row *sweep, struct arena *arena,
                         struct error *err) {
  struct sweep_member *jobs;
  struct sweep_results results = {0};
  size_t count, counts[JOB_STATE_COUNT] = {0};
  *out = NULL;
  enum status status = db_sweep_members(&jobs, &count, db, sweep->tenant, sweep->id, arena, err);
  if (!status)
    status = sweep_results_make(&results, sweep, jobs, count, clock_unix(), arena, err);
  for (size_t i = 0; !status && i < count; i++)
    counts[jobs[i].state]++;
  if (!status)
    *out = json_pack("{s:s, s:s, s:I, s:s?, s:s, s:s, s:s, s:O, s:I, s:o, s:o, s:o, s:o}", "id", sweep->id, "object",
                     "fine_tuning.sweep", "created_at", (json_int_t)sweep->created_at, "name", sweep->name, "status",
                     status_of(counts, count), "metric", sweep->metric, "goal", sweep->goal, "fields", results.fields,
                     "job_count", (json_int_t)count, "job_counts", counts_json(counts), "best",
                     sweep_results_best(&results), "jobs", jobs_json(jobs, count), "request",
                     reply_stored(sweep->request));
  sweep_results_done(&results);
  return status || *out ? status : error_no_memory(err, "the sweep");
}

void sweep_object_reply(struct request *request, const char *id, bool replayed) {
  AUTO(json_release) json_t *out = NULL;
  struct sweep_row sweep;
  struct error err;
  struct str text;
  str_init(&text, REPLY_BYTES_MAX);
  enum status status = db_sweep_get(&sweep, request->server->db, request->tenant, id, &request->arena, &err);
  if (!status)
    status = sweep_object(&out, request->server->db, &sweep, &request->arena, &err);
  if (!status && !json_append(&text, out))
    status = error_no_memory(&err, "the sweep");
  if (!status) {
    reply_json_text(request, &text, replayed ? "Idempotency-Replayed" : NULL, "true");
    return;
  }
  str_done(&text);
  reply_error(request, &err);
}
