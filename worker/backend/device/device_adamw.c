#include "worker/backend/device/device_adamw.h"

#include <stdlib.h>
#include <string.h>

#include "worker/backend/device/device_op.h"

enum { EACH = 4096 }; /* TRAINED_EACH of the kernels */

/* --- the table on the device ---------------------------------------------------------------------- */

static bool same_place(struct place a, struct place b) {
  return a.buffer == b.buffer && a.offset == b.offset;
}

static bool same(const struct adamw_slice *a, const struct adamw_slice *b) {
  return same_place(a->p, b->p) && same_place(a->m, b->m) && same_place(a->v, b->v) && same_place(a->grad, b->grad) &&
         a->count == b->count && a->lr_ratio == b->lr_ratio && a->decay == b->decay;
}

static bool is_there(const struct device_table *t, const struct adamw_slice *slices, size_t count) {
  bool there = t->count == count;
  for (size_t i = 0; i < count && there; i++)
    there = same(&t->of[i], &slices[i]);
  return there;
}

static long floats_at(struct place place) {
  return (long)(place.offset / sizeof(float));
}

/* Host memory for the moment; a run without it ends. */
static void *host_memory(size_t bytes) {
  void *memory = malloc(bytes + 1);
  CHECK(memory);
  return memory;
}

void device_adamw_release(struct device_backend *d) {
  d->device->ops->release(d->device, d->table.at.buffer);
  free(d->table.of);
  d->table = (struct device_table){0};
}

/* The table of these slices: written when they are not those of the last call. */
static void bring_table(struct backend *backend, const struct adamw_slice *slices, size_t count) {
  struct device_backend *d = backend->device;
  struct device_table *t = &d->table;
  if (is_there(t, slices, count) || d->fault.status)
    return;
  device_adamw_release(d);
  size_t bytes = count * sizeof(struct trained_tensor);
  if (d->device->ops->allocate(d->device, &t->at.buffer, bytes, &d->fault))
    return;
  struct trained_tensor *rows = host_memory(bytes);
  t->of = host_memory(count * sizeof *slices);
  memcpy(t->of, slices, count * sizeof *slices);
  t->count = count;
  for (size_t i = 0; i < count; i++) {
    const struct adamw_slice *s = &slices[i];
    rows[i] = (struct trained_tensor){.p = floats_at(s->p),
                                      .m = floats_at(s->m),
                                      .v = floats_at(s->v),
                                      .grad = floats_at(s->grad),
                                      .count = (long)s->count,
                                      .first_group = (long)t->groups,
                                      .lr_ratio = (float)s->lr_ratio,
                                      .decay = s->decay ? (float)s->lr_ratio : 0};
    t->groups += device_groups(s->count, EACH);
  }
  device_write(backend, t->at, rows, bytes);
  free(rows);
}

/* --- launches ------------------------------------------------------------------------------------- */

static bool share_buffers(const struct adamw_slice *a, const struct adamw_slice *b) {
  return a->p.buffer == b->p.buffer && a->m.buffer == b->m.buffer && a->v.buffer == b->v.buffer &&
         a->grad.buffer == b->grad.buffer;
}

static struct place whole(struct place place) {
  return (struct place){.buffer = place.buffer};
}

/* The next rows that one launch can have, and its work-groups; false at the end. *rows: those before, {0} at first. */
static bool next_rows(struct trained_rows *rows, size_t *groups, const struct adamw_slice *slices, size_t count) {
  size_t first = (size_t)(rows->first + rows->count), n = 0;
  *rows = (struct trained_rows){(int)first, 0, rows->first_group + (int)*groups};
  for (*groups = 0; first + n < count && share_buffers(&slices[first], &slices[first + n]); n++)
    *groups += device_groups(slices[first + n].count, EACH);
  rows->count = (int)n;
  return n > 0;
}

/* The groups' sums in memory of the device, then all of them at once to the host, added in double. */
double device_adamw_grad_squares(struct backend *backend, const struct adamw_slice *slices, size_t count) {
  struct sum_squares_args args = {0};
  size_t groups = 0;
  double sum = 0;
  if (count == 0)
    return 0;
  bring_table(backend, slices, count);
  const struct device_table *t = &backend->device->table;
  struct place parts = device_work(backend, t->groups);
  while (next_rows(&args.rows, &groups, slices, count))
    if (groups > 0)
      device_launch(backend, DEVICE_sum_squares, groups, 1, 1,
                    PLACES(parts, whole(slices[args.rows.first].grad), t->at), &args);
  float *sums = host_memory(t->groups * sizeof *sums);
  device_read(backend, sums, parts, t->groups * sizeof *sums);
  for (size_t i = 0; i < t->groups; i++)
    sum += (double)sums[i];
  free(sums);
  return sum;
}

void device_adamw_update(struct backend *backend, const struct adamw_slice *slices, size_t count,
                         const struct adamw_step *s) {
  struct adamw_args args = {.grad_scale = s->grad_scale,
                            .beta1 = s->beta1,
                            .beta2 = s->beta2,
                            .epsilon = s->epsilon,
                            .step_size = (float)s->step_size,
                            .root_scale = s->root_scale,
                            .decay = (float)s->decay};
  size_t groups = 0;
  bring_table(backend, slices, count);
  while (next_rows(&args.rows, &groups, slices, count)) {
    const struct adamw_slice *of = &slices[args.rows.first];
    if (groups > 0)
      device_launch(backend, DEVICE_adamw, groups, 1, 1,
                    PLACES(whole(of->p), whole(of->m), whole(of->v), whole(of->grad), backend->device->table.at),
                    &args);
  }
}
