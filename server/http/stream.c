#include "server/http/stream.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http/client.h"
#include "server/http/identify.h"
#include "server/http/reply.h"

enum {
  BLOCK_BYTES = 4 << 10, /* that libmicrohttpd keeps for each */
  JUDGE_MS = 1000,       /* a caller is looked at again before something is told after so long */
  LOOK_MS = 1000,
  POLLED = 256,       /* in one call */
  UNHEARD_MS = 60000, /* a client that confirms nothing of what it was sent is gone */
};

/* ---- chunks ---- */

struct chunk *chunk_new(const char *bytes, size_t length) {
  struct chunk *chunk = malloc(sizeof *chunk + length);
  if (!chunk)
    return NULL;
  *chunk = (struct chunk){.users = 1, .length = length};
  memcpy(chunk->bytes, bytes, length);
  return chunk;
}

struct chunk *chunk_share(struct chunk *chunk) {
  chunk->users++;
  return chunk;
}

void chunk_drop(struct chunk *chunk) {
  if (chunk && --chunk->users == 0)
    free(chunk);
}

/* ---- libmicrohttpd takes ---- */

static ssize_t on_read(void *context, uint64_t position, char *out, size_t room) {
  struct stream *stream = context;
  (void)position;
  if (stream->broken)
    return MHD_CONTENT_READER_END_WITH_ERROR;
  if (!stream->chunk && stream->over)
    return MHD_CONTENT_READER_END_OF_STREAM;
  if (!stream->chunk) {
    stream->suspended = stream->due = stream->request->quiet = true;
    MHD_suspend_connection(stream->request->connection);
    return 0;
  }
  size_t left = stream->chunk->length - stream->at, length = left < room ? left : room;
  memcpy(out, stream->chunk->bytes + stream->at, length);
  stream->at += length;
  if (length == left) {
    chunk_drop(stream->chunk);
    stream->chunk = NULL;
  }
  return (ssize_t)length;
}

static void resume(struct stream *stream) {
  if (!stream->suspended)
    return;
  stream->suspended = stream->due = stream->request->quiet = false;
  stream->request->server->streams->resumed = true;
  MHD_resume_connection(stream->request->connection);
}

/* ---- its life ---- */

enum status streams_room(const struct request *request, struct error *err) {
  const struct streams *streams = request->server->streams;
  if (streams->count < streams->max)
    return STATUS_OK;
  return error_set(err, STATUS_OVERLOADED, NULL, "there are %zu streams, as many as this server has at a time",
                   streams->count);
}

/* A client that vanished without a word is noticed, even when nothing is sent to it. */
static void watch_socket(const struct client *client) {
  const int on = 1, idle_s = 30, interval_s = 10, probes = 3;
  const unsigned unheard_ms = UNHEARD_MS;
  int bad = setsockopt(client->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  bad |= setsockopt(client->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  bad |= setsockopt(client->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  bad |= setsockopt(client->fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  bad |= setsockopt(client->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard_ms, sizeof unheard_ms);
  if (bad)
    log_debug("a stream's socket cannot be watched");
}

void stream_open(struct stream *stream, const struct stream_kind *kind, struct request *request) {
  struct streams *streams = request->server->streams;
  CHECK(!request->stream);
  request->stream = stream;
  stream->kind = kind;
  stream->request = request;
  stream->put_ms = stream->judged_ms = clock_boot_ms();
  stream->next = streams->first;
  stream->link = &streams->first;
  if (stream->next)
    stream->next->link = &stream->next;
  streams->first = stream;
  streams->count++;
  watch_socket(request->client);
  reply_stream(request, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, stream, NULL),
               kind->content_type);
}

void stream_close(struct stream *stream) {
  if (!stream)
    return;
  stream->request->server->streams->count--;
  *stream->link = stream->next;
  if (stream->next)
    stream->next->link = stream->link;
  chunk_drop(stream->chunk);
  stream->kind->done(stream);
}

/* ---- what is said ---- */

void stream_put(struct stream *stream, struct chunk *chunk) {
  CHECK(!stream->chunk && !stream->over);
  if (!chunk) {
    stream_break(stream);
    return;
  }
  stream->chunk = chunk;
  stream->at = 0;
  stream->put_ms = clock_boot_ms();
}

void stream_end(struct stream *stream) {
  stream->over = true;
}

void stream_break(struct stream *stream) {
  stream->broken = true;
}

void stream_wake(struct stream *stream) {
  stream->due = true;
}

/* What was revoked or has expired hears no more. */
static void judge(struct stream *stream, int64_t now_ms) {
  if (now_ms - stream->judged_ms < JUDGE_MS)
    return;
  stream->judged_ms = now_ms;
  if (!identify_again(stream->request))
    stream->over = true;
}

void streams_fill(struct streams *streams) {
  int64_t now_ms = clock_boot_ms();
  for (struct stream *stream = streams->first; stream; stream = stream->next) {
    if (!stream->suspended || !stream->due)
      continue;
    stream->due = false;
    judge(stream, now_ms);
    if (!stream->over)
      stream->kind->fill(stream);
    if (stream->chunk || stream->over || stream->broken)
      resume(stream);
  }
}

/* Whoever has closed his end, or is not there any more. */
static void look_for_gone(struct streams *streams) {
  struct pollfd polled[POLLED];
  struct stream *of[POLLED];
  for (struct stream *stream = streams->first; stream;) {
    nfds_t count = 0;
    for (; stream && count < POLLED; stream = stream->next) {
      if (!stream->suspended)
        continue;
      polled[count] = (struct pollfd){.fd = stream->request->client->fd, .events = POLLRDHUP};
      of[count++] = stream;
    }
    if (poll(polled, count, 0) <= 0)
      continue;
    for (nfds_t i = 0; i < count; i++) {
      if (!polled[i].revents)
        continue;
      stream_break(of[i]);
      resume(of[i]);
    }
  }
}

void streams_tick(struct streams *streams, int64_t now_ms) {
  for (struct stream *stream = streams->first; stream; stream = stream->next)
    stream->due |= stream->kind->polls;
  if (now_ms - streams->looked_ms < LOOK_MS)
    return;
  streams->looked_ms = now_ms;
  look_for_gone(streams);
  for (struct stream *stream = streams->first; stream; stream = stream->next) {
    const char *word = stream->kind->keep_alive;
    if (!stream->suspended || now_ms - stream->put_ms < STREAM_ALIVE_MS)
      continue;
    judge(stream, now_ms);
    if (word && !stream->over)
      stream_put(stream, chunk_new(word, strlen(word)));
    else
      stream->put_ms = now_ms;
    if (stream->chunk || stream->over || stream->broken)
      resume(stream);
  }
}

void streams_end(struct streams *streams) {
  for (struct stream *stream = streams->first; stream; stream = stream->next) {
    stream->over = true;
    resume(stream);
  }
}
