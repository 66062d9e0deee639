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
      g[i * C + c] =
          0.5 * (exp((double)x[i * C + c]) / sum - (c == (size_t)labels[i])) + (add ? (double)start[i * C + c] : 0);
  }
  struct place logits = put_floats(x, N * C), to = in_place ? logits : put_floats(start, N * C);
  struct place on_losses = put_floats(losses, N), on_hits = put(labels, N * sizeof *labels);
  const struct cross_entropy_args args = {.rows = (int)N, .cols = (int)C, .weight = 0.5f, .accumulate = add};
  launch(DEVICE_cross_entropy, N, 1, 1, POINTERS(on_losses, on_hits, to, logits, put(labels, N * sizeof *labels)),
         &args);
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
  const struct element_loss_args args = {N, 0.25f, 1};
  launch(DEVICE_squared_error, 2, 1, 1, POINTERS(losses, dx, put_floats(x, N), put_floats(targets, N)), &args);
  assert_near(get_floats(losses, N), loss, N, 1e-6, "squared error");
  assert_near(get_floats(dx, N), g, N, 1e-6, "gradient of the squared error");
  drop_all();
}

/* Logits so large that their exponential overflows are among them. */
static void test_binary_cross_entropy(void **state) {
  (void)state;
  enum { N = 300 };
  float *x = random_floats(N, 1), *targets = random_floats(N, 2), *start = random_floats(N, 3);
  double *loss = array(N * sizeof *loss), *g = array(N * sizeof *g);
  for (size_t i = 0; i < N; i++) {
    x[i] *= i % 7 == 0 ? 200 : 5;
    targets[i] = targets[i] > 0;
    double v = (double)x[i], y = (double)targets[i];
    loss[i] = (v > 0 ? v : 0) - v * y + log1p(exp(-fabs(v)));
    g[i] = (double)start[i] + 0.25 * (1 / (1 + exp(-v)) - y);
  }
  struct place losses = put_floats(start, N), dx = put_floats(start, N);
  const struct element_loss_args args = {N, 0.25f, 1};
  launch(DEVICE_binary_cross_entropy, 2, 1, 1, POINTERS(losses, dx, put_floats(x, N), put_floats(targets, N)), &args);
  assert_near(get_floats(losses, N), loss, N, 1e-5, "binary cross-entropy");
  assert_near(get_floats(dx, N), g, N, 1e-6, "gradient of the binary cross-entropy");
  drop_all();
}

/* Three tensors in one launch, and numbers around them that are nobody's. */
enum { TENSORS = 3, TRAINED = 12000, GROUP_NUMBERS = 4096 };
static const long tensor_counts[TENSORS] = {1, 2 * GROUP_NUMBERS + 3, 257};
static const long tensor_starts[TENSORS] = {0, 128, 9000};

/* The table, behind a row that another launch has; returns how many groups its rows have. */
static size_t make_table(struct trained_tensor table[1 + TENSORS], struct trained_rows *rows) {
  long groups = 2;
  table[0] = (struct trained_tensor){.count = GROUP_NUMBERS + 1};
  for (int i = 0; i < TENSORS; i++) {
    long at = tensor_starts[i];
    table[1 + i] = (struct trained_tensor){.p = at,
                                           .m = at + 100,
                                           .v = at + 300,
                                           .grad = at + 200,
                                           .count = tensor_counts[i],
                                           .first_group = groups,
                                           .lr_ratio = i == 2 ? 4.0f : 1.0f,
                                           .decay = i == 1 ? 0.0f : i == 2 ? 4.0f : 1.0f};
    groups += (long)groups_of((size_t)tensor_counts[i], GROUP_NUMBERS);
  }
  *rows = (struct trained_rows){1, TENSORS, 2};
  return (size_t)groups - 2;
}

static void test_sum_squares(void **state) {
  (void)state;
  struct trained_tensor table[1 + TENSORS];
  struct sum_squares_args args;
  size_t groups = make_table(table, &args.rows), first = 2;
  float *g = random_floats(TRAINED, 1), *start = random_floats(2 + groups, 2);
  struct place parts = put_floats(start, 2 + groups);
  launch(DEVICE_sum_squares, groups, 1, 1, POINTERS(parts, put_floats(g, TRAINED), put(table, sizeof table)), &args);
  const float *of_groups = get_floats(parts, 2 + groups);
  assert_memory_equal(of_groups, start, 2 * sizeof *start);
  for (size_t t = 0; t < TENSORS; t++) {
    size_t count = (size_t)tensor_counts[t], end = first + groups_of(count, GROUP_NUMBERS);
    double want = 0, got = 0;
    for (size_t i = 0; i < count; i++)
      want += (double)g[table[1 + t].grad + (long)i] * (double)g[table[1 + t].grad + (long)i];
    for (; first < end; first++)
      got += (double)of_groups[first];
    assert_true(fabs(got - want) < 1e-5 * want);
  }
  drop_all();
}

static void test_adamw(void **state) {
  (void)state;
  struct trained_tensor table[1 + TENSORS];
  struct adamw_args args = {.grad_scale = 0.5f,
                            .beta1 = 0.9f,
                            .beta2 = 0.99f,
                            .epsilon = 1e-8f,
                            .step_size = 0.01f,
                            .root_scale = 3.0f,
                            .decay = 0.1f};
  size_t groups = make_table(table, &args.rows);
  float *p = random_floats(TRAINED, 1), *m = random_floats(TRAINED, 2), *v = random_floats(TRAINED, 3);
  float *g = random_floats(TRAINED, 4);
  double *want[3], beta1 = (double)args.beta1, beta2 = (double)args.beta2;
  for (size_t i = 0; i < TRAINED; i++)
    v[i] = fabsf(v[i]);
  for (size_t k = 0; k < 3; k++) {
    want[k] = array(TRAINED * sizeof **want);
    for (size_t i = 0; i < TRAINED; i++)
      want[k][i] = (double)(k == 0 ? p : k == 1 ? m : v)[i];
  }
  for (size_t t = 1; t <= TENSORS; t++)
    for (long i = 0; i < table[t].count; i++) {
      double grad = (double)g[table[t].grad + i] * 0.5, decay = 1 - (double)table[t].decay * (double)args.decay;
      double first = beta1 * (double)m[table[t].m + i] + (1 - beta1) * grad;
      double second = beta2 * (double)v[table[t].v + i] + (1 - beta2) * grad * grad;
      double size = (double)table[t].lr_ratio * 0.01;
      want[0][table[t].p + i] = (double)p[table[t].p + i] * decay - size * first / (sqrt(second) * 3 + 1e-8);
      want[1][table[t].m + i] = first;
      want[2][table[t].v + i] = second;
    }
  struct place on_p = put_floats(p, TRAINED), on_m = put_floats(m, TRAINED), on_v = put_floats(v, TRAINED);
  launch(DEVICE_adamw, groups, 1, 1, POINTERS(on_p, on_m, on_v, put_floats(g, TRAINED), put(table, sizeof table)),
         &args);
  assert_near(get_floats(on_p, TRAINED), want[0], TRAINED, 1e-6, "adamw");
  assert_near(get_floats(on_m, TRAINED), want[1], TRAINED, 1e-6, "adamw: first moment");
  assert_near(get_floats(on_v, TRAINED), want[2], TRAINED, 1e-6, "adamw: second moment");
  drop_all();
}

#endif
