#include "server/http/receive.h"

#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "server/http/answering.h"
#include "server/http/audit.h"
#include "server/http/client.h"
#include "server/http/identify.h"
#include "server/http/origin.h"
#include "server/http/reply.h"
#include "server/http/stream.h"
#include "server/http/upload.h"
#include "server/limits.h"

enum {
  ARENA_BYTES = 64 << 20,
  LITTLE_BYTES = 1 << 20, /* of a body that is read before its refusal: the connection then lives on */
  MULTIPART_EXTRA_BYTES = 64 << 10,
};

typedef void handler(struct request *request);
static handler *const handlers[OP_COUNT] = {
#define ENDPOINT(method, path, operation, scope, summary) [OP_##operation] = http_##operation,
#include "api/endpoints.def"
#undef ENDPOINT
};

/* An absolute target (RFC 9112, 3.2.2) is what a client sends to a proxy; its path is meant. */
static bool take_target(struct request *request, const char *target) {
  size_t scheme = strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
  if (scheme) {
    size_t length = strcspn(target + scheme, "/?#");
    request->authority = arena_copy(&request->arena, target + scheme, length);
    target += scheme + length;
    if (!request->authority)
      return false;
    if (*target != '/')
      target = "/";
  }
  request->target = arena_string(&request->arena, target);
  return request->target != NULL;
}

struct request *receive_target(struct server *server, struct wait_list *waiters, const char *target) {
  struct request *request = calloc(1, sizeof *request);
  if (!request)
    return NULL;
  request->server = server;
  request->waiters = waiters;
  request->started_ms = clock_boot_ms();
  request->started = clock_seconds();
  request->method = HTTP_METHOD_COUNT;
  arena_init(&request->arena, ARENA_BYTES);
  str_init(&request->body, (size_t)server->config->body_bytes_max);
  rng_id(request->id, sizeof request->id, "req_");
  if (take_target(request, target))
    return request;
  receive_drop(request);
  return NULL;
}

static void drop_body(struct request *request) {
  request->server->body_bytes -= request->body.length;
  str_done(&request->body);
}

static void count_request(const struct request *request) {
  struct metrics *metrics = &request->server->metrics;
  enum operation op = request->endpoint ? request->match.op : OP_COUNT;
  metrics_request(metrics, op, request->http_status, clock_seconds() - request->started);
  if (request->delivered)
    metrics->download_bytes += request->file_bytes;
}

/* The job that it is about, by its path or because it made it. */
static const char *job_of(const struct request *request) {
  const char *object = request->audit.object;
  if (request->endpoint && strstr(request->endpoint->path, "{job_id}"))
    return request->match.param[0];
  return object && strncmp(object, "ftjob-", 6) == 0 ? object : NULL;
}

static void log_request(const struct request *request) {
  const char *method = request->head                             ? "HEAD"
                       : request->method < HTTP_METHOD_COUNT ? http_method_name(request->method)
                                                             : "(no method)";
  const char *route = request->endpoint ? request->endpoint->path : "(no route)";
  const struct log_member members[] = {
      {"request_id", request->id, NAN},
      {"method", method, NAN},
      {"route", route, NAN},
      {"status", NULL, request->http_status},
      {"duration_s", NULL, clock_seconds() - request->started},
      {"error", request->error ? status_code(request->error) : NULL, NAN},
      {"key_id", request->caller.key_id, NAN},
      {"tenant", request->tenant, NAN},
      {"job", job_of(request), NAN},
  };
  log_members(LOG_INFO, members, COUNT_OF(members), "%s %s %d", method, route, request->http_status);
}

void receive_drop(struct request *request) {
  if (!request)
    return;
  if (request->http_status) {
    count_request(request);
    log_request(request);
  }
  wait_forget(request);
  reply_drop(request);
  stream_close(request->stream);
  answering_free(request->answering);
  upload_free(request->upload);
  drop_body(request);
  arena_done(&request->arena);
  free(request);
}

/* ---- the head ---- */

/* A request id of the client's own is kept when it is harmless. */
static void take_request_id(struct request *request) {
  const char *id = request_header(request, "x-request-id");
  size_t length = id ? strlen(id) : 0;
  if (length == 0 || length > 64)
    return;
  for (size_t i = 0; i < length; i++)
    if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", id[i]))
      return;
  snprintf(request->id, sizeof request->id, "%s", id);
}

/* Is the body compressed? */
static enum status check_coding(const struct request *request, struct error *err) {
  const char *coding = request_header(request, "Content-Encoding");
  if (!coding || strcasecmp(coding, "identity") == 0 || (!request->chunked && request->length <= 0))
    return STATUS_OK;
  return error_set(err, STATUS_MEDIA_TYPE, NULL,
                   "the body has the Content-Encoding %.31s; only bodies as they are (identity) are read here", coding);
}

/* A form goes to disk as it comes. */
static enum status prepare_upload(struct request *request, enum upload_kind kind, int64_t bytes_max,
                                  struct error *err) {
  const char *param = kind == UPLOAD_OF_PART ? "data" : "file";
  if (request->server->draining)
    return error_set(err, STATUS_DRAINING, NULL, "the server is shutting down");
  if (request->length > bytes_max + MULTIPART_EXTRA_BYTES)
    return error_set(err, STATUS_TOO_LARGE, param, "the body has %lld bytes; the limit for a file is %lld",
                     (long long)request->length, (long long)bytes_max);
  int64_t least = request->length - MULTIPART_EXTRA_BYTES; /* of a file that will come */
  if (least > 0) {
    int64_t arriving = upload_arriving(request->server, request->tenant);
    enum status status = limits_bytes(request->server, request->tenant, arriving + least, param, err);
    if (status)
      return status;
  }
  return upload_new(&request->upload, request->server, request->tenant, kind, bytes_max,
                    request_header(request, "Content-Type"), err);
}

/* The whole file may be one part. */
static enum status prepare_part(struct request *request, struct error *err) {
  struct upload_row upload;
  enum status status = db_upload_get(&upload, request->server->db, request->tenant, request_param(request, 0),
                                     clock_unix(), &request->arena, err);
  if (!status)
    status = upload_check_pending(&upload, err);
  return status ? status : prepare_upload(request, UPLOAD_OF_PART, upload.bytes, err);
}

/* Limits that the header alone can break, and where the body goes. */
static enum status prepare_body(struct request *request, struct error *err) {
  const struct config *config = request->server->config;
  enum status status = check_coding(request, err);
  if (status)
    return status;
  if (request->match.op == OP_files_create)
    return prepare_upload(request, UPLOAD_OF_FILE, config->upload_bytes_max, err);
  if (request->match.op == OP_parts_create)
    return prepare_part(request, err);
  if (request->length > config->body_bytes_max)
    return error_set(err, STATUS_TOO_LARGE, NULL, "the body has %lld bytes; the limit is %lld",
                     (long long)request->length, (long long)config->body_bytes_max);
  return STATUS_OK;
}

/* Probes are answered where nothing else is. */
static enum status find_place(const struct request *request, struct error *err) {
  enum status away = request->client->away;
  if (!away || request->match.op == OP_livez || request->match.op == OP_readyz)
    return STATUS_OK;
  return error_set(err, away, NULL,
                   away == STATUS_OVERLOADED ? "the server has as many connections as it can take"
                                             : "there are too many connections from this address");
}

/* Is this from where it may come from? Whoever has shown a key is no page under a name that was rebound. */
static enum status check_origin(struct request *request, struct error *err) {
  const struct config *config = request->server->config;
  const char *host = request_header(request, "Host"), *origin = request_header(request, "Origin");
  if (request->authority && host && strcasecmp(request->authority, host) != 0)
    return error_set(err, STATUS_INVALID_REQUEST, "Host", "the target and the Host header name different servers");
  if (origin && request->method != HTTP_GET && origin_check(config, origin, host, err))
    return err->status;
  bool anyone = request->caller.actor && strcmp(request->caller.actor, "anyone") == 0;
  if (!host || request->endpoint->scope == SCOPE_OPEN || (!anyone && !config->allowed_hosts))
    return STATUS_OK;
  return origin_check_host(config, host, err);
}

/* A browser asks before a page of another origin sends what no plain form could. */
static bool is_preflight(const struct request *request, const char *method) {
  return request->page && strcmp(method, "OPTIONS") == 0 &&
         request_header(request, "Access-Control-Request-Method") != NULL;
}

static enum status judge(struct request *request, struct error *err) {
  enum status status = endpoint_match(&request->match, request->method, request->target, err);
  if (status)
    return status;
  request->endpoint = endpoint_of(request->match.op);
  status = find_place(request, err);
  if (!status)
    status = identify(request, err);
  if (!status)
    status = check_origin(request, err);
  if (!status)
    status = query_parse(&request->query, request->target, &request->arena, err);
  return status ? status : prepare_body(request, err);
}

/* The answer waits until the body is read when little of it is to come. Else it goes out now, before the client has
   sent what nobody wants. */
static void decline(struct request *request, const struct error *err) {
  uint64_t length = request->length > 0 ? (uint64_t)request->length : 0;
  if (request->client->away)
    reply_error_now(request, err);
  else if (request->expects && request->body_bytes == 0 && (request->chunked || length > 0))
    reply_error_and_close(request, err); /* the client waits for it, and sends no body */
  else if (!request->chunked && length - request->body_bytes <= LITTLE_BYTES)
    request->refused = *err;
  else
    reply_error_now(request, err);
}

/* How its body comes. That the header says so in one way only was seen in wire.c. */
static void read_framing(struct request *request) {
  const char *length = request_header(request, "Content-Length"), *expect = request_header(request, "Expect");
  request->length = length ? strtoll(length, NULL, 10) : -1;
  request->chunked = request_header(request, "Transfer-Encoding") != NULL;
  request->expects = expect && strcasecmp(expect, "100-continue") == 0;
}

void receive_header(struct request *request, const char *method) {
  struct error err;
  const char *origin = request_header(request, "Origin");
  request->phase = REQUEST_BODY;
  request->method = http_method_parse(method);
  request->head = strcmp(method, "HEAD") == 0;
  read_framing(request);
  take_request_id(request);
  if (origin && origin_listed(request->server->config, origin))
    request->page = origin;
  if (is_preflight(request, method))
    reply_preflight(request);
  else if (judge(request, &err))
    decline(request, &err);
}

/* ---- the body ---- */

/* A JSON body is kept until it is complete, and all of them together must fit. */
static enum status keep_body(struct request *request, const char *bytes, size_t length, struct error *err) {
  struct server *server = request->server;
  int64_t max = server->config->bodies_bytes_max;
  if (max < server->config->body_bytes_max)
    max = server->config->body_bytes_max;
  if (server->body_bytes + length > (uint64_t)max)
    return error_set(err, STATUS_OVERLOADED, NULL, "the bodies of all requests together are larger than %lld bytes",
                     (long long)max);
  if (!str_add(&request->body, bytes, length))
    return error_set(err, STATUS_TOO_LARGE, NULL, "the body is larger than the limit of %lld bytes",
                     (long long)server->config->body_bytes_max);
  server->body_bytes += length;
  return STATUS_OK;
}

void receive_body(struct request *request, const char *bytes, size_t length) {
  struct error err;
  request->body_bytes += length;
  if (request->refused.status) /* read only to be thrown away */
    return;
  log_scope("request_id", request->id);
  enum status status =
      request->upload ? upload_feed(request->upload, bytes, length, &err) : keep_body(request, bytes, length, &err);
  log_scope("request_id", NULL);
  if (!status)
    return;
  upload_free(request->upload); /* its bytes take no room any longer */
  request->upload = NULL;
  drop_body(request);
  decline(request, &err);
}

void receive_undo(struct request *request) {
  reply_drop(request);
  stream_close(request->stream);
  request->stream = NULL;
  answering_free(request->answering);
  request->answering = NULL;
  request->last = false;
  request->phase = REQUEST_BODY;
  request->http_status = 0;
  request->error = STATUS_OK;
  request->audited = request->audited_before;
}

void receive_end(struct request *request) {
  log_scope("request_id", request->id);
  request->audited_before = request->audited;
  audit_begin(request);
  if (request->refused.status)
    reply_error(request, &request->refused);
  else
    handlers[request->match.op](request);
  audit_end(request);
  log_scope("request_id", NULL);
  CHECK(request->phase == REQUEST_WAITING || request->http_status != 0 || request->alone);
}
