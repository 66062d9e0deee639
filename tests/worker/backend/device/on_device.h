/* What the cases of kernels are written with: arrays on the device under test, launches, and comparisons. A case
   runs on any device; whatever it made there is dropped after it. A device that fails stops the test. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_ON_DEVICE_H
#define TESTS_WORKER_BACKEND_DEVICE_ON_DEVICE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/rng.h"
#include "worker/backend/cpu/kernels.h"
#include "worker/backend/device/device.h"

static struct device *on; /* the device under test */

enum { KEPT_MAX = 64 };
static struct buffer *kept_buffers[KEPT_MAX];
static void *kept_arrays[KEPT_MAX];
static size_t kept_buffer_count, kept_array_count;

static void must(enum status status, const struct error *err) {
  if (status != STATUS_OK)
    fail_msg("%s", err->text);
}

/* Host memory until the end of the case. */
static void *array(size_t bytes) {
  assert_true(kept_array_count < KEPT_MAX);
  void *data = calloc(bytes + 1, 1);
  assert_non_null(data);
  return kept_arrays[kept_array_count++] = data;
}

static float *random_floats(size_t count, uint64_t seed) {
  float *data = array(count * sizeof *data);
  struct rng rng;
  rng_init(&rng, seed, 1);
  for (size_t i = 0; i < count; i++)
    data[i] = 2 * rng_uniform(&rng) - 1;
  return data;
}

static const struct place none = {0};

static struct place put(const void *data, size_t bytes) {
  struct error err;
  struct place memory = {0};
  assert_true(kept_buffer_count < KEPT_MAX);
  must(on->ops->allocate(on, &memory.buffer, bytes, &err), &err);
  kept_buffers[kept_buffer_count++] = memory.buffer;
  must(on->ops->write(on, memory, data, bytes, &err), &err);
  return memory;
}

static struct place put_floats(const float *data, size_t count) {
  return put(data, count * sizeof *data);
}

static void *get(struct place memory, size_t bytes) {
  struct error err;
  void *data = array(bytes);
  must(on->ops->read(on, data, memory, bytes, &err), &err);
  return data;
}

static float *get_floats(struct place memory, size_t count) {
  return get(memory, count * sizeof(float));
}

static void launch(enum device_kernel kernel, size_t x, size_t y, size_t z, const struct place *pointers,
                   const void *args) {
  struct error err;
  must(on->ops->launch(on, kernel, (const size_t[]){x, y, z}, pointers, args, &err), &err);
}

#define POINTERS(...) ((const struct place[]){__VA_ARGS__})

static size_t groups_of(size_t count, size_t each) {
  return (count + each - 1) / each;
}

static void drop_all(void) {
  while (kept_buffer_count > 0)
    on->ops->release(on, kept_buffers[--kept_buffer_count]);
  while (kept_array_count > 0)
    free(kept_arrays[--kept_array_count]);
}

/* Each within `tolerance` of what is wanted, relative to the largest wanted one (or 1). */
static void assert_near(const float *got, const double *want, size_t count, double tolerance, const char *what) {
  double most = 1;
  for (size_t i = 0; i < count; i++)
    most = fmax(most, fabs(want[i]));
  for (size_t i = 0; i < count; i++)
    if (!(fabs((double)got[i] - want[i]) <= tolerance * most))
      fail_msg("%s: number %zu of %zu is %.9g, not %.9g", what, i, count, (double)got[i], want[i]);
}

/* The multipliers of rows x cols elements as the CPU makes them. */
static float *cpu_mask(const struct dropout_args *d, size_t rows, size_t cols) {
  float *mask = array(rows * cols * sizeof *mask);
  for (size_t i = 0; i < rows * cols; i++)
    mask[i] = 1;
  const struct dropout of_cpu = {d->seed, d->site, d->threshold, d->scale};
  if (d->threshold)
    kernels_generic.dropout(mask, mask, 0, rows, cols, &of_cpu);
  return mask;
}

static const struct dropout_args some_dropout = {0x123456789ABCDEFull, 0xFEDCBA9876543ull, 20000, 65536.0f / 45536.0f};
static const struct dropout_args no_dropout = {0};

#endif
