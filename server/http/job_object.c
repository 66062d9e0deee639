#include "server/http/job_object.h"

#include <string.h>

#include "api/objective.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "base/log.h"
#include "server/forecast.h"
#include "server/http/reply.h"
#include "server/http/shown.h"
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

/* A member of an object that has others before it, or none. */
static void put_member(struct str *out, struct json_text name, struct json_text value) {
  if (out->length && out->text[out->length - 1] != '{')
    str_putc(out, ',');
  str_putc(out, '"');
  str_add(out, name.at, name.length);
  str_puts(out, "\":");
  str_add(out, value.at, value.length);
}

/* OpenAI's own three, out of the complete set under `method`. */
static void put_hyperparameters(struct str *out, struct json_text spec) {
  static const char *const names[] = {"n_epochs", "batch_size", "learning_rate_multiplier"};
  struct json_text all = {"", 0}, value;
  struct json_text method = {"", 0};
  (void)json_text_get(&method, spec, "method");
  for (int i = 0; i < OBJECTIVE_COUNT; i++)
    if (json_text_get(&all, method, objective_names[i]) && json_text_get(&all, all, "hyperparameters"))
      break;
  str_puts(out, out->text[out->length - 1] == '{' ? "" : ",");
  str_puts(out, "\"hyperparameters\":{");
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (json_text_get(&value, all, names[i]))
      put_member(out, (struct json_text){names[i], strlen(names[i])}, value);
  str_putc(out, '}');
}

static void put_number(struct str *out, const char *name, int64_t number, bool known) {
  str_printf(out, "%s\"%s\":", out->text[out->length - 1] == '{' ? "" : ",", name);
  if (known)
    str_printf(out, "%lld", (long long)number);
  else
    str_puts(out, "null");
}

/* What was requested, as its text is, but for what `core` says too and with the job's place in the queue. */
static void put_spec(struct str *out, struct json_text spec, const json_t *core, int64_t position, int64_t start) {
  struct json_text name, value;
  for (size_t offset = 0; json_text_next(&name, &value, &offset, spec);) {
    bool scheduling = name.length == strlen("scheduling") && memcmp(name.at, "scheduling", name.length) == 0;
    if (json_object_getn(core, name.at, name.length))
      continue;
    value.length -= scheduling; /* its closing brace */
    put_member(out, name, value);
    if (!scheduling)
      continue;
    put_number(out, "queue_position", position, position >= 0);
    put_number(out, "expected_start", start, start > 0);
    str_putc(out, '}');
  }
}

const char *job_object_waits_for(const struct job_row *job) {
  if (job->state != JOB_QUEUED)
    return NULL;
  return job->waiting_for ? job->waiting_for : job->needs_free > 0 ? "disk" : "slot";
}

int64_t job_object_finish(const struct job_row *job, const json_t *progress) {
  const json_t *left = json_object_get(progress, "seconds_remaining");
  if (job->state != JOB_RUNNING || !json_is_number(left) || json_number_value(left) < 0)
    return 0;
  return (int64_t)((double)clock_unix() + json_number_value(left));
}

/* Beside the estimate: what it took, once it has ended. */
static json_t *actual(const struct job_row *job, const json_t *progress) {
  const json_t *memory = json_object_get(progress, "peak_memory_bytes");
  if (!job->finished_at || !job->started_at)
    return json_null();
  return json_pack("{s:I, s:o, s:o}", "duration_seconds", (json_int_t)(job->finished_at - job->started_at),
                   "peak_memory_bytes", memory ? json_incref((json_t *)(uintptr_t)memory) : json_null(), "tokens",
                   job->trained_tokens >= 0 ? json_integer(job->trained_tokens) : json_null());
}

/* {"id", "values"} of the sweep that it was made in. */
static json_t *sweep_member(const struct job_row *job) {
  return job->sweep ? json_pack("{s:s, s:o}", "id", job->sweep, "values", reply_stored(job->sweep_values))
                    : json_null();
}

static json_t *error_member(const struct server *server, const struct job_row *job) {
  if (!job->error_code)
    return json_null();
  return json_pack("{s:s, s:o, s:s?}", "code", job->error_code, "message", reply_message(server, job->error_message),
                   "param", job->error_param);
}

/* What was requested. A row whose text is damaged is shown without it. */
static struct json_text read_spec(const struct job_row *job) {
  struct json_text spec = {job->spec, strlen(job->spec)};
  if (job->spec[0] == '{' && json_text_valid(spec))
    return spec;
  log_error("the stored specification of %s is damaged", job->id);
  return (struct json_text){"{}", 2};
}

enum status job_object(struct str *out, struct server *server, const struct job_row *job, int64_t position,
                       struct arena *arena, struct error *err) {
  AUTO(json_release) json_t *results = NULL;
  struct json_text spec = read_spec(job);
  int64_t start;
  enum status status = result_files(&results, server, job, arena, err);
  if (!status)
    status = forecast_start(&start, NULL, server, job, position, err);
  if (status)
    return status;
  bool done = job->state == JOB_SUCCEEDED;
  const char *waits_for = job_object_waits_for(job);
  json_t *progress = reply_stored(job->progress);
  AUTO(json_release)
  json_t *core = json_pack(
      "{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s?, s:O, s:o, s:s?, s:o, s:o, s:o, s:n, s:o, s:I, s:s?, s:o, s:I, s:b, "
      "s:s?}",
      "id", job->id, "object", "fine_tuning.job", "created_at", (json_int_t)job->created_at, "organization_id",
      "org-local", "status", job_state_name(job->state), "model", job->model, "training_file", job->training_file,
      "validation_file", job->validation_file, "result_files", results, "error", error_member(server, job),
      "fine_tuned_model", done ? job->fine_tuned_model : NULL, "started_at", reply_number(job->started_at),
      "finished_at", reply_number(job->finished_at), "estimated_finish", reply_number(job_object_finish(job, progress)),
      "integrations", "trained_tokens", job->trained_tokens >= 0 ? json_integer(job->trained_tokens) : json_null(),
      "restarts", (json_int_t)job->restarts, "device", job->device, "progress", progress, "attempts",
      (json_int_t)job->attempts, "pausing", job->state == JOB_RUNNING && job->pause_requested_at != 0, "cloned_from",
      job->cloned_from);
  if (core) {
    json_object_set_new(core, "estimate", reply_stored(job->estimate));
    json_object_set_new(core, "actual", actual(job, progress));
    json_object_set_new(core, "sweep", sweep_member(job));
    json_object_set_new(core, "waiting_for", waits_for ? json_string(waits_for) : json_null());
  }
  /* Which job it is and what became of it, then what was requested (method, adapter, seed, suffix, metadata, ...). */
  if (!core || !json_append(out, core))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "showing %s", job->id);
  out->length--; /* its closing brace */
  put_spec(out, spec, core, position, start);
  put_hyperparameters(out, spec);
  str_putc(out, '}');
  return STATUS_OK;
}

void job_object_reply(struct request *request, const struct job_row *job, bool replayed) {
  struct str text;
  int64_t position;
  struct error err;
  str_init(&text, REPLY_BYTES_MAX);
  if (db_queue_positions(&position, request->server->db, request->tenant, job, 1, &err) ||
      job_object(&text, request->server, job, position, &request->arena, &err)) {
    str_done(&text);
    reply_error(request, &err);
    return;
  }
  shown_keep(request, job->id, &text);
  reply_json_text(request, &text, replayed ? "Idempotency-Replayed" : NULL, "true");
}

void job_object_reply_id(struct request *request, const char *id) {
  struct job_row job;
  struct error err;
  if (db_job_get(&job, request->server->db, request->tenant, id, &request->arena, &err))
    reply_error(request, &err);
  else
    job_object_reply(request, &job, false);
}
