/* Cases of the losses and of the optimiser: each against plain loops in double. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_CASES_TRAINING_H
#define TESTS_WORKER_BACKEND_DEVICE_CASES_TRAINING_H

#include "tests/worker/backend/device/on_device.h"

static void check_cross_entropy(size_t N, size_t C, bool in_place, bool add) {
  float *x = random_floats(N * C, 1), *start = random_floats(N * C, 2), *losses = random_floats(N, 3);
  int *labels = array(N * sizeof *labels), *hits = array(N * sizeof *hits);
  double *loss = array(N * sizeof *loss), *g = array(N * C * sizeof *g);
  for (size_t i = 0; i < N; i++) {
    double sum = 0;
    size_t top = 0;
    for (size_t c = 0; c < C; c++)
      x[i * C + c] *= 20;
    if (C > 300) /* the largest twice: the first one counts */
      x[i * C + 290 + i] = x[i * C + 299 - i] = 30;
    labels[i] = (int)(C > 300 && i < 2 ? 290 + 9 * i : (i * 7 + 3) % C);
    for (size_t c = 0; c < C; c++) {
      sum += exp((double)x[i * C + c]);
      top = x[i * C + c] > x[i * C + top] ? c : top;
    }
    hits[i] = top == (size_t)labels[i];
    loss[i] = log(sum) - (double)x[i * C + (size_t)labels[i]];
    for (size_t c = 0; c < C; c++)
      g[i * C + c] = 0.5 * (exp((double)x[i * C + c]) / sum - (c == (size_t)labels[i])) +
                     (add ? (double)start[i * C + c] : 0);
  }
  struct place logits = put_floats(x, N * C), to = in_place ? logits : put_floats(start, N * C);
  struct place on_losses = put_floats(losses, N), on_hits = put(labels, N * sizeof *labels);
  const struct cross_entropy_args args = {(int)N, (int)C, 0.5f, add};
  launch(DEVICE_cross_entropy, N, 1, 1,
         POINTERS(on_losses, on_hits, to, logits, put(labels, N * sizeof *labels)), &args);
  assert_near(get_floats(on_losses, N), loss, N, 1e-5, "loss");
  assert_near(get_floats(to, N * C), g, N * C, 1e-5, "gradient of the loss");
  assert_memory_equal(get(on_hits, N * sizeof *hits), hits, N * sizeof *hits);
  drop_all();
}

static void test_cross_entropy(void **state) {
  (void)state;
  check_cross_entropy(1, 1, false, false);
  check_cross_entropy(5, 3, false, true);
  check_cross_entropy(3, 257, true, false);
  check_cross_entropy(4, 1000, true, false);
  check_cross_entropy(2, 513, false, true);
}

static void test_squared_error(void **state) {
  (void)state;
  enum { N = 300 };
  float *x = random_floats(N, 1), *targets = random_floats(N, 2), *start = random_floats(N, 3);
  double *loss = array(N * sizeof *loss), *g = array(N * sizeof *g);
  for (size_t i = 0; i < N; i++) {
    double d = (double)x[i] - (double)targets[i];
    loss[i] = d * d;
    g[i] = (double)start[i] + 2 * 0.25 * d;
  }
  struct place losses = put_floats(start, N), dx = put_floats(start, N);
  const struct squared_error_args args = {N, 0.25f, 1};
  launch(DEVICE_squared_error, 2, 1, 1, POINTERS(losses, dx, put_floats(x, N), put_floats(targets, N)), &args);
  assert_near(get_floats(losses, N), loss, N, 1e-6, "squared error");
  assert_near(get_floats(dx, N), g, N, 1e-6, "gradient of the squared error");
  drop_all();
}

static void test_adamw(void **state) {
  (void)state;
  enum { ALL = 700, N = 600 };
  float *p = random_floats(ALL, 1), *m = random_floats(ALL, 2), *v = random_floats(ALL, 3), *g = random_floats(ALL, 4);
  double *want = array(ALL * sizeof *want);
  const struct adamw_args args = {N, 0.5f, 0.9f, 0.99f, 1e-8f, 0.01f, 3.0f, 0.9f};
  for (size_t i = 0; i < ALL; i++) {
    v[i] = fabsf(v[i]);
    double grad = (double)g[i] * 0.5, beta1 = (double)args.beta1, beta2 = (double)args.beta2;
    double first = beta1 * (double)m[i] + (1 - beta1) * grad, second = beta2 * (double)v[i] + (1 - beta2) * grad * grad;
    want[i] = (double)p[i];
    if (i < N)
      want[i] = (double)p[i] * (double)args.decay - 0.01 * first / (sqrt(second) * 3 + 1e-8);
  }
  struct place on_p = put_floats(p, ALL);
  launch(DEVICE_adamw, groups_of(N, 256), 1, 1,
         POINTERS(on_p, put_floats(m, ALL), put_floats(v, ALL), put_floats(g, ALL)), &args);
  assert_near(get_floats(on_p, ALL), want, ALL, 1e-6, "adamw");
  drop_all();
}

#endif
