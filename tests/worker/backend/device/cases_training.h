/* Cases of the losses and of the optimiser: each against plain loops in double. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_CASES_TRAINING_H
#define TESTS_WORKER_BACKEND_DEVICE_CASES_TRAINING_H

#include "tests/worker/backend/device/on_device.h"

static void check_cross_entropy(size_t N, size_t C, bool in_place, bool add) {
  float *x = random_floats(N * C, 1), *start = random_floats(N * C, 2), *losses = random_floats(N, 3);
  int *labels = array(N * sizeof *labels), *tops = array(N * sizeof *tops);
  double *loss = array(N * sizeof *loss), *g = array(N * C * sizeof *g);
  for (size_t i = 0; i < N; i++) {
    double sum = 0;
    for (size_t c = 0; c < C; c++)
      x[i * C + c] *= 20;
    if (C > 300) /* the largest twice: the first one counts */
      x[i * C + 290 + i] = x[i * C + 299 - i] = 30;
    labels[i] = (int)((i * 7 + 3) % C);
    for (size_t c = 0; c < C; c++) {
      sum += exp((double)x[i * C + c]);
      tops[i] = x[i * C + c] > x[i * C + (size_t)tops[i]] ? (int)c : tops[i];
    }
    loss[i] = log(sum) - (double)x[i * C + (size_t)labels[i]];
    for (size_t c = 0; c < C; c++)
      g[i * C + c] = 0.5 * (exp((double)x[i * C + c]) / sum - (c == (size_t)labels[i])) +
                     (add ? (double)start[i * C + c] : 0);
  }
  struct device_memory logits = put_floats(x, N * C), to = in_place ? logits : put_floats(start, N * C);
  struct device_memory on_losses = put_floats(losses, N), on_tops = put(labels, N * sizeof *labels);
  const struct cross_entropy_args args = {(int)N, (int)C, 0.5f, add};
  launch(DEVICE_cross_entropy, N, 1, 1,
         POINTERS(on_losses, on_tops, to, logits, put(labels, N * sizeof *labels)), &args);
  assert_near(get_floats(on_losses, N), loss, N, 1e-5, "loss");
  assert_near(get_floats(to, N * C), g, N * C, 1e-5, "gradient of the loss");
  assert_memory_equal(get(on_tops, N * sizeof *tops), tops, N * sizeof *tops);
  launch(DEVICE_cross_entropy, N, 1, 1, POINTERS(on_losses, none, none, put_floats(x, N * C), on_tops), &args);
  float *best = get_floats(on_losses, N);
  for (size_t i = 0; i < N; i++)
    assert_true(best[i] >= -1e-5f && (double)best[i] <= loss[i] + 1e-4);
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
  struct device_memory losses = put_floats(start, N), dx = put_floats(start, N);
  const struct squared_error_args args = {N, 0.25f, 1};
  launch(DEVICE_squared_error, 2, 1, 1, POINTERS(losses, dx, put_floats(x, N), put_floats(targets, N)), &args);
  assert_near(get_floats(losses, N), loss, N, 1e-6, "squared error");
  assert_near(get_floats(dx, N), g, N, 1e-6, "gradient of the squared error");
  drop_all();
}

/* Two parameters in one buffer, of which the second does not decay, with others between them. */
static void test_adamw(void **state) {
  (void)state;
  enum { COUNT_ALL = 2000, FIRST = 1300, SECOND = 500, AT = 1400 };
  float *p = random_floats(COUNT_ALL, 1), *m = random_floats(COUNT_ALL, 2), *v = random_floats(COUNT_ALL, 3);
  float *g = random_floats(COUNT_ALL, 4);
  double *want = array(COUNT_ALL * sizeof *want);
  const struct adamw_chunk chunks[] = {
      {0, ADAMW_CHUNK, 0.9f}, {ADAMW_CHUNK, FIRST - ADAMW_CHUNK, 0.9f}, {AT, SECOND, 1}};
  const struct adamw_args args = {0.5f, 0.9f, 0.99f, 1e-8f, 0.01f, 3.0f};
  for (size_t i = 0; i < COUNT_ALL; i++) {
    v[i] = fabsf(v[i]);
    want[i] = (double)p[i];
    if (i >= FIRST && (i < AT || i >= AT + SECOND))
      continue;
    double grad = (double)g[i] * 0.5, beta1 = (double)args.beta1, beta2 = (double)args.beta2;
    double first = beta1 * (double)m[i] + (1 - beta1) * grad, second = beta2 * (double)v[i] + (1 - beta2) * grad * grad;
    want[i] = (double)p[i] * (i < FIRST ? (double)0.9f : 1) - 0.01 * first / (sqrt(second) * 3 + 1e-8);
  }
  struct device_memory on_p = put_floats(p, COUNT_ALL);
  launch(DEVICE_adamw, COUNT_OF(chunks), 1, 1,
         POINTERS(on_p, put_floats(m, COUNT_ALL), put_floats(v, COUNT_ALL), put_floats(g, COUNT_ALL),
                  put(chunks, sizeof chunks)), &args);
  assert_near(get_floats(on_p, COUNT_ALL), want, COUNT_ALL, 1e-6, "adamw");
  drop_all();
}

#endif
