/* Proves that every op's backward is the derivative of its forward (four-point differences), with
   sequences of odd lengths, with dropout, in float32; and that results do not depend on what the
   memory held before. */
#include "tests/worker/engine_cpu.h"

static const uint32_t offsets[] = {0, 5, 6, 19, 30};
static struct sequences four;

static int setup(void **state) {
  four = sequences_host(4, 30, 13, offsets, NULL, NULL);
  return engine_setup(state);
}

static void build_norm(struct tape *tape, const struct graph *g, double *loss) {
  struct dropout d = dropout_make(0.2, 1, 2, 3);
  struct tensor *x = graph_input(tape, g->x), *r = graph_input(tape, g->y);
  struct tensor *y = op_residual_layernorm(tape, x, r, g->extra, &d);
  graph_loss(tape, op_layernorm(tape, op_residual_layernorm(tape, y, r, g->extra, &d), g->extra), loss);
}

/* A residual that is x itself, and both used elsewhere. */
static void build_own_residual(struct tape *tape, const struct graph *g, double *loss) {
  struct dropout d = dropout_make(0.2, 1, 2, 3), none = {0};
  struct tensor *x = graph_input(tape, g->x), *r = graph_input(tape, g->y);
  struct tensor *y = op_residual_layernorm(tape, x, x, g->extra, &d);
  struct tensor *z = op_residual_layernorm(tape, r, r, g->extra, &none);
  graph_loss(tape, op_add(tape, op_residual_layernorm(tape, y, z, g->extra, &d), op_add(tape, x, r)), loss);
}

static void norm_gradients(void **state) {
  (void)state;
  float weight[21], bias[21];
  fill(weight, 21, 7);
  fill(bias, 21, 8);
  for (int i = 0; i < 21; i++)
    weight[i] += 1.5f;
  struct norm norm = {.channels = 21, .weight = place_host(weight), .bias = place_host(bias), .epsilon = 1e-5f};
  struct graph g = {.build = build_norm,
                    .backend = &backend,
                    .x = matrix("x", 130, 21, 9),
                    .y = matrix("r", 130, 21, 10),
                    .extra = &norm};
  graph_check(&g, g.x, 60, 3e-3);
  graph_check(&g, g.y, 60, 3e-3);
  g.build = build_own_residual;
  graph_check(&g, g.x, 60, 3e-3);
  graph_check(&g, g.y, 60, 3e-3);
}

static void build_elementwise(struct tape *tape, const struct graph *g, double *loss) {
  struct dropout d = dropout_make(0.25, 5, 6, 7);
  struct tensor *x = graph_input(tape, g->x);
  struct tensor *y = op_dropout(tape, op_gelu(tape, x), &d);
  graph_loss(tape, op_tanh(tape, op_pooling(tape, op_gelu(tape, y), &g->sequences, POOLING_CLS)), loss);
}

static void elementwise_gradients(void **state) {
  (void)state;
  struct graph g = {.build = build_elementwise, .backend = &backend, .x = matrix("x", 30, 37, 11), .sequences = four};
  graph_check(&g, g.x, 200, 2e-3);
}

static void build_activations(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = graph_input(tape, g->x);
  graph_loss(tape, op_add(tape, op_gelu_tanh(tape, x), op_relu(tape, x)), loss);
}

static void activation_gradients(void **state) {
  (void)state;
  struct graph g = {.build = build_activations, .backend = &backend, .x = matrix("x", 30, 37, 12), .sequences = four};
  for (size_t i = 0; i < 30 * 37; i++) /* not where ReLU has its corner */
    g.x->data[i] += g.x->data[i] < 0 ? -0.1f : 0.1f;
  graph_check(&g, g.x, 200, 2e-3);
}

static void gelu_values(void **state) {
  (void)state;
  float x[2001], y[2001];
  for (int i = 0; i <= 2000; i++)
    x[i] = (float)(i - 1000) * 0.01f;
  backend.kernels->gelu(y, x, 2001);
  for (int i = 0; i <= 2000; i++) {
    double want = 0.5 * (double)x[i] * (1 + erf((double)x[i] * M_SQRT1_2));
    assert_true(fabs((double)y[i] - want) < 2e-6);
  }
  float nan = NAN, out;
  backend.kernels->gelu(&out, &nan, 1);
  assert_true(isnan(out));
}

static const uint32_t labels[] = {2, 0, 1, 2};

static void build_cross_entropy(struct tape *tape, const struct graph *g, double *loss) {
  op_cross_entropy(tape, graph_input(tape, g->x), place_host(labels), 0.25f, loss);
}

static void build_squared_error(struct tape *tape, const struct graph *g, double *loss) {
  static const float targets[] = {0.5f, -1, 2, 0};
  op_squared_error(tape, graph_input(tape, g->x), place_host(targets), 0.25f, loss);
}

static void build_binary_cross_entropy(struct tape *tape, const struct graph *g, double *loss) {
  static const float targets[] = {1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0};
  op_binary_cross_entropy(tape, graph_input(tape, g->x), place_host(targets), 0.25f, loss);
}

/* Each row once or never, and the input used elsewhere too. */
static void build_picked_rows(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = op_gelu(tape, graph_input(tape, g->x)), *picked = op_pooling(tape, x, &g->sequences, POOLING_ROWS);
  graph_loss(tape, op_add(tape, op_tanh(tape, picked), op_pooling(tape, x, &g->sequences, POOLING_ROWS)), loss);
}

static void picked_rows_gradients(void **state) {
  (void)state;
  static const uint32_t rows[] = {0, 1, 5, 7, 19, 28, 29};
  struct graph g = {.build = build_picked_rows, .backend = &backend, .x = matrix("x", 30, 37, 11), .sequences = four};
  g.sequences.row_count = COUNT_OF(rows);
  g.sequences.rows = place_host(rows);
  graph_check(&g, g.x, 200, 2e-3);
}

/* Sequences shorter than the kernel among them, and the input used elsewhere too. */
static void build_unfolded(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = op_gelu(tape, graph_input(tape, g->x));
  struct tensor *wide = op_unfold(tape, x, &g->sequences, 5), *narrow = op_unfold(tape, x, &g->sequences, 3);
  struct tensor *both = op_add(tape, op_columns(tape, wide, 0, 111), op_tanh(tape, narrow));
  graph_loss(tape,
             op_add(tape, op_add(tape, both, op_columns(tape, wide, 74, 111)), op_unfold(tape, x, &g->sequences, 3)),
             loss);
}

static void unfolded_gradients(void **state) {
  (void)state;
  struct graph g = {.build = build_unfolded, .backend = &backend, .x = matrix("x", 30, 37, 18), .sequences = four};
  graph_check(&g, g.x, 200, 2e-3);
}

static void binary_loss_is_finite(void **state) {
  (void)state;
  assert_float_equal(op_binary_loss(0, 1), log(2), 1e-12);
  assert_float_equal(op_binary_loss(1000, 1), 0, 1e-12);
  assert_float_equal(op_binary_loss(1000, 0), 1000, 1e-9);
  assert_float_equal(op_binary_loss(-1000, 1), 1000, 1e-9);
}

static void loss_gradients(void **state) {
  (void)state;
  struct graph g = {.build = build_cross_entropy, .backend = &backend, .x = matrix("logits", 4, 3, 12)};
  graph_check(&g, g.x, 12, 1e-3);
  struct graph h = {.build = build_squared_error, .backend = &backend, .x = matrix("outputs", 4, 1, 13)};
  graph_check(&h, h.x, 4, 1e-3);
  struct graph b = {.build = build_binary_cross_entropy, .backend = &backend, .x = matrix("logits", 4, 3, 14)};
  graph_check(&b, b.x, 12, 1e-3);
}

/* Means that are compared: the losses of embeddings. */
static void build_ranking(struct tape *tape, const struct graph *g, double *loss) {
  static const uint32_t own[] = {0, 1};
  struct tensor *x = op_pooling(tape, graph_input(tape, g->x), &g->sequences, POOLING_MEAN);
  op_cross_entropy(tape, op_similarity(tape, op_unit_rows(tape, x), 2, SIMILARITY_ALL, 20), place_host(own), 0.5f,
                   loss);
}

static void build_cosines(struct tape *tape, const struct graph *g, double *loss) {
  static const float scores[] = {1, 0.2f};
  struct tensor *x = op_pooling(tape, graph_input(tape, g->x), &g->sequences, POOLING_MEAN);
  op_squared_error(tape, op_similarity(tape, op_unit_rows(tape, x), 2, SIMILARITY_OWN, 1), place_host(scores), 0.5f,
                   loss);
}

static void similarity_gradients(void **state) {
  (void)state;
  struct graph g = {.build = build_ranking, .backend = &backend, .x = matrix("x", 30, 37, 17), .sequences = four};
  graph_check(&g, g.x, 200, 2e-3);
  g.build = build_cosines;
  graph_check(&g, g.x, 200, 2e-3);
}

static void build_similarity(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *y = op_unit_rows(tape, graph_input(tape, g->x));
  graph_loss(tape, op_similarity(tape, y, 1, SIMILARITY_ALL, 1), loss);
}

/* The length of a row does not count, and a row of zeros is like none. */
static void similarity_values(void **state) {
  (void)state;
  struct parameter *x = parameter_add(&list, "x", 2, 3, 2);
  struct graph g = {.build = build_similarity, .backend = &backend, .x = x};
  const float rows[] = {3, 4, 0, 5, 0, 0};
  memcpy(x->data, rows, sizeof rows);
  double with_second = graph_run(&g, false);
  x->data[3] = 0;
  double with_zeros = graph_run(&g, false);
  x->data[3] = 10;
  assert_true(with_second != 0 && fabs(with_zeros) < 1e-12 && fabs(graph_run(&g, false) - with_second) < 1e-9);
}

static void build_linear(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = graph_input(tape, g->x);
  graph_loss(tape, op_linear(tape, x, g->extra), loss);
}

static void linear_gradients(void **state) {
  (void)state;
  struct parameter *w = matrix("w", 13, 21, 14), *b = parameter_add(&list, "b", 1, 13, 0);
  fill(b->data, 13, 15);
  struct linear linear = {.name = "l",
                          .in = 21,
                          .out = 13,
                          .weight = weight_of(w->data, 13, 21),
                          .bias = b->at,
                          .trained_weight = w,
                          .trained_bias = b};
  struct graph g = {.build = build_linear, .backend = &backend, .x = matrix("x", 150, 21, 16), .extra = &linear};
  graph_check(&g, g.x, 50, 2e-3);
  graph_check(&g, w, 50, 2e-3);
  graph_check(&g, b, 13, 2e-3);
}

static void dropout_keeps_its_share_and_its_mean(void **state) {
  (void)state;
  enum { ROWS = 500, COLS = 77 };
  static float x[ROWS * COLS], y[ROWS * COLS], again[ROWS * COLS];
  for (size_t i = 0; i < COUNT_OF(x); i++)
    x[i] = 1;
  struct dropout d = dropout_make(0.1, 42, 7, 1), other = dropout_make(0.1, 42, 8, 1);
  backend.kernels->dropout(y, x, 0, ROWS, COLS, &d);
  double sum = 0;
  for (size_t i = 0; i < COUNT_OF(y); i++) {
    assert_true(y[i] == 0 || y[i] == d.scale);
    sum += (double)y[i];
  }
  assert_true(fabs(sum / (ROWS * COLS) - 1) < 0.01);
  backend.kernels->dropout(again, x, 100, ROWS - 100, COLS, &d);
  assert_memory_equal(again, y + 100 * COLS, sizeof(float) * (ROWS - 100) * COLS);
  backend.kernels->dropout(again, x, 0, ROWS, COLS, &other);
  assert_memory_not_equal(again, y, sizeof y);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(norm_gradients),
      cmocka_unit_test(elementwise_gradients),
      cmocka_unit_test(activation_gradients),
      cmocka_unit_test(gelu_values),
      cmocka_unit_test(loss_gradients),
      cmocka_unit_test(binary_loss_is_finite),
      cmocka_unit_test(picked_rows_gradients),
      cmocka_unit_test(unfolded_gradients),
      cmocka_unit_test(similarity_gradients),
      cmocka_unit_test(similarity_values),
      cmocka_unit_test(linear_gradients),
      cmocka_unit_test(dropout_keeps_its_share_and_its_mean),
  };
  return cmocka_run_group_tests(tests, setup, engine_teardown);
}
