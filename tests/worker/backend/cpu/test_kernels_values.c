/* Proves some kernels against plain loops in double, at odd sizes, on every instruction set that runs here. All kernels
   are compared with the generic set's in test_kernels.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "worker/backend/cpu/isa.h"

static float a[90 * 90], b[90 * 90], c[90 * 90], start[90 * 90];

static void randomise(float *out, size_t count, uint64_t seed) {
  struct rng rng;
  rng_init(&rng, seed, 1);
  for (size_t i = 0; i < count; i++)
    out[i] = 2 * rng_uniform(&rng) - 1;
}

static void check_gemm(const struct kernels *k, size_t m, size_t n, size_t depth, bool transposed, bool accumulate) {
  size_t row = transposed ? 1 : depth, col = transposed ? m : 1, ldc = n + 3;
  memcpy(c, start, sizeof c);
  k->gemm(c, ldc, a, row, col, b, n, m, n, depth, -0.5f, accumulate);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < ldc; j++) {
      double want = accumulate || j >= n ? (double)start[i * ldc + j] : 0;
      for (size_t p = 0; j < n && p < depth; p++)
        want -= 0.5 * (double)a[i * row + p * col] * (double)b[p * n + j];
      assert_true(fabs(want - (double)c[i * ldc + j]) < 1e-5);
    }
}

/* For each set that this processor runs. */
static void each_isa(void (*check)(const struct kernels *k)) {
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa))
    check(isa->kernels);
}

/* What it prefetches changes nothing. */
static void gemm_skinny_of(const struct kernels *k) {
  const size_t rows[] = {1, 11, 12, 25, 40}, depths[] = {1, 15, 16, 33, 64}, ranks[] = {8, 16, 24, 40};
  randomise(a, COUNT_OF(a), 1);
  randomise(b, COUNT_OF(b), 2);
  randomise(start, COUNT_OF(start), 3);
  for (size_t kind = 0; kind < COUNT_OF(rows) * COUNT_OF(depths) * COUNT_OF(ranks); kind++) {
    size_t m = rows[kind % 5], depth = depths[kind / 5 % 5], R = ranks[kind / 25];
    memcpy(c, start, sizeof c);
    k->gemm_skinny(c, a, b, m, depth, R, kind % 2 ? a : NULL, kind % 2 ? kind : 0);
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < R; j++) {
        double want = 0;
        for (size_t p = 0; p < depth; p++)
          want += (double)a[i * depth + p] * (double)b[p * R + j];
        assert_true(fabs(want - (double)c[i * R + j]) < 1e-5);
      }
    assert_memory_equal(c + m * R, start + m * R, 8 * sizeof *c);
  }
}

static void gemm_of(const struct kernels *k) {
  const size_t sizes[] = {1, 3, 7, 8, 12, 15, 16, 17, 24, 31, 33, 47, 64};
  randomise(a, COUNT_OF(a), 1);
  randomise(b, COUNT_OF(b), 2);
  randomise(start, COUNT_OF(start), 3);
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (size_t j = 0; j < COUNT_OF(sizes); j++)
      for (int kind = 0; kind < 4; kind++)
        check_gemm(k, sizes[i], sizes[j], sizes[(i + j) % COUNT_OF(sizes)], kind & 1, kind & 2);
}

static void gemm_is_the_product(void **state) {
  (void)state;
  each_isa(gemm_of);
}

static void gemm_skinny_is_the_product(void **state) {
  (void)state;
  each_isa(gemm_skinny_of);
}

static void adamw_of(const struct kernels *k) {
  float p[19], m[19], v[19], g[19];
  randomise(p, 19, 4);
  randomise(m, 19, 5);
  randomise(g, 19, 6);
  for (int i = 0; i < 19; i++)
    v[i] = 0.01f * (float)i;
  for (int i = 0; i < 19; i++) {
    float pi = p[i], mi = m[i], vi = v[i];
    double grad = 0.5 * (double)g[i], want_m = 0.9 * (double)mi + 0.1 * grad,
           want_v = 0.99 * (double)vi + 0.01 * grad * grad;
    double want = (double)pi * 0.999 - 0.02 * want_m / (sqrt(want_v) * 1.5 + 1e-8);
    k->adamw(&pi, &mi, &vi, &g[i], 1, 0.5f, 0.9f, 0.99f, 1e-8f, 0.02f, 1.5f, 0.999f);
    assert_true(fabs(want - (double)pi) < 1e-6 && fabs(want_m - (double)mi) < 1e-6 && fabs(want_v - (double)vi) < 1e-6);
  }
}

static void adamw_is_the_formula(void **state) {
  (void)state;
  each_isa(adamw_of);
}

/* The multiplier of an element by the definition: Philox with seven rounds of the counter (element's eighth of its 64,
   row, site), two draws a word. */
static float multiplier(const struct dropout *d, uint64_t row, size_t element) {
  uint32_t word[4] = {(uint32_t)(element / 64 * 8 + element % 8), (uint32_t)row, (uint32_t)d->site,
                      (uint32_t)(d->site >> 32)};
  uint32_t k0 = (uint32_t)d->seed, k1 = (uint32_t)(d->seed >> 32);
  for (int round = 0; round < 7; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * word[0], p1 = (uint64_t)0xCD9E8D57u * word[2];
    word[0] = (uint32_t)(p1 >> 32) ^ word[1] ^ k0;
    word[1] = (uint32_t)p1;
    word[2] = (uint32_t)(p0 >> 32) ^ word[3] ^ k1;
    word[3] = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  size_t draw = element % 64 / 8;
  return (word[draw / 2] >> (draw % 2 * 16) & 0xFFFF) < d->threshold ? 0 : d->scale;
}

static void dropout_of(const struct kernels *k) {
  const struct dropout d = {0x123456789ABCDEF0, 0xFEDCBA9876543210, 20000, 1.4f};
  const size_t cols[] = {1, 63, 64, 65, 130, 200, 384};
  for (size_t n = 0; n < COUNT_OF(cols); n++) {
    randomise(a, 9 * cols[n], 7);
    memset(c, 0xFF, sizeof c);
    k->dropout(c, a, 0xFFFFFFFB, 9, cols[n], &d); /* rows beyond 2^32, too */
    for (size_t i = 0; i < 9 * cols[n]; i++)
      assert_true(c[i] == a[i] * multiplier(&d, 0xFFFFFFFB + i / cols[n], i % cols[n]));
    assert_true(isnan(c[9 * cols[n]]));
  }
}

static void dropout_is_philox(void **state) {
  (void)state;
  each_isa(dropout_of);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gemm_is_the_product),
      cmocka_unit_test(adamw_is_the_formula),
      cmocka_unit_test(gemm_skinny_is_the_product),
      cmocka_unit_test(dropout_is_philox),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
