/* bench gemm [--threads N] [--isa NAME] [--matmul NAME] [--runs R] [--only TEXT]
   The GEMMs of a step, ours beside those of OpenBLAS with its own threads, in turn; the best of R runs each. One JSON
   line a shape: rows of activations, the weight's shape and type, GFLOP/s of both and their ratio. OpenBLAS gets fp32,
   since it knows no other type; beside a convolution it gets the GEMM of as many rows, gathered already. "peak" is the
   square GEMM whose rate by OpenBLAS a whole step is held against.
   --only: shapes whose name contains TEXT. */
#include "tests/bench/gemm.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/bench/random.h"
#include "worker/backend/cpu/conv.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/backend/cpu/matmul.h"

struct shape {
  const char *what;
  size_t rows, out, in;
  bool typed;    /* also in the types that language models' files have */
  size_t stride; /* of a convolution, 3 x 3, whose output is a square of `rows` pixels; 0: a matmul */
};

static const struct shape shapes[] = {
    {"peak", 2048, 2048, 2048, false, 0},
    {"MiniLM query", 4096, 384, 384, false, 0},
    {"MiniLM intermediate", 4096, 1536, 384, false, 0},
    {"MiniLM output", 4096, 384, 1536, false, 0},
    {"MiniLM query, small", 512, 384, 384, false, 0},
    {"SmolLM2 q", 2048, 576, 576, true, 0},
    {"SmolLM2 k", 2048, 192, 576, true, 0},
    {"SmolLM2 up", 2048, 1536, 576, true, 0},
    {"SmolLM2 down", 2048, 576, 1536, true, 0},
    {"SmolLM2 up, small", 512, 1536, 576, true, 0},
    {"SmolLM2 head", 256, 49152, 576, true, 0},
    {"SD 1.5 conv, 64 x 64", 4096, 320, 9 * 320, false, 1},
    {"SD 1.5 conv, 32 x 32", 1024, 640, 9 * 640, false, 1},
    {"SD 1.5 conv, 16 x 16", 256, 1280, 9 * 1280, false, 1},
    {"SD 1.5 conv, 8 x 8", 64, 1280, 9 * 1280, false, 1},
    {"SD 1.5 downsample", 1024, 320, 9 * 320, false, 2},
};

struct operands {
  float *x, *w, *y, *scratch;
  unsigned char *quantised;
};

static double ours(const struct backend *b, const struct shape *s, const struct operands *o, enum ggml_type type,
                   bool forward) {
  struct weight w = {.rows = s->out,
                     .cols = s->in,
                     .type = type,
                     .bytes = type == GGML_F32 ? (const unsigned char *)o->w : o->quantised};
  struct matmul p = {.c = o->y, .a = o->x, .rows = s->rows, .weight = &w, .transposed = forward};
  double start = clock_seconds();
  matmul_run(b, &p, o->scratch);
  return clock_seconds() - start;
}

static struct convolution convolution_of(const struct shape *s) {
  return (struct convolution){s->in / 9, {3, 3}, {s->stride, s->stride}, {1, 1}, {1, 1}};
}

static double our_conv(const struct backend *b, const struct shape *s, const struct operands *o, bool forward) {
  size_t size = 1;
  while (size * size < s->rows)
    size++;
  struct weight w = weight_of(o->w, s->out, s->in);
  struct convolution c = convolution_of(s);
  struct images in = {1, size * s->stride, size * s->stride}, out = {1, size, size};
  struct conv p = {.taps = {&c, forward ? in : out, forward ? out : in, !forward}, .c = o->y, .a = o->x, .weight = &w};
  double start = clock_seconds();
  conv_run(b, &p, o->scratch);
  return clock_seconds() - start;
}

static double theirs(const struct backend *b, const struct shape *s, const struct operands *o, bool forward) {
  blasint n = (blasint)s->rows, out = (blasint)s->out, in = (blasint)s->in;
  openblas_set_num_threads(pool_threads(b->pool));
  double start = clock_seconds();
  if (forward)
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, out, in, 1, o->x, in, o->w, in, 0, o->y, out);
  else
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, in, out, 1, o->x, out, o->w, in, 0, o->y, in);
  double took = clock_seconds() - start;
  openblas_set_num_threads(1);
  return took;
}

static void measure(const struct backend *b, const struct shape *s, enum ggml_type type, bool forward, int runs) {
  size_t widest = s->in > s->out ? s->in : s->out;
  const struct convolution c = convolution_of(s);
  const struct linear conv = {.in = s->in, .out = s->out, .convolution = &c};
  size_t scratch = s->stride ? conv_scratch(b, &conv, 0) : matmul_scratch(b, s->rows, widest, 0);
  struct operands o = {random_floats(s->rows * widest), random_floats(s->in * s->out), random_floats(s->rows * widest),
                       random_floats(scratch), malloc(s->in * s->out * sizeof(float))};
  if (!o.x || !o.w || !o.y || !o.scratch || !o.quantised) {
    fprintf(stderr, "no memory for %s\n", s->what);
    exit(1);
  }
  ggml_from_f32(o.quantised, o.w, type, s->in * s->out);
  double best[2] = {1e9, 1e9}, work = 2e-9 * (double)s->rows * (double)s->in * (double)s->out;
  for (int run = 0; run < runs; run++) {
    double took[2] = {s->stride ? our_conv(b, s, &o, forward) : ours(b, s, &o, type, forward),
                      theirs(b, s, &o, forward)};
    for (int side = 0; side < 2; side++)
      best[side] = took[side] < best[side] ? took[side] : best[side];
  }
  printf("{\"what\": \"%s\", \"direction\": \"%s\", \"rows\": %zu, \"out\": %zu, \"in\": %zu, \"type\": \"%s\", "
         "\"reflectd\": %.1f, \"openblas\": %.1f, \"ratio\": %.3f}\n",
         s->what, forward ? "forward" : "backward", s->rows, s->out, s->in, ggml_type_info(type)->name, work / best[0],
         work / best[1], best[1] / best[0]);
  fflush(stdout);
  free(o.x), free(o.w), free(o.y), free(o.scratch), free(o.quantised);
}

int bench_gemm(int argc, char **argv) {
  static const enum ggml_type types[] = {GGML_F32, GGML_BF16, GGML_Q8_0};
  int threads = 0, runs = 10;
  const char *isa = NULL, *only = "";
  enum matmul_library matmul = MATMUL_AUTO;
  for (int i = 0; i + 1 < argc; i += 2)
    if (strcmp(argv[i], "--threads") == 0)
      threads = (int)strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--runs") == 0)
      runs = (int)strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--isa") == 0)
      isa = argv[i + 1];
    else if (strcmp(argv[i], "--matmul") == 0)
      matmul = job_matmul_parse(argv[i + 1]);
    else if (strcmp(argv[i], "--only") == 0)
      only = argv[i + 1];
    else
      return 2;
  struct backend backend;
  struct error err;
  if (argc % 2 != 0 || runs < 1 || matmul == MATMUL_LIBRARY_COUNT)
    return 2;
  if (cpu_open(&backend, threads, isa, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  backend_set_matmul(&backend, matmul);
  printf("{\"isa\": \"%s\", \"threads\": %d, \"matmul\": \"%s\", \"openblas\": \"%s\"}\n", cpu_isa(&backend),
         pool_threads(backend.pool), job_matmul_names[backend.matmul], openblas_get_corename());
  for (size_t s = 0; s < COUNT_OF(shapes); s++)
    for (int forward = 1; forward >= 0 && strstr(shapes[s].what, only); forward--)
      for (size_t t = 0; t < (shapes[s].typed ? COUNT_OF(types) : 1); t++)
        measure(&backend, &shapes[s], types[t], forward, runs);
  backend_close(&backend);
  return 0;
}
