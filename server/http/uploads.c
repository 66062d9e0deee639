/* /v1/uploads: files that come in parts, in any order and several at a time, and go on after an interruption. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/body.h"
#include "base/clock.h"
#include "base/rng.h"
#include "server/http/audit.h"
#include "server/http/file_object.h"
#include "server/http/joining.h"
#include "server/http/reply.h"
#include "server/http/wait.h"
#include "server/limits.h"
#include "server/paths.h"
#include "server/removal.h"
#include "server/scheduler.h"

static json_t *upload_object(struct request *request, const struct upload_row *upload) {
  const struct server *server = request->server;
  struct file_row file;
  struct error err;
  bool complete = upload->status == UPLOAD_COMPLETED;
  bool there = complete && !db_file_get(&file, server->db, request->tenant, upload->file_id, clock_unix(),
                                        &request->arena, &err); /* else it was deleted since */
  return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:I, s:o}", "id", upload->id, "object", "upload", "bytes",
                   (json_int_t)upload->bytes, "created_at", (json_int_t)upload->created_at, "expires_at",
                   (json_int_t)upload->expires_at, "filename", upload->filename, "purpose", upload->purpose, "status",
                   upload_status_name(upload->status), "bytes_received",
                   (json_int_t)(complete ? upload->bytes : upload->arrived), "file",
                   there ? file_object(server, &file) : json_null());
}

static json_t *part_object(const struct part_row *part) {
  return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "id", part->id, "object", "upload.part", "upload_id",
                   part->upload_id, "created_at", (json_int_t)part->created_at, "bytes", (json_int_t)part->bytes,
                   "sha256", part->sha256);
}

static enum status find(struct upload_row *out, struct request *request, struct error *err) {
  return db_upload_get(out, request->server->db, request->tenant, request_param(request, 0), clock_unix(),
                       &request->arena, err);
}

static void reply_with_upload(struct request *request) {
  struct upload_row upload;
  struct error err;
  if (find(&upload, request, &err))
    reply_error(request, &err);
  else
    reply_json(request, upload_object(request, &upload));
}

/* ---- its beginning ---- */

static void read_wanted(struct upload_body *out, const json_t *body, struct arena *arena, struct fault_list *faults) {
  static const char *const elsewhere[] = {"expires_after", NULL};
  const json_t *after = json_object_get(body, "expires_after");
  *out = (struct upload_body){0};
  field_read(body_fields(OP_uploads_create), out, body, "", elsewhere, arena, faults);
  if (!after || json_is_null(after))
    return;
  if (!json_is_object(after)) {
    fault_add(faults, STATUS_INVALID_VALUE, "expires_after", "expires_after must be an object");
    return;
  }
  field_read(&upload_expiry_fields, out, after, "expires_after", NULL, arena, faults);
  if (out->anchor && strcmp(out->anchor, "created_at") != 0)
    fault_add(faults, STATUS_INVALID_VALUE, "expires_after.anchor", "expires_after.anchor must be created_at");
}

void http_uploads_create(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct server *server = request->server;
  struct fault_list faults = {0};
  struct upload_body wanted;
  struct error err;
  char id[40];
  enum status status = request_json(&body, request, &err);
  if (!status)
    read_wanted(&wanted, body, &request->arena, &faults);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  if (!status)
    status = upload_check_purpose(wanted.purpose, &err);
  if (!status && wanted.bytes > server->config->upload_bytes_max)
    status = error_set(&err, STATUS_TOO_LARGE, "bytes", "the file has %lld bytes; the limit for a file is %lld",
                       (long long)wanted.bytes, (long long)server->config->upload_bytes_max);
  if (!status)
    status =
        limits_bytes(server, request->tenant, upload_arriving(server, request->tenant) + wanted.bytes, "bytes", &err);
  rng_id(id, sizeof id, "upload_");
  int64_t now = clock_unix();
  struct upload_row row = {.id = id,
                           .tenant = request->tenant,
                           .created_at = now,
                           .expires_at = now + server->config->upload_expires_s,
                           .filename = status ? NULL : wanted.filename,
                           .purpose = status ? NULL : wanted.purpose,
                           .bytes = status ? 0 : wanted.bytes,
                           .file_expires_after = status ? 0 : wanted.seconds};
  request->audit.object = arena_string(&request->arena, id);
  if (!status)
    status = db_upload_insert(server->db, &row, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, upload_object(request, &row));
}

void http_uploads_list(struct request *request) {
  struct page page;
  struct upload_row *uploads;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = db_upload_list(&uploads, &count, &more, request->server->db, request->tenant, &page, clock_unix(),
                            &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, upload_object(request, &uploads[i]));
  reply_json(request, reply_list(data, more));
}

void http_uploads_retrieve(struct request *request) {
  reply_with_upload(request);
}

/* ---- its parts ---- */

struct arrival {
  struct request *request;
  const struct uploaded *uploaded;
  bool added;
};

/* Why it was not added. */
static enum status refuse_part(struct request *request, const struct uploaded *uploaded, struct error *err) {
  struct upload_row upload;
  enum status status = find(&upload, request, err);
  if (!status)
    status = upload_check_pending(&upload, err);
  if (!status && upload.arrived + uploaded->bytes <= upload.bytes)
    status = error_set(err, STATUS_INVALID_VALUE, "data", "an upload has at most %d parts: send larger ones",
                       UPLOAD_PARTS_MAX);
  return status ? status
                : error_set(err, STATUS_INVALID_VALUE, "data",
                            "the parts that are there have %lld bytes, and with this one %lld; the upload was made for"
                            " %lld",
                            (long long)upload.arrived, (long long)(upload.arrived + uploaded->bytes),
                            (long long)upload.bytes);
}

static enum status add_part(struct db *db, const void *what, struct error *err) {
  struct arrival *arrival = *(struct arrival *const *)what;
  struct request *request = arrival->request;
  const struct uploaded *uploaded = arrival->uploaded;
  const char *upload_id = request_param(request, 0);
  struct part_row there, part = {.id = uploaded->id,
                                 .upload_id = upload_id,
                                 .created_at = clock_unix(),
                                 .bytes = uploaded->bytes,
                                 .sha256 = uploaded->sha256,
                                 .path = uploaded->path};
  bool found;
  arrival->added = false;
  enum status status =
      db_part_with(&there, &found, db, request->tenant, upload_id, uploaded->sha256, &request->arena, err);
  if (status || found)
    return status;
  status = limits_bytes(request->server, request->tenant, uploaded->bytes, "data", err);
  if (!status)
    status = db_part_add(db, request->tenant, &part, &arrival->added, err);
  return status || arrival->added ? status : refuse_part(request, uploaded, err);
}

/* Its row, or no bytes. */
static void on_part(struct request *request, const struct uploaded *uploaded, const struct error *err) {
  struct arrival arrival = {request, uploaded, false}, *what = &arrival;
  char path[PATH_BYTES];
  audit_begin(request);
  if (err)
    request->refused = *err;
  else if ((db_apply(request->server->db, add_part, &what, false, &request->refused) || !arrival.added) &&
           !path_format(path, NULL, "%s/%s", request->server->config->data, uploaded->path))
    unlink(path);
  audit_end(request);
  wait_at_most(request, 0);
}

void http_parts_create(struct request *request) {
  struct part_row part;
  struct error err;
  bool found = true;
  if (request->waited) {
    const char *sha256 = upload_result(request->upload)->sha256;
    enum status status = db_part_with(&part, &found, request->server->db, request->tenant, request_param(request, 0),
                                      sha256, &request->arena, &err);
    if (!status && !found)
      status = error_set(&err, STATUS_UPLOAD_ENDED, "upload_id", "the upload ended before the part was there");
    if (status)
      reply_error(request, &err);
    else
      reply_json(request, part_object(&part));
  } else if (upload_end(request->upload, on_part, request, &err)) {
    reply_error(request, &err);
  } else {
    wait_for(request, upload_id(request->upload), -1);
  }
}

void http_parts_list(struct request *request) {
  struct upload_row upload;
  struct page page;
  struct part_row *parts;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = find(&upload, request, &err);
  if (!status)
    status = db_part_list(&parts, &count, &more, request->server->db, request->tenant, upload.id, &page,
                          &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, part_object(&parts[i]));
  reply_json(request, reply_list(data, more));
}

/* ---- its end ---- */

static int by_id(const void *a, const void *b) {
  return strcmp(((const struct part_row *)a)->id, ((const struct part_row *)b)->id);
}

/* The parts that the client lists, in its order; together they are the whole file. */
static enum status plan(struct joining_plan *out, struct request *request, const struct upload_row *upload,
                        const struct completion_body *completion, struct error *err) {
  const struct page all = {.limit = UPLOAD_PARTS_MAX};
  const struct part_row **parts =
      arena_array(&request->arena, completion->part_ids.count + 1, sizeof(struct part_row *));
  struct part_row *there;
  size_t count;
  bool more;
  int64_t bytes = 0;
  enum status status = parts ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading part_ids");
  if (!status)
    status = db_part_list(&there, &count, &more, request->server->db, request->tenant, upload->id, &all,
                          &request->arena, err);
  if (status)
    return status;
  if (count)
    qsort(there, count, sizeof *there, by_id);
  for (size_t i = 0; i < completion->part_ids.count; i++) {
    const struct part_row key = {.id = completion->part_ids.item[i]};
    parts[i] = count ? bsearch(&key, there, count, sizeof *there, by_id) : NULL;
    if (!parts[i])
      return error_set(err, STATUS_INVALID_VALUE, "part_ids", "the upload has no part %.64s", key.id);
    if (__builtin_add_overflow(bytes, parts[i]->bytes, &bytes))
      bytes = INT64_MAX;
  }
  if (bytes != upload->bytes)
    return error_set(err, STATUS_INVALID_VALUE, "part_ids",
                     "the parts have %lld bytes together; the upload was made for %lld", (long long)bytes,
                     (long long)upload->bytes);
  struct upload_row *row = arena_array(&request->arena, 1, sizeof *row);
  if (!row)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "joining the parts");
  *row = *upload;
  *out = (struct joining_plan){row, parts, completion->part_ids.count, completion->md5};
  return STATUS_OK;
}

struct completed {
  struct request *request;
  const char *file_id;
};

static enum status end_completed(struct db *db, const void *what, struct error *err) {
  const struct completed *completed = what;
  const struct request *request = completed->request;
  char body[HASH_HEX];
  bool ended;
  hash_bytes(body, request->body.text, request->body.length);
  enum status status = db_upload_end(db, request->tenant, request_param(request, 0), UPLOAD_COMPLETED,
                                     completed->file_id, body, &ended, err);
  return status || ended ? status : error_set(err, STATUS_UPLOAD_ENDED, "upload_id", "the upload has ended meanwhile");
}

/* The request then waits for the check, a little. */
static void on_joined(struct request *request, const struct uploaded *uploaded, const struct error *err) {
  struct server *server = request->server;
  const struct completed completed = {request, uploaded->id};
  audit_begin(request);
  if (err)
    request->refused = *err;
  else if (!file_store(server, request->tenant, uploaded, end_completed, &completed, &request->refused)) {
    scheduler_wake(server->scheduler);
    removal_start(server);
  }
  audit_end(request);
  wait_at_most(request, request->refused.status ? 0 : server->config->upload_check_wait_ms);
}

static enum status read_completion(struct completion_body *out, struct request *request, struct fault_list *faults,
                                   struct error *err) {
  AUTO(json_release) json_t *body = NULL;
  enum status status = request_json(&body, request, err);
  if (status)
    return status;
  field_read(body_fields(OP_uploads_complete), out, body, "", NULL, &request->arena, faults);
  if (out->md5 && strspn(out->md5, "0123456789abcdefABCDEF") != MD5_HEX - 1)
    fault_add(faults, STATUS_INVALID_VALUE, "md5", "md5 must be 32 hexadecimal digits");
  return STATUS_OK;
}

/* Did this very request complete it already? Its answer may not have arrived. */
static bool is_repeated(const struct request *request, const struct upload_row *upload) {
  char body[HASH_HEX];
  hash_bytes(body, request->body.text, request->body.length);
  return upload->status == UPLOAD_COMPLETED && upload->completed_by && strcmp(upload->completed_by, body) == 0;
}

static enum status check_free(const struct request *request, const struct upload_row *upload, struct error *err) {
  enum status status = upload_check_pending(upload, err);
  if (!status && request->server->draining)
    status = error_set(err, STATUS_DRAINING, NULL, "the server is shutting down");
  if (!status && joining_runs(request->server, upload->id))
    status = error_set(err, STATUS_UPLOAD_BUSY, "upload_id", "the parts of the upload are being joined");
  return status;
}

void http_uploads_complete(struct request *request) {
  struct completion_body completion = {0};
  struct fault_list faults = {0};
  struct joining_plan joining;
  struct upload_row upload;
  struct error err;
  char file_id[40];
  enum status status = STATUS_OK;
  if (!request->waited)
    status = find(&upload, request, &err);
  if (!status && !request->waited)
    status = read_completion(&completion, request, &faults, &err);
  if (!status && faults.count) {
    reply_faults(request, &faults);
    return;
  }
  if (!status && (request->waited || is_repeated(request, &upload))) {
    reply_with_upload(request);
    return;
  }
  if (!status)
    status = check_free(request, &upload, &err);
  if (!status)
    status = plan(&joining, request, &upload, &completion, &err);
  if (!status)
    status = joining_start(file_id, &joining, on_joined, request, &err);
  if (status)
    reply_error(request, &err);
  else
    wait_for(request, file_id, -1);
}

struct cancelling {
  const struct request *request;
  const char *upload_id;
};

static enum status cancel(struct db *db, const void *what, struct error *err) {
  const struct cancelling *cancelling = what;
  bool ended;
  return db_upload_end(db, cancelling->request->tenant, cancelling->upload_id, UPLOAD_CANCELLED, NULL, NULL, &ended,
                       err);
}

void http_uploads_cancel(struct request *request) {
  struct upload_row upload;
  struct error err;
  enum status status = find(&upload, request, &err);
  if (!status && upload.status != UPLOAD_CANCELLED) { /* again: it is what was asked for */
    const struct cancelling cancelling = {request, upload.id};
    status = check_free(request, &upload, &err);
    if (!status)
      status = db_apply(request->server->db, cancel, &cancelling, true, &err);
    if (!status)
      removal_start(request->server);
  }
  if (status)
    reply_error(request, &err);
  else
    reply_with_upload(request);
}
