/* Matmuls of few rows against plain loops in double: every instruction set and type, odd sizes, with what op_linear
   fuses; and the same bits on any number of threads, whatever rows are beside. */
#include <float.h>
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
#include "worker/backend/cpu/matmul_gemv.h"

enum { ROWS_MAX = 17, IN_MAX = 1536, OUT_MAX = 75, RANK_MAX = 24 };

static float a[ROWS_MAX * IN_MAX], q[ROWS_MAX * RANK_MAX], v[RANK_MAX * OUT_MAX], bias[OUT_MAX];
static float start[ROWS_MAX * OUT_MAX], c[ROWS_MAX * OUT_MAX], again[ROWS_MAX * OUT_MAX];
static float numbers[OUT_MAX * IN_MAX], decoded[OUT_MAX * IN_MAX];
static unsigned char bytes[OUT_MAX * IN_MAX * 4];

static void randomise(float *out, size_t count, uint64_t stream) {
  struct rng rng;
  rng_init(&rng, 1, stream);
  for (size_t i = 0; i < count; i++)
    out[i] = 2 * rng_uniform(&rng) - 1;
}

/* Where the scales lie in a block, as halves. */
static const struct {
  enum ggml_type type;
  size_t scales, at;
} types[] = {{GGML_F32, 0, 0},  {GGML_F16, 0, 0},  {GGML_BF16, 0, 0},  {GGML_Q8_0, 1, 0},
             {GGML_Q4_0, 1, 0}, {GGML_Q4_1, 2, 0}, {GGML_Q5_0, 1, 0},  {GGML_Q5_1, 2, 0},
             {GGML_Q4_K, 2, 0}, {GGML_Q5_K, 2, 0}, {GGML_Q6_K, 1, 208}, {GGML_Q2_K, 2, 80},
             {GGML_Q3_K, 1, 108}, {GGML_IQ4_NL, 1, 0}, {GGML_IQ4_XS, 1, 0}, {GGML_MXFP4, 0, 0}};

/* Random numbers, or random bytes with scales from 2^-8 to 2^-7, of both signs. */
static struct weight make(size_t row, size_t out, size_t in, size_t heads) {
  struct weight w = {.rows = out, .cols = in, .type = types[row].type, .bytes = bytes, .heads = heads};
  const struct ggml_type_info *info = ggml_type_info(w.type);
  assert_true(out <= OUT_MAX && in <= IN_MAX && in % info->block == 0);
  randomise(numbers, out * in, 7);
  struct rng rng;
  rng_init(&rng, 2, 7);
  if (!ggml_from_f32(bytes, numbers, w.type, out * in))
    for (size_t i = 0; i < weight_bytes(&w); i++) {
      size_t at = i % info->bytes - types[row].at;
      bool high = at < 2 * types[row].scales && at % 2, exponent = w.type == GGML_MXFP4 && at == 0;
      bytes[i] = high       ? (unsigned char)(0x1C + 0x80 * rng_below(&rng, 2) + rng_below(&rng, 4))
                 : exponent ? (unsigned char)(117 + rng_below(&rng, 4))
                            : (unsigned char)rng_below(&rng, 256);
    }
  weight_read(decoded, &w);
  return w;
}

static void run_on(const struct backend *b, struct matmul p, float *out) {
  float *scratch = malloc(matmul_scratch(b, p.rows, p.weight->cols, p.R) * sizeof *scratch);
  memcpy(out, start, p.rows * p.weight->rows * sizeof *out);
  p.c = out;
  matmul_run(b, &p, scratch);
  free(scratch);
}

/* How much a product of two groups may lose by fixed point: each activation is off by half a unit, a 32767th of the
   group's largest, and is multiplied with at most what the group's weights span and are. */
static double lost(const float *x, const float *weights) {
  double largest = 0, sizes = 0, least = (double)weights[0], most = least;
  for (size_t k = 0; k < GEMV_GROUP; k++) {
    double number = (double)weights[k];
    largest = fmax(largest, fabs((double)x[k]));
    sizes += fabs(number);
    least = fmin(least, number);
    most = fmax(most, number);
  }
  return largest / 65534 * (sizes + GEMV_GROUP * (most - least));
}

static void check_values(const struct backend *b, const struct matmul *p) {
  const struct weight *w = p->weight;
  bool fixed = ggml_type_info(w->type)->block > 1 && p->rows <= MATMUL_GEMV_ROWS;
  for (size_t i = 0; i < p->rows; i++)
    for (size_t j = 0; j < w->rows; j++) {
      double slack = 0;
      for (size_t k = 0; fixed && k < w->cols; k += GEMV_GROUP)
        slack += lost(p->a + i * w->cols + k, decoded + j * w->cols + k);
      double first = p->accumulate ? (double)start[i * w->rows + j] : 0, want = first, sizes = fabs(first);
      want += p->bias ? (double)p->bias[j] : 0;
      for (size_t k = 0; k < w->cols; k++) {
        double term = (double)p->a[i * w->cols + k] * (double)decoded[j * w->cols + k];
        want += term, sizes += fabs(term);
      }
      for (size_t r = 0; r < p->R; r++) {
        double term = (double)p->q[i * p->R + r] * (double)p->v[r * w->rows + j];
        want += (double)p->sign * term, sizes += fabs(term);
      }
      if (!(fabs(want - (double)c[i * w->rows + j]) <= 1e-6 * (sizes + 1) + slack))
        fail_msg("%s, %s, %zu x %zu, rows %zu, R %zu: element (%zu, %zu) is %.9g, not %.9g", cpu_isa(b),
                 ggml_type_info(w->type)->name, w->rows, w->cols, p->rows, p->R, i, j, (double)c[i * w->rows + j],
                 want);
    }
}

/* Each row alone has the bits that it has among others. */
static void check_alone(const struct backend *b, struct matmul p) {
  size_t rows = p.rows, out = p.weight->rows, in = p.weight->cols;
  p.rows = 1;
  p.accumulate = false;
  for (size_t i = 0; i < rows; i++, p.a += in, p.q += p.R) {
    run_on(b, p, again);
    assert_memory_equal(again, c + i * out, out * sizeof *c);
  }
}

static struct backend one, two; /* threads */

static void check(struct weight w, size_t rows, bool fused, bool accumulate) {
  struct matmul p = {.a = a, .rows = rows, .weight = &w, .transposed = true, .accumulate = accumulate};
  if (fused)
    p.bias = bias, p.R = rows % 2 ? RANK_MAX : 8, p.q = q, p.v = v, p.sign = -1;
  assert_int_equal(matmul_gemv_serves(&one, &p), rows <= MATMUL_GEMV_ROWS);
  run_on(&one, p, c);
  check_values(&one, &p);
  run_on(&two, p, again);
  assert_memory_equal(again, c, rows * w.rows * sizeof *c);
  if (!accumulate && rows <= MATMUL_GEMV_ROWS)
    check_alone(&two, p);
}

static void on_each(void (*run)(void)) {
  randomise(a, COUNT_OF(a), 1);
  randomise(start, COUNT_OF(start), 2);
  randomise(q, COUNT_OF(q), 3);
  randomise(v, COUNT_OF(v), 4);
  randomise(bias, COUNT_OF(bias), 5);
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa))
    for (enum matmul_library library = MATMUL_NATIVE; library < MATMUL_LIBRARY_COUNT; library++) {
      struct error err;
      assert_int_equal(cpu_open(&one, 1, isa->name, &err), STATUS_OK);
      assert_int_equal(cpu_open(&two, 2, isa->name, &err), STATUS_OK);
      backend_set_matmul(&one, library);
      backend_set_matmul(&two, library);
      run();
      backend_close(&one);
      backend_close(&two);
    }
}

/* Rows of whole blocks: every type, and outputs that are no whole task. */
static void types_on(void) {
  for (size_t t = 0; t < COUNT_OF(types); t++)
    for (size_t rows = 1; rows <= ROWS_MAX; rows++) {
      check(make(t, 37, 768, 0), rows, rows % 3 == 0, false);
      check(make(t, 72, 256, rows % 2 ? 6 : 0), rows, rows % 3 == 1, rows % 4 == 3);
    }
}

/* Rows of any length, which are padded. */
static void odd_sizes_on(void) {
  const size_t sizes[] = {1, 2, 7, 31, 33, 64, 75}, depths[] = {1, 5, 31, 33, 100, 577};
  for (size_t t = 0; t < 3; t++)
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
      for (size_t j = 0; j < COUNT_OF(depths); j++)
        check(make(t, sizes[i], depths[j], 0), 1 + (7 * i + 3 * j + t) % ROWS_MAX, (i + j) % 2, (i + j) % 3 == 0);
}

/* Every fp16: zeros, subnormals, infinities and NaN too. */
static void halves_on(void) {
  static unsigned char all[(1 << 16) * 2];
  static float want[1 << 16];
  for (size_t i = 0; i < 1 << 16; i++)
    all[2 * i] = (unsigned char)i, all[2 * i + 1] = (unsigned char)(i >> 8);
  ggml_to_f32(want, all, GGML_F16, COUNT_OF(want));
  float x[GEMV_GROUP] = {1}, y[1];
  for (size_t i = 0; i < COUNT_OF(want); i++) {
    unsigned char row[GEMV_GROUP * 2] = {all[2 * i], all[2 * i + 1]};
    const unsigned char *at[] = {row};
    one.kernels->gemv(&(struct gemv){.y = y, .x = x, .rows = at, .type = GGML_F16, .m = 1, .n = 1, .k = GEMV_GROUP});
    assert_true(y[0] == want[i] || (isnan(y[0]) && isnan(want[i])));
  }
}

/* Every scale of MXFP4: the smallest two are subnormal. */
static void exponents_on(void) {
  for (size_t e = 0; e < 256; e++) {
    unsigned char row[17] = {(unsigned char)e, 0x01};
    float x[GEMV_GROUP] = {1}, y[1], want[GEMV_GROUP];
    int16_t fixed[GEMV_GROUP];
    struct gemv_group group;
    const unsigned char *at[] = {row};
    ggml_to_f32(want, row, GGML_MXFP4, GEMV_GROUP);
    one.kernels->gemv_fixed(fixed, &group, x, GEMV_GROUP);
    one.kernels->gemv(&(struct gemv){
        .y = y, .fixed = {fixed, &group}, .rows = at, .type = GGML_MXFP4, .m = 1, .n = 1, .k = GEMV_GROUP});
    assert_true(isinf(want[0]) ? y[0] == want[0] : fabsf(y[0] - want[0]) <= 1e-6f * fabsf(want[0]) + FLT_MIN);
  }
}

static void every_type(void **state) {
  (void)state;
  on_each(types_on);
}

static void odd_sizes(void **state) {
  (void)state;
  on_each(odd_sizes_on);
}

static void every_half(void **state) {
  (void)state;
  on_each(halves_on);
}

static void every_exponent(void **state) {
  (void)state;
  on_each(exponents_on);
}

/* What rounds its inputs to bf16, and the backward pass, have no such path. */
static void others_are_not_served(void **state) {
  (void)state;
  struct error err;
  assert_int_equal(cpu_open(&one, 1, NULL, &err), STATUS_OK);
  struct weight w = make(0, 4, 32, 0);
  struct matmul p = {.a = a, .rows = 1, .weight = &w};
  assert_false(matmul_gemv_serves(&one, &p));
  p.transposed = true;
  assert_true(matmul_gemv_serves(&one, &p));
  backend_set_precision(&one, PRECISION_BF16);
  assert_false(matmul_gemv_serves(&one, &p));
  backend_close(&one);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_type), cmocka_unit_test(odd_sizes),
                                     cmocka_unit_test(every_half), cmocka_unit_test(every_exponent),
                                     cmocka_unit_test(others_are_not_served)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
