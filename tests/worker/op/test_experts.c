/* Proves a mixture of experts: values by its formula in double, with more rows at an expert than it takes at a time;
   gradients of the input and of the router's logits by differences; and that a router of nonsense ends no worker. */
#include "tests/worker/engine_impl.h"

enum { C = 16, F = 11, E_MAX = 7 };

static struct backend backend;
static struct arena arena;
static struct parameter_list list;

static int setup(void **state) {
  (void)state;
  struct error err;
  arena_init(&arena, (size_t)1 << 28);
  list = (struct parameter_list){.arena = &arena};
  return cpu_open(&backend, 2, NULL, &err) != STATUS_OK;
}

static int teardown(void **state) {
  (void)state;
  backend_close(&backend);
  arena_done(&arena);
  return 0;
}

static struct parameter *matrix(const char *name, size_t rows, size_t cols, uint64_t seed) {
  struct parameter *p = parameter_add(&list, name, 2, (int64_t)rows, (int64_t)cols);
  assert_non_null(p);
  fill(p->data, p->count, seed);
  return p;
}

static struct weight frozen(size_t rows, size_t cols, uint64_t seed) {
  return weight_of(matrix("w", rows, cols, seed)->data, rows, cols);
}

static struct experts make_experts(struct expert expert[E_MAX], size_t count, size_t chosen, bool normalised) {
  for (size_t e = 0; e < count; e++)
    expert[e] = (struct expert){frozen(F, C, 10 + e), frozen(F, C, 30 + e), frozen(C, F, 50 + e)};
  return (struct experts){
      .count = count, .chosen = chosen, .channels = C, .inner = F, .normalised = normalised, .expert = expert};
}

/* Logits so far apart that no difference changes who is chosen. */
static struct parameter *logits_of(size_t rows, size_t count) {
  struct parameter *p = matrix("logits", rows, count, 5);
  for (size_t i = 0; i < rows; i++)
    for (size_t e = 0; e < count; e++)
      p->data[i * count + e] = 0.4f * (float)((i * 5 + e * 3) % E_MAX) + 0.05f * p->data[i * count + e];
  return p;
}

/* --- values --------------------------------------------------------------------------------------- */

static double product(const struct weight *w, size_t row, const double *x) {
  const float *numbers = weight_part(w, row, 0, w->cols, NULL);
  double sum = 0;
  for (size_t c = 0; c < w->cols; c++)
    sum += (double)numbers[c] * x[c];
  return sum;
}

/* y += w * what the expert makes of x */
static void add_expert(double *y, const struct expert *expert, const double *x, double w) {
  double inner[F];
  for (size_t f = 0; f < F; f++) {
    double gate = product(&expert->gate, f, x);
    inner[f] = gate / (1 + exp(-gate)) * product(&expert->up, f, x);
  }
  for (size_t c = 0; c < C; c++)
    y[c] += w * product(&expert->down, c, inner);
}

static void expected_row(double y[C], const struct experts *experts, const float *row, const float *logits) {
  double x[C], p[E_MAX], all = 0, kept = 0;
  bool taken[E_MAX] = {false};
  for (size_t c = 0; c < C; c++) {
    x[c] = (double)row[c];
    y[c] = 0;
  }
  for (size_t e = 0; e < experts->count; e++)
    all += p[e] = exp((double)logits[e]);
  for (int pass = 0; pass < 2; pass++, memset(taken, 0, sizeof taken))
    for (size_t k = 0; k < experts->chosen; k++) {
      size_t best = experts->count;
      for (size_t e = 0; e < experts->count; e++)
        if (!taken[e] && (best == experts->count || logits[e] > logits[best]))
          best = e;
      taken[best] = true;
      if (pass)
        add_expert(y, &experts->expert[best], x, p[best] / (experts->normalised ? kept : all));
      else
        kept += p[best];
    }
}

struct mixture {
  struct experts experts;
  float *seen; /* NULL: y is not looked at */
};

static void build(struct tape *tape, const struct graph *g, double *loss) {
  const struct mixture *m = g->extra;
  struct tensor *x = graph_input(tape, g->x), *y = op_experts(tape, x, graph_input(tape, g->y), &m->experts);
  if (m->seen && !tape->dry)
    memcpy(m->seen, place_floats(y->data), y->rows * y->cols * sizeof(float));
  /* beside other uses of x: its gradient is added */
  graph_loss(tape, op_add(tape, op_add(tape, y, op_multiply(tape, x, 0.5f)), op_swiglu(tape, x, y)), loss);
}

static void check_values(size_t rows, size_t count, size_t chosen, bool normalised, bool crowded) {
  struct expert expert[E_MAX];
  float *seen = arena_array(&arena, rows * C, sizeof *seen);
  struct mixture m = {make_experts(expert, count, chosen, normalised), seen};
  struct graph g = {
      .build = build, .backend = &backend, .x = matrix("x", rows, C, 1), .y = logits_of(rows, count), .extra = &m};
  for (size_t i = 0; i < rows && crowded; i++)
    g.y->data[i * count + 1] = 9; /* all want this one */
  assert_non_null(seen);
  graph_run(&g, false);
  for (size_t i = 0; i < rows; i++) {
    double want[C];
    expected_row(want, &m.experts, g.x->data + i * C, g.y->data + i * count);
    for (size_t c = 0; c < C; c++)
      if (!(fabs((double)seen[i * C + c] - want[c]) < 2e-5))
        fail_msg("row %zu, channel %zu: %g, not %g", i, c, (double)seen[i * C + c], want[c]);
  }
}

static void values(void **state) {
  (void)state;
  check_values(1, 7, 2, true, false);
  check_values(40, 7, 2, true, false);
  check_values(40, 7, 3, false, false);
  check_values(40, 5, 5, true, false);
  check_values(40, 4, 1, true, false);
  check_values(40, 4, 1, false, false);
  check_values(2100, 3, 2, true, true);
}

/* --- gradients ------------------------------------------------------------------------------------ */

static void gradients(void **state) {
  static const struct {
    size_t rows, count, chosen;
    bool normalised;
  } cases[] = {{40, 7, 2, true}, {40, 7, 3, false}, {130, 4, 1, false}, {9, 5, 5, true}, {1, 7, 2, true}};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct expert expert[E_MAX];
    struct mixture m = {make_experts(expert, cases[i].count, cases[i].chosen, cases[i].normalised), NULL};
    struct graph g = {.build = build,
                      .backend = &backend,
                      .x = matrix("x", cases[i].rows, C, 1),
                      .y = logits_of(cases[i].rows, cases[i].count),
                      .extra = &m};
    for (int recompute = 0; recompute < 2; recompute++) {
      g.recompute = recompute;
      graph_check(&g, g.x, 60, 3e-3);
      graph_check(&g, g.y, 60, 3e-3);
    }
  }
}

/* Not a number, infinite, all alike: a row goes to K different experts all the same. */
static void any_logits_choose(void **state) {
  (void)state;
  static const float odd[] = {NAN, INFINITY, -INFINITY, 0, 3e38f, -3e38f, 0};
  struct expert expert[E_MAX];
  struct mixture m = {make_experts(expert, 7, 3, true), NULL};
  struct graph g = {
      .build = build, .backend = &backend, .x = matrix("x", 21, C, 1), .y = matrix("logits", 21, 7, 2), .extra = &m};
  for (size_t i = 0; i < 21; i++)
    for (size_t e = 0; e < 7; e++)
      g.y->data[i * 7 + e] = i < 7 ? odd[e] : i < 14 ? odd[i - 7] : odd[(e * (i - 12)) % 7];
  graph_run(&g, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values),
      cmocka_unit_test(gradients),
      cmocka_unit_test(any_logits_choose),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
