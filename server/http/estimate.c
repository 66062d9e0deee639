/* POST /v1/fine_tuning/estimate, and a job's creation with dry_run=true: the same checks as creating it, then a worker
   makes ready what the job would train and says what that takes. Nothing is stored. */
#include "server/http/estimate.h"

#include <math.h>

#include "base/clock.h"
#include "server/forecast.h"
#include "server/http/ask.h"
#include "server/http/reply.h"
#include "server/http/wait.h"
#include "server/inspected.h"
#include "storage/db_file.h"

enum { ESTIMATE_BYTES = 1 << 16 };

/* Seconds; null: nobody knows. */
static json_t *queue_wait(struct request *request, const struct job_spec *spec, const json_t *report) {
  const struct server *server = request->server;
  const json_t *bytes = json_object_get(report, "peak_memory_bytes");
  const struct budget_need need = {
      .memory_mib = bytes ? budget_mib(json_integer_value(bytes)) : BUDGET_UNKNOWN,
      .cores = budget_threads(&server->budget, server->config, spec->scheduling.threads)};
  struct error err;
  double seconds;
  const struct job_row job = {.tenant = request->tenant,
                              .priority = spec->scheduling.priority,
                              .device_wanted = spec->scheduling.device ? spec->scheduling.device : "auto"};
  if (forecast_wait(&seconds, request->server, &job, &need, &err) || seconds < 0)
    return json_null();
  return json_integer((json_int_t)ceil(seconds));
}

/* What an estimate does not have is null, so that all have the same members. */
static void complete(json_t *estimate) {
  static const char *const names[] = {"reason",
                                      "lower",
                                      "suggestion",
                                      "available_memory_bytes",
                                      "learns",
                                      "steps",
                                      "examples",
                                      "tokens",
                                      "evaluations",
                                      "training_examples",
                                      "truncated_examples",
                                      "trainable_parameters",
                                      "adapted_modules",
                                      "peak_memory_bytes",
                                      "recomputes_activations",
                                      "disk_bytes",
                                      "device",
                                      "threads",
                                      "duration_seconds",
                                      "measured"};
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (!json_object_get(estimate, names[i]))
      json_object_set_new(estimate, names[i], json_null());
}

json_t *estimate_object(struct request *request, const struct job_draft *draft, const struct question *answer) {
  json_t *out = json_pack("{s:s, s:s}", "object", "fine_tuning.job.estimate", "model", draft->spec.model);
  if (json_object_update(out, answer->report) != 0) {
    json_decref(out);
    return NULL;
  }
  complete(out);
  json_object_set_new(out, "queue_wait_seconds", queue_wait(request, &draft->spec, answer->report));
  json_object_set(out, "warnings", answer->warnings);
  json_object_set_new(out, "job", job_spec_json(&draft->spec));
  return out;
}

/* The spec that an estimate is of: a seed that is chosen at random changes nothing. */
static struct job_spec spec_of(const struct job_draft *draft) {
  struct job_spec spec = draft->spec;
  if (!json_is_integer(json_object_get(draft->body, "seed")))
    spec.seed = 0;
  return spec;
}

const char *estimate_known(struct request *request, const struct job_draft *draft) {
  const struct server *server = request->server;
  AUTO(str_done) struct str text;
  const struct job_spec spec = spec_of(draft);
  str_init(&text, ESTIMATE_BYTES);
  if (!server->questions.first) /* as for most jobs */
    return NULL;
  const struct inspected *inspected = inspected_of(server->inspected, &draft->model);
  const struct question *known =
      questions_known(&server->questions, TASK_ESTIMATE, request->tenant, &spec, inspected ? inspected->version : 0);
  return known && json_append(&text, known->report) ? arena_string(&request->arena, text.text) : NULL;
}

/* A file that is still checked is waited for, once. */
static bool wait_for_file(struct request *request, const char *id) {
  struct file_row file;
  struct error err;
  if (request->waited || !id ||
      db_file_get(&file, request->server->db, request->tenant, id, clock_unix(), &request->arena, &err) ||
      file.status != FILE_UPLOADED)
    return false;
  wait_for(request, id, request->server->config->upload_check_wait_ms);
  return true;
}

enum status estimate_wait(struct request *request, const struct job_draft *draft, bool *waits, struct error *err) {
  const struct job_spec *spec = &draft->spec;
  *waits = draft->pending && (wait_for_model(request, &draft->model) || wait_for_file(request, spec->training_file) ||
                              wait_for_file(request, spec->validation_file));
  return *waits || !draft->pending
             ? STATUS_OK
             : error_set(err, STATUS_OVERLOADED, "training_file",
                         "the job's files or its model are still being checked; ask again in a moment");
}

static enum status estimate(struct request *request, struct job_draft *draft, bool *waits, struct error *err) {
  const struct job_spec *spec = &draft->spec;
  const struct question *answer = NULL;
  enum status status = estimate_wait(request, draft, waits, err);
  if (status || *waits)
    return status;
  draft->spec = spec_of(draft);
  status = ask(&answer, request, TASK_ESTIMATE, spec, &draft->model, err);
  *waits = !status && !answer;
  if (status || *waits)
    return status;
  if (answer->error.status) {
    *err = answer->error;
    return err->status;
  }
  reply_json(request, estimate_object(request, draft, answer));
  return STATUS_OK;
}

void estimate_reply(struct request *request, const json_t *body) {
  struct fault_list faults = {0};
  struct job_draft draft;
  struct error err;
  bool waits = false;
  enum status status = job_draft_read(&draft, request, body, &faults, &err);
  if (!status && faults.count)
    reply_faults(request, &faults);
  else if (!status)
    status = estimate(request, &draft, &waits, &err);
  job_draft_done(&draft);
  if (status)
    reply_error(request, &err);
}

void http_jobs_estimate(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct error err;
  if (request_json(&body, request, &err))
    reply_error(request, &err);
  else
    estimate_reply(request, body);
}
