/* Server-sent events as the HTML standard has them (9.2.6): bytes in, events out. */
#ifndef CLI_SSE_H
#define CLI_SSE_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct sse_event {
  const char *name; /* "message" where the stream gives none, or one with a NUL byte */
  const char *id;   /* the last one that the stream gave; "" */
  const char *data; /* its lines joined by newlines; a NUL byte in it ends it early */
};

struct sse {
  struct str line, name, id, data;
  bool is_first, after_cr, has_data;
  int64_t retry_ms; /* how long to wait before connecting again; -1: the stream has not said */
  enum status (*take)(void *context, const struct sse_event *event, struct error *err);
  void *context;
};

void sse_init(struct sse *sse, enum status (*take)(void *context, const struct sse_event *event, struct error *err),
              void *context);
void sse_done(struct sse *sse);
/* A new connection: what of an event had come is forgotten. */
void sse_begin(struct sse *sse);
/* The next bytes. STATUS_TOO_LARGE: an event beyond 16 MiB; else what `take` did not take. */
NODISCARD enum status sse_feed(struct sse *sse, const char *bytes, size_t length, struct error *err);

#endif
