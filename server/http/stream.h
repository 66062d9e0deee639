/* Answers that go on as things happen, until they end. Their connections are suspended while there is nothing to say,
   and then cost a turn of the loop nothing. What is said comes in chunks, which streams share: libmicrohttpd takes them
   (inside front_run), and `fill` makes them (outside of it, when no transaction is open). A stream has one chunk and is
   asked for the next when that is gone, so that a slow reader holds no more; who reads too little of it is cut off by
   the rule for all answers (client.h), which does not count the time in which there was nothing to read. */
#ifndef SERVER_HTTP_STREAM_H
#define SERVER_HTTP_STREAM_H

#include "server/http/request.h"

enum { STREAM_ALIVE_MS = 15000, STREAM_CHUNK_BYTES = 64 << 10 };

struct chunk {
  size_t users;
  size_t length;
  char bytes[];
};

/* A copy, of one user; NULL: no memory. */
struct chunk *chunk_new(const char *bytes, size_t length);
struct chunk *chunk_share(struct chunk *chunk);
/* NULL is fine. */
void chunk_drop(struct chunk *chunk);

struct stream;
struct stream_kind {
  const char *content_type;
  const char *keep_alive; /* is said after STREAM_ALIVE_MS without anything; NULL: nothing can be */
  bool polls;             /* it is asked at every tick: what it tells of wakes nobody */
  /* Calls stream_put or stream_end, or neither: then it is asked again after stream_wake. */
  void (*fill)(struct stream *stream);
  void (*done)(struct stream *stream); /* frees it */
};

struct stream {
  const struct stream_kind *kind;
  struct request *request;
  struct stream *next, **link;
  struct chunk *chunk; /* what is being sent; NULL: all was */
  size_t at;
  bool suspended;
  bool due;                  /* fill is to be called */
  bool over;                 /* it ends after the chunk */
  bool broken;               /* its client is gone, or what it is to say cannot be told */
  int64_t put_ms, judged_ms; /* boot clock: the last chunk; the last look whether its caller may still listen */
};

struct streams {
  struct stream *first;
  size_t count, max;
  int64_t looked_ms; /* for clients that are gone */
  bool resumed;      /* some were: libmicrohttpd must run, and cannot know it */
};

/* Is there room for one more? */
NODISCARD enum status streams_room(const struct request *request, struct error *err);
/* Answers the request with the stream, which the request owns from then on. */
void stream_open(struct stream *stream, const struct stream_kind *kind, struct request *request);
/* Its request is over. NULL is fine. */
void stream_close(struct stream *stream);

/* In `fill`: the next chunk, whose use is taken over; NULL (no memory) breaks the stream off. */
void stream_put(struct stream *stream, struct chunk *chunk);
void stream_end(struct stream *stream);
void stream_break(struct stream *stream);
/* There may be something to say. */
void stream_wake(struct stream *stream);

/* For the front. Once in a turn of the loop, outside of libmicrohttpd and of transactions: asks those that are due. */
void streams_fill(struct streams *streams);
/* From time to time: keep-alives, keys that were revoked, clients that are gone. */
void streams_tick(struct streams *streams, int64_t now_ms);
/* All end after what they have. */
void streams_end(struct streams *streams);

#endif
