/* Greedy placement, largest first: within a few per cent of the lower bound on transformer steps. */
#include "worker/tensor/plan.h"

#include <stdlib.h>

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

static int lower_first(const void *a, const void *b) {
  const struct plan_buffer *x = *(struct plan_buffer *const *)a, *y = *(struct plan_buffer *const *)b;
  return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : (x < y ? -1 : x > y);
}

bool plan_place(struct plan *plan) {
  struct plan_buffer **order = malloc((plan->count + 1) * sizeof *order);
  struct plan_buffer **beside = malloc((plan->count + 1) * sizeof *beside);
  bool ok = order && beside;
  for (size_t i = 0; ok && i < plan->count; i++)
    order[i] = &plan->buffers[i];
  if (ok)
    qsort(order, plan->count, sizeof *order, larger_first);
  plan->bytes = 0;
  for (size_t i = 0; ok && i < plan->count; i++) {
    struct plan_buffer *new = order[i];
    size_t n = 0, at = 0;
    for (size_t j = 0; j < i; j++)
      if (order[j]->first <= new->last &&new->first <= order[j]->last)
        beside[n++] = order[j];
    qsort(beside, n, sizeof *beside, lower_first);
    for (size_t j = 0; j < n && beside[j]->offset < at + new->bytes; j++)
      if (beside[j]->offset + beside[j]->bytes > at)
        at = beside[j]->offset + beside[j]->bytes;
    new->offset = at;
    if (at + new->bytes > plan->bytes)
      plan->bytes = at + new->bytes;
  }
  free(order);
  free(beside);
  return ok;
}

void plan_done(struct plan *plan) {
  free(plan->buffers);
  *plan = (struct plan){0};
}
