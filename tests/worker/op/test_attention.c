/* Proves attention in all its kinds (full, causal, windowed, heads that share k and v, dropout) against the
   formula in double, and its gradients against differences. */
#include "tests/worker/engine_impl.h"

static struct backend backend;
static struct arena arena;
static struct parameter_list list;
static const uint32_t offsets[] = {0, 5, 6, 19, 30};
static const struct sequences four = {4, 30, 13, offsets, NULL, NULL};

static int setup(void **state) {
  (void)state;
  struct error err;
  arena_init(&arena, (size_t)1 << 28);
  list = (struct parameter_list){.arena = &arena};
  return backend_open(&backend, 2, NULL, &err) != STATUS_OK;
}

static int teardown(void **state) {
  (void)state;
  backend_close(&backend);
  arena_done(&arena);
  return 0;
}

static struct parameter *matrix(const char *name, int64_t rows, int64_t cols, uint64_t seed) {
  struct parameter *p = parameter_add(&list, name, 2, rows, cols);
  assert_non_null(p);
  fill(p->data, p->count, seed);
  return p;
}

static void build(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *q = graph_input(tape, g->x), *k = graph_input(tape, g->y), *v = graph_input(tape, g->z);
  graph_loss(tape, op_attention(tape, q, k, v, &g->sequences, g->extra), loss);
}

static void check_gradients(const struct attention *how) {
  int64_t D = 12, heads = (int64_t)how->heads, kv_heads = (int64_t)how->kv_heads;
  struct graph g = {.build = build,
                    .backend = &backend,
                    .x = matrix("q", 30, heads * D, 1),
                    .y = matrix("k", 30, kv_heads * D, 2),
                    .z = matrix("v", 30, kv_heads * D, 3),
                    .sequences = four,
                    .extra = how};
  graph_check(&g, g.x, 60, 2e-3);
  graph_check(&g, g.y, 60, 2e-3);
  graph_check(&g, g.z, 60, 2e-3);
}

static void gradients(void **state) {
  (void)state;
  check_gradients(&(struct attention){.heads = 3, .kv_heads = 3, .scale = 0.7f});
  check_gradients(&(struct attention){.heads = 3, .kv_heads = 3, .scale = 0.7f, .causal = true});
}

static void gradients_of_shared_heads(void **state) {
  (void)state;
  check_gradients(&(struct attention){.heads = 6, .kv_heads = 2, .scale = 0.7f, .causal = true});
  check_gradients(&(struct attention){.heads = 4, .kv_heads = 1, .scale = 0.7f});
}

static void gradients_in_a_window(void **state) {
  (void)state;
  check_gradients(&(struct attention){.heads = 4, .kv_heads = 2, .scale = 0.7f, .causal = true, .window = 4});
}

static void gradients_with_dropout(void **state) {
  (void)state;
  struct attention how = {.heads = 3, .kv_heads = 3, .scale = 0.7f, .dropout = dropout_make(0.3, 3, 4, 5)};
  check_gradients(&how);
  how.causal = true;
  how.window = 5;
  check_gradients(&how);
}

/* One row at a time, in double. */
static void check_values(size_t T, size_t D, size_t window, bool causal) {
  size_t count = T * D;
  float *q = calloc(count, 4), *k = calloc(count, 4), *v = calloc(count, 4), *out = calloc(count, 4);
  float *lse = calloc(T, 4), *scratch = malloc(backend.kernels->attention_scratch(T, D) * 4);
  double *p = calloc(T, sizeof *p);
  assert_true(q && k && v && out && lse && scratch && p);
  fill(q, count, 4);
  fill(k, count, 5);
  fill(v, count, 6);
  struct attention_head h = {
      .length = T, .head_size = D, .stride = D, .kv_stride = D, .scale = 0.3f, .causal = causal, .window = window};
  memset(scratch, 0xFF, backend.kernels->attention_scratch(T, D) * 4);
  backend.kernels->attention(out, lse, 1, q, k, v, &h, scratch);
  for (size_t i = 0; i < T; i++) {
    size_t to = causal ? i + 1 : T, from = causal && window && i >= window ? i + 1 - window : 0;
    double sum = 0;
    for (size_t j = from; j < to; j++) {
      double dot = 0;
      for (size_t d = 0; d < D; d++)
        dot += (double)q[i * D + d] * (double)k[j * D + d];
      sum += p[j] = exp(0.3 * dot);
    }
    assert_true(fabs(log(sum) - (double)lse[i]) < 2e-6);
    for (size_t d = 0; d < D; d++) {
      double o = 0;
      for (size_t j = from; j < to; j++)
        o += p[j] / sum * (double)v[j * D + d];
      assert_true(fabs(o - (double)out[i * D + d]) < 2e-6);
    }
  }
  free(q), free(k), free(v), free(out), free(lse), free(scratch), free(p);
}

static void values(void **state) {
  (void)state;
  static const size_t lengths[] = {1, 7, 48, 57, 64, 130};
  for (size_t i = 0; i < COUNT_OF(lengths); i++) {
    check_values(lengths[i], 20, 0, false);
    check_values(lengths[i], 20, 0, true);
    check_values(lengths[i], 20, 3, true);
    check_values(lengths[i], 20, 50, true);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values),
      cmocka_unit_test(gradients),
      cmocka_unit_test(gradients_of_shared_heads),
      cmocka_unit_test(gradients_in_a_window),
      cmocka_unit_test(gradients_with_dropout),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
