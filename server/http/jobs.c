/* /v1/fine_tuning/jobs: submit and look. Handlers write rows and answer; the scheduler acts. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "server/http/estimate.h"
#include "server/http/idempotency.h"
#include "server/http/job_draft.h"
#include "server/http/job_fit.h"
#include "server/http/job_object.h"
#include "server/http/reply.h"
#include "server/http/shown.h"
#include "server/http/wait.h"
#include "server/paths.h"
#include "server/removal.h"
#include "server/scheduler.h"
#include "storage/db_job.h"
#include "storage/db_queue.h"

/* ---- submit ---- */

/* Was this request carried out before? */
static enum status find_earlier(struct job_row *job, bool *found, struct request *request,
                                const struct idempotency *sent, const char *body_sha256, struct error *err) {
  *found = false;
  enum status status = sent->wanted ? db_job_same(job, found, request->server->db, request->tenant, sent->key,
                                                  body_sha256, sent->since, &request->arena, err)
                                    : STATUS_OK;
  return status || !*found ? status : idempotency_check(sent, body_sha256, job->id, job->body_sha256, err);
}

static enum status add(struct db *db, const void *what, struct error *err) {
  return job_draft_add(db, what, err);
}

/* A new job of a body, or the answer why there is none. `source`: the job that it is a copy of, or NULL. */
static void create(struct request *request, const json_t *body, const char *source, const char *body_sha256) {
  struct fault_list faults = {0};
  struct job_draft draft = {0};
  struct job_row job;
  struct error err;
  bool earlier = false;
  struct idempotency sent;
  enum status status = idempotency_read(&sent, request, &err);
  status = status ? status : find_earlier(&job, &earlier, request, &sent, body_sha256, &err);
  if (!status && earlier) {
    job_object_reply(request, &job, true);
    return;
  }
  if (!status)
    status = job_draft_room(request, 1, &err);
  if (!status)
    status = job_draft_read(&draft, request, body, &faults, &err);
  bool waits = !status && !faults.count &&
               (draft.pending ? wait_for_model(request, &draft.model) : job_fit_wait(request, &draft, 1));
  if (!status && !faults.count && !waits)
    job_fit_judge(request, &draft, &faults);
  if (!status && !faults.count && !waits)
    status = job_draft_new(&job, &draft, request, &request->arena, &err);
  if (!status && !faults.count && !waits) {
    job.estimate = estimate_known(request, &draft);
    job.cloned_from = source;
    job.idempotency_key = sent.key;
    job.body_sha256 = body_sha256;
    request->audit.object = job.id;
    status = db_apply(request->server->db, add, &job, false, &err);
  }
  job_draft_done(&draft);
  if (waits)
    return;
  if (!status && faults.count) {
    reply_faults(request, &faults);
  } else if (status) {
    reply_error(request, &err);
  } else {
    scheduler_wake(request->server->scheduler);
    job_object_reply_id(request, job.id);
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
    create(request, body, NULL, body_sha256);
}

void http_jobs_clone(struct request *request) {
  AUTO(json_release) json_t *changes = NULL;
  AUTO(json_release) json_t *document = NULL;
  AUTO(json_release) json_t *body = NULL;
  AUTO(str_done) struct str named;
  char body_sha256[HASH_HEX];
  struct job_row source;
  struct error err;
  str_init(&named, request->body.length + 256);
  enum status status =
      db_job_get(&source, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status && request->body.length == 0)
    changes = json_object();
  else if (!status)
    status = request_json(&changes, request, &err);
  if (!status)
    status = db_job_spec(NULL, &document, &source, &request->arena, &err);
  if (!status && !(body = job_spec_derive(document, changes)))
    status = error_no_memory(&err, "the clone");
  if (status) {
    reply_error(request, &err);
    return;
  }
  str_printf(&named, "clone of %s: ", source.id); /* the same changes of another job make another job */
  str_add(&named, request->body.text, request->body.length);
  hash_bytes(body_sha256, named.text, named.length);
  create(request, body, source.id, body_sha256);
}

void http_jobs_delete(struct request *request) {
  struct job_row job;
  struct error err;
  enum status status =
      db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status = removal_of_job(request->server, &job, &request->arena, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, json_pack("{s:s, s:s, s:b}", "id", job.id, "object", "fine_tuning.job.deleted", "deleted", 1));
}

/* ---- look ---- */

/* metadata[key]=value, metadata=null and sweep=id of the query. */
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
  out->sweep = query_get(query, "sweep");
  if (out->sweep && (out->metadata_null || json_object_size(wanted) > 0))
    return error_set(err, STATUS_INVALID_VALUE, "sweep", "jobs are filtered by sweep or by metadata, not by both");
  if (json_object_size(wanted) == 0)
    return STATUS_OK;
  if (json_append(&text, wanted))
    out->metadata = arena_string(&request->arena, text.text);
  return out->metadata ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading the filter");
}

static enum status list_text(struct str *out, struct request *request, const struct job_row *jobs,
                             const int64_t *positions, size_t count, bool more, struct error *err) {
  AUTO(json_release)
  json_t *list = json_pack("{s:s, s:b, s:s?, s:s?}", "object", "list", "has_more", more, "first_id",
                           count ? jobs[0].id : NULL, "last_id", count ? jobs[count - 1].id : NULL);
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
