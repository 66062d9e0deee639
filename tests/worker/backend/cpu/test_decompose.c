/* Bases of a weight, wide and tall, in fp32 and in blocks: they are orthonormal; the leading singular vectors of a
   matrix that was made of known ones are these, also where the matrix has a lower rank than is asked for; the range
   finder comes near them and depends on its seed alone; QR is that of Gram and Schmidt; what is projected is the
   product. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/rng.h"
#include "worker/backend/cpu/decompose.h"

enum { LONG = 320, SHORT = 64, K = 5 };

static struct error err;
static double left[K][LONG], right[K][LONG]; /* of W's making */
static const double values[K] = {9, 4, 3, 0.5, 0.01};

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

/* Orthonormal vectors at random. */
static void draw(double (*vectors)[LONG], size_t n, uint64_t seed) {
  struct rng rng;
  rng_init(&rng, seed, 1);
  for (size_t k = 0; k < K; k++) {
    for (size_t i = 0; i < n; i++)
      vectors[k][i] = rng_normal(&rng);
    for (int twice = 0; twice < 2; twice++)
      for (size_t l = 0; l < k; l++) {
        double part = dot(vectors[k], vectors[l], n);
        for (size_t i = 0; i < n; i++)
          vectors[k][i] -= part * vectors[l][i];
      }
    double length = sqrt(dot(vectors[k], vectors[k], n));
    for (size_t i = 0; i < n; i++)
      vectors[k][i] /= length;
  }
}

/* out x in with the first `count` of these singular values. */
static float *matrix(size_t out, size_t in, size_t count) {
  float *w = malloc(out * in * sizeof *w);
  assert_non_null(w);
  draw(left, out, 1);
  draw(right, in, 2);
  for (size_t i = 0; i < out; i++)
    for (size_t j = 0; j < in; j++) {
      double sum = 0;
      for (size_t k = 0; k < count; k++)
        sum += values[k] * left[k][i] * right[k][j];
      w[i * in + j] = (float)sum;
    }
  return w;
}

static void orthonormal(const double *basis, size_t n) {
  for (size_t k = 0; k < K; k++)
    for (size_t l = 0; l <= k; l++)
      assert_true(fabs(dot(basis + k * n, basis + l * n, n) - (k == l)) < 1e-12);
}

static const size_t shapes[][2] = {{LONG, SHORT}, {SHORT, LONG}, {SHORT, SHORT}};

static void leading_vectors_are_found(void **state) {
  (void)state;
  for (size_t s = 0; s < COUNT_OF(shapes); s++) {
    size_t out = shapes[s][0], in = shapes[s][1];
    double basis[K * LONG];
    float *w = matrix(out, in, K);
    struct weight weight = weight_of(w, out, in);
    bool of_left = decompose_left_is_shorter(&weight);
    size_t n = of_left ? out : in;
    assert_int_equal(of_left, out < in);
    assert_int_equal(decompose_leading(basis, &weight, K, &err), STATUS_OK);
    orthonormal(basis, n);
    for (size_t k = 0; k < K; k++)
      assert_true(fabs(fabs(dot(basis + k * n, of_left ? left[k] : right[k], n)) - 1) < 1e-6);
    free(w);
  }
}

static void a_lower_rank_has_a_basis_too(void **state) {
  (void)state;
  double basis[K * LONG], projected[K * LONG];
  float *w = matrix(SHORT, LONG, 2);
  struct weight weight = weight_of(w, SHORT, LONG);
  assert_int_equal(decompose_leading(basis, &weight, K, &err), STATUS_OK);
  orthonormal(basis, SHORT);
  assert_int_equal(decompose_project(projected, &weight, basis, true, K, &err), STATUS_OK);
  for (size_t k = 0; k < K; k++)
    assert_true(fabs(sqrt(dot(projected + k * LONG, projected + k * LONG, LONG)) - (k < 2 ? values[k] : 0)) < 1e-5);
  memset(w, 0, SHORT * LONG * sizeof *w);
  assert_int_equal(decompose_leading(basis, &weight, K, &err), STATUS_OK);
  orthonormal(basis, SHORT);
  free(w);
}

static void the_range_comes_near_them(void **state) {
  (void)state;
  for (size_t s = 0; s < COUNT_OF(shapes); s++) {
    size_t out = shapes[s][0], in = shapes[s][1];
    double basis[K * LONG], again[K * LONG], other[K * LONG];
    float *w = matrix(out, in, K);
    struct weight weight = weight_of(w, out, in);
    bool of_left = !decompose_left_is_shorter(&weight);
    size_t n = of_left ? out : in;
    struct rng rng;
    rng_init(&rng, 7, 1);
    assert_int_equal(decompose_range(basis, &weight, K, 3, &rng, &err), STATUS_OK);
    orthonormal(basis, n);
    for (size_t k = 0; k < K; k++)
      assert_true(fabs(fabs(dot(basis + k * n, of_left ? left[k] : right[k], n)) - 1) < 1e-5);
    rng_init(&rng, 7, 1);
    assert_int_equal(decompose_range(again, &weight, K, 3, &rng, &err), STATUS_OK);
    assert_memory_equal(basis, again, K * n * sizeof *basis);
    rng_init(&rng, 8, 1);
    assert_int_equal(decompose_range(other, &weight, K, 3, &rng, &err), STATUS_OK);
    assert_memory_not_equal(basis, other, K * n * sizeof *basis);
    free(w);
  }
}

static void qr_is_that_of_the_first_columns(void **state) {
  (void)state;
  for (size_t s = 0; s < COUNT_OF(shapes); s++) {
    size_t out = shapes[s][0], in = shapes[s][1];
    double basis[K * LONG];
    float *w = matrix(out, in, K);
    struct weight weight = weight_of(w, out, in);
    assert_int_equal(decompose_qr(basis, &weight, K, &err), STATUS_OK);
    orthonormal(basis, out);
    for (size_t j = 0; j < K; j++) { /* column j lies in the first j + 1 */
      double column[LONG], in_them = 0;
      for (size_t i = 0; i < out; i++)
        column[i] = (double)w[i * in + j];
      for (size_t k = 0; k <= j; k++)
        in_them += pow(dot(basis + k * out, column, out), 2);
      assert_true(fabs(in_them / dot(column, column, out) - 1) < 1e-10);
    }
    free(w);
  }
}

static void projections_are_products(void **state) {
  (void)state;
  for (size_t s = 0; s < COUNT_OF(shapes); s++) {
    size_t out = shapes[s][0], in = shapes[s][1];
    double basis[K * LONG], got[K * LONG];
    float *w = matrix(out, in, K);
    struct weight weight = weight_of(w, out, in);
    struct rng rng;
    rng_init(&rng, 3, 1);
    for (size_t i = 0; i < K * LONG; i++)
      basis[i] = rng_normal(&rng);
    for (int of_left = 0; of_left < 2; of_left++) {
      size_t n = of_left ? in : out, m = of_left ? out : in;
      assert_int_equal(decompose_project(got, &weight, basis, of_left, K, &err), STATUS_OK);
      for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j < n; j++) {
          double sum = 0;
          for (size_t i = 0; i < m; i++)
            sum += basis[k * m + i] * (double)(of_left ? w[i * in + j] : w[j * in + i]);
          assert_true(fabs(got[k * n + j] - sum) < 1e-11);
        }
    }
    free(w);
  }
}

/* Blocks are decoded as they are read: what comes of them is what comes of the decoded matrix. */
static void blocks_are_as_what_they_decode_to(void **state) {
  (void)state;
  double basis[2][K * LONG];
  struct rng rng;
  float *w = matrix(SHORT, LONG, K), *decoded = malloc(SHORT * LONG * sizeof *decoded);
  unsigned char *blocks = malloc(SHORT * LONG * sizeof *w);
  assert_true(decoded && blocks && ggml_from_f32(blocks, w, GGML_Q8_0, SHORT * LONG));
  struct weight packed = {.rows = SHORT, .cols = LONG, .type = GGML_Q8_0, .bytes = blocks};
  weight_read(decoded, &packed);
  const struct weight plain = weight_of(decoded, SHORT, LONG);
  const struct weight *both[] = {&packed, &plain};
  for (int way = 0; way < 3; way++) {
    for (int i = 0; i < 2; i++) {
      rng_init(&rng, 5, 1);
      assert_int_equal(way == 0   ? decompose_leading(basis[i], both[i], K, &err)
                       : way == 1 ? decompose_range(basis[i], both[i], K, 2, &rng, &err)
                                  : decompose_qr(basis[i], both[i], K, &err),
                       STATUS_OK);
    }
    assert_memory_equal(basis[0], basis[1], K * (way == 1 ? LONG : SHORT) * sizeof basis[0][0]);
  }
  free(w), free(decoded), free(blocks);
}

static void numbers_that_are_not_finite_are_refused(void **state) {
  (void)state;
  double basis[K * LONG];
  float *w = matrix(SHORT, LONG, K);
  struct weight weight = weight_of(w, SHORT, LONG);
  struct rng rng;
  rng_init(&rng, 5, 1);
  w[LONG] = INFINITY;
  assert_int_equal(decompose_leading(basis, &weight, K, &err), STATUS_INVALID_VALUE);
  assert_int_equal(decompose_range(basis, &weight, K, 1, &rng, &err), STATUS_INVALID_VALUE);
  assert_int_equal(decompose_qr(basis, &weight, K, &err), STATUS_INVALID_VALUE);
  assert_non_null(strstr(err.text, "not finite"));
  free(w);
}

static int set_up(void **state) {
  (void)state;
  decompose_begin();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(leading_vectors_are_found),
      cmocka_unit_test(a_lower_rank_has_a_basis_too),
      cmocka_unit_test(the_range_comes_near_them),
      cmocka_unit_test(qr_is_that_of_the_first_columns),
      cmocka_unit_test(projections_are_products),
      cmocka_unit_test(blocks_are_as_what_they_decode_to),
      cmocka_unit_test(numbers_that_are_not_finite_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
