#include "server/http/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rng.h"
#include "server/http/connection.h"
#include "server/http/front.h"
#include "server/http/reply.h"
#include "server/http/upload.h"

enum {
  ARENA_BYTES = 64 << 20,
  DRAIN_BYTES_MAX = 1 << 20,    /* of a body whose request is refused: so little is read before the answer */
  MULTIPART_EXTRA_BYTES = 64 << 10,
};

typedef void handler(struct request *request);
static handler *const handlers[OP_COUNT] = {
#define ENDPOINT(method, path, operation, auth, summary) [OP_##operation] = http_##operation,
#include "api/endpoints.def"
#undef ENDPOINT
};

struct request *request_new(struct connection *connection) {
  struct request *request = calloc(1, sizeof *request);
  if (!request)
    return NULL;
  request->connection = connection;
  request->server = connection->all->server;
  request->started = clock_seconds();
  request->method = HTTP_METHOD_COUNT; /* until the head has told */
  request->head.method = "";
  guard_init(&request->head.guard, 1);
  arena_init(&request->arena, ARENA_BYTES);
  str_init(&request->body, (size_t)request->server->config->body_bytes_max);
  rng_id(request->id, sizeof request->id, "req_");
  return request;
}

static void log_request(const struct request *request) {
  log_scope("request", request->id);
  log_info("%s %s %d %.1f ms",
           request->method < HTTP_METHOD_COUNT ? http_method_name(request->method) : "(no method)",
           request->endpoint ? request->endpoint->path : "(no route)", request->http_status,
           (clock_seconds() - request->started) * 1e3);
  log_scope("request", NULL);
}

void request_free(struct request *request) {
  if (!request)
    return;
  log_request(request);
  if (request->waiting)
    front_unwait(request->server->front, request);
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

static enum status authenticate(const struct request *request, struct error *err) {
  char hash[HASH_HEX];
  const char *key_hash = front_key_hash(request->server->front);
  const char *given = request_header(request, "Authorization");
  if (!key_hash[0] || request->endpoint->auth == AUTH_OPEN)
    return STATUS_OK;
  if (!given)
    return error_set(err, STATUS_INVALID_API_KEY, NULL,
                     "no API key was sent; it belongs into the header \"Authorization: Bearer KEY\"");
  if (strncasecmp(given, "Bearer ", 7) != 0)
    return error_set(err, STATUS_INVALID_API_KEY, NULL, "the Authorization header is not of the form \"Bearer KEY\"");
  hash_bytes(hash, given + 7, strlen(given + 7));
  if (!hash_equal(hash, key_hash, sizeof hash))
    return error_set(err, STATUS_INVALID_API_KEY, NULL, "the API key is wrong");
  return STATUS_OK;
}

/* Limits that the header alone can break, and where the body goes. */
static enum status prepare_body(struct request *request, struct error *err) {
  const struct config *config = request->server->config;
  const struct guard *guard = &request->head.guard;
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
    return upload_new(&request->upload, request->server, request_header(request, "Content-Type"), err);
  }
  if (guard->length > config->body_bytes_max)
    return error_set(err, STATUS_TOO_LARGE, NULL, "the body has %lld bytes; the limit is %lld",
                     (long long)guard->length, (long long)config->body_bytes_max);
  return STATUS_OK;
}

static enum status judge(struct request *request, struct error *err) {
  take_request_id(request);
  enum status status = endpoint_match(&request->match, request->method, request->head.target, err);
  if (status)
    return status;
  request->endpoint = endpoint_of(request->match.op);
  status = authenticate(request, err);
  if (!status)
    status = query_parse(&request->query, request->head.target, &request->arena, err);
  return status ? status : prepare_body(request, err);
}

/* The answer waits until the body is read when little of it is to come: the connection then lives on. Else it goes out
   now, before the client has sent what nobody wants, and the connection ends. */
static void decline(struct request *request, const struct error *err) {
  const struct guard *guard = &request->head.guard;
  uint64_t length = guard->length > 0 ? (uint64_t)guard->length : 0;
  bool little = !guard->chunked && length - request->body_bytes <= DRAIN_BYTES_MAX;
  bool asks = guard->expects && length > 0 && request->body_bytes == 0;
  if (little && !asks)
    request->refused = *err;
  else
    reply_error_and_close(request, err);
}

bool request_head(struct request *request, const char *head, size_t length) {
  struct error err;
  char *text = arena_copy(&request->arena, head, length);
  if (!text) {
    error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "reading the request's header");
    reply_error_and_close(request, &err);
    return false;
  }
  enum status status = head_parse(&request->head, text, length, &err);
  request->method = http_method_parse(request->head.method);
  if (status) {
    reply_error_and_close(request, &err);
    return false;
  }
  if (judge(request, &err))
    decline(request, &err);
  return true;
}

/* ---- the body ---- */

void request_data(struct request *request, const char *bytes, size_t length) {
  struct error err;
  enum status status = STATUS_OK;
  request->body_bytes += length;
  if (request->refused.status) /* read only to be thrown away */
    return;
  log_scope("request", request->id);
  if (request->upload)
    status = upload_feed(request->upload, bytes, length, &err);
  else if (!str_add(&request->body, bytes, length))
    status = error_set(&err, STATUS_TOO_LARGE, NULL, "the body is larger than the limit of %lld bytes",
                       (long long)request->server->config->body_bytes_max);
  if (status) {
    upload_free(request->upload); /* its bytes take no room any longer */
    request->upload = NULL;
    decline(request, &err);
  }
  log_scope("request", NULL);
}

void request_end(struct request *request) {
  log_scope("request", request->id);
  if (request->refused.status)
    reply_error(request, &request->refused);
  else
    handlers[request->match.op](request);
  log_scope("request", NULL);
  CHECK(request->waiting || request->http_status != 0); /* every handler answers or waits */
}

void request_resume(struct request *request) {
  request->waiting = false;
  request->waited = true;
  request_end(request);
}

void request_refuse(struct request *request, const struct error *err) {
  reply_error_and_close(request, err);
}

/* ---- what handlers use ---- */

const char *request_header(const struct request *request, const char *name) {
  return head_field(&request->head, name);
}

const char *request_param(const struct request *request, size_t n) {
  CHECK(n < request->match.count);
  return request->match.param[n];
}

enum status request_json(json_t **out, struct request *request, struct error *err) {
  const char *type = request_header(request, "Content-Type");
  *out = NULL;
  if (type && strncasecmp(type, "application/json", 16) != 0)
    return error_set(err, STATUS_MEDIA_TYPE, NULL, "this needs the Content-Type application/json, not %.80s", type);
  struct json_limits limits = {.bytes_max = (size_t)request->server->config->body_bytes_max};
  enum status status = json_parse(out, request->body.text, request->body.length, &limits, err);
  if (!status && !json_is_object(*out)) {
    status = error_set(err, STATUS_INVALID_JSON, NULL, "the body must be an object, not %s", json_kind(*out));
    json_decref(*out);
    *out = NULL;
  }
  return status;
}

void request_wait(struct request *request, const char *key, int64_t wait_ms) {
  CHECK(!request->waiting && !request->waited);
  snprintf(request->wait_key, sizeof request->wait_key, "%s", key);
  request->wait_until_ms = clock_boot_ms() + wait_ms;
  request->waiting = true;
  front_wait(request->server->front, request);
  connection_wait(request->connection);
}
