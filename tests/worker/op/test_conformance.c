/* Every op on every backend, forward and backward, against the generic kernels of the CPU: outputs, gradients of inputs
   and of what is trained, on odd shapes. A new op joins by a row of cases[], a new backend by a row of candidates[]. */
#include <stdio.h>

#include "tests/worker/backend/cuda/with_cuda.h"
#include "tests/worker/op/cases_attention.h"
#include "tests/worker/op/cases_experts.h"
#include "tests/worker/op/cases_image.h"
#include "tests/worker/op/cases_loss.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/backend/cpu/isa.h"
#include "worker/device.h"
#include "worker/op/attributes.h"

/* --- the ops -------------------------------------------------------------------------------------- */

static void make_linear(struct trial *t) {
  t->linear = (struct linear){.name = "l", .in = IN, .out = OUT, .bias = numbers(t, OUT, 5)};
  t->linear.weight = weight(t, GGML_F32, OUT, IN, 4);
}

static void make_quantised(struct trial *t) {
  make_linear(t);
  t->linear.weight = weight(t, GGML_Q8_0, OUT, IN, 4);
}

static void make_bf16(struct trial *t) {
  make_linear(t);
  t->linear.weight = weight(t, GGML_BF16, OUT, IN, 4);
}

static void make_low_rank(struct trial *t) {
  make_linear(t);
  t->low = (struct low_rank){.R = R,
                             .sign = -1,
                             .down = numbers(t, IN * R, 6),
                             .up_t = numbers(t, R * OUT, 7),
                             .up_back = numbers(t, OUT * R, 8),
                             .down_back_t = numbers(t, R * IN, 9),
                             .grad_down = zeros(t, IN * R),
                             .grad_up = zeros(t, OUT * R),
                             .grad_core = zeros(t, R * R)};
  t->linear.low_rank = &t->low;
}

static void make_low_rank_dropout(struct trial *t) {
  make_low_rank(t);
  t->low.dropout = 0.3;
}

static void see_low_rank(struct trial *t) {
  see(t, "grad_down", t->low.grad_down, IN * R);
  see(t, "grad_up", t->low.grad_up, OUT * R);
  see(t, "grad_core", t->low.grad_core, R * R);
}

static void make_trained(struct trial *t) {
  struct parameter *w = trained(t, "w", 2, OUT, IN, 10), *b = trained(t, "b", 1, OUT, 0, 11);
  t->linear = (struct linear){.name = "l", .in = IN, .out = OUT, .bias = b->at, .trained_weight = w, .trained_bias = b};
  t->linear.weight = weight_of(w->data, OUT, IN);
  t->linear.weight.place = w->at;
}

static struct tensor *linear(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_linear(tape, in[0], &t->linear);
}

static void make_rotation(struct trial *t) {
  make_linear(t);
  t->rotation = (struct rotation){.block = BLOCK,
                                  .blocks = IN / BLOCK,
                                  .r = numbers(t, IN * BLOCK, 12),
                                  .r_t = numbers(t, IN * BLOCK, 13),
                                  .grad_r = zeros(t, IN * BLOCK)};
  t->scale = (struct output_scale){.scale = numbers(t, OUT, 14), .grad_scale = zeros(t, OUT)};
  t->linear.rotation = &t->rotation;
  t->linear.scale = &t->scale;
  t->linear.trained_bias = trained(t, "b", 1, OUT, 0, 11);
  t->linear.bias = t->linear.trained_bias->at;
}

static void see_rotation(struct trial *t) {
  see(t, "grad_r", t->rotation.grad_r, IN * BLOCK);
  see(t, "grad_scale", t->scale.grad_scale, OUT);
}

static void make_embeddings(struct trial *t) {
  t->embedding = weight(t, GGML_F32, V, 21, 15);
  t->position_embedding = numbers(t, longest * 21, 16);
  t->token_type_embedding = numbers(t, 2 * 21, 17);
}

static void make_quantised_embeddings(struct trial *t) {
  t->embedding = weight(t, GGML_Q8_0, V, 64, 15);
}

static struct tensor *embeddings(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)in;
  return op_embeddings(tape, &t->sequences, &t->embedding, t->position_embedding, t->token_type_embedding);
}

static void make_token_rows(struct trial *t) {
  make_embeddings(t);
  add_token_rows(t, &t->embedding);
}

/* The frozen rows beside positions, as an input that has a gradient too. */
static struct tensor *token_rows(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  struct tensor *x = op_add(tape, embeddings(tape, t, in), in[0]);
  return op_token_rows(tape, x, &t->sequences, &t->token_rows);
}

/* Nothing is learnt through it: the losses know of trained rows themselves. */
static struct tensor *token_logits(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  bool training = tape->training;
  tape->training = false;
  struct tensor *y = op_linear(tape, in[0], &t->linear);
  tape->training = training;
  return op_add(tape, y, op_linear(tape, in[0], &t->bare));
}

static struct tensor *pooling(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_add(tape, op_pooling(tape, in[0], &t->sequences, POOLING_CLS),
                op_pooling(tape, in[0], &t->sequences, POOLING_LAST));
}

static struct tensor *mean_pooling(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_add(tape, op_pooling(tape, in[0], &t->sequences, POOLING_MEAN),
                op_pooling(tape, in[0], &t->sequences, POOLING_CLS));
}

static struct tensor *similarity(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  struct tensor *unit = op_unit_rows(tape, in[0]);
  return op_add(tape, op_similarity(tape, unit, 3, SIMILARITY_ALL, 20),
                op_similarity(tape, unit, 3, SIMILARITY_ALL, -3));
}

static struct tensor *own_similarity(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  struct tensor *own = op_similarity(tape, in[0], 6, SIMILARITY_OWN, 2);
  return op_add(tape, own, op_similarity(tape, op_unit_rows(tape, in[0]), 6, SIMILARITY_OWN, 1));
}

static void make_rows(struct trial *t) {
  t->sequences.row_count = COUNT_OF(target_rows);
  t->sequences.rows = import(t, target_rows, sizeof target_rows);
}

static struct tensor *picked_rows(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_pooling(tape, op_add(tape, in[0], in[0]), &t->sequences, POOLING_ROWS);
}

/* Kernels of two widths, and gradients that are added. */
static struct tensor *unfold(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  struct tensor *wide = op_unfold(tape, in[0], &t->sequences, 5);
  return op_add(tape, op_unfold(tape, in[0], &t->sequences, 3), op_columns(tape, wide, 21, 63));
}

static void make_norm(struct trial *t) {
  t->norm = (struct norm){.channels = 21, .weight = numbers(t, 21, 18), .bias = numbers(t, 21, 19), .epsilon = 1e-5f};
  t->dropout = dropout_make(0.2, 1, 2, 3);
}

static void make_trained_norm(struct trial *t) {
  make_norm(t);
  t->norm.trained_bias = trained(t, "b", 1, 21, 0, 20);
  t->norm.bias = t->norm.trained_bias->at;
}

static void make_plain_norm(struct trial *t) {
  make_norm(t);
  t->norm.bias = (struct place){0};
}

static struct tensor *layernorm(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_layernorm(tape, in[0], &t->norm);
}

static struct tensor *residual_layernorm(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  struct tensor *y = op_residual_layernorm(tape, in[0], in[1], &t->norm, &t->dropout);
  return op_residual_layernorm(tape, y, in[1], &t->norm, &(struct dropout){0});
}

static void make_rmsnorm(struct trial *t) {
  t->norm = (struct norm){.channels = 7, .weight = numbers(t, 7, 21), .epsilon = 1e-5f};
}

static struct tensor *rmsnorm(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_add(tape, op_rmsnorm(tape, in[0], &t->norm), in[0]);
}

static struct tensor *elementwise(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  t->dropout = dropout_make(0.25, 5, 6, 7);
  return op_add(tape, op_tanh(tape, op_dropout(tape, op_gelu(tape, in[0]), &t->dropout)), in[0]);
}

static struct tensor *activations(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  return op_add(tape, op_gelu_tanh(tape, in[0]), op_relu(tape, in[0]));
}

static struct tensor *swiglu(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  return op_add(tape, op_swiglu(tape, in[0], in[1]), op_add(tape, in[0], in[1]));
}

static struct tensor *geglu_tanh(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  return op_add(tape, op_geglu_tanh(tape, in[0], in[1]), op_multiply(tape, op_add(tape, in[0], in[1]), -1.75f));
}

/* Columns that overlap, and gradients that are added. */
static struct tensor *geglu(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  struct tensor *one = op_geglu(tape, op_columns(tape, in[0], 3, 34)), *even = op_columns(tape, in[0], 1, 34);
  return op_add(tape, op_add(tape, one, op_geglu(tape, even)), op_columns(tape, even, 17, 17));
}

static struct tensor *swish(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  return op_add(tape, op_add(tape, op_silu(tape, in[0]), op_quick_gelu(tape, in[0])), in[0]);
}

/* The gate behind, and gradients that are added. */
static struct tensor *geglu_gate_last(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  return op_add(tape, op_geglu_gate_last(tape, in[0]), op_columns(tape, in[0], 2, 17));
}

static void make_rope(struct trial *t) {
  t->rotary = (struct rotary){
      .head_size = 6, .turned = 6, .cos = numbers(t, longest * 3, 22), .sin = numbers(t, longest * 3, 23)};
}

/* A part of each head; two of the four sequences are long. */
static void make_partial_rope(struct trial *t) {
  t->rotary = (struct rotary){.head_size = 6,
                              .turned = 4,
                              .cos = numbers(t, (longest + 6) * 2, 22),
                              .sin = numbers(t, (longest + 6) * 2, 23),
                              .short_most = 6,
                              .long_row = 6};
}

static struct tensor *rope(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_add(tape, op_rope(tape, in[0], &t->sequences, &t->rotary), in[0]);
}

struct shape {
  size_t rows, cols;
};

static const struct test_case {
  const char *name;
  struct shape in[3];
  void (*make)(struct trial *t);
  /* The output, or NULL after a loss. */
  struct tensor *(*run)(struct tape *tape, struct trial *t, struct tensor *const in[3]);
  void (*see)(struct trial *t); /* gradients beside those of inputs and parameters */
  enum op_kind kinds[4];        /* that it covers; the rest is 0 */
} cases[] = {
    {"linear", {{N, IN}}, make_linear, linear, NULL, {OP_LINEAR}},
    {"linear, one row", {{1, IN}}, make_linear, linear, NULL, {OP_LINEAR}},
    {"linear, Q8_0", {{N, IN}}, make_quantised, linear, NULL, {OP_LINEAR}},
    {"linear, bf16", {{N, IN}}, make_bf16, linear, NULL, {OP_LINEAR}},
    {"linear, low rank", {{N, IN}}, make_low_rank, linear, see_low_rank, {OP_LINEAR}},
    {"linear, low rank, dropout", {{N, IN}}, make_low_rank_dropout, linear, see_low_rank, {OP_LINEAR}},
    {"linear, trained", {{N, IN}}, make_trained, linear, NULL, {OP_LINEAR}},
    {"rotate, scale", {{N, IN}}, make_rotation, linear, see_rotation, {OP_ROTATE, OP_SCALE}},
    {"embeddings", {{0, 0}}, make_embeddings, embeddings, NULL, {OP_EMBEDDINGS}},
    {"embeddings, Q8_0", {{0, 0}}, make_quantised_embeddings, embeddings, NULL, {OP_EMBEDDINGS}},
    {"token rows", {{N, 21}}, make_token_rows, token_rows, NULL, {OP_TOKEN_ROWS}},
    {"token logits", {{N, IN}}, make_tied_head, token_logits, NULL, {OP_TOKEN_LOGITS}},
    {"pooling", {{N, 21}}, NULL, pooling, NULL, {OP_POOLING}},
    {"mean pooling", {{N, 21}}, NULL, mean_pooling, NULL, {OP_POOLING}},
    {"unit rows, similarity", {{10, 37}}, NULL, similarity, NULL, {OP_UNIT_ROWS, OP_SIMILARITY}},
    {"similarity of pairs", {{12, 37}}, NULL, own_similarity, NULL, {OP_UNIT_ROWS, OP_SIMILARITY}},
    {"pooling, some rows", {{N, 21}}, make_rows, picked_rows, NULL, {OP_POOLING}},
    {"unfold", {{N, 21}}, NULL, unfold, NULL, {OP_UNFOLD}},
    {"layernorm", {{N, 21}}, make_norm, layernorm, NULL, {OP_LAYERNORM}},
    {"layernorm without bias", {{N, 21}}, make_plain_norm, layernorm, NULL, {OP_LAYERNORM}},
    {"layernorm, trained bias", {{N, 21}}, make_trained_norm, layernorm, NULL, {OP_LAYERNORM}},
    {"layernorm of a sum, dropout", {{N, 21}, {N, 21}}, make_norm, residual_layernorm, NULL, {OP_LAYERNORM}},
    {"rmsnorm of heads", {{N, 21}}, make_rmsnorm, rmsnorm, NULL, {OP_RMSNORM}},
    {"gelu, dropout, tanh", {{N, 37}}, NULL, elementwise, NULL, {OP_GELU, OP_DROPOUT, OP_TANH}},
    {"gelu_tanh, relu", {{N, 37}}, NULL, activations, NULL, {OP_GELU_TANH, OP_RELU}},
    {"swiglu, add", {{N, 37}, {N, 37}}, NULL, swiglu, NULL, {OP_SWIGLU, OP_ADD}},
    {"geglu_tanh, multiply", {{N, 37}, {N, 37}}, NULL, geglu_tanh, NULL, {OP_GEGLU_TANH, OP_MULTIPLY}},
    {"geglu, columns", {{N, 37}}, NULL, geglu, NULL, {OP_GEGLU, OP_COLUMNS}},
    {"geglu, gate last", {{N, 34}}, NULL, geglu_gate_last, NULL, {OP_GEGLU, OP_COLUMNS}},
    {"silu, quick_gelu", {{N, 37}}, NULL, swish, NULL, {OP_SWISH}},
    {"conv2d", {{IMAGE_ROWS, 7}}, make_conv2d, conv2d, NULL, {OP_CONV2D}},
    {"conv2d, strides", {{IMAGE_ROWS, 7}}, make_strided_conv2d, conv2d, NULL, {OP_CONV2D}},
    {"conv2d, low rank, dropout", {{IMAGE_ROWS, 7}}, make_low_rank_conv2d, conv2d, see_low_rank_conv2d, {OP_CONV2D}},
    {"group_norm", {{IMAGE_ROWS, 18}}, make_group_norm, group_norm, NULL, {OP_GROUP_NORM}},
    {"upsample, concat, add_rows",
     {{IMAGE_ROWS, 18}, {IMAGE_ROWS, 7}, {2, 18}},
     NULL,
     image_moves,
     NULL,
     {OP_UPSAMPLE, OP_CONCAT, OP_ADD_ROWS}},
    {"cross attention",
     {{5, HEADS *D}, {N, KV *D}, {N, KV *D}},
     make_cross_attention,
     cross_attention,
     NULL,
     {OP_CROSS_ATTENTION}},
    {"experts", {{N, IN}, {N, EXPERTS}}, make_experts, experts, NULL, {OP_EXPERTS}},
    {"experts, Q8_0", {{N, IN}, {N, EXPERTS}}, make_quantised_experts, experts, NULL, {OP_EXPERTS}},
    {"rope", {{N, 18}}, make_rope, rope, NULL, {OP_ROPE}},
    {"rope of a part, by length", {{N, 18}}, make_partial_rope, rope, NULL, {OP_ROPE}},
    {"attention", {{N, HEADS *D}, {N, KV *D}, {N, KV *D}}, make_attention, attention, NULL, {OP_ATTENTION}},
    {"attention, causal window, dropout",
     {{N, HEADS *D}, {N, KV *D}, {N, KV *D}},
     make_causal,
     attention,
     NULL,
     {OP_ATTENTION}},
    {"attention, causal window, dropout, softcap",
     {{N, HEADS *D}, {N, KV *D}, {N, KV *D}},
     make_softcap,
     attention,
     NULL,
     {OP_ATTENTION}},
    {"attention, window, dropout",
     {{N, HEADS *D}, {N, KV *D}, {N, KV *D}},
     make_window,
     attention,
     NULL,
     {OP_ATTENTION}},
    {"attention, distances",
     {{N, HEADS *D}, {9, HEADS *D}, {9, HEADS *D}},
     make_distances,
     distances,
     NULL,
     {OP_ATTENTION, OP_POOLING}},
    {"attention, distances and bias",
     {{N, HEADS *D}, {9, HEADS *D}, {9, HEADS *D}},
     make_bias,
     distances,
     NULL,
     {OP_ATTENTION}},
    {"attention, distances, first queries",
     {{N, HEADS *D}, {9, HEADS *D}, {9, HEADS *D}},
     make_first_query,
     distances,
     NULL,
     {OP_ATTENTION}},
    {"attention, keys by distance", {{N, HEADS *D}, {9, HEADS *D}}, make_bias, keys_only, NULL, {OP_ATTENTION}},
    {"attention, queries by distance",
     {{N, HEADS *D}, {9, HEADS *D}},
     make_distances,
     queries_only,
     NULL,
     {OP_ATTENTION}},
    {"attention, last queries",
     {{B, HEADS *D}, {N, KV *D}, {N, KV *D}},
     make_last_query,
     attention,
     NULL,
     {OP_ATTENTION}},
    {"cross entropy", {{B, 7}}, make_targets, cross_entropy, NULL, {OP_CROSS_ENTROPY}},
    {"squared error", {{B, 1}}, make_values, squared_error, NULL, {OP_SQUARED_ERROR}},
    {"binary cross entropy", {{B, 7}}, make_answers, binary_cross_entropy, NULL, {OP_BINARY_CROSS_ENTROPY}},
    {"linear + cross entropy", {{N, IN}}, make_head, linear_cross_entropy, NULL, {OP_LINEAR_CROSS_ENTROPY}},
    {"linear + cross entropy, softcap",
     {{N, IN}},
     make_capped_head,
     linear_cross_entropy,
     NULL,
     {OP_LINEAR_CROSS_ENTROPY}},
    {"linear + cross entropy, trained rows",
     {{N, IN}},
     make_tied_head,
     linear_cross_entropy,
     NULL,
     {OP_LINEAR_CROSS_ENTROPY}},
    {"linear + preference, trained rows",
     {{N, IN}},
     make_tied_pairs,
     linear_preference,
     see_scores,
     {OP_LINEAR_PREFERENCE}},
    {"linear + preference", {{N, IN}}, make_pairs, linear_preference, see_scores, {OP_LINEAR_PREFERENCE}},
};

/* --- running one ---------------------------------------------------------------------------------- */

struct step {
  const struct test_case *test;
  struct trial *trial;
  struct tensor *output;
};

static void build(struct tape *tape, struct step *s, double *loss) {
  struct tensor *in[3] = {0};
  for (size_t i = 0; i < 3 && s->trial->in[i]; i++)
    in[i] = graph_input(tape, s->trial->in[i]);
  s->output = s->test->run(tape, s->trial, in);
  if (s->output && s->output->needs_grad)
    graph_loss(tape, s->output, loss);
}

static void run_step(struct trial *t, const struct test_case *test) {
  struct step step = {test, t, NULL};
  struct tape tape;
  struct plan *plan;
  struct error err;
  double loss = 0;
  assert_int_equal(tape_init(&tape, t->backend, &err), STATUS_OK);
  tape_plan_begin(&tape, true);
  build(&tape, &step, &loss);
  tape_backward(&tape);
  assert_int_equal(tape_plan_end(&tape, &plan, &err), STATUS_OK);
  tape_begin(&tape, plan, true);
  build(&tape, &step, &loss);
  if (step.output)
    see(t, "output", step.output->data, step.output->rows * step.output->cols);
  tape_backward(&tape);
  if (t->backend->ops->synchronise(t->backend, &err))
    fail_msg("%s: %s", test->name, err.text);
  /* A loss of its own stands in the attributes of the last node. */
  const struct node *last = tape.nodes[tape.node_count - 1];
  if (!step.output && last->op->kind == OP_LINEAR_CROSS_ENTROPY)
    see_host(t, "loss", (float[]){(float)*((const struct linear_cross_entropy_attributes *)last->attributes)->loss}, 1);
  else if (!step.output && last->op->kind == OP_LINEAR_PREFERENCE)
    see_host(t, "loss", (float[]){(float)*((const struct linear_preference_attributes *)last->attributes)->loss}, 1);
  else if (!step.output)
    see_host(t, "loss", (float[]){(float)*((const struct loss_attributes *)last->attributes)->loss}, 1);
  tape_plan_free(plan);
  tape_done(&tape);
}

static void start_case(struct trial *t, const struct test_case *test, struct backend *backend) {
  *t = (struct trial){.backend = backend, .buffers = {.backend = backend}};
  arena_init(&t->arena, (size_t)1 << 26);
  t->list = (struct parameter_list){.arena = &t->arena, .buffers = &t->buffers};
  t->inputs = (struct parameter_list){.arena = &t->arena};
  t->seen = arena_array(&t->arena, SEEN_MAX, sizeof *t->seen);
  assert_non_null(t->seen);
  t->sequences = (struct sequences){.count = B,
                                    .tokens = N,
                                    .longest = longest,
                                    .cu_seqlens = import(t, cu_seqlens, sizeof cu_seqlens),
                                    .token_ids = import(t, token_ids, sizeof token_ids),
                                    .token_type_ids = import(t, token_type_ids, sizeof token_type_ids)};
  for (size_t i = 0; i < 3 && test->in[i].rows; i++) {
    t->in[i] = parameter_add(&t->inputs, "in", 2, (int64_t)test->in[i].rows, (int64_t)test->in[i].cols);
    assert_non_null(t->in[i]);
    fill(t->in[i]->data, t->in[i]->count, 1 + i);
  }
  if (test->make)
    test->make(t);
}

static void run_case(struct trial *t, const struct test_case *test) {
  run_step(t, test);
  static const char *const names[] = {"gradient of input 1", "gradient of input 2", "gradient of input 3"};
  for (size_t i = 0; i < 3 && t->in[i]; i++)
    see_host(t, names[i], t->in[i]->grad, t->in[i]->count);
  for (size_t i = 0; i < t->list.count; i++)
    see(t, "gradient of a parameter", t->list.item[i]->grad_at, t->list.item[i]->count);
  if (test->see)
    test->see(t);
}

static void try_case(struct trial *t, const struct test_case *test, struct backend *backend) {
  start_case(t, test, backend);
  run_case(t, test);
}

static void end_case(struct trial *t) {
  buffers_release(&t->buffers);
  arena_done(&t->arena);
}

/* --- the backends --------------------------------------------------------------------------------- */

struct candidate {
  char name[80];
  const char *isa, *device; /* one of them */
  enum matmul_library matmul;
  enum precision precision;
};

static struct candidate candidates[16];
static size_t candidate_count;

static void add_candidate(const char *isa, enum matmul_library matmul, enum precision precision, const char *name) {
  assert_true(candidate_count < COUNT_OF(candidates));
  struct candidate *c = &candidates[candidate_count++];
  *c = (struct candidate){.isa = isa, .device = isa ? NULL : name, .matmul = matmul, .precision = precision};
  snprintf(c->name, sizeof c->name, "%s%s", name, precision == PRECISION_BF16 ? " in bf16" : "");
}

static void open_candidate(struct backend *out, const struct candidate *c) {
  struct error err;
  if (c->isa ? cpu_open(out, 2, c->isa, &err) : device_open(out, c->device, 2, &err))
    fail_msg("%s: %s", c->name, err.text);
  backend_set_precision(out, c->precision);
  backend_set_matmul(out, c->matmul);
}

/* Relative to the largest number of the part. */
static void compare(const struct test_case *test, const struct candidate *c, const struct trial *got,
                    const struct trial *want) {
  size_t from = 0;
  assert_int_equal(got->count, want->count);
  for (size_t p = 0; p < want->parts; from = want->ends[p++]) {
    double top = 1e-3;
    for (size_t i = from; i < want->ends[p]; i++)
      top = fmax(top, fabs((double)want->seen[i]));
    for (size_t i = from; i < want->ends[p]; i++)
      if (!(fabs((double)got->seen[i] - (double)want->seen[i]) <= 4e-6 * top))
        fail_msg("%s on %s: %s, number %zu is %.9g, not %.9g", test->name, c->name, want->names[p], i - from,
                 (double)got->seen[i], (double)want->seen[i]);
  }
}

/* Does the backend lack an op of the case? Then its plan must fail and name one. */
static bool lacks(const struct test_case *test, const struct backend *backend) {
  for (size_t k = 0; k < COUNT_OF(test->kinds); k++)
    if (!backend->ops->bodies[test->kinds[k]])
      return true;
  return false;
}

static void refuses(struct trial *t, const struct test_case *test) {
  struct step step = {test, t, NULL};
  struct tape tape;
  struct plan *plan;
  struct error err;
  double loss = 0;
  assert_int_equal(tape_init(&tape, t->backend, &err), STATUS_OK);
  tape_plan_begin(&tape, true);
  build(&tape, &step, &loss);
  tape_backward(&tape);
  assert_int_equal(tape_plan_end(&tape, &plan, &err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "does not have the op "));
  tape_done(&tape);
}

static void conforms(void **state) {
  const struct candidate *c = *state;
  struct candidate generic = {.name = "generic", .isa = "generic", .matmul = MATMUL_NATIVE, .precision = c->precision};
  struct backend reference, backend;
  static struct trial want, got;
  open_candidate(&reference, &generic);
  open_candidate(&backend, c);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    bool refused = lacks(&cases[i], &backend);
    try_case(&want, &cases[i], &reference);
    start_case(&got, &cases[i], &backend);
    if (refused)
      refuses(&got, &cases[i]);
    else {
      run_case(&got, &cases[i]);
      compare(&cases[i], c, &got, &want);
    }
    end_case(&got);
    end_case(&want);
  }
  backend_close(&backend);
  backend_close(&reference);
}

static void each_op_has_a_case(void **state) {
  (void)state;
  bool covered[OP_KINDS] = {0};
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    for (size_t k = 0; k < 4; k++)
      covered[cases[i].kinds[k]] = true;
  for (size_t k = 0; k < OP_KINDS; k++)
    if (!covered[k])
      fail_msg("op %zu has no case", k);
}

int main(void) {
  struct CMUnitTest tests[COUNT_OF(candidates) + 1] = {cmocka_unit_test(each_op_has_a_case)};
  for (size_t i = 0; i < N; i++) {
    token_ids[i] = (int32_t)(i * 7 % V);
    token_type_ids[i] = i % 3 == 0;
    targets[i] = (uint32_t)(i * 5 % 7);
  }
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa))
    add_candidate(isa->name, MATMUL_NATIVE, PRECISION_FP32, isa->name);
  add_candidate("generic", MATMUL_OPENBLAS, PRECISION_FP32, "generic with OpenBLAS");
  add_candidate("generic", MATMUL_OPENBLAS, PRECISION_BF16, "generic with OpenBLAS");
  use_cuda();
  static struct device_info devices[8];
  size_t count = device_list(devices, COUNT_OF(devices));
  for (size_t i = 1; i < count; i++) /* the first is the CPU */
    for (int precision = 0; precision < PRECISION_COUNT; precision++)
      add_candidate(NULL, MATMUL_AUTO, (enum precision)precision, devices[i].name);
  for (size_t i = 0; i < candidate_count; i++)
    tests[1 + i] =
        (struct CMUnitTest){.name = candidates[i].name, .test_func = conforms, .initial_state = &candidates[i]};
  return _cmocka_run_group_tests("conformance", tests, 1 + candidate_count, NULL, NULL);
}
