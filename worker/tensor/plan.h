/* Where each buffer of a step lies in one block of memory, from when it is first and last used. */
#ifndef WORKER_TENSOR_PLAN_H
#define WORKER_TENSOR_PLAN_H

#include <stdbool.h>
#include <stddef.h>

struct plan_buffer {
  size_t bytes;    /* rounded up to the alignment */
  int first, last; /* ticks of the tape's clock, both inclusive */
  size_t offset;
};

struct plan {
  struct plan_buffer *buffers;
  size_t count, max;
  size_t bytes; /* of the whole block */
};

enum { PLAN_ALIGN = 512 }; /* PLACE_ALIGN */

/* False when memory runs out. The new buffer's index is count - 1. */
bool plan_add(struct plan *plan, size_t bytes, int tick);
void plan_touch(struct plan *plan, int buffer, int tick);
/* Gives every buffer the lowest offset where it overlaps no larger one that lives at the same time. */
bool plan_place(struct plan *plan);
void plan_done(struct plan *plan);

#endif
