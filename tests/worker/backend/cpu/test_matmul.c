/* Matmuls with a frozen operand against plain loops in double: every instruction set, both directions, types that are
   decoded, k in several parts of KC, both precisions, both libraries, and any number of threads. Few rows of the
   forward pass are test_matmul_gemv.c's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "worker/backend/cpu/isa.h"
#include "worker/backend/cpu/matmul.h"

enum { FLOATS_MAX = 300 * 2600, RANK_MAX = 24 };

static float numbers[FLOATS_MAX], a[FLOATS_MAX], c[FLOATS_MAX], again[FLOATS_MAX], start[FLOATS_MAX],
    decoded[FLOATS_MAX];
static float rounded_a[FLOATS_MAX], rounded_w[FLOATS_MAX]; /* inputs as the precision rounds them */
static float q[FLOATS_MAX], v[FLOATS_MAX], bias[FLOATS_MAX];
static unsigned char bytes[FLOATS_MAX * 4];

static void randomise(float *out, size_t count, uint64_t seed) {
  struct rng rng;
  rng_init(&rng, seed, 1);
  for (size_t i = 0; i < count; i++)
    out[i] = 2 * rng_uniform(&rng) - 1;
}

/* A weight of that type with numbers near [-1, 1]. */
static struct weight make(size_t rows, size_t cols, enum ggml_type type, size_t heads) {
  const struct ggml_type_info *info = ggml_type_info(type);
  struct weight w = {.rows = rows, .cols = cols, .type = type, .bytes = bytes, .heads = heads};
  assert_true(rows * cols <= FLOATS_MAX);
  randomise(numbers, rows * cols, 7);
  if (!ggml_from_f32(bytes, numbers, type, rows * cols)) {
    assert_int_equal(type, GGML_Q6_K);
    for (size_t i = 0; i < weight_bytes(&w); i++) {
      size_t at = i % info->bytes; /* low and high bits, scales, then the block's scale as a half: 2^-14 */
      bytes[i] = at == 208 ? 0 : at == 209 ? 0x04 : (unsigned char)(i * 73 % 251);
    }
  }
  weight_read(decoded, &w);
  return w;
}

/* Rounds as a matmul of that precision rounds its inputs. */
static void round_to(float *out, const float *in, size_t count, enum precision precision) {
  static unsigned char brain[FLOATS_MAX * 2];
  memcpy(out, in, count * sizeof *out);
  if (precision == PRECISION_BF16 && ggml_from_f32(brain, in, GGML_BF16, count))
    ggml_to_f32(out, brain, GGML_BF16, count);
}

static enum precision precision;

static void check(const struct backend *backend, struct matmul p, struct weight w) {
  p.weight = &w;
  round_to(rounded_a, a, p.rows * (p.transposed ? w.cols : w.rows), precision);
  round_to(rounded_w, decoded, w.rows * w.cols, precision);
  size_t columns = p.transposed ? w.rows : w.cols, K = p.transposed ? w.cols : w.rows;
  float *scratch = malloc(matmul_scratch(backend, p.rows, K, p.R) * sizeof *scratch);
  p.a = a, p.c = c, p.q = q, p.v = v;
  memcpy(c, start, (p.rows * columns + 3) * sizeof *c);
  matmul_run(backend, &p, scratch);
  for (size_t i = 0; i < p.rows; i++)
    for (size_t j = 0; j < columns; j++) {
      double want = (p.accumulate ? (double)start[i * columns + j] : 0) + (p.bias ? (double)p.bias[j] : 0);
      for (size_t k = 0; k < K; k++)
        want += (double)rounded_a[i * K + k] * (double)rounded_w[p.transposed ? j * w.cols + k : k * w.cols + j];
      for (size_t r = 0; r < p.R; r++)
        want += (double)p.sign * (double)q[i * p.R + r] * (double)v[r * columns + j];
      if (!(fabs(want - (double)c[i * columns + j]) < 2e-6 * (double)(K + 20)))
        fail_msg("%s, %s, %s %zu x %zu, rows %zu, R %zu, transposed %d: element (%zu, %zu) is %g, not %g",
                 cpu_isa(backend), backend->gemm->name, job_matmul_names[backend->matmul], w.rows, w.cols, p.rows,
                 p.R, p.transposed, i, j, (double)c[i * columns + j], want);
    }
  assert_memory_equal(c + p.rows * columns, start + p.rows * columns, 3 * sizeof *c);
  free(scratch);
  for (int threads = 2; threads <= 3; threads++) { /* the same bits on any number of threads */
    struct backend other;
    struct error err;
    assert_int_equal(cpu_open(&other, threads, cpu_isa(backend), &err), STATUS_OK);
    backend_set_precision(&other, precision);
    backend_set_matmul(&other, backend->matmul);
    scratch = malloc(matmul_scratch(&other, p.rows, K, p.R) * sizeof *scratch);
    memcpy(again, start, p.rows * columns * sizeof *again);
    p.c = again;
    matmul_run(&other, &p, scratch);
    assert_memory_equal(again, c, p.rows * columns * sizeof *c);
    free(scratch);
    backend_close(&other);
  }
}

static void on_each(void (*run)(const struct backend *backend)) {
  randomise(a, COUNT_OF(a), 1);
  randomise(start, COUNT_OF(start), 2);
  randomise(q, COUNT_OF(q), 3);
  randomise(v, COUNT_OF(v), 4);
  randomise(bias, COUNT_OF(bias), 5);
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa)) {
    struct backend backend;
    struct error err;
    assert_int_equal(cpu_open(&backend, 1, isa->name, &err), STATUS_OK);
    for (precision = 0; precision < PRECISION_COUNT; precision++)
      for (enum matmul_library library = MATMUL_NATIVE; library < MATMUL_LIBRARY_COUNT; library++) {
        backend_set_precision(&backend, precision);
        backend_set_matmul(&backend, library);
        run(&backend);
      }
    backend_close(&backend);
  }
}

static void shapes_of(const struct backend *backend) {
  const size_t sizes[] = {1, 7, 12, 16, 31, 33, 64, 129}, rows[] = {1, 11, 17, 18, 23, 25, 200};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (size_t j = 0; j < COUNT_OF(sizes); j++)
      for (int kind = 0; kind < 8; kind++)
        check(backend,
              (struct matmul){.rows = rows[(i + 3 * j) % COUNT_OF(rows)],
                              .transposed = kind & 1,
                              .accumulate = kind & 2,
                              .bias = kind & 4 ? bias : NULL,
                              .R = kind & 4 ? 8 : (i % 2) * 5,
                              .sign = kind & 2 ? -1 : 1},
              make(sizes[i], sizes[j], GGML_F32, 0));
}

/* Three parts of KC, several of NC, and a rank larger than NR. */
static void blocks_of(const struct backend *backend) {
  for (int kind = 0; kind < 4; kind++) {
    struct matmul p = {
        .rows = 29, .transposed = kind & 1, .accumulate = kind & 2, .bias = bias, .R = RANK_MAX, .sign = -1};
    check(backend, p, make(2600, 300, GGML_F32, 0));
    check(backend, p, make(300, 2600, GGML_F32, 0));
  }
}

/* More rows than one task of either library has. */
static void tall_of(const struct backend *backend) {
  struct matmul p = {.rows = 700, .transposed = true, .accumulate = true, .bias = bias, .R = 8, .sign = 1};
  check(backend, p, make(1100, 24, GGML_F32, 0));
  p.transposed = false;
  check(backend, p, make(32, 1024, GGML_Q8_0, 0));
}

static void types_of(const struct backend *backend) {
  const struct {
    enum ggml_type type;
    size_t heads;
  } rows[] = {{GGML_F32, 4}, {GGML_F16, 0}, {GGML_BF16, 3}, {GGML_Q8_0, 0}, {GGML_Q8_0, 6}, {GGML_Q6_K, 0}};
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    for (int transposed = 0; transposed < 2; transposed++) {
      struct matmul p = {.rows = 40, .transposed = transposed, .bias = bias, .R = 8, .sign = 1};
      check(backend, p, make(48, 512, rows[i].type, rows[i].heads));
      check(backend, p, make(1200, 512, rows[i].type, rows[i].heads));
    }
}

static void skinny_of(const struct backend *backend) {
  const enum ggml_type types[] = {GGML_F32, GGML_BF16, GGML_Q8_0, GGML_Q6_K};
  for (size_t t = 0; t < COUNT_OF(types); t++)
    for (size_t R = 8; R <= RANK_MAX; R += 8) {
      struct weight w = make(50, 512, types[t], t == 1 ? 5 : 0);
      matmul_skinny(c, &w, a, R, backend->kernels);
      for (size_t i = 0; i < w.rows; i++)
        for (size_t r = 0; r < R; r++) {
          double want = 0;
          for (size_t k = 0; k < w.cols; k++)
            want += (double)decoded[i * w.cols + k] * (double)a[k * R + r];
          assert_true(fabs(want - (double)c[i * R + r]) < 1e-4);
        }
      memcpy(c, start, w.cols * R * sizeof *c);
      matmul_skinny_transposed(c, &w, a, R, backend->kernels);
      for (size_t k = 0; k < w.cols; k++)
        for (size_t r = 0; r < R; r++) {
          double want = (double)start[k * R + r];
          for (size_t i = 0; i < w.rows; i++)
            want += (double)decoded[i * w.cols + k] * (double)a[i * R + r];
          assert_true(fabs(want - (double)c[k * R + r]) < 1e-4);
        }
    }
}

/* Rounding is to nearest, ties to even; what is not finite stays so. */
static void rounding_of(const struct backend *backend) {
  const float in[] = {1.0f + 0x1p-8f, 1.0f + 0x3p-8f, 1.0f + 0x1.8p-8f, -0x1.FFFFFEp+127f, INFINITY, NAN, 0.0f, -2.5f};
  const float want[] = {1.0f, 1.0f + 0x1p-6f, 1.0f + 0x1p-7f, -INFINITY, INFINITY, NAN, 0.0f, -2.5f};
  float one[1] = {1.0f}, out[1];
  if (precision == PRECISION_FP32)
    return;
  float *scratch = malloc(matmul_scratch(backend, 1, 1, 0) * sizeof *scratch);
  for (size_t i = 0; i < COUNT_OF(in); i++)
    for (int side = 0; side < 2; side++) {
      struct weight w = weight_of(side ? &in[i] : one, 1, 1);
      matmul_run(backend, &(struct matmul){.c = out, .a = side ? one : &in[i], .rows = 1, .weight = &w}, scratch);
      assert_true(out[0] == want[i] || (isnan(want[i]) && isnan(out[0])));
    }
  free(scratch);
}

static void rounding(void **state) {
  (void)state;
  on_each(rounding_of);
}

static void shapes(void **state) {
  (void)state;
  on_each(shapes_of);
}

static void several_blocks(void **state) {
  (void)state;
  on_each(blocks_of);
}

static void many_rows(void **state) {
  (void)state;
  on_each(tall_of);
}

static void types_that_are_decoded(void **state) {
  (void)state;
  on_each(types_of);
}

static void skinny(void **state) {
  (void)state;
  on_each(skinny_of);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes),    cmocka_unit_test(several_blocks),
      cmocka_unit_test(many_rows), cmocka_unit_test(types_that_are_decoded),
      cmocka_unit_test(skinny),    cmocka_unit_test(rounding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
