/* bench gemv [--threads N] [--isa NAME] [--runs R] [--only TYPE]
   The products of one generated token: all frozen weights of SmolLM2-135M's shape, one after the other, with a few rows
   of activations. They are larger than the caches, as in use. One JSON line for each type of the weights and number of
   rows: milliseconds of all products, the weights' GB/s, the same of a plain read of these bytes in turn, and tokens a
   second as far as products go. All are sums over the products of the best of R runs each. */
#include "tests/bench/gemv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/bench/random.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/backend/cpu/matmul.h"

static const struct shape {
  size_t count, out, in;
} shapes[] = {{60, 576, 576}, {60, 192, 576}, {60, 1536, 576}, {30, 576, 1536}, {1, 49152, 576}};

static const enum ggml_type types[] = {GGML_F32,    GGML_F16,   GGML_BF16, GGML_Q8_0, GGML_Q4_0, GGML_Q4_1,
                                       GGML_Q5_0,   GGML_Q5_1,  GGML_Q2_K, GGML_Q3_K, GGML_Q4_K, GGML_Q5_K,
                                       GGML_Q6_K,   GGML_IQ4_NL, GGML_IQ4_XS, GGML_MXFP4};
static const size_t rows[] = {1, 2, 4, 8, 16};

enum { WIDEST = 49152, DEEPEST = 1536, ROWS_MAX = 16, PRODUCTS = 211, PIECE = 64 << 10, HUGE_PAGE = 2 << 20 };

/* K-quants need multiples of 256 columns: their rows are longer here, and fewer. */
static struct weight weight_shape(const struct shape *s, enum ggml_type type) {
  size_t block = ggml_type_info(type)->block, in = (s->in + block - 1) / block * block;
  return (struct weight){.rows = s->out * s->in / in, .cols = in, .type = type};
}

static size_t all_bytes(enum ggml_type type) {
  size_t bytes = 0;
  for (size_t i = 0; i < COUNT_OF(shapes); i++) {
    struct weight w = weight_shape(&shapes[i], type);
    bytes += shapes[i].count * weight_bytes(&w);
  }
  return bytes;
}

struct operands {
  unsigned char *weights;
  float *x, *y, *scratch;
};

/* A search that finds nothing reads everything and does little else. */
static void read_piece(void *payload, size_t task, int thread) {
  (void)thread;
  const struct weight *w = payload;
  size_t bytes = weight_bytes(w), first = task * PIECE, left = bytes - first;
  CHECK(!memchr(w->bytes + first, 0xFF, left < PIECE ? left : PIECE));
}

/* Seconds of one product, and of a plain read of its weight at another time. */
struct times {
  double product, read;
};

static double smaller(double a, double b) {
  return a < b ? a : b;
}

static void run_all(struct times best[PRODUCTS], const struct backend *b, const struct operands *o, enum ggml_type type,
                    size_t m, bool reads) {
  const unsigned char *at = o->weights;
  for (size_t i = 0; i < COUNT_OF(shapes); i++)
    for (size_t j = 0; j < shapes[i].count; j++, best++) {
      struct weight w = weight_shape(&shapes[i], type);
      struct matmul p = {.c = o->y, .a = o->x, .rows = m, .weight = &w, .transposed = true};
      w.bytes = at;
      at += weight_bytes(&w);
      double start = clock_seconds();
      if (reads) {
        pool_run(b->pool, (weight_bytes(&w) + PIECE - 1) / PIECE, read_piece, &w);
        best->read = smaller(best->read, clock_seconds() - start);
      } else {
        matmul_run(b, &p, o->scratch);
        best->product = smaller(best->product, clock_seconds() - start);
      }
    }
}

static void measure(const struct backend *b, const struct operands *o, enum ggml_type type, size_t m, int runs) {
  struct times best[PRODUCTS], sum = {0, 0};
  for (size_t i = 0; i < PRODUCTS; i++)
    best[i] = (struct times){1e9, 1e9};
  for (int run = 0; run < 2 * runs; run++)
    run_all(best, b, o, type, m, run % 2);
  for (size_t i = 0; i < PRODUCTS; i++)
    sum.product += best[i].product, sum.read += best[i].read;
  double gb = 1e-9 * (double)all_bytes(type);
  printf("{\"type\": \"%s\", \"rows\": %zu, \"mb\": %.0f, \"ms\": %.2f, \"gb_s\": %.1f, \"read_gb_s\": %.1f, "
         "\"of_read\": %.2f, \"tokens_s\": %.1f}\n",
         ggml_type_info(type)->name, m, 1e3 * gb, 1e3 * sum.product, gb / sum.product, gb / sum.read,
         sum.read / sum.product, (double)m / sum.product);
  fflush(stdout);
}

int bench_gemv(int argc, char **argv) {
  int threads = 0, runs = 5;
  const char *isa = NULL, *only = "";
  for (int i = 0; i + 1 < argc; i += 2)
    if (strcmp(argv[i], "--threads") == 0)
      threads = (int)strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--runs") == 0)
      runs = (int)strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--isa") == 0)
      isa = argv[i + 1];
    else if (strcmp(argv[i], "--only") == 0)
      only = argv[i + 1];
    else
      return 2;
  struct backend backend;
  struct error err;
  if (argc % 2 != 0 || runs < 1)
    return 2;
  if (cpu_open(&backend, threads, isa, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  size_t most = (all_bytes(GGML_F32) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  struct operands o = {.weights = aligned_alloc(HUGE_PAGE, most),
                       .x = random_floats(ROWS_MAX * DEEPEST),
                       .y = random_floats(ROWS_MAX * WIDEST),
                       .scratch = random_floats(matmul_scratch(&backend, ROWS_MAX, WIDEST, 0))};
  if (!o.weights || !o.x || !o.y || !o.scratch) {
    fprintf(stderr, "no memory\n");
    return 1;
  }
  memset(o.weights, 0x11, most); /* small numbers in all types, none of them subnormal */
  printf("{\"isa\": \"%s\", \"threads\": %d}\n", cpu_isa(&backend), pool_threads(backend.pool));
  for (size_t t = 0; t < COUNT_OF(types); t++)
    for (size_t r = 0; r < COUNT_OF(rows); r++)
      if (strstr(ggml_type_info(types[t])->name, only))
        measure(&backend, &o, types[t], rows[r], runs);
  free(o.weights), free(o.x), free(o.y), free(o.scratch);
  backend_close(&backend);
  return 0;
}
