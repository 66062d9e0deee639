/* Cases of the ops' bodies on a device: each graph gives the losses and gradients that it gives on the CPU, dropout
   included. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_CASES_OPS_H
#define TESTS_WORKER_BACKEND_DEVICE_CASES_OPS_H

#include <stdio.h>

#include "tests/worker/engine_impl.h"
#include "worker/backend/device/device_backend.h"

enum { ON_CPU, ON_DEVICE, SIDES };
static struct backend sides[SIDES]; /* opened by the test program */
static struct arena ops_arena;

/* What a graph is given: inputs with gradients, and arrays on the backend of the side that runs. */
struct world {
  struct graph graph;
  struct parameter_list list[SIDES]; /* trained by the ops themselves */
  struct buffers buffers[SIDES];
  int side;
  void (*prepare)(struct world *world); /* makes `own` for the side */
  struct linear linear;
  struct low_rank low;
  struct rotation rotation;
  struct output_scale scale;
  struct norm norm;
  struct rotary rotary;
  struct next_tokens next;
  struct place targets;
  size_t correct;
  int variant;
};

static struct place import(struct world *w, const void *data, size_t bytes) {
  struct place place;
  struct error err;
  assert_int_equal(buffers_import(&w->buffers[w->side], &place, data, bytes, &err), STATUS_OK);
  return place;
}

/* The same numbers on both sides, for the same seed. */
static struct place numbers(struct world *w, size_t count, uint64_t seed) {
  float *data = arena_array(&ops_arena, count, sizeof *data);
  assert_non_null(data);
  if (seed)
    fill(data, count, seed);
  return import(w, data, count * sizeof *data);
}

static void compare_arrays(const float *got, const float *want, size_t count, const char *what) {
  double most = 1e-6;
  for (size_t i = 0; i < count; i++)
    most = fmax(most, fabs((double)want[i]));
  for (size_t i = 0; i < count; i++)
    if (!(fabs((double)got[i] - (double)want[i]) <= 2e-5 * most))
      fail_msg("%s: number %zu of %zu is %.9g, on the CPU %.9g", what, i, count, (double)got[i], (double)want[i]);
}

/* Numbers that an op gathered, on the host. */
static const float *fetched(struct world *w, struct place place, size_t count) {
  float *data = arena_array(&ops_arena, count + 1, sizeof *data);
  assert_non_null(data);
  if (place.buffer)
    w->graph.backend->ops->read(w->graph.backend, data, place, count * sizeof *data);
  return data;
}

struct outcome {
  double loss;
  size_t correct;
  const float *grads[3], *gathered[6];
  size_t counts[6];
};

/* Gradients of what the ops train, and what adapters gather. */
static void collect(struct world *w, struct outcome *o) {
  const struct linear *l = &w->linear;
  struct place places[] = {w->low.grad_down,
                           w->low.grad_up,
                           w->low.grad_core,
                           w->rotation.grad_r,
                           w->scale.grad_scale,
                           w->list[w->side].count ? w->list[w->side].item[0]->grad_at : place_host(NULL)};
  const size_t counts[] = {l->in * w->low.R, l->out * w->low.R, w->low.R * w->low.R, l->in * w->rotation.block, l->out,
                           w->list[w->side].count ? w->list[w->side].item[0]->count : 0};
  for (size_t i = 0; i < COUNT_OF(places); i++) {
    o->counts[i] = places[i].buffer ? counts[i] : 0;
    o->gathered[i] = fetched(w, places[i], o->counts[i]);
  }
}

static struct outcome run_side(struct world *w, int side) {
  struct outcome o = {0};
  struct parameter *inputs[] = {w->graph.x, w->graph.y, w->graph.z};
  w->side = side;
  w->graph.backend = &sides[side];
  w->buffers[side] = (struct buffers){.backend = &sides[side]};
  w->list[side] = (struct parameter_list){.arena = &ops_arena, .buffers = &w->buffers[side]};
  w->low = (struct low_rank){0};
  w->rotation = (struct rotation){0};
  w->scale = (struct output_scale){0};
  if (w->prepare)
    w->prepare(w);
  for (int i = 0; i < 3 && inputs[i]; i++)
    memset(inputs[i]->grad, 0, inputs[i]->count * sizeof(float));
  o.loss = graph_run(&w->graph, true);
  o.correct = w->correct;
  for (int i = 0; i < 3 && inputs[i]; i++) {
    float *copy = arena_array(&ops_arena, inputs[i]->count, sizeof *copy);
    assert_non_null(copy);
    o.grads[i] = memcpy(copy, inputs[i]->grad, inputs[i]->count * sizeof *copy);
  }
  collect(w, &o);
  buffers_release(&w->buffers[side]);
  return o;
}

static void check_ops(struct world *w, const char *what) {
  struct parameter *inputs[] = {w->graph.x, w->graph.y, w->graph.z};
  w->graph.extra = w;
  struct outcome want = run_side(w, ON_CPU), got = run_side(w, ON_DEVICE);
  if (!(fabs(got.loss - want.loss) <= 2e-5 * fmax(1, fabs(want.loss))))
    fail_msg("%s: the loss is %.9g, on the CPU %.9g", what, got.loss, want.loss);
  assert_int_equal(got.correct, want.correct);
  for (int i = 0; i < 3 && inputs[i]; i++)
    compare_arrays(got.grads[i], want.grads[i], inputs[i]->count, what);
  for (int i = 0; i < 6; i++) {
    assert_int_equal(got.counts[i], want.counts[i]);
    compare_arrays(got.gathered[i], want.gathered[i], want.counts[i], what);
  }
}

static struct parameter *input_of(const char *name, int64_t rows, int64_t cols, uint64_t seed) {
  static struct parameter_list list;
  list.arena = &ops_arena;
  list.count = list.max = 0; /* the arena was reset; nobody reads the list */
  struct parameter *p = parameter_add(&list, name, 2, rows, cols);
  assert_non_null(p);
  fill(p->data, p->count, seed);
  return p;
}

static int fresh_arena(void **state) {
  (void)state;
  arena_reset(&ops_arena);
  return 0;
}

/* --- linear layers -------------------------------------------------------------------------------- */

enum { TOKENS = 75, IN = 40, OUT = 72, RANK = 8, BLOCK = 10 };
enum { LOW_RANK = 1, DROPPED = 2, TRAINED = 4, ROTATED = 8, SCALED = 16, QUANTISED = 32 };

static void make_linear(struct world *w) {
  struct linear *l = &w->linear;
  int v = w->variant;
  *l = (struct linear){.name = "l", .in = v & QUANTISED ? 64 : IN, .out = OUT};
  size_t in = l->in;
  float *weight = arena_array(&ops_arena, in * OUT, sizeof *weight);
  unsigned char *bytes = arena_array(&ops_arena, in * OUT, sizeof(float));
  assert_true(weight && bytes);
  fill(weight, in * OUT, 1);
  l->weight = (struct weight){.rows = OUT, .cols = in, .type = v & QUANTISED ? GGML_Q8_0 : GGML_F32, .bytes = bytes};
  assert_true(ggml_from_f32(bytes, weight, l->weight.type, in * OUT));
  l->weight.heads = v & QUANTISED ? 2 : 0;
  l->weight.place = import(w, bytes, weight_bytes(&l->weight));
  l->bias = numbers(w, OUT, 2);
  if (v & LOW_RANK) {
    w->low = (struct low_rank){.R = RANK, .sign = -1, .dropout = v & DROPPED ? 0.3 : 0};
    w->low.down = numbers(w, in * RANK, 3);
    w->low.up_t = numbers(w, OUT * RANK, 4);
    w->low.up_back = numbers(w, OUT * RANK, 5);
    w->low.down_back_t = numbers(w, in * RANK, 6);
    w->low.grad_down = numbers(w, in * RANK, 7);
    w->low.grad_up = numbers(w, OUT * RANK, 0);
    w->low.grad_core = numbers(w, RANK * RANK, 8);
    l->low_rank = &w->low;
  }
  if (v & ROTATED) {
    w->rotation = (struct rotation){.block = BLOCK, .blocks = IN / BLOCK};
    w->rotation.r = numbers(w, IN * BLOCK, 9);
    w->rotation.r_t = numbers(w, IN * BLOCK, 10);
    w->rotation.grad_r = numbers(w, IN * BLOCK, 11);
    l->rotation = &w->rotation;
  }
  if (v & SCALED) {
    w->scale = (struct output_scale){numbers(w, OUT, 12), numbers(w, OUT, 13)};
    l->scale = &w->scale;
  }
  if (v & TRAINED)
    l->trained_bias = parameter_add(&w->list[w->side], "b", 1, OUT, 0);
}

static void build_linear(struct tape *tape, const struct graph *g, double *loss) {
  const struct world *w = g->extra;
  struct tensor *x = graph_input(tape, g->x);
  struct tensor *y = op_linear(tape, x, &w->linear);
  graph_loss(tape, op_add(tape, y, op_linear(tape, x, &w->linear)), loss);
}

static void test_op_linear(void **state) {
  (void)state;
  const int variants[] = {0,
                          QUANTISED,
                          TRAINED,
                          LOW_RANK,
                          LOW_RANK | DROPPED | TRAINED,
                          LOW_RANK | QUANTISED,
                          ROTATED,
                          ROTATED | SCALED | TRAINED};
  for (size_t i = 0; i < COUNT_OF(variants); i++) {
    struct world w = {.graph = {.build = build_linear}, .prepare = make_linear, .variant = variants[i]};
    w.graph.x = input_of("x", TOKENS, variants[i] & QUANTISED ? 64 : IN, 20);
    check_ops(&w, "linear");
  }
}

/* A head that is trained: its weight is the parameter. */
static void make_trained(struct world *w) {
  struct parameter *p = parameter_add(&w->list[w->side], "w", 2, OUT, IN);
  assert_non_null(p);
  fill(p->data, p->count, 3);
  parameter_push(p, &sides[w->side]);
  w->linear = (struct linear){.name = "l", .in = IN, .out = OUT, .weight = weight_of(p->data, OUT, IN)};
  w->linear.weight.place = p->at;
  w->linear.trained_weight = p;
}

static void test_op_trained(void **state) {
  (void)state;
  struct world w = {.graph = {.build = build_linear}, .prepare = make_trained};
  w.graph.x = input_of("x", TOKENS, IN, 20);
  check_ops(&w, "trained linear");
}

/* --- elements and norms --------------------------------------------------------------------------- */

static void make_norm(struct world *w) {
  w->norm = (struct norm){.channels = 20, .weight = numbers(w, 20, 3), .bias = numbers(w, 20, 4), .epsilon = 1e-5f};
  w->norm.trained_bias = parameter_add(&w->list[w->side], "b", 1, 20, 0);
}

static void build_elements(struct tape *tape, const struct graph *g, double *loss) {
  struct dropout d = dropout_make(0.25, 5, 6, 7);
  struct tensor *x = graph_input(tape, g->x), *y = graph_input(tape, g->y);
  struct tensor *a = op_swiglu(tape, op_dropout(tape, op_gelu(tape, x), &d), y);
  struct tensor *b = op_columns(tape, op_geglu(tape, op_columns(tape, x, 1, 68)), 2, 30);
  a = op_add(tape, op_add(tape, a, a), op_tanh(tape, op_add(tape, x, y)));
  graph_loss(tape, op_add(tape, op_columns(tape, a, 40, 30), b), loss);
}

static void build_layernorm(struct tape *tape, const struct graph *g, double *loss) {
  const struct world *w = g->extra;
  struct dropout d = dropout_make(0.2, 1, 2, 3), none = {0};
  struct tensor *x = graph_input(tape, g->x), *r = graph_input(tape, g->y);
  struct tensor *y = op_residual_layernorm(tape, x, r, &w->norm, &d);
  struct tensor *z = op_residual_layernorm(tape, r, r, &w->norm, w->variant ? &d : &none);
  struct tensor *both = op_residual_layernorm(tape, y, z, &w->norm, &none);
  graph_loss(tape, op_add(tape, op_layernorm(tape, both, &w->norm), op_add(tape, x, r)), loss);
}

static void build_rmsnorm(struct tape *tape, const struct graph *g, double *loss) {
  const struct world *w = g->extra;
  struct tensor *x = graph_input(tape, g->x), *y = graph_input(tape, g->y);
  graph_loss(tape, op_add(tape, op_rmsnorm(tape, op_add(tape, x, y), &w->norm), x), loss);
}

static void test_op_elements(void **state) {
  (void)state;
  struct world w = {.graph = {.build = build_elements}};
  w.graph.x = input_of("x", TOKENS, 70, 20);
  w.graph.y = input_of("y", TOKENS, 70, 21);
  check_ops(&w, "elements");
}

static void test_op_norms(void **state) {
  (void)state;
  for (int variant = 0; variant < 2; variant++) {
    struct world w = {.graph = {.build = build_layernorm}, .prepare = make_norm, .variant = variant};
    w.graph.x = input_of("x", TOKENS, 20, 20);
    w.graph.y = input_of("y", TOKENS, 20, 21);
    check_ops(&w, "layernorm");
  }
  struct world w = {.graph = {.build = build_rmsnorm}, .prepare = make_norm};
  w.graph.x = input_of("x", TOKENS, 60, 20);
  w.graph.y = input_of("y", TOKENS, 60, 21);
  check_ops(&w, "rmsnorm");
}

/* --- sequences ------------------------------------------------------------------------------------ */

static const uint32_t ops_cu_seqlens[] = {0, 1, 36, 40, TOKENS};
static const int32_t ops_token_ids[TOKENS] = {3, 1, 4, 1, 5, 9, 2, 6};

static void make_sequences(struct world *w) {
  w->graph.sequences = (struct sequences){.count = 4, .tokens = TOKENS, .longest = 35};
  w->graph.sequences.cu_seqlens = import(w, ops_cu_seqlens, sizeof ops_cu_seqlens);
  w->graph.sequences.token_ids = import(w, ops_token_ids, sizeof ops_token_ids);
  w->rotary = (struct rotary){8, 8, numbers(w, 35 * 4, 5), numbers(w, 35 * 4, 6), 0, 0};
  w->linear = (struct linear){.in = 32, .out = 10, .weight = weight_of(fetched(w, place_host(NULL), 320), 10, 32)};
  float *tokens = arena_array(&ops_arena, 320, sizeof *tokens);
  assert_non_null(tokens);
  fill(tokens, 320, 9);
  w->linear.weight = weight_of(tokens, 10, 32);
  w->linear.weight.place = import(w, tokens, 320 * sizeof *tokens);
  w->norm.weight = numbers(w, 35 * 32, 10); /* positions */
}

static void build_attention(struct tape *tape, const struct graph *g, double *loss) {
  const struct world *w = g->extra;
  int v = w->variant;
  struct attention how = {.heads = 4, .kv_heads = v & 1 ? 2 : 4, .scale = 0.9f};
  how.queries = v & 2 ? POOLING_LAST : v & 4 ? POOLING_CLS : POOLING_NONE;
  how.causal = v & 8;
  how.window = v & (8 | 32) ? 5 : 0;
  if (v & 16)
    how.dropout = dropout_make(0.2, 3, 4, 5);
  const struct sequences *s = &g->sequences;
  struct tensor *e = op_embeddings(tape, s, &w->linear.weight, w->norm.weight, place_host(NULL));
  struct tensor *x = op_add(tape, graph_input(tape, g->x), e), *q = op_pooling(tape, x, s, how.queries);
  struct tensor *k = op_rope(tape, graph_input(tape, g->y), s, &w->rotary), *v_ = graph_input(tape, g->z);
  struct tensor *out = op_attention(tape, q, k, v_, s, &how);
  graph_loss(tape, op_add(tape, out, q), loss);
}

static void test_op_attention(void **state) {
  (void)state;
  const int variants[] = {0, 1, 2, 4, 1 | 8, 1 | 16, 2 | 8 | 16, 8 | 16, 1 | 32, 4 | 16 | 32};
  for (size_t i = 0; i < COUNT_OF(variants); i++) {
    struct world w = {.graph = {.build = build_attention}, .prepare = make_sequences, .variant = variants[i]};
    w.graph.x = input_of("x", TOKENS, 32, 20);
    w.graph.y = input_of("k", TOKENS, variants[i] & 1 ? 16 : 32, 21);
    w.graph.z = input_of("v", TOKENS, variants[i] & 1 ? 16 : 32, 22);
    check_ops(&w, "attention");
  }
}

/* --- losses --------------------------------------------------------------------------------------- */

static const uint32_t ops_labels[TOKENS] = {2, 0, 1, 2, 7, 30, 69};
static const float ops_values[TOKENS] = {0.5f, -1, 2, 0};

static void make_targets(struct world *w) {
  w->targets = w->variant == 1 ? import(w, ops_values, sizeof ops_values) : import(w, ops_labels, sizeof ops_labels);
  if (w->variant < 2)
    return;
  uint32_t *rows = arena_array(&ops_arena, TOKENS, sizeof *rows);
  assert_non_null(rows);
  for (uint32_t i = 0; i < 40; i++)
    rows[i] = i + (i > 20);
  w->next = (struct next_tokens){import(w, rows, TOKENS * sizeof *rows), w->targets, 40};
  make_linear(w);
  w->linear.bias = place_host(NULL);
}

static void build_loss(struct tape *tape, const struct graph *g, double *loss) {
  struct world *w = (struct world *)(uintptr_t)g->extra;
  struct tensor *x = graph_input(tape, g->x);
  if (w->variant == 0)
    op_cross_entropy(tape, x, w->targets, 0.25f, loss);
  else if (w->variant == 1)
    op_squared_error(tape, x, w->targets, 0.25f, loss);
  else
    op_linear_cross_entropy(tape, x, &w->linear, &w->next, 0.25f, loss, &w->correct);
}

static void test_op_losses(void **state) {
  (void)state;
  const int64_t cols[] = {70, 1, 64}, rows[] = {7, 4, TOKENS};
  const int variants[] = {0, 1, QUANTISED};
  for (size_t i = 0; i < COUNT_OF(variants); i++) {
    struct world w = {.graph = {.build = build_loss}, .prepare = make_targets, .variant = variants[i]};
    w.graph.x = input_of("x", rows[i], cols[i], 20);
    check_ops(&w, "loss");
  }
}

static const struct CMUnitTest ops_cases[] = {
    cmocka_unit_test_setup(test_op_linear, fresh_arena),   cmocka_unit_test_setup(test_op_trained, fresh_arena),
    cmocka_unit_test_setup(test_op_elements, fresh_arena), cmocka_unit_test_setup(test_op_norms, fresh_arena),
    cmocka_unit_test_setup(test_op_attention, fresh_arena), cmocka_unit_test_setup(test_op_losses, fresh_arena),
};

/* The CPU's side, and the device's, which is closed here. */
static void open_sides(struct device *device) {
  struct error err;
  arena_init(&ops_arena, (size_t)1 << 28);
  assert_int_equal(cpu_open(&sides[ON_CPU], 1, NULL, &err), STATUS_OK);
  assert_int_equal(device_backend_open(&sides[ON_DEVICE], device, 1, &err), STATUS_OK);
}

static int close_sides(void **state) {
  (void)state;
  backend_close(&sides[ON_CPU]);
  backend_close(&sides[ON_DEVICE]);
  arena_done(&ops_arena);
  return 0;
}

#endif
