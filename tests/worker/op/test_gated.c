/* Proves the ops of a LLaMA block (RMSNorm whole and by head, residual sum, SwiGLU, GeGLU, rotary positions, last
   rows) and the language model's loss: gradients by differences, values by their formulas in double. */
#include "tests/worker/engine_cpu.h"

static const uint32_t offsets[] = {0, 5, 6, 19, 30};
static struct sequences four;

static int setup(void **state) {
  four = sequences_host(4, 30, 13, offsets, NULL, NULL);
  return engine_setup(state);
}

static void check_both(struct graph *g) {
  for (int recompute = 0; recompute < 2; recompute++) {
    g->recompute = recompute;
    graph_check(g, g->x, 60, 3e-3);
    if (g->y)
      graph_check(g, g->y, 60, 3e-3);
  }
}

static void build_norm(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = graph_input(tape, g->x), *y = graph_input(tape, g->y);
  struct tensor *sum = op_add(tape, x, op_rmsnorm(tape, op_add(tape, x, y), g->extra));
  graph_loss(tape, op_rmsnorm(tape, sum, g->extra), loss);
}

static void norm_gradients(void **state) {
  (void)state;
  float weight[21];
  fill(weight, 21, 7);
  for (int i = 0; i < 21; i++)
    weight[i] += 1.5f;
  struct norm whole = {.channels = 21, .weight = place_host(weight), .epsilon = 1e-5f}, heads = whole;
  heads.channels = 7;
  struct graph g = {.build = build_norm,
                    .backend = &backend,
                    .x = matrix("x", 130, 21, 9),
                    .y = matrix("y", 130, 21, 10),
                    .extra = &whole};
  check_both(&g);
  g.extra = &heads;
  check_both(&g);
}

static void build_swiglu(struct tape *tape, const struct graph *g, double *loss) {
  graph_loss(tape, op_swiglu(tape, graph_input(tape, g->x), graph_input(tape, g->y)), loss);
}

static void swiglu_gradients(void **state) {
  (void)state;
  struct graph g = {
      .build = build_swiglu, .backend = &backend, .x = matrix("x", 130, 21, 9), .y = matrix("y", 130, 21, 10)};
  check_both(&g);
}

/* Inputs that others use too, and one that is used twice: gradients are added wherever there are some already. */
static void build_shared(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = graph_input(tape, g->x), *y = graph_input(tape, g->y);
  struct tensor *first = op_swiglu(tape, x, y), *second = op_swiglu(tape, y, x), *own = op_swiglu(tape, x, x);
  graph_loss(tape, op_add(tape, op_add(tape, first, second), op_add(tape, own, op_add(tape, x, x))), loss);
}

static void shared_inputs_gather_gradients(void **state) {
  (void)state;
  struct graph g = {
      .build = build_shared, .backend = &backend, .x = matrix("x", 130, 21, 9), .y = matrix("y", 130, 21, 10)};
  check_both(&g);
}

static void swiglu_values(void **state) {
  (void)state;
  static const float gate[] = {-200, -90, -20, -3, -0.5f, 0, 0.5f, 3, 20, 90, 200};
  enum { N = COUNT_OF(gate) };
  float up[N], y[N];
  fill(up, N, 1);
  backend.kernels->swiglu(y, gate, up, N);
  for (size_t i = 0; i < N; i++) {
    double want = (double)gate[i] / (1 + exp(-(double)gate[i])) * (double)up[i];
    assert_true(fabs((double)y[i] - want) <= 1e-6 * fabs(want) + 1e-30);
  }
}

/* Inputs that others use too: gradients are added. */
static void build_geglu_tanh(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = graph_input(tape, g->x), *y = graph_input(tape, g->y);
  struct tensor *one = op_geglu_tanh(tape, x, y), *two = op_geglu_tanh(tape, y, op_multiply(tape, x, 0.5f));
  graph_loss(tape, op_add(tape, op_multiply(tape, one, -3.0f), op_add(tape, two, op_multiply(tape, x, 2.0f))), loss);
}

static void geglu_tanh_gradients(void **state) {
  (void)state;
  struct graph g = {
      .build = build_geglu_tanh, .backend = &backend, .x = matrix("x", 130, 21, 9), .y = matrix("y", 130, 21, 10)};
  check_both(&g);
}

static void geglu_tanh_values(void **state) {
  (void)state;
  static const float gate[] = {-200, -90, -9, -3, -0.5f, 0, 0.5f, 3, 9, 90, 200};
  enum { N = COUNT_OF(gate) };
  float up[N], y[N];
  fill(up, N, 1);
  backend.kernels->geglu_tanh(y, gate, up, N);
  for (size_t i = 0; i < N; i++) {
    double g = (double)gate[i], u = sqrt(2 / M_PI) * (g + 0.044715 * g * g * g);
    double want = 0.5 * g * (1 + tanh(u)) * (double)up[i];
    assert_true(fabs((double)y[i] - want) <= 1e-6 * fabs(want) + 1e-6);
  }
}

/* Of all columns and of some, twice, beside another use of them. */
static void build_geglu(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = graph_input(tape, g->x), *y = graph_input(tape, g->y);
  struct tensor *some = op_columns(tape, x, 3, 10), *one = op_geglu(tape, op_add(tape, x, y));
  struct tensor *two = op_add(tape, op_columns(tape, y, 10, 10), op_columns(tape, x, 0, 10));
  graph_loss(tape, op_add(tape, op_geglu(tape, x), op_add(tape, one, op_add(tape, some, op_add(tape, two, some)))),
             loss);
}

static void geglu_gradients(void **state) {
  (void)state;
  struct graph g = {
      .build = build_geglu, .backend = &backend, .x = matrix("x", 130, 20, 9), .y = matrix("y", 130, 20, 10)};
  check_both(&g);
}

static void geglu_values(void **state) {
  (void)state;
  static const float gate[] = {-200, -90, -9, -3, -0.5f, 0, 0.5f, 3, 9, 90, 200};
  enum { N = COUNT_OF(gate) };
  float up[N], y[N];
  fill(up, N, 1);
  backend.kernels->geglu(y, gate, up, N);
  for (size_t i = 0; i < N; i++) {
    double want = 0.5 * (double)gate[i] * erfc(-(double)gate[i] / sqrt(2)) * (double)up[i];
    assert_true(fabs((double)y[i] - want) <= 1e-6 * fabs(want) + 1e-6);
  }
}

struct turning {
  struct rotary rotary;
  float cos[13 * 3], sin[13 * 3];
};

static void build_rope(struct tape *tape, const struct graph *g, double *loss) {
  const struct turning *t = g->extra;
  struct tensor *x = op_rope(tape, graph_input(tape, g->x), &g->sequences, &t->rotary);
  graph_loss(
      tape,
      op_add(tape, op_pooling(tape, x, &g->sequences, POOLING_LAST), op_pooling(tape, x, &g->sequences, POOLING_CLS)),
      loss);
}

/* x is turned, turned twice, and goes on as it is. */
static void build_ropes(struct tape *tape, const struct graph *g, double *loss) {
  const struct turning *t = g->extra;
  struct tensor *x = graph_input(tape, g->x), *one = op_rope(tape, x, &g->sequences, &t->rotary);
  struct tensor *two = op_rope(tape, op_rope(tape, x, &g->sequences, &t->rotary), &g->sequences, &t->rotary);
  graph_loss(tape, op_add(tape, op_swiglu(tape, one, two), op_add(tape, x, one)), loss);
}

/* Six channels a head, of which so many turn. */
static void make_turning(struct turning *t, size_t turned) {
  for (int i = 0; i < 13 * 3; i++) {
    t->cos[i] = cosf((float)i * 0.3f);
    t->sin[i] = sinf((float)i * 0.3f);
  }
  t->rotary = (struct rotary){.head_size = 6, .turned = turned, .cos = place_host(t->cos), .sin = place_host(t->sin)};
}

static void rope_gradients(void **state) {
  (void)state;
  for (size_t turned = 4; turned <= 6; turned += 2) {
    struct turning t;
    make_turning(&t, turned);
    struct graph g = {
        .build = build_rope, .backend = &backend, .x = matrix("x", 30, 18, 9), .sequences = four, .extra = &t};
    check_both(&g);
    g.build = build_ropes;
    check_both(&g);
  }
}

/* The dot product of two turned heads depends on the distance of their positions alone. */
static void rope_turns_by_distance(void **state) {
  (void)state;
  float x[16], y[16], a[16], b[16], cos[9][8], sin[9][8];
  fill(x, 16, 1);
  fill(y, 16, 2);
  for (int p = 0; p < 9; p++)
    for (int c = 0; c < 8; c++) {
      cos[p][c] = cosf((float)p * powf(100, -(float)c / 8));
      sin[p][c] = sinf((float)p * powf(100, -(float)c / 8));
    }
  double dots[2] = {0};
  for (int at = 0; at < 2; at++) {
    backend.kernels->rope(a, x, cos[3 + 2 * at], sin[3 + 2 * at], 1, 8, 0, 1);
    backend.kernels->rope(b, y, cos[6 + 2 * at], sin[6 + 2 * at], 1, 8, 0, 1);
    for (int c = 0; c < 16; c++)
      dots[at] += (double)a[c] * (double)b[c];
    backend.kernels->rope(a, a, cos[3 + 2 * at], sin[3 + 2 * at], 1, 8, 0, -1);
    for (int c = 0; c < 16; c++)
      assert_true(fabsf(a[c] - x[c]) < 1e-6f);
  }
  assert_true(fabs(dots[0] - dots[1]) < 1e-5);
}

struct speech {
  struct linear head;
  struct next_tokens tokens;
};

static void build_speech(struct tape *tape, const struct graph *g, double *loss) {
  const struct speech *s = g->extra;
  op_linear_cross_entropy(tape, graph_input(tape, g->x), &s->head, &s->tokens, 0.02f, loss, NULL);
}

/* More rows than one chunk, some of them left out, the last ones too; more logits than one piece. */
static void check_loss(float softcap) {
  enum { N = 600, C = 11, V = 300 };
  static uint32_t rows[N], labels[N];
  struct parameter *w = matrix("w", V, C, 3);
  struct speech s = {
      .head = {.name = "lm_head", .in = C, .out = V, .weight = weight_of(w->data, V, C), .softcap = softcap},
      .tokens = {place_host(rows), place_host(labels), 0}};
  for (uint32_t i = 0; i < N - 5; i++)
    if (i % 4 != 1) {
      labels[s.tokens.count] = i * 7 % V;
      rows[s.tokens.count++] = i;
    }
  struct graph g = {.build = build_speech, .backend = &backend, .x = matrix("x", N, C, 9), .extra = &s};
  check_both(&g);
  double loss = graph_run(&g, true), want = 0;
  for (size_t i = 0; i < s.tokens.count; i++) {
    float logits[V];
    for (size_t v = 0; v < V; v++) {
      logits[v] = 0;
      for (size_t c = 0; c < C; c++)
        logits[v] += w->data[v * C + c] * g.x->data[rows[i] * C + c];
      logits[v] = softcap > 0 ? softcap * tanhf(logits[v] / softcap) : logits[v];
    }
    want += 0.02 * op_row_loss(logits, V, labels[i]);
  }
  assert_true(fabs(loss - want) < 1e-5 * want);
  assert_true(g.x->grad[1 * C] == 0 && g.x->grad[(N - 1) * C] == 0); /* rows that nobody asked about */
}

static void loss_gradients(void **state) {
  (void)state;
  check_loss(0);
  check_loss(0.7f);
}

static void long_rows_of_logits(void **state) {
  (void)state;
  enum { N = 5003 };
  static float x[N];
  size_t top;
  double sum = 0;
  fill(x, N, 5);
  for (size_t i = 0; i < N; i++)
    x[i] *= 30;
  x[4321] = 31;
  for (size_t i = 0; i < N; i++)
    sum += exp((double)x[i]);
  double lse = backend.kernels->log_sum_exp(x, N, &top);
  assert_int_equal(top, 4321);
  assert_true(fabs(lse - log(sum)) < 1e-6);
  float first = x[17];
  backend.kernels->softmax_scaled(x, N, (float)lse, 0.5f);
  assert_true(fabs((double)x[17] - 0.5 * exp((double)first - log(sum))) < 1e-6 * (double)x[17] + 1e-12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(norm_gradients),
      cmocka_unit_test(swiglu_gradients),
      cmocka_unit_test(shared_inputs_gather_gradients),
      cmocka_unit_test(swiglu_values),
      cmocka_unit_test(geglu_gradients),
      cmocka_unit_test(geglu_values),
      cmocka_unit_test(geglu_tanh_gradients),
      cmocka_unit_test(geglu_tanh_values),
      cmocka_unit_test(rope_gradients),
      cmocka_unit_test(rope_turns_by_distance),
      cmocka_unit_test(loss_gradients),
      cmocka_unit_test(long_rows_of_logits),
  };
  return cmocka_run_group_tests(tests, setup, engine_teardown);
}
