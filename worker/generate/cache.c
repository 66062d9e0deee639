#include "worker/generate/cache.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_STEP = 64 /* tokens that a cache grows by at least */ };

size_t cache_token_bytes(const struct model *m) {
  return 2 * m->kv_layers * m->kv_cols * sizeof(float);
}

void cache_drop(struct cache_memory *memory, struct active *a) {
  free(a->cache.keys);
  memory->used -= a->cache_bytes;
  a->cache = (struct kv_cache){0};
  a->cache_bytes = 0;
}

/* A cache with room for `capacity` tokens, with what is in the old one. */
static bool resize_cache(struct cache_memory *memory, struct active *a, size_t capacity) {
  const struct model *m = a->served->model;
  size_t bytes = capacity * cache_token_bytes(a->served->model), row = m->kv_cols;
  float *numbers = malloc(bytes);
  if (!numbers)
    return false;
  struct kv_cache old = a->cache, made = old;
  made.capacity = capacity;
  made.cols = row;
  made.keys = numbers;
  made.values = numbers + m->kv_layers * capacity * row;
  for (size_t layer = 0; old.past && layer < m->kv_layers; layer++) {
    memcpy(made.keys + layer * capacity * row, old.keys + layer * old.capacity * row, old.past * row * sizeof(float));
    memcpy(made.values + layer * capacity * row, old.values + layer * old.capacity * row,
           old.past * row * sizeof(float));
  }
  free(old.keys);
  memory->used += bytes - a->cache_bytes;
  a->cache = made;
  a->cache_bytes = bytes;
  return true;
}

/* Takes the caches of requests that came after this one, the last first, until `bytes` more fit: their tokens are
   computed again. Takes none where that would not be enough. */
static bool make_room(struct cache_memory *memory, struct active *a, size_t bytes) {
  size_t younger = 0;
  for (const struct active *other = a->next; other; other = other->next)
    younger += other->cache_bytes;
  if (memory->used - younger + bytes > memory->limit)
    return false;
  while (memory->used + bytes > memory->limit) {
    struct active *last = NULL;
    for (struct active *other = a->next; other; other = other->next)
      last = other->cache_bytes ? other : last;
    cache_drop(memory, last);
  }
  return true;
}

void cache_renew(struct active *a) {
  size_t most = a->served->model->cache_most;
  if (most && a->cache.total <= most && a->count > most)
    a->cache.past = 0;
  a->cache.total = a->count;
}

bool cache_reserve(struct cache_memory *memory, struct active *a, size_t tokens, struct error *err) {
  if (tokens <= a->cache.capacity)
    return true;
  size_t doubled = 2 * a->cache.capacity, capacity = tokens > doubled ? tokens : doubled;
  capacity = (capacity + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP;
  capacity = capacity < a->limit ? capacity : a->limit;
  size_t bytes = capacity * cache_token_bytes(a->served->model);
  if (make_room(memory, a, bytes - a->cache_bytes) && resize_cache(memory, a, capacity))
    return true;
  if (memory->used > a->cache_bytes)
    return false;
  (void)error_set(err, STATUS_OUT_OF_MEMORY, NULL, "the KV cache of %zu tokens takes %zu MiB, and there are %zu MiB",
                  capacity, bytes >> 20, memory->limit >> 20);
  return false;
}
