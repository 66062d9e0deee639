/* KV caches of requests, within a limit of memory. */
#ifndef WORKER_GENERATE_CACHE_H
#define WORKER_GENERATE_CACHE_H

#include "worker/generate/active.h"

struct cache_memory {
  size_t limit, used; /* bytes of all caches */
};

/* Bytes of a token's keys and values in all layers. */
size_t cache_token_bytes(const struct model *model);
void cache_drop(struct cache_memory *memory, struct active *active);
/* A sequence that has become longer than what is in its cache was computed for: its tokens are computed again. */
void cache_renew(struct active *active);
/* Makes room for `tokens` tokens; the caches of requests that came later go where that helps, and their tokens are
   computed again. False: the request waits for the older ones; or, STATUS_OUT_OF_MEMORY, it will never fit. */
NODISCARD bool cache_reserve(struct cache_memory *memory, struct active *active, size_t tokens, struct error *err);

#endif
