#include "server/http/receive.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "server/http/audit.h"
#include "server/http/identify.h"
#include "server/http/reply.h"
#include "server/http/upload.h"
#include "server/limits.h"

enum {
  ARENA_BYTES = 64 << 20,
  LITTLE_BYTES = 1 << 20,       /* of a body that is read before its refusal: the connection then lives on */
  REFUSED_BODIES_MAX = 4,       /* a body without an end is read to so many times the upload's limit */
  MULTIPART_EXTRA_BYTES = 64 << 10,
};

typedef void handler(struct request *request);
static handler *const handlers[OP_COUNT] = {
#define ENDPOINT(method, path, operation, scope, summary) [OP_##operation] = http_##operation,
#include "api/endpoints.def"
#undef ENDPOINT
};

/* An absolute target (RFC 9112, 3.2.2) is what a client sends to a proxy; its path is meant. */
static const char *path_of(const char *target) {
  size_t scheme = strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
  if (!scheme)
    return target;
  const char *path = target + scheme + strcspn(target + scheme, "/?#");
  return *path == '/' ? path : "/";
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
  request->target = arena_string(&request->arena, path_of(target));
  if (request->target)
    return request;
  receive_drop(request);
  return NULL;
}

static void log_request(const struct request *request) {
  log_scope("request", request->id);
  log_info("%s %s %d %.1f ms",
           request->method < HTTP_METHOD_COUNT ? http_method_name(request->method) : "(no method)",
           request->endpoint ? request->endpoint->path : "(no route)", request->http_status,
           (clock_seconds() - request->started) * 1e3);
  log_scope("request", NULL);
}

void receive_drop(struct request *request) {
  if (!request)
    return;
  if (request->http_status)
    log_request(request);
  wait_forget(request);
  upload_free(request->upload);
  str_done(&request->body);
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

/* Limits that the header alone can break, and where the body goes. */
static enum status prepare_body(struct request *request, struct error *err) {
  const struct config *config = request->server->config;
  const struct guard *guard = &request->guard;
  if (guard->coding[0] && (guard->chunked || guard->length > 0))
    return error_set(err, STATUS_MEDIA_TYPE, NULL,
                     "the body has the Content-Encoding %s; only bodies as they are (identity) are read here",
                     guard->coding);
  if (request->match.op == OP_files_create) {
    if (request->server->draining)
      return error_set(err, STATUS_DRAINING, NULL, "the server is shutting down");
    if (guard->length > config->upload_bytes_max + MULTIPART_EXTRA_BYTES)
      return error_set(err, STATUS_TOO_LARGE, "file", "the body has %lld bytes; the limit for a file is %lld",
                       (long long)guard->length, (long long)config->upload_bytes_max);
    int64_t least = guard->length - MULTIPART_EXTRA_BYTES; /* of a file that will come */
    if (least > 0) {
      enum status status = limits_bytes(request->server, request->tenant,
                                        upload_arriving(request->server, request->tenant) + least, "file", err);
      if (status)
        return status;
    }
    return upload_new(&request->upload, request->server, request->tenant, request_header(request, "Content-Type"), err);
  }
  if (guard->length > config->body_bytes_max)
    return error_set(err, STATUS_TOO_LARGE, NULL, "the body has %lld bytes; the limit is %lld",
                     (long long)guard->length, (long long)config->body_bytes_max);
  return STATUS_OK;
}

static enum status judge(struct request *request, struct error *err) {
  take_request_id(request);
  enum status status = endpoint_match(&request->match, request->method, request->target, err);
  if (status)
    return status;
  request->endpoint = endpoint_of(request->match.op);
  status = identify(request, err);
  if (!status)
    status = query_parse(&request->query, request->target, &request->arena, err);
  return status ? status : prepare_body(request, err);
}

/* The answer waits until the body is read when little of it is to come. Else it goes out now, before the client has
   sent what nobody wants. */
static void decline(struct request *request, const struct error *err) {
  const struct guard *guard = &request->guard;
  uint64_t length = guard->length > 0 ? (uint64_t)guard->length : 0;
  if (guard->expects && request->body_bytes == 0 && (guard->chunked || length > 0))
    reply_error_and_close(request, err); /* the client waits for it, and sends no body */
  else if (!guard->chunked && length - request->body_bytes <= LITTLE_BYTES)
    request->refused = *err;
  else
    reply_error_now(request, err);
}

static enum MHD_Result each_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                   const char *value, size_t value_length) {
  (void)kind;
  guard_header(context, name, name_length, value ? value : "", value_length);
  return MHD_YES;
}

void receive_header(struct request *request, const char *method, const char *version) {
  struct error err;
  struct guard *guard = &request->guard;
  request->phase = REQUEST_BODY;
  request->method = http_method_parse(method);
  guard_init(guard, strcmp(version, "HTTP/1.0") != 0, strlen(request->target));
  MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, each_header, guard);
  if (guard_end(guard, &err)) /* what of the rest is a body, and what is not, is not to be trusted */
    reply_error_and_close(request, &err);
  else if (judge(request, &err))
    decline(request, &err);
}

/* ---- the body ---- */

bool receive_body(struct request *request, const char *bytes, size_t length) {
  struct error err;
  enum status status = STATUS_OK;
  request->body_bytes += length;
  if (request->phase == REQUEST_LINGERING)
    return request->body_bytes <= REFUSED_BODIES_MAX * (uint64_t)request->server->config->upload_bytes_max ||
           (int64_t)request->body_bytes <= request->guard.length;
  if (request->refused.status) /* read only to be thrown away */
    return true;
  log_scope("request", request->id);
  if (request->upload)
    status = upload_feed(request->upload, bytes, length, &err);
  else if (!str_add(&request->body, bytes, length))
    status = error_set(&err, STATUS_TOO_LARGE, NULL, "the body is larger than the limit of %lld bytes",
                       (long long)request->server->config->body_bytes_max);
  log_scope("request", NULL);
  if (!status)
    return true;
  upload_free(request->upload); /* its bytes take no room any longer */
  request->upload = NULL;
  decline(request, &err);
  return true;
}

void receive_end(struct request *request) {
  log_scope("request", request->id);
  audit_begin(request);
  if (request->refused.status)
    reply_error(request, &request->refused);
  else
    handlers[request->match.op](request);
  audit_end(request);
  log_scope("request", NULL);
  CHECK(request->phase == REQUEST_WAITING || request->http_status != 0); /* every handler answers or waits */
}
