#include "server/http/front.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http/receive.h"
#include "server/http/reply.h"

enum {
  CONNECTION_BYTES = 192 << 10, /* of libmicrohttpd's for one request's header: our own limits come first */
  ARGUMENTS_MAX = 1000,         /* each of a target's takes 64 of them */
  BODY_BYTES_PER_S_MIN = 16 << 10,
  LINGER_MS = 2000,
  TIMEOUT_EXTRA_S = 5,          /* our deadlines come first: clients see them answered */
};

/* One connection. */
struct client {
  struct client *next, **link;
  int fd;
  int64_t since_ms;         /* boot clock: when it was accepted or its last request ended */
  struct request *request;  /* the one whose request line has arrived; NULL: none */
};

struct front {
  struct server *server;
  struct MHD_Daemon *daemon;
  struct client *clients;
  struct wait_list waiters;
  bool pending;             /* libmicrohttpd must run: what it cannot know of has changed */
  bool closing;             /* only what waited is answered: nothing else of the daemon works any more */
};

/* ---- connections ---- */

/* libmicrohttpd stops listening at its limit and begins again in a run after one in which a connection ended: nobody
   else would ask for that run when all of them end at once. */
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
    front->pending = true;
    if (!client)
      return;
    *client->link = client->next;
    if (client->next)
      client->next->link = client->link;
    receive_drop(client->request);
    free(client);
    return;
  }
}

/* ---- the life of a request ---- */

static size_t count_arguments(const char *target) {
  const char *at = strchr(target, '?');
  size_t count = at != NULL;
  while (at && (at = strchr(at + 1, '&')))
    count++;
  return count;
}

/* The request line has arrived: this is the only place where libmicrohttpd shows the target as it came. It keeps the
   target's arguments in the connection's memory, and says nothing, to us or the client, when that does not suffice. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection) {
  struct front *front = context;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  struct client *client = info ? info->socket_context : NULL;
  if (!client)
    return NULL;
  receive_drop(client->request); /* one that libmicrohttpd answered by itself and did not report the end of */
  struct request *request = receive_target(front->server, &front->waiters, target);
  client->request = request;
  if (!request)
    return NULL;
  request->client = client;
  request->connection = connection;
  if (strlen(target) <= GUARD_BYTES_MAX && count_arguments(target) <= ARGUMENTS_MAX)
    return request;
  struct error err;
  error_set(&err, STATUS_TARGET_TOO_LONG, NULL, "the request's target has more than %d bytes or %d arguments",
            GUARD_BYTES_MAX, ARGUMENTS_MAX);
  reply_error_now(request, &err);
  shutdown(client->fd, SHUT_RDWR); /* libmicrohttpd then sees its end */
  return NULL;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code) {
  struct request *request = *slot;
  (void)context;
  (void)connection;
  (void)code;
  if (!request)
    return;
  request->client->request = NULL;
  request->client->since_ms = clock_boot_ms();
  receive_drop(request);
  *slot = NULL;
}

static enum MHD_Result finish(struct request *request) {
  receive_end(request);
  return request->phase == REQUEST_WAITING ? MHD_YES : (enum MHD_Result)request->answer;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes, size_t *length,
                                  void **slot) {
  const struct front *front = context;
  struct request *request = *slot;
  bool wanted;
  (void)url;
  if (!request || (front->closing && request->phase != REQUEST_WAITING && request->phase != REQUEST_ANSWERED))
    return MHD_NO;
  request->connection = connection;
  switch (request->phase) {
  case REQUEST_HEADER:
    receive_header(request, method, version);
    return request->phase == REQUEST_ANSWERED ? (enum MHD_Result)request->answer : MHD_YES;
  case REQUEST_BODY:
  case REQUEST_LINGERING:
    if (*length == 0)
      return request->phase == REQUEST_LINGERING ? MHD_NO : finish(request);
    wanted = receive_body(request, bytes, *length);
    *length = 0;
    return wanted ? MHD_YES : MHD_NO;
  case REQUEST_WAITING:
    request->phase = REQUEST_BODY;
    request->waited = true;
    return finish(request);
  case REQUEST_ANSWERED: return MHD_YES;
  }
  CHECK(!"a phase");
}

void front_wake(struct front *front, const char *key) {
  if (front)
    wait_over(&front->waiters, key);
}

/* ---- for the loop ---- */

/* When must this connection have got further? Bytes of a body buy time, at a minimum rate. */
static int64_t deadline_ms(const struct client *client, int64_t timeout_ms) {
  const struct request *request = client->request;
  if (!request)
    return client->since_ms + timeout_ms;
  switch (request->phase) {
  case REQUEST_HEADER:
  case REQUEST_BODY:
    return request->started_ms + timeout_ms + (int64_t)(request->body_bytes * 1000 / BODY_BYTES_PER_S_MIN);
  case REQUEST_LINGERING:
    return request->lingering_ms + LINGER_MS + (int64_t)(request->body_bytes * 1000 / BODY_BYTES_PER_S_MIN);
  case REQUEST_WAITING:
  case REQUEST_ANSWERED: return INT64_MAX;
  }
  CHECK(!"a phase");
}

/* It ends; a request that is not complete is answered with the reason. libmicrohttpd then sees the end. */
static void cut(struct client *client) {
  struct request *request = client->request;
  struct error err;
  if (request && (request->phase == REQUEST_HEADER || request->phase == REQUEST_BODY)) {
    error_set(&err, STATUS_REQUEST_TIMEOUT, NULL, "the request was not complete in time");
    reply_error_now(request, &err);
  }
  shutdown(client->fd, SHUT_RDWR);
}

void front_tick(struct front *front) {
  int64_t now = clock_boot_ms();
  int64_t timeout_ms = front->server->config->request_timeout_s * 1000;
  wait_expire(&front->waiters, now);
  for (struct client *client = front->clients; client; client = client->next)
    if (now > deadline_ms(client, timeout_ms))
      cut(client);
}

int front_fd(const struct front *front) {
  return MHD_get_daemon_info(front->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

void front_run(struct front *front) {
  front->pending = front->waiters.resumed = false;
  if (MHD_run(front->daemon) != MHD_YES)
    log_error("the HTTP front failed");
}

int64_t front_timeout_ms(struct front *front) {
  MHD_UNSIGNED_LONG_LONG timeout;
  if (front->pending || front->waiters.resumed)
    return 0;
  if (MHD_get_timeout(front->daemon, &timeout) != MHD_YES)
    return -1;
  return timeout > INT64_MAX ? INT64_MAX : (int64_t)timeout;
}

/* ---- its life ---- */

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

/* A key that everybody on this machine can read keeps nobody out. */
static void look_at_key_file(const struct config *config) {
  struct stat info;
  if (config->api_key_file && stat(config->api_key_file, &info) == 0 && (info.st_mode & (S_IROTH | S_IWOTH)))
    log_warn("%s can be %s by everybody on this machine (its mode is %03o): chmod 600 it", config->api_key_file,
             info.st_mode & S_IWOTH ? "changed" : "read", (unsigned)info.st_mode & 0777);
}

enum status front_open(struct front **out, struct server *server, int listen_fd, struct error *err) {
  const struct config *config = server->config;
  struct front *front = calloc(1, sizeof *front);
  *out = NULL;
  if (!front)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting the HTTP front");
  front->server = server;
  look_at_key_file(config);
  front->daemon = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, front,
      MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
      (unsigned)config->connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
      (unsigned)config->request_timeout_s + TIMEOUT_EXTRA_S,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 0,
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
  front->closing = true;
  wait_expire(&front->waiters, INT64_MAX);
  MHD_run(front->daemon); /* answers what was waiting; none may be suspended when it stops */
  MHD_stop_daemon(front->daemon);
  free(front);
}
