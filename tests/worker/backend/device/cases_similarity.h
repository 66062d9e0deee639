/* Cases of the kernels that embeddings are made and compared with: each against plain loops in double. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_CASES_SIMILARITY_H
#define TESTS_WORKER_BACKEND_DEVICE_CASES_SIMILARITY_H

#include "tests/worker/backend/device/cases_rows.h"

static void test_mean_rows(void **state) {
  (void)state;
  enum { N = 10, C = 133, B = 3 };
  const int ends[B + 1] = {0, 1, 5, 10};
  float *x = random_floats(N * C, 1), *dy = random_floats(B * C, 2);
  double *y = array(B * C * sizeof *y), *dx = array(N * C * sizeof *dx);
  for (size_t c = 0; c < C; c++)
    for (size_t b = 0; b < B; b++) {
      double count = ends[b + 1] - ends[b];
      y[b * C + c] = 0;
      for (size_t r = (size_t)ends[b]; r < (size_t)ends[b + 1]; r++) {
        y[b * C + c] += (double)x[r * C + c] / count;
        dx[r * C + c] = (double)x[r * C + c] + (double)dy[b * C + c] / count;
      }
    }
  struct place on_x = put_floats(x, N * C), on_y = put_floats(dy, B * C), offsets = put(ends, sizeof ends);
  const struct mean_args args = {B, C, 0}, add = {B, C, 1};
  launch(DEVICE_mean_rows, groups_of(B * C, ITEMS), 1, 1, POINTERS(on_y, on_x, offsets), &args);
  assert_near(get_floats(on_y, B * C), y, B * C, 1e-6, "means");
  launch(DEVICE_spread_rows, groups_of(B * C, ITEMS), 1, 1, POINTERS(on_x, put_floats(dy, B * C), offsets), &add);
  assert_near(get_floats(on_x, N * C), dx, N * C, 1e-6, "gradient of means");
  drop_all();
}

static void test_unit_rows(void **state) {
  (void)state;
  const size_t shapes[][2] = {{1, 1}, {17, 8}, {9, 33}, {6, 300}};
  for (size_t n = 0; n < 2 * COUNT_OF(shapes); n++) {
    size_t N = shapes[n / 2][0], C = shapes[n / 2][1];
    bool add = n % 2;
    float *x = random_floats(N * C, 1), *dy = random_floats(N * C, 2), *start = random_floats(N * C, 3);
    double *y = array(N * C * sizeof *y), *dx = array(N * C * sizeof *dx);
    for (size_t i = 0; i < N; i++) {
      double squares = 0, along = 0;
      for (size_t c = 0; c < C; c++)
        squares += (double)x[i * C + c] * (double)x[i * C + c];
      for (size_t c = 0; c < C; c++) {
        y[i * C + c] = (double)x[i * C + c] / sqrt(squares);
        along += y[i * C + c] * (double)dy[i * C + c];
      }
      for (size_t c = 0; c < C; c++)
        dx[i * C + c] =
            ((double)dy[i * C + c] - y[i * C + c] * along) / sqrt(squares) + (add ? (double)start[i * C + c] : 0);
    }
    const struct norm_args args = {.rows = (int)N, .cols = (int)C, .epsilon = 1e-12f, .accumulate = add};
    struct place to = put_floats(start, N * C), inverse = put_floats(start, N), on_dx = put_floats(start, N * C);
    launch(DEVICE_unit_rows, groups_of(N, NORM_EACH), 1, 1, POINTERS(to, inverse, put_floats(x, N * C)), &args);
    assert_near(get_floats(to, N * C), y, N * C, 1e-6, "unit rows");
    launch(DEVICE_unit_rows_backward, groups_of(N, NORM_EACH), 1, 1,
           POINTERS(on_dx, put_floats(dy, N * C), to, inverse), &args);
    assert_near(get_floats(on_dx, N * C), dx, N * C, 1e-5, "dx of unit rows");
    drop_all();
  }
}

static void test_similarity(void **state) {
  (void)state;
  enum { C = 37, SCALE = 20 };
  const size_t shapes[][3] = {{1, 1, 0}, {5, 14, 0}, {20, 40, 0}, {7, 7, 1}, {300, 300, 1}}; /* first, others, own */
  for (size_t n = 0; n < 2 * COUNT_OF(shapes); n++) {
    size_t M = shapes[n / 2][0], others = shapes[n / 2][1], width = shapes[n / 2][2] ? 1 : others, N = M + others;
    bool own = shapes[n / 2][2] != 0, add = n % 2;
    float *x = random_floats(N * C, 1), *dy = random_floats(M * width, 2), *start = random_floats(N * C, 3);
    double *y = array(M * width * sizeof *y), *dx = array(N * C * sizeof *dx);
    for (size_t i = 0; i < N * C; i++)
      dx[i] = add ? (double)start[i] : 0;
    for (size_t i = 0; i < M; i++)
      for (size_t j = 0; j < width; j++) {
        size_t other = M + (own ? i : j);
        y[i * width + j] = 0;
        for (size_t c = 0; c < C; c++) {
          double a = (double)x[i * C + c], b = (double)x[other * C + c], g = SCALE * (double)dy[i * width + j];
          y[i * width + j] += SCALE * a * b;
          dx[i * C + c] += g * b;
          dx[other * C + c] += g * a;
        }
      }
    const struct similarity_args args = {(int)M, (int)others, C, own, SCALE, add};
    struct place to = put_floats(start, M * width), on_x = put_floats(x, N * C), on_dx = put_floats(start, N * C);
    launch(DEVICE_similarity, groups_of(M * width, ITEMS), 1, 1, POINTERS(to, on_x), &args);
    assert_near(get_floats(to, M * width), y, M * width, 2e-6, "similarity");
    launch(DEVICE_similarity_backward, groups_of(N * C, ITEMS), 1, 1, POINTERS(on_dx, put_floats(dy, M * width), on_x),
           &args);
    assert_near(get_floats(on_dx, N * C), dx, N * C, 2e-6, "dx of similarity");
    drop_all();
  }
}

#endif
