/* A list of blocks, newest first; each new block is at least as large as all before it together. */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

struct arena_block {
  struct arena_block *next;
  size_t size;  /* usable bytes */
  size_t used;
  _Alignas(16) unsigned char bytes[];
};

enum { ALIGN = 16, BLOCK_MIN = 4096 };

void arena_init(struct arena *arena, size_t bytes_max) {
  *arena = (struct arena){.max = bytes_max};
}

void arena_done(struct arena *arena) {
  for (struct arena_block *block = arena->head, *next; block; block = next) {
    next = block->next;
    free(block);
  }
  arena->head = NULL;
  arena->used = 0;
}

void arena_reset(struct arena *arena) {
  size_t used = arena->used;
  struct arena_block *block = arena->head;
  if (!block)
    return;
  if (!block->next) {
    memset(block->bytes, 0, block->used);
    block->used = 0;
    arena->used = 0;
    return;
  }
  arena_done(arena);
  block = calloc(1, sizeof *block + used);
  if (!block)
    return; /* only a chance to be faster was lost */
  block->size = used;
  arena->head = block;
}

static struct arena_block *block_new(struct arena *arena, size_t need) {
  size_t size = arena->used > BLOCK_MIN ? arena->used : BLOCK_MIN;
  if (size > (size_t)16 << 20)
    size = (size_t)16 << 20;
  if (size < need)
    size = need;
  size_t total;
  if (!checked_add(&total, size, sizeof(struct arena_block)))
    return NULL;
  struct arena_block *block = calloc(1, total);
  if (!block)
    return NULL;
  *block = (struct arena_block){.next = arena->head, .size = size};
  arena->head = block;
  return block;
}

bool arena_reserve(struct arena *arena, size_t bytes) {
  struct arena_block *block = arena->head;
  return (block && block->size - block->used >= bytes) || block_new(arena, bytes) != NULL;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
  size_t need, total;
  if (!checked_align(&need, bytes ? bytes : 1, ALIGN) || !checked_add(&total, arena->used, need) ||
      total > arena->max)
    return NULL;
  struct arena_block *block = arena->head;
  if (!block || block->size - block->used < need)
    block = block_new(arena, need);
  if (!block)
    return NULL;
  void *out = block->bytes + block->used;
  block->used += need;
  arena->used = total;
  return out;
}

void *arena_array(struct arena *arena, size_t count, size_t bytes_each) {
  size_t bytes;
  return checked_mul(&bytes, count, bytes_each) ? arena_alloc(arena, bytes) : NULL;
}

char *arena_copy(struct arena *arena, const char *text, size_t length) {
  size_t bytes;
  char *out = checked_add(&bytes, length, 1) ? arena_alloc(arena, bytes) : NULL;
  if (out && length)
    memcpy(out, text, length);
  return out;
}

char *arena_string(struct arena *arena, const char *text) {
  return arena_copy(arena, text, strlen(text));
}

char *arena_format(struct arena *arena, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *out = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1);
  if (out)
    vsnprintf(out, (size_t)length + 1, format, again);
  va_end(again);
  return out;
}
