/* Greedy placement, largest first: within a few per cent of the lower bound on transformer steps. */
#include "worker/tensor/plan.h"

#include <stdlib.h>
#include <string.h>

bool plan_add(struct plan *plan, size_t bytes, int tick) {
  if (plan->count == plan->max) {
    size_t max = plan->max ? plan->max * 2 : 256;
    struct plan_buffer *grown = realloc(plan->buffers, max * sizeof *grown);
    if (!grown)
      return false;
    plan->buffers = grown;
    plan->max = max;
  }
  size_t aligned = (bytes + PLAN_ALIGN - 1) / PLAN_ALIGN * PLAN_ALIGN;
  plan->buffers[plan->count++] = (struct plan_buffer){.bytes = aligned, .first = tick, .last = tick};
  return true;
}

void plan_touch(struct plan *plan, int buffer, int tick) {
  if (buffer >= 0 && plan->buffers[buffer].last < tick)
    plan->buffers[buffer].last = tick;
}

static int larger_first(const void *a, const void *b) {
  const struct plan_buffer *x = *(struct plan_buffer *const *)a, *y = *(struct plan_buffer *const *)b;
  return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : (x < y ? -1 : x > y);
}

/* A placed buffer: the list of them is in order of their offsets. */
struct place {
  size_t offset, end;
  int first, last;
};

/* The lowest gap for `new` among what lives at the same time; *slot is where it belongs in the list. */
static size_t find_gap(size_t *slot, const struct place *placed, size_t count, const struct plan_buffer *new) {
  size_t at = 0, i = 0;
  for (; i < count && placed[i].offset < at + new->bytes; i++)
    if (placed[i].end > at && placed[i].first <= new->last &&new->first <= placed[i].last)
      at = placed[i].end;
  while (i > 0 && placed[i - 1].offset > at)
    i--;
  *slot = i;
  return at;
}

bool plan_place(struct plan *plan) {
  struct plan_buffer **order = malloc((plan->count + 1) * sizeof *order);
  struct place *placed = malloc((plan->count + 1) * sizeof *placed);
  bool ok = order && placed;
  for (size_t i = 0; ok && i < plan->count; i++)
    order[i] = &plan->buffers[i];
  if (ok)
    qsort(order, plan->count, sizeof *order, larger_first);
  plan->bytes = 0;
  for (size_t i = 0, slot; ok && i < plan->count; i++) {
    struct plan_buffer *new = order[i];
    size_t at = find_gap(&slot, placed, i, new), end = at + new->bytes;
    memmove(placed + slot + 1, placed + slot, (i - slot) * sizeof *placed);
    placed[slot] = (struct place){at, end, new->first, new->last};
    new->offset = at;
    plan->bytes = end > plan->bytes ? end : plan->bytes;
  }
  free(order);
  free(placed);
  return ok;
}

void plan_done(struct plan *plan) {
  free(plan->buffers);
  *plan = (struct plan){0};
}
