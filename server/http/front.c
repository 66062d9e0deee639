#include "server/http/front.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rng.h"
#include "server/http/reply.h"
#include "server/http/upload.h"

enum {
  ARENA_BYTES = 64 << 20,
  CONNECTION_BYTES = 32 << 10,
  DRAIN_BYTES_MAX = 16 << 20,   /* of a body whose request is refused already */
  BODY_BYTES_PER_S_MIN = 16 << 10,
  MULTIPART_EXTRA_BYTES = 64 << 10,
};

/* One connection. */
struct client {
  struct client *next, **link;
  int fd;
  int64_t since_ms;         /* boot clock: when it was accepted or its last request ended */
  struct request *request;  /* the one whose header is complete; NULL: none */
};

struct front {
  struct server *server;
  struct MHD_Daemon *daemon;
  struct client *clients;
  struct request *waiting;
  bool resumed;             /* the daemon must run: polled from outside, it does not wake itself for this */
  char key_hash[HASH_HEX];  /* of the bearer key; empty: none is needed */
};

typedef void handler(struct request *request);
static handler *const handlers[OP_COUNT] = {
#define ENDPOINT(method, path, operation, auth, summary) [OP_##operation] = http_##operation,
#include "api/endpoints.def"
#undef ENDPOINT
};

/* ---- connections ---- */

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code) {
  struct front *front = context;
  struct client *client = *slot;
  switch (code) {
  case MHD_CONNECTION_NOTIFY_STARTED:
    client = calloc(1, sizeof *client);
    if (!client)
      return; /* its requests are refused */
    client->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    client->since_ms = clock_boot_ms();
    client->next = front->clients;
    client->link = &front->clients;
    if (client->next)
      client->next->link = &client->next;
    front->clients = client;
    *slot = client;
    return;
  case MHD_CONNECTION_NOTIFY_CLOSED:
    if (!client)
      return;
    *client->link = client->next;
    if (client->next)
      client->next->link = client->link;
    free(client);
    return;
  }
}

/* ---- the life of a request ---- */

/* The request line has arrived: this is the only place where libmicrohttpd shows the target as it came. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection) {
  struct front *front = context;
  struct request *request = calloc(1, sizeof *request);
  (void)connection;
  if (!request)
    return NULL;
  request->server = front->server;
  request->front = front;
  request->started_ms = clock_boot_ms();
  request->started = clock_seconds();
  arena_init(&request->arena, ARENA_BYTES);
  str_init(&request->body, (size_t)front->server->config->body_bytes_max);
  rng_id(request->id, sizeof request->id, "req_");
  request->target = arena_string(&request->arena, target);
  return request;
}

static void log_request(const struct request *request) {
  log_scope("request", request->id);
  log_info("%s %s %d %.1f ms", http_method_name(request->method),
           request->endpoint ? request->endpoint->path : "(no route)", request->http_status,
           (clock_seconds() - request->started) * 1e3);
  log_scope("request", NULL);
}

static void unlink_waiting(struct request *request) {
  struct request **link = &request->front->waiting;
  while (*link && *link != request)
    link = &(*link)->next_waiting;
  if (*link)
    *link = request->next_waiting;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code) {
  struct request *request = *slot;
  (void)context;
  (void)connection;
  (void)code;
  if (!request)
    return;
  if (request->method < HTTP_METHOD_COUNT)
    log_request(request);
  if (request->client) {
    request->client->request = NULL;
    request->client->since_ms = clock_boot_ms();
  }
  unlink_waiting(request);
  upload_free(request->upload);
  str_done(&request->body);
  arena_done(&request->arena);
  free(request);
  *slot = NULL;
}

/* ---- the header ---- */

static enum MHD_Result each_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                   const char *value, size_t value_length) {
  (void)kind;
  guard_header(context, name, name_length, value ? value : "", value_length);
  return MHD_YES;
}

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
  const char *given = request_header(request, "Authorization");
  if (!request->front->key_hash[0] || request->endpoint->auth == AUTH_OPEN)
    return STATUS_OK;
  if (!given)
    return error_set(err, STATUS_INVALID_API_KEY, NULL,
                     "no API key was sent; it belongs into the header \"Authorization: Bearer KEY\"");
  if (strncasecmp(given, "Bearer ", 7) != 0)
    return error_set(err, STATUS_INVALID_API_KEY, NULL, "the Authorization header is not of the form \"Bearer KEY\"");
  hash_bytes(hash, given + 7, strlen(given + 7));
  if (!hash_equal(hash, request->front->key_hash, sizeof hash))
    return error_set(err, STATUS_INVALID_API_KEY, NULL, "the API key is wrong");
  return STATUS_OK;
}

/* Limits that the header alone can break, and where the body goes. */
static enum status prepare_body(struct request *request, struct error *err) {
  const struct config *config = request->server->config;
  if (request->match.op == OP_files_create) {
    if (request->server->draining)
      return error_set(err, STATUS_DRAINING, NULL, "the server is shutting down");
    if (request->guard.length > config->upload_bytes_max + MULTIPART_EXTRA_BYTES)
      return error_set(err, STATUS_TOO_LARGE, "file", "the body has %lld bytes; the limit for a file is %lld",
                       (long long)request->guard.length, (long long)config->upload_bytes_max);
    return upload_new(&request->upload, request->server, request_header(request, "Content-Type"), err);
  }
  if (request->guard.length > config->body_bytes_max)
    return error_set(err, STATUS_TOO_LARGE, NULL, "the body has %lld bytes; the limit is %lld",
                     (long long)request->guard.length, (long long)config->body_bytes_max);
  return STATUS_OK;
}

static enum status read_header(struct request *request, const char *method, struct error *err) {
  take_request_id(request);
  request->method = http_method_parse(method);
  enum status status = endpoint_match(&request->match, request->method, request->target, err);
  if (status)
    return status;
  request->endpoint = endpoint_of(request->match.op);
  status = authenticate(request, err);
  if (!status)
    status = query_parse(&request->query, request->target, &request->arena, err);
  return status ? status : prepare_body(request, err);
}

/* The header is complete. A refusal waits until the body has been read when that is cheap: a client that
   is still sending would otherwise see a broken connection and not the answer. */
static enum MHD_Result begin(struct request *request, const char *method) {
  struct error err;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  request->client = info ? info->socket_context : NULL;
  if (!request->client || !request->target)
    return MHD_NO;
  request->client->request = request;
  request->phase = REQUEST_BODY;
  guard_init(&request->guard);
  MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, each_header, &request->guard);
  if (guard_end(&request->guard, &err)) {
    reply_error_and_close(request, &err);
    return (enum MHD_Result)request->answer;
  }
  if (read_header(request, method, &err) == STATUS_OK)
    return MHD_YES;
  bool body = request->guard.chunked || request->guard.length > 0;
  if (body && (request->guard.length > DRAIN_BYTES_MAX || request_header(request, "Expect"))) {
    reply_error_and_close(request, &err);
    return (enum MHD_Result)request->answer;
  }
  request->refused = err;
  return MHD_YES;
}

/* ---- the body ---- */

static enum MHD_Result take_body(struct request *request, const char *bytes, size_t length) {
  struct error err;
  enum status status = STATUS_OK;
  request->body_bytes += length;
  if (request->refused.status) /* read only to be thrown away */
    return request->body_bytes > DRAIN_BYTES_MAX ? MHD_NO : MHD_YES;
  if (request->upload)
    status = upload_feed(request->upload, bytes, length, &err);
  else if (!str_add(&request->body, bytes, length))
    status = error_set(&err, STATUS_TOO_LARGE, NULL, "the body is larger than the limit of %lld bytes",
                       (long long)request->server->config->body_bytes_max);
  if (status)
    request->refused = err;
  return MHD_YES;
}

static enum MHD_Result finish(struct request *request) {
  log_scope("request", request->id);
  if (request->refused.status)
    reply_error(request, &request->refused);
  else
    handlers[request->match.op](request);
  log_scope("request", NULL);
  if (request->phase == REQUEST_WAITING)
    return MHD_YES;
  CHECK(request->http_status != 0); /* every handler answers or waits */
  return (enum MHD_Result)request->answer;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes, size_t *length,
                                  void **slot) {
  struct request *request = *slot;
  (void)context;
  (void)url;
  (void)version;
  if (!request)
    return MHD_NO;
  request->connection = connection;
  switch (request->phase) {
  case REQUEST_HEADER: return begin(request, method);
  case REQUEST_BODY: {
    if (*length == 0)
      return finish(request);
    enum MHD_Result result = take_body(request, bytes, *length);
    *length = 0;
    return result;
  }
  case REQUEST_WAITING:
    request->phase = REQUEST_BODY;
    request->waited = true;
    return finish(request);
  case REQUEST_ANSWERED: return MHD_YES;
  }
  CHECK(!"a phase");
}

/* ---- what handlers use ---- */

const char *request_header(const struct request *request, const char *name) {
  return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
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
  CHECK(request->phase == REQUEST_BODY && !request->waited);
  snprintf(request->wait_key, sizeof request->wait_key, "%s", key);
  request->wait_until_ms = clock_boot_ms() + wait_ms;
  request->phase = REQUEST_WAITING;
  request->next_waiting = request->front->waiting;
  request->front->waiting = request;
  MHD_suspend_connection(request->connection);
}

/* Resumes the waiting requests that match: `key` NULL: those whose time is over at `now_ms`. */
static void resume(struct front *front, const char *key, int64_t now_ms) {
  for (struct request **link = &front->waiting; *link;) {
    struct request *request = *link;
    bool due = key ? strcmp(request->wait_key, key) == 0 : now_ms >= request->wait_until_ms;
    if (!due) {
      link = &request->next_waiting;
      continue;
    }
    *link = request->next_waiting;
    front->resumed = true;
    MHD_resume_connection(request->connection);
  }
}

void front_wake(struct front *front, const char *key) {
  if (front)
    resume(front, key, 0);
}

/* ---- the daemon ---- */

/* When must this connection have got further? Bytes of a body buy time, at a minimum rate. */
static int64_t deadline_ms(const struct client *client, int64_t timeout_ms) {
  const struct request *request = client->request;
  if (!request)
    return client->since_ms + timeout_ms;
  switch (request->phase) {
  case REQUEST_HEADER:
  case REQUEST_BODY:
    return request->started_ms + timeout_ms + (int64_t)(request->body_bytes * 1000 / BODY_BYTES_PER_S_MIN);
  case REQUEST_WAITING:
  case REQUEST_ANSWERED: return INT64_MAX;
  }
  CHECK(!"a phase");
}

void front_tick(struct front *front) {
  int64_t now = clock_boot_ms();
  int64_t timeout_ms = front->server->config->request_timeout_s * 1000;
  resume(front, NULL, now);
  for (struct client *client = front->clients; client; client = client->next)
    if (now > deadline_ms(client, timeout_ms))
      shutdown(client->fd, SHUT_RDWR); /* libmicrohttpd then sees its end */
}

/* Percent-escapes stay as they are: paths and queries are decoded by api/endpoint.h and query.h. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text) {
  (void)context;
  (void)connection;
  return strlen(text);
}

static void on_log(void *context, const char *format, va_list args) PRINTF(2, 0);
static void on_log(void *context, const char *format, va_list args) {
  char text[512];
  (void)context;
  vsnprintf(text, sizeof text, format, args);
  text[strcspn(text, "\n")] = '\0';
  log_debug("http: %s", text);
}

enum status front_open(struct front **out, struct server *server, int listen_fd, struct error *err) {
  const struct config *config = server->config;
  struct front *front = calloc(1, sizeof *front);
  *out = NULL;
  if (!front)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting the HTTP front");
  front->server = server;
  if (config->api_key)
    hash_bytes(front->key_hash, config->api_key, strlen(config->api_key));
  front->daemon = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, front,
      MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
      (unsigned)config->connections_max, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->request_timeout_s,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1,
      MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, front,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, front, MHD_OPTION_NOTIFY_COMPLETED, on_completed, front,
      MHD_OPTION_END);
  if (!front->daemon) {
    free(front);
    return error_set_errno(err, STATUS_INTERNAL, NULL, "cannot start the HTTP front");
  }
  *out = front;
  return STATUS_OK;
}

void front_close(struct front *front) {
  if (!front)
    return;
  resume(front, NULL, INT64_MAX);
  MHD_run(front->daemon); /* answers what was waiting; none may be suspended when it stops */
  MHD_stop_daemon(front->daemon);
  free(front);
}

int front_fd(const struct front *front) {
  return MHD_get_daemon_info(front->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

void front_run(struct front *front) {
  front->resumed = false;
  if (MHD_run(front->daemon) != MHD_YES)
    log_error("the HTTP front failed");
}

int64_t front_timeout_ms(struct front *front) {
  MHD_UNSIGNED_LONG_LONG timeout;
  if (front->resumed)
    return 0;
  if (MHD_get_timeout(front->daemon, &timeout) != MHD_YES)
    return -1;
  return timeout > INT64_MAX ? INT64_MAX : (int64_t)timeout;
}
