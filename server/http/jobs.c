/* /v1/fine_tuning/jobs: submit and look. Handlers write rows and answer; the scheduler acts. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "server/http/estimate.h"
#include "server/http/job_draft.h"
#include "server/http/job_object.h"
#include "server/http/reply.h"
#include "server/http/shown.h"
#include "server/http/wait.h"
#include "server/limits.h"
#include "server/scheduler.h"
#include "storage/db_event.h"
#include "storage/db_job.h"
#include "storage/db_queue.h"

enum {
  KEY_BYTES_MAX = 255,
  KEY_LIFE_S = 24 * 3600,
  RETRY_LIFE_S = 600,
  MODEL_TAIL = 8,
};

/* ---- submit ---- */

/* Was this request carried out before? By its Idempotency-Key, or, for the official client's automatic
   retries, which send none, by the same body a short time ago. */
static enum status find_earlier(struct job_row *job, bool *found, struct request *request, const char *key,
                                const char *body_sha256, struct error *err) {
  struct db *db = request->server->db;
  int64_t now = clock_unix();
  const char *retry = request_header(request, "x-stainless-retry-count");
  *found = false;
  if (key) {
    if (!key[0] || strlen(key) > KEY_BYTES_MAX)
      return error_set(err, STATUS_INVALID_VALUE, "Idempotency-Key", "the Idempotency-Key must have 1 to %d bytes",
                       KEY_BYTES_MAX);
    enum status status =
        db_job_same(job, found, db, request->tenant, key, body_sha256, now - KEY_LIFE_S, &request->arena, err);
    if (!status && *found && strcmp(job->body_sha256, body_sha256) != 0)
      return error_set(err, STATUS_KEY_REUSED, "Idempotency-Key",
                       "this Idempotency-Key came with another body before, which made %s", job->id);
    return status;
  }
  if (!retry || !retry[0] || strcmp(retry, "0") == 0)
    return STATUS_OK;
  return db_job_same(job, found, db, request->tenant, NULL, body_sha256, now - RETRY_LIFE_S, &request->arena, err);
}

/* The row and its first events, durable when this returns. */
static enum status insert(struct request *request, const struct job_row *row, struct error *err) {
  struct db *db = request->server->db;
  const char *texts[] = {"Created fine-tuning job", job_state_name(row->state)};
  enum status status = db_begin(db, err);
  if (status)
    return status;
  status = db_job_insert(db, row, err);
  if (!status && row->estimate)
    status = db_job_set_estimate(db, row->id, row->estimate, err);
  for (size_t i = 0; !status && i < COUNT_OF(texts); i++) {
    struct event_row event = {.job_id = row->id, .created_at = row->created_at, .level = LOG_INFO, .message = texts[i]};
    status = db_event_add(db, &event, err);
  }
  if (status) {
    db_rollback(db);
    return status;
  }
  return db_commit(db, err);
}

static enum status store(struct request *request, const struct job_draft *draft, const char *key,
                         const char *body_sha256, struct job_row *row, struct error *err) {
  const struct job_spec *spec = &draft->spec;
  AUTO(str_done) struct str spec_text, metadata_text;
  AUTO(json_release) json_t *document = job_spec_json(spec);
  char id[40];
  str_init(&spec_text, 2 * JOB_DRAFT_BYTES_MAX);
  str_init(&metadata_text, JOB_DRAFT_BYTES_MAX);
  bool fits = document && json_append(&spec_text, document) &&
              (!spec->metadata || json_append(&metadata_text, spec->metadata));
  rng_id(id, sizeof id, "ftjob-");
  request->audit.object = arena_string(&request->arena, id);
  const char *name = arena_format(&request->arena, "ft:%s:local:%s:%.*s", spec->model, spec->suffix ? spec->suffix : "",
                                  MODEL_TAIL, id + strlen("ftjob-"));
  if (!fits || !name)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing the job");
  *row = (struct job_row){.id = id,
                          .tenant = request->tenant,
                          .created_at = clock_unix(),
                          .model = spec->model,
                          .training_file = spec->training_file,
                          .validation_file = spec->validation_file,
                          .fine_tuned_model = name,
                          .spec = spec_text.text,
                          .metadata = spec->metadata ? metadata_text.text : NULL,
                          .priority = spec->scheduling.priority,
                          .idempotency_key = key,
                          .body_sha256 = body_sha256,
                          .estimate = estimate_known(request, draft),
                          .state = draft->pending ? JOB_VALIDATING : JOB_QUEUED,
                          .device_wanted = spec->scheduling.device,
                          .request_id = request->id,
                          .peft_type = method_of(spec->adapter.peft_type)->peft_type};
  enum status status = insert(request, row, err);
  return status ? status : db_job_get(row, request->server->db, request->tenant, id, &request->arena, err);
}

static enum status check_room(struct request *request, struct error *err) {
  struct server *server = request->server;
  int64_t waiting;
  if (server->draining)
    return error_set(err, STATUS_DRAINING, NULL, "the server is shutting down");
  enum status status = db_queue_waiting(&waiting, server->db, err);
  if (!status && waiting >= server->config->queue_max)
    return error_set(err, STATUS_QUEUE_FULL, NULL, "%lld jobs are waiting; the limit is %lld", (long long)waiting,
                     (long long)server->config->queue_max);
  if (!status)
    status = limits_job(server, request->tenant, err);
  return status ? status : limits_bytes(server, request->tenant, 0, NULL, err);
}

static void create(struct request *request, const json_t *body, const char *body_sha256) {
  struct fault_list faults = {0};
  struct job_draft draft = {0};
  struct job_row job;
  struct error err;
  bool earlier;
  const char *key = request_header(request, "Idempotency-Key");
  enum status status = find_earlier(&job, &earlier, request, key, body_sha256, &err);
  if (!status && earlier) {
    job_object_reply(request, &job, true);
    return;
  }
  if (!status)
    status = check_room(request, &err);
  if (!status)
    status = job_draft_read(&draft, request, body, &faults, &err);
  bool sound = !status && !faults.count, waits = sound && draft.pending && wait_for_model(request, &draft.model);
  if (sound && !waits)
    status = store(request, &draft, key, body_sha256, &job, &err);
  job_draft_done(&draft);
  if (waits)
    return;
  if (!status && faults.count) {
    reply_faults(request, &faults);
  } else if (status) {
    reply_error(request, &err);
  } else {
    scheduler_wake(request->server->scheduler);
    job_object_reply(request, &job, false);
  }
}

void http_jobs_create(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  char body_sha256[HASH_HEX];
  struct error err;
  bool dry;
  hash_bytes(body_sha256, request->body.text, request->body.length);
  enum status status = request_json(&body, request, &err);
  status = status ? status : query_bool(&dry, &request->query, "dry_run", &err);
  if (status)
    reply_error(request, &err);
  else if (dry)
    estimate_reply(request, body);
  else
    create(request, body, body_sha256);
}

/* ---- look ---- */

/* metadata[key]=value and metadata=null of the query. */
static enum status read_filter(struct job_filter *out, struct request *request, struct error *err) {
  AUTO(json_release) json_t *wanted = json_object();
  AUTO(str_done) struct str text;
  const struct query *query = &request->query;
  *out = (struct job_filter){0};
  str_init(&text, 1 << 16);
  for (size_t i = 0; i < query->count; i++) {
    const char *name = query->pair[i].name, *value = query->pair[i].value;
    size_t length = strlen(name);
    if (strcmp(name, "metadata") == 0 && strcmp(value, "null") == 0)
      out->metadata_null = true;
    else if (strncmp(name, "metadata[", 9) == 0 && length > 10 && name[length - 1] == ']')
      json_object_setn_new(wanted, name + 9, length - 10, json_string(value));
    else if (strncmp(name, "metadata", 8) == 0)
      return error_set(err, STATUS_INVALID_VALUE, "metadata",
                       "metadata is filtered by metadata[KEY]=VALUE or metadata=null");
  }
  if (json_object_size(wanted) == 0)
    return STATUS_OK;
  if (json_append(&text, wanted))
    out->metadata = arena_string(&request->arena, text.text);
  return out->metadata ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading the filter");
}

static enum status list_text(struct str *out, struct request *request, const struct job_row *jobs,
                             const int64_t *positions, size_t count, bool more, struct error *err) {
  AUTO(json_release) json_t *list =
      json_pack("{s:s, s:b, s:s?, s:s?}", "object", "list", "has_more", more, "first_id", count ? jobs[0].id : NULL,
                "last_id", count ? jobs[count - 1].id : NULL);
  if (!list || !json_append(out, list))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "listing jobs");
  out->text[out->length - 1] = ','; /* its closing brace */
  str_puts(out, "\"data\":[");
  for (size_t i = 0; i < count; i++) {
    if (i > 0)
      str_putc(out, ',');
    enum status status = job_object(out, request->server, &jobs[i], positions[i], &request->arena, err);
    if (status)
      return status;
  }
  str_puts(out, "]}");
  return STATUS_OK;
}

void http_jobs_list(struct request *request) {
  struct str text;
  struct page page;
  struct job_filter filter;
  struct job_row *jobs;
  int64_t *positions;
  struct error err;
  size_t count;
  bool more;
  str_init(&text, REPLY_BYTES_MAX);
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = read_filter(&filter, request, &err);
  if (!status)
    status =
        db_job_list(&jobs, &count, &more, request->server->db, request->tenant, &page, &filter, &request->arena, &err);
  positions = status ? NULL : arena_array(&request->arena, count + 1, sizeof *positions);
  if (!status && !positions)
    status = error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "listing jobs");
  if (!status)
    status = db_queue_positions(positions, request->server->db, request->tenant, jobs, count, &err);
  if (!status)
    status = list_text(&text, request, jobs, positions, count, more, &err);
  if (!status) {
    reply_json_text(request, &text, NULL, NULL);
    return;
  }
  str_done(&text);
  reply_error(request, &err);
}

void http_jobs_retrieve(struct request *request) {
  const char *id = request_param(request, 0);
  if (!shown_reply(request, id))
    job_object_reply_id(request, id);
}
