#include "server/http/job_draft.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "server/admission.h"
#include "server/limits.h"
#include "server/source.h"
#include "storage/db_event.h"
#include "storage/db_queue.h"

enum { MODEL_TAIL = 8 };

enum status job_draft_room(const struct request *request, int64_t jobs, struct error *err) {
  struct server *server = request->server;
  int64_t waiting;
  if (server->draining)
    return error_set(err, STATUS_DRAINING, NULL, "the server is shutting down");
  enum status status = db_queue_waiting(&waiting, server->db, err);
  if (!status && waiting + jobs > server->config->queue_max)
    return error_set(err, STATUS_QUEUE_FULL, NULL, "%lld jobs are waiting; the limit is %lld", (long long)waiting,
                     (long long)server->config->queue_max);
  if (!status)
    status = limits_jobs(server, request->tenant, jobs, err);
  return status ? status : limits_bytes(server, request->tenant, 0, NULL, err);
}

/* The adapter to start from: it must be there and fit the model, and a body without `adapter` means its
   configuration. *out: the body to go on with, a new reference. */
static enum status with_source(json_t **out, struct request *request, const json_t *body, struct fault_list *faults,
                               struct error *err) {
  AUTO(json_release) json_t *adapter = NULL;
  struct source source;
  const char *id = json_string_value(json_object_get(body, "from_checkpoint"));
  const char *model = json_string_value(json_object_get(body, "model"));
  *out = json_incref((json_t *)(uintptr_t)body);
  if (!id)
    return STATUS_OK;
  enum status status = source_find(&source, &adapter, request->server, request->tenant, id, &request->arena, err);
  if (status && status_http(status) < 500) {
    fault_add(faults, status, "from_checkpoint", "%s", err->text);
    return STATUS_OK;
  }
  if (status)
    return status;
  if (model && source.model && strcmp(model, source.model) != 0)
    fault_add(faults, STATUS_INVALID_VALUE, "from_checkpoint",
              "%s was made for the model \"%.64s\", the job names \"%.64s\"", id, source.model, model);
  if (adapter && !json_object_get(body, "adapter")) {
    json_decref(*out);
    *out = json_copy((json_t *)(uintptr_t)body);
    if (!*out || json_object_set(*out, "adapter", adapter) != 0)
      return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading the job");
  }
  return STATUS_OK;
}

/* Names the largest member. */
void job_draft_check_size(const struct job_spec *spec, struct fault_list *faults) {
  AUTO(json_release) json_t *document = job_spec_json(spec);
  char path[96] = "";
  size_t bytes = json_dumpb(document, NULL, 0, JSON_COMPACT);
  if (bytes <= JOB_DRAFT_BYTES_MAX)
    return;
  for (const json_t *at = document; json_is_object(at);) {
    const char *name, *largest = "";
    json_t *value, *next = NULL;
    size_t most = 0;
    json_object_foreach((json_t *)(uintptr_t)at, name, value) {
      size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
      if (size > most) {
        most = size;
        largest = name;
        next = value;
      }
    }
    size_t used = strlen(path);
    snprintf(path + used, sizeof path - used, "%s%s", used ? "." : "", largest);
    at = next;
  }
  fault_add(faults, STATUS_INVALID_VALUE, path,
            "the job has %zu bytes as it is stored; at most %d are allowed; most"
            " of them are in %s",
            bytes, JOB_DRAFT_BYTES_MAX, path);
}

static enum status find_model(struct job_draft *draft, struct request *request, struct fault_list *faults,
                              struct error *err) {
  const struct job_spec *spec = &draft->spec;
  const char *folder = request->server->config->models;
  struct job_row tuned;
  enum status status = models_find(&draft->model, folder, spec->model, &request->arena, err);
  if (status == STATUS_MODEL_NOT_FOUND && access(folder, R_OK | X_OK) != 0)
    return error_set(err, STATUS_UNAVAILABLE, "model", "the models folder of this server cannot be read now");
  if (status == STATUS_MODEL_NOT_FOUND &&
      !db_job_of_model(&tuned, request->server->db, request->tenant, spec->model, &request->arena, NULL))
    fault_add(faults, status, "model",
              "\"%.128s\" is a fine-tuned model: a job goes on from it with the model "
              "\"%.64s\" and from_checkpoint \"%.128s\"",
              spec->model, tuned.model, spec->model);
  else if (status == STATUS_MODEL_NOT_FOUND)
    fault_add(faults, status, "model", "%s", err->text);
  else if (status)
    return status;
  else
    job_exports_judge(&spec->exports, EXPORT_MODEL_ANY, faults);
  return STATUS_OK;
}

enum status job_draft_read(struct job_draft *out, struct request *request, const json_t *body,
                           struct fault_list *faults, struct error *err) {
  uint32_t seed;
  *out = (struct job_draft){0};
  rng_secret(&seed, sizeof seed);
  enum status status = with_source(&out->body, request, body, faults, err);
  if (status)
    return status;
  job_spec_parse(&out->spec, out->body, seed & 0x7FFFFFFF, &request->arena, faults);
  if (faults->count == 0)
    job_draft_check_size(&out->spec, faults);
  if (faults->count)
    return STATUS_OK;
  status = find_model(out, request, faults, err);
  return status ? status
                : admission_check(&out->pending, faults, request->server, request->tenant, &out->spec, &request->arena,
                                  err);
}

void job_draft_done(struct job_draft *draft) {
  json_decref(draft->body);
  draft->body = NULL;
}

enum status job_draft_row(struct job_row *row, const struct job_spec *spec, struct arena *arena, struct error *err) {
  AUTO(str_done) struct str text;
  AUTO(json_release) json_t *document = job_spec_json(spec);
  str_init(&text, 2 * JOB_DRAFT_BYTES_MAX);
  row->spec = document && json_append(&text, document) ? arena_string(arena, text.text) : NULL;
  str_clear(&text);
  row->metadata = spec->metadata && json_append(&text, spec->metadata) ? arena_string(arena, text.text) : NULL;
  row->fine_tuned_model = arena_format(arena, "ft:%s:local:%s:%.*s", spec->model, spec->suffix ? spec->suffix : "",
                                       MODEL_TAIL, row->id + strlen("ftjob-"));
  row->model = spec->model;
  row->training_file = spec->training_file;
  row->validation_file = spec->validation_file;
  row->priority = spec->scheduling.priority;
  row->device_wanted = spec->scheduling.device;
  row->from_checkpoint = spec->from_checkpoint;
  return row->spec && row->fine_tuned_model && (row->metadata || !spec->metadata) ? STATUS_OK
                                                                                  : error_no_memory(err, "the job");
}

enum status job_draft_new(struct job_row *out, const struct job_draft *draft, const struct request *request,
                          struct arena *arena, struct error *err) {
  char id[40];
  rng_id(id, sizeof id, "ftjob-");
  *out = (struct job_row){.id = arena_string(arena, id),
                          .tenant = request->tenant,
                          .created_at = clock_unix(),
                          .request_id = request->id,
                          .peft_type = method_of(draft->spec.adapter.peft_type)->peft_type,
                          .state = draft->pending ? JOB_VALIDATING : JOB_QUEUED};
  return out->id ? job_draft_row(out, &draft->spec, arena, err) : error_no_memory(err, "the job");
}

enum status job_draft_add(struct db *db, const struct job_row *row, struct error *err) {
  const char *texts[] = {"Created fine-tuning job", job_state_name(row->state)};
  enum status status = db_job_insert(db, row, err);
  if (!status && row->estimate)
    status = db_job_set_estimate(db, row->id, row->estimate, err);
  for (size_t i = 0; !status && i < COUNT_OF(texts); i++) {
    struct event_row event = {.job_id = row->id, .created_at = row->created_at, .level = LOG_INFO, .message = texts[i]};
    status = db_event_add(db, &event, err);
  }
  return status;
}
