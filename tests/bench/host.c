#include "tests/bench/host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "tests/bench/random.h"
#include "worker/backend/cpu/matmul.h"

/* --- arithmetic: a loop over registers of the chosen set cannot be written portably, so our best product is it -----
 */

static const struct shape {
  size_t rows, out, in;
} shapes[] = {{4096, 1536, 384}, {2048, 1536, 576}, {2048, 2048, 2048}};

static enum status product_rate(double *best, const struct backend *b, int runs, struct error *err) {
  enum { SIDE = 2048, ROWS = 4096 };
  size_t scratch_floats = matmul_scratch(b, ROWS, SIDE, 0);
  float *x = random_floats(ROWS * SIDE), *w = random_floats(SIDE * SIDE), *y = random_floats(ROWS * SIDE),
        *scratch = random_floats(scratch_floats);
  *best = 0;
  for (size_t s = 0; x && w && y && scratch && s < COUNT_OF(shapes); s++) {
    struct weight weight = weight_of(w, shapes[s].out, shapes[s].in);
    struct matmul p = {.c = y, .a = x, .rows = shapes[s].rows, .weight = &weight, .transposed = true};
    for (int run = 0; run <= runs; run++) { /* the first one warms up */
      double start = clock_seconds();
      matmul_run(b, &p, scratch);
      double rate = 2e-9 * (double)(p.rows * weight.rows * weight.cols) / (clock_seconds() - start);
      *best = run && rate > *best ? rate : *best;
    }
  }
  free(x), free(w), free(y), free(scratch);
  return *best > 0 ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to measure products");
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

enum { BUFFER = 256 << 20, PIECE = 1 << 20, PIECES = BUFFER / PIECE, HUGE_PAGE = 2 << 20 };

struct pieces {
  unsigned char *from, *to;
};

static void fill_piece(void *payload, size_t task, int thread) {
  (void)thread;
  const struct pieces *b = payload;
  memset(b->from + task * PIECE, 0, PIECE);
  memset(b->to + task * PIECE, 0, PIECE);
}

/* A search that finds nothing reads everything and does little else. */
static void read_piece(void *payload, size_t task, int thread) {
  (void)thread;
  const struct pieces *b = payload;
  CHECK(!memchr(b->from + task * PIECE, 1, PIECE));
}

/* Pieces are too small for stores that pass the caches by: ops have no such stores either. */
static void copy_piece(void *payload, size_t task, int thread) {
  (void)thread;
  const struct pieces *b = payload;
  memcpy(b->to + task * PIECE, b->from + task * PIECE, PIECE);
}

static double bandwidth(const struct backend *b, pool_task *task, struct pieces *buffers, double bytes, int runs) {
  double best = 0;
  for (int run = 0; run < runs; run++) {
    double start = clock_seconds();
    pool_run(b->pool, PIECES, task, buffers);
    double rate = 1e-9 * bytes / (clock_seconds() - start);
    best = rate > best ? rate : best;
  }
  return best;
}

static enum status memory_rates(struct host *out, const struct backend *b, int runs, struct error *err) {
  struct pieces buffers = {aligned_alloc(HUGE_PAGE, BUFFER), aligned_alloc(HUGE_PAGE, BUFFER)};
  enum status status = STATUS_OK;
  if (buffers.from && buffers.to) {
    madvise(buffers.from, BUFFER, MADV_HUGEPAGE); /* as the tape's memory */
    madvise(buffers.to, BUFFER, MADV_HUGEPAGE);
    pool_run(b->pool, PIECES, fill_piece, &buffers);
    out->read_gbs = bandwidth(b, read_piece, &buffers, BUFFER, runs);
    out->copy_gbs = bandwidth(b, copy_piece, &buffers, 2.0 * BUFFER, runs);
  } else {
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to measure memory");
  }
  free(buffers.from);
  free(buffers.to);
  return status;
}

enum status host_measure(struct host *out, const struct backend *backend, enum precision precision, int runs,
                         struct error *err) {
  struct backend one;
  *out = (struct host){0};
  enum status status = cpu_open(&one, 1, cpu_isa(backend), err);
  if (status)
    return status;
  backend_set_precision(&one, precision);
  backend_set_matmul(&one, backend->matmul);
  status = product_rate(&out->gflops_one, &one, runs, err);
  backend_close(&one);
  status = status ? status : product_rate(&out->gflops, backend, runs, err);
  return status ? status : memory_rates(out, backend, runs, err);
}
