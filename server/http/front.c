#include "server/http/front.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/http/connection.h"
#include "server/http/request.h"

enum { EVENTS = 256, ACCEPTS = 64 };

struct front {
  struct connections all;
  int listen_fd;
  bool listening;           /* the listening socket is watched: there is room for a connection */
  bool starved;             /* the machine had no descriptor or memory for one: tried again at the next tick */
  struct request *waiting;
  bool pending;             /* one of them is due */
  char key_hash[HASH_HEX];
};

/* ---- connections ---- */

/* At the limit the next client waits in the backlog, and is accepted as soon as a connection has gone: this is called
   wherever one may have. */
static void listen_again(struct front *front) {
  bool room = front->all.count < front->all.server->config->connections_max && !front->starved;
  struct epoll_event event = {.events = room ? EPOLLIN : 0, .data.ptr = NULL};
  if (room == front->listening)
    return;
  if (epoll_ctl(front->all.epoll, EPOLL_CTL_MOD, front->listen_fd, &event) == 0)
    front->listening = room;
  else
    log_error("the listening socket cannot be watched: %s", strerror(errno));
}

static void accept_some(struct front *front) {
  struct error err;
  for (int n = 0; n < ACCEPTS && front->all.count < front->all.server->config->connections_max; n++) {
    int fd = accept4(front->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      front->starved = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (front->starved)
        log_warn("no connection can be accepted: %s", strerror(errno));
      return;
    }
    if (connection_new(&front->all, fd, &err))
      log_warn("%s", err.text);
  }
}

static void settle(struct connection *connection) {
  if (connection->phase == CONNECTION_OVER)
    connection_free(connection);
}

/* ---- requests that wait ---- */

void front_wait(struct front *front, struct request *request) {
  request->next_waiting = front->waiting;
  front->waiting = request;
}

void front_unwait(struct front *front, struct request *request) {
  struct request **link = &front->waiting;
  while (*link && *link != request)
    link = &(*link)->next_waiting;
  if (*link)
    *link = request->next_waiting;
}

/* Not resumed here: the caller may be the handler of another request. */
void front_wake(struct front *front, const char *key) {
  for (struct request *request = front ? front->waiting : NULL; request; request = request->next_waiting)
    if (strcmp(request->wait_key, key) == 0) {
      request->wait_until_ms = INT64_MIN;
      front->pending = true;
    }
}

static void resume_due(struct front *front, int64_t now_ms) {
  struct request *request = front->waiting;
  while (request) {
    if (now_ms < request->wait_until_ms) {
      request = request->next_waiting;
      continue;
    }
    struct connection *connection = request->connection;
    front_unwait(front, request);
    request_resume(request);
    connection_continue(connection);
    settle(connection);
    request = front->waiting; /* the list may have changed */
  }
}

/* ---- for the loop ---- */

void front_run(struct front *front) {
  struct epoll_event events[EVENTS];
  if (front->pending) {
    front->pending = false;
    resume_due(front, INT64_MIN);
  }
  int count = epoll_wait(front->all.epoll, events, EVENTS, 0);
  for (int i = 0; i < count; i++) {
    struct connection *connection = events[i].data.ptr;
    if (!connection) {
      accept_some(front);
      continue;
    }
    connection_ready(connection, events[i].events);
    settle(connection);
  }
  listen_again(front);
}

void front_tick(struct front *front) {
  int64_t now = clock_boot_ms();
  resume_due(front, now);
  for (struct connection *connection = front->all.first, *next; connection; connection = next) {
    next = connection->next;
    connection_hurry(connection, now);
    settle(connection);
  }
  front->starved = false;
  listen_again(front);
}

int front_fd(const struct front *front) {
  return front->all.epoll;
}

bool front_pending(const struct front *front) {
  return front->pending;
}

const char *front_key_hash(const struct front *front) {
  return front->key_hash;
}

/* ---- its life ---- */

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
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  *out = NULL;
  if (!front) {
    close(listen_fd);
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting the HTTP front");
  }
  front->listen_fd = listen_fd;
  front->listening = true;
  front->all.server = server;
  front->all.scratch = malloc(CONNECTION_SCRATCH);
  front->all.epoll = epoll_create1(EPOLL_CLOEXEC);
  look_at_key_file(config);
  if (config->api_key)
    hash_bytes(front->key_hash, config->api_key, strlen(config->api_key));
  if (!front->all.scratch || front->all.epoll < 0 ||
      epoll_ctl(front->all.epoll, EPOLL_CTL_ADD, listen_fd, &event) != 0) {
    error_set_errno(err, STATUS_INTERNAL, NULL, "starting the HTTP front");
    front_close(front);
    return err->status;
  }
  *out = front;
  return STATUS_OK;
}

void front_close(struct front *front) {
  if (!front)
    return;
  resume_due(front, INT64_MAX);
  while (front->all.first)
    connection_free(front->all.first);
  if (front->all.epoll >= 0)
    close(front->all.epoll);
  close(front->listen_fd);
  free(front->all.scratch);
  free(front);
}
