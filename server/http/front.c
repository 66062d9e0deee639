#include "server/http/front.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http/client.h"
#include "server/http/event_stream.h"
#include "server/http/receive.h"
#include "server/http/reply.h"
#include "server/http/stream.h"
#include "server/http/tap.h"
#include "server/http/tls.h"

enum {
  CONNECTION_BYTES = 36 << 10,  /* of libmicrohttpd's for one request's header: our own limits come first. Above 32 KB
                                   it maps them, and who sends little takes little. */
  AWAY_MAX = 64,                /* connections beyond the limit: probes are answered, all else is told to come later */
  ACCEPTS_MAX = 16,             /* between two runs of libmicrohttpd */
  FRESH_MS = 1000,
  END_ROUNDS = 100,             /* of libmicrohttpd, for streams to end in */
  DESCRIPTORS_KEPT = 40,        /* of those that the system allows, for the store, workers and files */
};

struct front {
  struct server *server;
  struct MHD_Daemon *daemon;
  struct tls *tls;          /* NULL: none */
  struct client *clients;
  size_t open;              /* clients that were not told to end */
  size_t limit;
  size_t away_max, accepts_max;
  int listen_fd;
  bool paused;              /* nothing is accepted before the next tick */
  struct wait_list waiters;
  struct streams streams;
  struct request *held;     /* their answers wait until what they have changed or seen is stored */
  bool pending;             /* libmicrohttpd must run: what it cannot know of has changed */
  bool closing;             /* only what waited is answered: nothing else of the daemon works any more */
};

/* It ends, and no longer takes one of the places. */
static void end(struct client *client) {
  if (client->ended)
    return;
  client_end(client);
  client->front->open--;
  client->front->pending = true;
}

/* ---- what comes ---- */

/* The answer is the error, and it is the last: where libmicrohttpd knows no request yet it is none's. */
static void refuse(struct client *client, const struct error *err) {
  struct front *front = client->front;
  struct request *request = client->request, *own = NULL;
  if (!request)
    request = own = receive_target(front->server, &front->waiters, "");
  if (own)
    own->client = client;
  if (!request)
    end(client);
  else if (request->phase == REQUEST_HEADER || request->phase == REQUEST_BODY)
    reply_error_now(request, err);
  receive_drop(own);
}

/* What is wrong is told when all that came before it is answered. */
static void refuse_when_due(struct client *client) {
  if (client->wire.state == WIRE_BAD && client->wire.ended <= client->completed && !client->lingering_ms)
    refuse(client, &client->wire.fault);
}

static size_t on_bytes(void *context, const char *bytes, size_t length) {
  struct client *client = context;
  if (client->lingering_ms) {
    client->discarded += length;
    return 0;
  }
  if (client->tls && tap_is_clear(client->fd)) {
    struct error err;
    error_set(&err, STATUS_INVALID_REQUEST, NULL, "this port speaks TLS: the address begins with https://");
    client->tls = NULL;
    refuse(client, &err);
    return 0;
  }
  if (client->wire.state == WIRE_IDLE)
    client->head_ms = clock_boot_ms();
  size_t good = wire_feed(&client->wire, bytes, length);
  refuse_when_due(client);
  return good;
}

/* ---- connections ---- */

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code) {
  struct front *front = context;
  int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  struct client *client = *slot = tap_context(fd);
  if (client && front->tls && code == MHD_CONNECTION_NOTIFY_STARTED)
    client->tls = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session;
  if (!client || code == MHD_CONNECTION_NOTIFY_STARTED)
    return;
  front->pending = true;
  front->paused = false;
  front->open -= !client->ended;
  *client->link = client->next;
  if (client->next)
    client->next->link = client->link;
  receive_drop(client->request);
  tap_close(fd);
  free(client);
}

/* One that waits for nothing but its client makes room. */
static void evict(struct client *client) {
  struct error err;
  error_set(&err, STATUS_OVERLOADED, NULL, "there are too many connections; this one waited longest for a request");
  if (client_in_head(client) && !client->lingering_ms)
    refuse(client, &err);
  end(client);
}

/* Makes room, or else says in client->away that there is none. Who has just come is not sent away for the next one, as
   long as that one can be. */
static void find_room(struct front *front, struct client *client) {
  size_t alike = 0, alike_max = (size_t)front->server->config->connections_per_address;
  for (struct client *other = client_is_local(client) ? NULL : front->clients; other; other = other->next)
    alike += !other->ended && client_same_address(other, client);
  bool many = alike >= alike_max;
  if (!many && front->open < front->limit)
    return;
  struct client *victim = client_victim(front->clients, many ? client : NULL);
  bool fresh = victim && !victim->lingering_ms && client->since_ms - victim->since_ms < FRESH_MS;
  if (victim && !(fresh && front->open < front->limit + front->away_max))
    evict(victim);
  else if (many)
    client->away = STATUS_TOO_MANY_CONNECTIONS;
  if (!client->away && front->open >= front->limit)
    client->away = STATUS_OVERLOADED;
}

static void admit(struct front *front, int fd, const struct sockaddr_storage *address, socklen_t length) {
  struct client *client = calloc(1, sizeof *client);
  if (!client || !tap_open(fd, front->tls != NULL, on_bytes, client)) {
    free(client);
    close(fd);
    return;
  }
  client->front = front;
  client->fd = fd;
  client_set_address(client, address);
  client->since_ms = clock_boot_ms();
  client_set_unsent(client, false);
  find_room(front, client);
  client->next = front->clients;
  client->link = &front->clients;
  if (client->next)
    client->next->link = &client->next;
  front->clients = client;
  front->open++;
  if (MHD_add_connection(front->daemon, fd, (const struct sockaddr *)address, length) == MHD_YES)
    return;
  /* It has closed the descriptor, and told of the end only if it told of the beginning. */
  if (tap_context(fd) != client)
    return;
  log_warn("a connection could not be taken");
  tap_close(fd);
  front->clients = client->next;
  if (client->next)
    client->next->link = &front->clients;
  front->open--;
  free(client);
}

int front_listen_fd(const struct front *front) {
  return front->listen_fd;
}

bool front_listens(const struct front *front) {
  return !front->paused;
}

void front_accept(struct front *front) {
  struct client *victim;
  for (size_t i = 0; i < front->accepts_max && !front->paused; i++) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (front->open >= front->limit + front->away_max && !client_victim(front->clients, NULL)) {
      front->paused = true; /* they wait in the system's queue */
      break;
    }
    int fd = accept4(front->listen_fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      admit(front, fd, &address, length);
    } else if (errno == EAGAIN) {
      break; /* that were all */
    } else if (errno != ECONNABORTED && errno != EINTR) {
      front->paused = true; /* the system lacks something: one that waits gives back what it has */
      victim = client_victim(front->clients, NULL);
      if (victim)
        evict(victim);
    }
  }
  front_run(front); /* what has come already is read before more is taken */
}

/* ---- the life of a request ---- */

/* The request line has arrived: this is the only place where libmicrohttpd shows the target as it came. */
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
  return request;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code) {
  struct request *request = *slot;
  (void)context;
  (void)connection;
  if (!request)
    return;
  struct client *client = request->client;
  bool goes_on = code == MHD_REQUEST_TERMINATED_COMPLETED_OK && !request->last;
  client->request = NULL;
  client->since_ms = clock_boot_ms();
  client->sent_ms = 0;
  client->completed++;
  request->delivered = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
  if (request->file_bytes && goes_on)
    client_set_unsent(client, false);
  receive_drop(request);
  *slot = NULL;
  if (goes_on)
    refuse_when_due(client);
}

/* What requests have changed together is stored, and they are answered. If that fails, each is carried out alone. */
static void settle(struct front *front) {
  struct error err;
  struct db *db = front->server->db;
  bool stored = !db_gathered(db) || !db_settle(db, &err);
  if (!stored)
    log_error("what requests have changed together is tried again one by one: %s", err.text);
  while (front->held) {
    struct request *request = front->held;
    front->held = request->next_held;
    request->alone = !stored;
    if (request->alone)
      receive_undo(request);
    front->pending = true;
    MHD_resume_connection(request->connection);
  }
}

static enum MHD_Result hold(struct request *request) {
  struct front *front = request->client->front;
  request->next_held = front->held;
  front->held = request;
  MHD_suspend_connection(request->connection);
  return MHD_YES;
}

/* The request is complete. It is carried out with the others that are complete now, or alone. */
static enum MHD_Result finish(struct request *request) {
  struct front *front = request->client->front;
  struct db *db = front->server->db;
  if (!request->alone) {
    db_join(db);
    receive_end(request);
    bool good = db_leave(db);
    if (request->phase == REQUEST_WAITING)
      return MHD_YES;
    if (good && !request->alone)
      return db_gathered(db) ? hold(request) : reply_send(request) ? MHD_YES : MHD_NO;
    receive_undo(request);
    request->alone = true;
  }
  settle(front);
  receive_end(request);
  return request->phase == REQUEST_WAITING || reply_send(request) ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes, size_t *length,
                                  void **slot) {
  const struct front *front = context;
  struct request *request = *slot;
  (void)url;
  (void)version;
  if (!request || (front->closing && request->phase != REQUEST_WAITING && request->phase != REQUEST_ANSWERED))
    return MHD_NO;
  if (request->client->wire.heads <= request->client->completed) { /* tap.c is not where the bytes come by */
    log_error("a request was not seen as it came; is libmicrohttpd linked in another way?");
    return MHD_NO;
  }
  request->connection = connection;
  switch (request->phase) {
  case REQUEST_HEADER:
    receive_header(request, method);
    return request->phase != REQUEST_ANSWERED || reply_send(request) ? MHD_YES : MHD_NO;
  case REQUEST_BODY:
    if (*length == 0)
      return request->client->lingering_ms ? MHD_NO : finish(request);
    if (!request->client->lingering_ms) /* else it was answered before its end */
      receive_body(request, bytes, *length);
    *length = 0;
    return MHD_YES;
  case REQUEST_WAITING:
    request->phase = REQUEST_BODY;
    request->waited = true;
    return finish(request);
  case REQUEST_ANSWERED: return request->sent || reply_send(request) ? MHD_YES : MHD_NO;
  }
  CHECK(!"a phase");
}

void front_wake(struct front *front, const char *key) {
  if (front)
    wait_over(&front->waiters, key);
}

/* ---- for the loop ---- */

/* Its time is over: part of a request is answered with that, and the end then waits for what is still sent. */
static void cut(struct client *client) {
  const struct request *request = client->request;
  struct error err;
  bool part = client_in_head(client) || (request && request->phase <= REQUEST_BODY);
  error_set(&err, STATUS_REQUEST_TIMEOUT, NULL, "the request was not complete in time");
  if (part && !client->lingering_ms)
    refuse(client, &err);
  else
    end(client);
}

size_t front_connections(const struct front *front) {
  return front->open;
}

void front_tick(struct front *front) {
  int64_t now = clock_boot_ms();
  wait_expire(&front->waiters, now);
  wait_look(&front->waiters);
  streams_tick(&front->streams, now);
  front->paused = false;
  for (struct client *client = front->clients; client; client = client->next)
    if (!client->ended && client_late(client, front->server->config, now))
      cut(client);
}

int front_fd(const struct front *front) {
  return MHD_get_daemon_info(front->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

void front_look(struct front *front) {
  event_stream_look(front->server->feeds);
  streams_fill(&front->streams);
}

void front_run(struct front *front) {
  front->pending = front->waiters.resumed = front->streams.resumed = false;
  if (MHD_run(front->daemon) != MHD_YES)
    log_error("the HTTP front failed");
  settle(front);
}

int64_t front_timeout_ms(struct front *front) {
  MHD_UNSIGNED_LONG_LONG timeout;
  if (front->pending || front->waiters.resumed || front->streams.resumed)
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

static int on_handshake(gnutls_session_t session, const gnutls_datum_t *names, int count,
                        const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain,
                        unsigned *length, gnutls_privkey_t *key) {
  const struct client *client = tap_context(gnutls_transport_get_int(session));
  (void)names;
  (void)count;
  (void)algorithms;
  (void)algorithm_count;
  if (!client)
    return -1;
  tls_pair(client->front->tls, chain, length, key);
  return 0;
}

void front_reload(struct front *front) {
  struct error err;
  const struct config *config = front->server->config;
  if (!front->tls)
    log_info("SIGHUP: there is no certificate to read again");
  else if (tls_reload(front->tls, config, &err))
    log_error("SIGHUP: the certificate stays what it was: %s", err.text);
  else
    log_info("SIGHUP: new connections are shown the certificate in %s as it is now", config->tls_certificate);
}

/* As many as the configuration says, unless the system allows fewer descriptors. */
static void set_limits(struct front *front) {
  struct rlimit allowed;
  size_t wanted = (size_t)front->server->config->connections_max, room = wanted + AWAY_MAX + ACCEPTS_MAX;
  if (getrlimit(RLIMIT_NOFILE, &allowed) == 0 && allowed.rlim_cur < room + DESCRIPTORS_KEPT)
    room = allowed.rlim_cur > DESCRIPTORS_KEPT + 8 ? (size_t)allowed.rlim_cur - DESCRIPTORS_KEPT : 8;
  front->away_max = room / 4 < AWAY_MAX ? room / 4 : AWAY_MAX;
  front->accepts_max = room / 8 < ACCEPTS_MAX ? room / 8 : ACCEPTS_MAX;
  front->limit = room - front->away_max - front->accepts_max;
  if (front->limit > wanted)
    front->limit = wanted;
  front->streams.max = front->limit - front->limit / 4;
  if (front->streams.max > (size_t)front->server->config->streams_max)
    front->streams.max = (size_t)front->server->config->streams_max;
}

static enum status start(struct front *front, struct error *err) {
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET;
  struct MHD_OptionItem encrypted[] = {{MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)on_handshake},
                                       {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
                                       {MHD_OPTION_END, 0, NULL}};
  if (front->tls)
    flags |= MHD_USE_TLS;
  else
    encrypted[0].option = MHD_OPTION_END;
  unsigned most = (unsigned)(front->limit + front->away_max + front->accepts_max);
  front->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, on_request, front, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_CONNECTION_LIMIT,
      most, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 0,
      MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
      MHD_OPTION_URI_LOG_CALLBACK, on_target, front,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, front, MHD_OPTION_NOTIFY_COMPLETED, on_completed, front,
      MHD_OPTION_ARRAY, encrypted, MHD_OPTION_END);
  return front->daemon ? STATUS_OK : error_set(err, STATUS_INTERNAL, NULL, "cannot start the HTTP front");
}

enum status front_open(struct front **out, struct server *server, int listen_fd, struct error *err) {
  const struct config *config = server->config;
  struct front *front = calloc(1, sizeof *front);
  *out = NULL;
  if (!front) {
    close(listen_fd);
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting the HTTP front");
  }
  front->server = server;
  front->listen_fd = listen_fd;
  set_limits(front);
  tls_look_at(config->api_key_file);
  enum status status = config->tls_certificate ? tls_open(&front->tls, config, err) : STATUS_OK;
  server->streams = &front->streams;
  if (!status)
    status = event_stream_start(&server->feeds, server, err);
  if (!status)
    status = start(front, err);
  if (status) {
    event_stream_stop(server->feeds);
    close(listen_fd);
    tls_close(front->tls);
    free(front);
    return status;
  }
  *out = front;
  return STATUS_OK;
}

void front_close(struct front *front) {
  if (!front)
    return;
  front->closing = true;
  close(front->listen_fd);
  wait_expire(&front->waiters, INT64_MAX);
  streams_end(&front->streams);
  int rounds = 0;
  do /* answers what was waiting; none may be suspended when it stops */
    front_run(front);
  while (front->pending || (front->streams.first && rounds++ < END_ROUNDS));
  MHD_stop_daemon(front->daemon);
  event_stream_stop(front->server->feeds);
  tls_close(front->tls);
  free(front);
}
