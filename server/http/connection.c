#include "server/http/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/http/request.h"

enum {
  BLANK_LINES_MAX = 4,           /* some clients send an empty line after a body */
  TURN_BYTES = 4 << 20,          /* of one connection before the others have their turn */
  BODY_BYTES_PER_S_MIN = 16 << 10,
  LINGER_MS = 2000,
  LINGER_BODIES = 4,             /* a body without an end is read to so many times the upload's limit */
};

/* ---- answers ---- */

void response_init(struct response *response) {
  *response = (struct response){.fd = -1};
  str_init(&response->head, 4 << 10);
  str_init(&response->text, 32 << 20);
}

void response_done(struct response *response) {
  str_done(&response->head);
  str_done(&response->text);
  if (response->fd >= 0)
    close(response->fd);
  response->fd = -1;
}

void connection_reply(struct connection *connection, struct response *response, bool end) {
  CHECK(connection->phase < CONNECTION_REPLYING);
  connection->response = *response;
  connection->close |= end;
  connection->since_ms = clock_boot_ms();
  connection->phase = response->head.failed || response->text.failed ? CONNECTION_OVER : CONNECTION_REPLYING;
}

void connection_wait(struct connection *connection) {
  connection->phase = CONNECTION_WAITING;
}

/* ---- out ---- */

/* False: the socket takes no more now, or the connection is over. */
static bool push_text(struct connection *connection) {
  struct response *response = &connection->response;
  size_t head = response->head.length, all = head + response->text.length;
  while (response->sent < all) {
    bool in_head = response->sent < head;
    struct iovec part[2] = {{response->head.text + response->sent, head - response->sent},
                            {response->text.text, response->text.length}};
    if (!in_head)
      part[1] = (struct iovec){response->text.text + (response->sent - head), all - response->sent};
    struct msghdr message = {.msg_iov = in_head ? part : part + 1, .msg_iovlen = in_head ? 2 : 1};
    ssize_t n = sendmsg(connection->fd, &message, MSG_NOSIGNAL | (response->left ? MSG_MORE : 0));
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      connection->phase = CONNECTION_OVER;
    if (n <= 0)
      return false;
    response->sent += (size_t)n;
  }
  return true;
}

static bool push_file(struct connection *connection) {
  struct response *response = &connection->response;
  for (size_t turn = 0; response->left > 0 && turn < TURN_BYTES;) {
    size_t want = response->left < TURN_BYTES ? (size_t)response->left : TURN_BYTES;
    ssize_t n = sendfile(connection->fd, response->fd, &response->offset, want);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
      connection->phase = CONNECTION_OVER; /* the file became shorter, or the client left: either end sees it */
    if (n <= 0)
      return false;
    response->left -= (size_t)n;
    turn += (size_t)n;
  }
  return response->left == 0;
}

/* The answer is out and the client is told that none follows. */
static void linger(struct connection *connection) {
  free(connection->kept);
  connection->kept = NULL;
  connection->kept_bytes = 0;
  connection->phase = shutdown(connection->fd, SHUT_WR) == 0 ? CONNECTION_LINGERING : CONNECTION_OVER;
}

static void push(struct connection *connection) {
  struct response *response = &connection->response;
  size_t sent = response->sent;
  uint64_t left = response->left;
  bool whole = push_text(connection) && push_file(connection);
  if (response->sent != sent || response->left != left)
    connection->since_ms = clock_boot_ms();
  if (!whole)
    return;
  response_done(response);
  request_free(connection->request);
  connection->request = NULL;
  connection->phase = CONNECTION_HEAD;
  if (connection->close)
    linger(connection);
}

/* ---- in ---- */

static void refuse(struct connection *connection, const struct error *err) {
  if (!connection->request)
    connection->request = request_new(connection);
  if (connection->request)
    request_refuse(connection->request, err);
  else
    connection->phase = CONNECTION_OVER;
}

/* The client that asked first is told to send its body. Nothing else is on its way out, so it fits the socket. */
static void send_continue(struct connection *connection) {
  static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  if (send(connection->fd, text, sizeof text - 1, MSG_NOSIGNAL) != sizeof text - 1)
    connection->phase = CONNECTION_OVER;
}

/* A whole head. `more`: bytes of the body have come with it. */
static void begin(struct connection *connection, const char *head, size_t length, bool more) {
  struct request *request = request_new(connection);
  connection->request = request;
  connection->scanned = connection->blank_lines = 0;
  if (!request) {
    connection->phase = CONNECTION_OVER;
    return;
  }
  const struct guard *guard = &request->head.guard;
  bool known = request_head(request, head, length);
  bool body = known && (guard->chunked || guard->length > 0);
  connection->close |= !known || guard->close || (guard->minor == 0 && !guard->keep);
  body_init(&connection->body, body && guard->chunked, body && !guard->chunked ? (uint64_t)guard->length : 0);
  if (connection->phase == CONNECTION_REPLYING)
    return;
  if (!body) {
    request_end(request);
    return;
  }
  connection->phase = CONNECTION_BODY;
  if (guard->expects && !more)
    send_continue(connection);
}

/* Takes a head. Returns the number of bytes taken. */
static size_t take_head(struct connection *connection, const char *bytes, size_t length) {
  struct error err;
  size_t end;
  if (connection->scanned == 0 && length >= 2 && memcmp(bytes, "\r\n", 2) == 0 &&
      connection->blank_lines++ < BLANK_LINES_MAX)
    return 2;
  if (length == 0)
    return 0;
  if (head_find(&end, &connection->scanned, bytes, length, &err))
    refuse(connection, &err);
  else if (end)
    begin(connection, bytes, end, length > end);
  return end;
}

static size_t take_body(struct connection *connection, const char *bytes, size_t length) {
  struct error err;
  size_t used, data;
  switch (body_next(&connection->body, bytes, length, &used, &data)) {
  case BODY_MORE: break;
  case BODY_DATA: request_data(connection->request, bytes + used - data, data); break;
  case BODY_END: request_end(connection->request); break;
  case BODY_BAD:
    error_set(&err, STATUS_INVALID_REQUEST, NULL, "the body's chunks are malformed");
    refuse(connection, &err);
    break;
  }
  return used;
}

static void keep(struct connection *connection, const char *bytes, size_t length) {
  connection->kept_bytes = 0;
  if (length == 0) {
    free(connection->kept);
    connection->kept = NULL;
    return;
  }
  char *kept = realloc(connection->kept, length);
  if (!kept) {
    connection->phase = CONNECTION_OVER;
    return;
  }
  memcpy(kept, bytes, length);
  connection->kept = kept;
  connection->kept_bytes = length;
}

static uint32_t wanted_events(enum connection_phase phase) {
  switch (phase) {
  case CONNECTION_HEAD:
  case CONNECTION_BODY:
  case CONNECTION_LINGERING: return EPOLLIN;
  case CONNECTION_REPLYING: return EPOLLOUT;
  case CONNECTION_WAITING: /* its end is told without asking */
  case CONNECTION_OVER: return 0;
  }
  CHECK(!"a phase");
}

static void watch(struct connection *connection) {
  struct epoll_event event = {.events = wanted_events(connection->phase), .data.ptr = connection};
  if (event.events == connection->watched || connection->phase == CONNECTION_OVER)
    return;
  connection->watched = event.events;
  if (epoll_ctl(connection->all->epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0)
    connection->phase = CONNECTION_OVER;
}

/* Goes as far as what has arrived, and what the socket takes, allow. */
static void advance(struct connection *connection, const char *bytes, size_t length) {
  size_t used = 0, n;
  enum connection_phase before;
  do {
    before = connection->phase;
    n = 0;
    if (before == CONNECTION_HEAD)
      n = take_head(connection, bytes + used, length - used);
    else if (before == CONNECTION_BODY)
      n = take_body(connection, bytes + used, length - used);
    else if (before == CONNECTION_REPLYING)
      push(connection);
    used += n;
  } while (n > 0 || connection->phase != before);
  if (connection->phase < CONNECTION_LINGERING)
    keep(connection, bytes + used, length - used);
  watch(connection);
}

/* Its kept bytes, where every connection's bytes are worked on. */
static size_t bring_kept(struct connection *connection) {
  size_t length = connection->kept_bytes;
  CHECK(length <= CONNECTION_SCRATCH);
  if (length)
    memcpy(connection->all->scratch, connection->kept, length);
  return length;
}

void connection_continue(struct connection *connection) {
  size_t length = bring_kept(connection);
  advance(connection, connection->all->scratch, length);
}

static void receive(struct connection *connection) {
  size_t length = bring_kept(connection);
  char *scratch = connection->all->scratch;
  CHECK(length < CONNECTION_SCRATCH);
  ssize_t n = recv(connection->fd, scratch + length, CONNECTION_SCRATCH - length, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    connection->phase = CONNECTION_OVER;
    return;
  }
  if (connection->phase == CONNECTION_HEAD && length == 0)
    connection->since_ms = clock_boot_ms();
  advance(connection, scratch, length + (size_t)n);
}

/* What a lingering client still sends is dropped by the kernel, without a copy. */
static void drop(struct connection *connection) {
  uint64_t max = LINGER_BODIES * (uint64_t)connection->all->server->config->upload_bytes_max;
  if (connection->body.state == BODY_COUNTED && connection->body.left > max)
    max = connection->body.left;
  for (size_t turn = 0; turn < TURN_BYTES;) {
    ssize_t n = recv(connection->fd, connection->all->scratch, CONNECTION_SCRATCH, MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    connection->lingered += n > 0 ? (size_t)n : 0;
    if (n <= 0 || connection->lingered > max) {
      connection->phase = CONNECTION_OVER;
      return;
    }
    turn += (size_t)n;
  }
}

void connection_ready(struct connection *connection, uint32_t events) {
  if (events & (EPOLLERR | EPOLLHUP))
    connection->phase = CONNECTION_OVER;
  else if (connection->phase == CONNECTION_LINGERING)
    drop(connection);
  else if (connection->phase < CONNECTION_WAITING)
    receive(connection);
  else
    connection_continue(connection);
}

/* ---- its life ---- */

enum status connection_new(struct connections *all, int fd, struct error *err) {
  struct connection *connection = calloc(1, sizeof *connection);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  if (!connection || epoll_ctl(all->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "taking a connection");
    free(connection);
    close(fd);
    return err->status;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  response_init(&connection->response);
  connection->all = all;
  connection->fd = fd;
  connection->watched = event.events;
  connection->since_ms = clock_boot_ms();
  connection->next = all->first;
  connection->link = &all->first;
  if (connection->next)
    connection->next->link = &connection->next;
  all->first = connection;
  all->count++;
  return STATUS_OK;
}

void connection_free(struct connection *connection) {
  *connection->link = connection->next;
  if (connection->next)
    connection->next->link = connection->link;
  connection->all->count--;
  request_free(connection->request);
  response_done(&connection->response);
  close(connection->fd);
  free(connection->kept);
  free(connection);
}

/* When must it have got further? Bytes of a body buy time, at a minimum rate. */
static int64_t deadline_ms(const struct connection *connection) {
  int64_t timeout_ms = connection->all->server->config->request_timeout_s * 1000;
  switch (connection->phase) {
  case CONNECTION_HEAD:
  case CONNECTION_REPLYING: return connection->since_ms + timeout_ms;
  case CONNECTION_BODY:
    return connection->since_ms + timeout_ms + (int64_t)(connection->request->body_bytes * 1000 / BODY_BYTES_PER_S_MIN);
  case CONNECTION_LINGERING:
    return connection->since_ms + LINGER_MS + (int64_t)(connection->lingered * 1000 / BODY_BYTES_PER_S_MIN);
  case CONNECTION_WAITING: return INT64_MAX;
  case CONNECTION_OVER: return INT64_MIN;
  }
  CHECK(!"a phase");
}

void connection_hurry(struct connection *connection, int64_t now_ms) {
  struct error err;
  if (now_ms <= deadline_ms(connection))
    return;
  if (connection->phase == CONNECTION_BODY || (connection->phase == CONNECTION_HEAD && connection->kept_bytes)) {
    error_set(&err, STATUS_REQUEST_TIMEOUT, NULL, "the request was not complete in time");
    refuse(connection, &err);
    connection_continue(connection);
  } else {
    connection->phase = CONNECTION_OVER;
  }
}
