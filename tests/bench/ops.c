/* bench ops [--threads N] [--isa NAME] [--matmul NAME] [--precision fp32|bf16] [--runs R] [--only TEXT]
   Each op of a step alone, forward and backward apart, at the shapes of MiniLM 32 x 128, SmolLM2 4 x 512 (HRA r=8,
   weights in floats) and a level of Stable Diffusion 1.5's UNet; the best of R runs. One JSON line each: milliseconds,
   and GFLOP/s or GB/s of what the op cannot do without: its multiply-adds times two, or its inputs and outputs moved
   once. "share" is that over what this machine reaches (host.h, the first line): of the best product, or of a copy. A
   share above 1 worked in a cache.
   --only: ops whose name contains TEXT. */
#include "tests/bench/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "tests/bench/host.h"
#include "tests/bench/one_op.h"
#include "tests/bench/random.h"
#include "worker/adapter/adapter.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/optim/adamw.h"

enum { RANK = 8, OFT_BLOCK = 32 };
static const double DROPOUT = 0.1;

/* What one direction of an op must do at least; one of the two is 0. */
struct work {
  double flops, bytes;
};

struct model_shape {
  const char *name;
  size_t batch, length, hidden, wide, heads, kv_heads, vocabulary, layers;
};

static const struct model_shape minilm = {"MiniLM 32 x 128", 32, 128, 384, 1536, 12, 12, 30522, 6};
static const struct model_shape smollm2 = {"SmolLM2 4 x 512", 4, 512, 576, 1536, 9, 3, 49152, 30};
/* The second level of Stable Diffusion 1.5's UNet: 32 x 32 pixels. The vocabulary is room for a kernel's weights. */
static const struct model_shape unet = {"UNet 64 x 64", 1, 32 * 32, 640, 2560, 8, 8, 9 * 640, 16};

struct bench {
  struct backend backend;
  struct host host;
  int runs;
  const char *only;
  /* of the model whose ops run */
  const struct model_shape *shape;
  struct arena arena;
  struct parameter_list parameters;
  struct sequences sequences;
  const float *numbers; /* weights of every op: as many as the vocabulary's table has */
};

static double tokens(const struct bench *b) {
  return (double)b->sequences.tokens;
}

static void fail(const char *what, const struct error *err) {
  fprintf(stderr, "%s: %s\n", what, err->text);
  exit(1);
}

static void print(const struct bench *b, const char *op, const char *direction, double seconds, struct work work) {
  bool counts_flops = work.flops > 0;
  double rate = (counts_flops ? work.flops : work.bytes) * 1e-9 / seconds;
  printf("{\"op\": \"%s\", \"shape\": \"%s\", \"direction\": \"%s\", \"ms\": %.3f, \"%s\": %.1f, \"share\": %.3f}\n",
         op, b->shape->name, direction, seconds * 1e3, counts_flops ? "gflops" : "gbs", rate,
         rate / (counts_flops ? b->host.gflops : b->host.copy_gbs));
  fflush(stdout);
}

static bool wanted(const struct bench *b, const char *name) {
  return !b->only || strstr(name, b->only);
}

static void measure(struct bench *b, const char *name, struct one_op op, struct work forward, struct work backward) {
  struct one_op_times times;
  struct error err;
  if (!wanted(b, name))
    return;
  op.sequences = &b->sequences;
  if (one_op_measure(&times, &op, &b->backend, b->runs, &err))
    fail(name, &err);
  print(b, name, "forward", times.forward, forward);
  if (times.backward > 0)
    print(b, name, "backward", times.backward, backward);
}

/* Floats read or written, each once, by a row of `cols` channels of every token. */
static struct work moved(const struct bench *b, double times, size_t cols) {
  return (struct work){.bytes = 4 * times * tokens(b) * (double)cols};
}

/* --- linear layers and adapters ----------------------------------------------------------------------------------- */

static struct tensor *run_linear(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  return op_linear(tape, in[0], op->extra);
}

static struct tensor *run_rotate(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  return op_rotate(tape, in[0], op->extra);
}

static struct adapter *adapt(struct bench *b, const struct linear *linear, const struct adapter_spec *spec) {
  struct adapter *adapter;
  struct error err;
  if (adapter_new(&adapter, spec, linear, &b->parameters, 1, &err) ||
      adapter_forward_factors(&adapter, 1, &b->backend, &err))
    fail(linear->name, &err);
  return adapter;
}

/* The layer alone, and with a low-rank adapter: two thin products forward, five backward. */
static void linear(struct bench *b, const char *layer, size_t in, size_t out) {
  static const struct adapter_spec spec = {.peft_type = PEFT_HRA, .hra = {.r = RANK, .init_weights = true}};
  struct linear l = {.name = layer, .in = in, .out = out, .weight = weight_of(b->numbers, out, in)};
  struct one_op op = {.run = run_linear, .cols = {in}, .extra = &l};
  double wide = 2 * tokens(b) * (double)(in * out), thin = 2 * tokens(b) * RANK * (double)(in + out);
  char name[80];
  snprintf(name, sizeof name, "linear %s %zu to %zu", layer, in, out);
  measure(b, name, op, (struct work){.flops = wide}, (struct work){.flops = wide});
  adapter_put(&l, adapt(b, &l, &spec));
  snprintf(name, sizeof name, "linear+hra %s %zu to %zu", layer, in, out);
  measure(b, name, op, (struct work){.flops = wide + thin},
          (struct work){.flops = wide + 2 * thin + 2 * tokens(b) * RANK * RANK});
}

/* Backward: to the input, and the rotations' own gradient. */
static void rotate(struct bench *b, size_t in) {
  static const struct adapter_spec spec = {.peft_type = PEFT_OFT,
                                           .oft = {.oft_block_size = OFT_BLOCK,
                                                   .init_weights = true,
                                                   .use_cayley_neumann = true,
                                                   .num_cayley_neumann_terms = 5}};
  struct linear l = {.name = "rotated", .in = in, .out = in, .weight = weight_of(b->numbers, in, in)};
  const struct adapter *adapter = adapt(b, &l, &spec);
  double flops = 2 * tokens(b) * (double)in * OFT_BLOCK;
  measure(b, "rotate (OFT, blocks of 32)",
          (struct one_op){.run = run_rotate, .cols = {in}, .extra = &adapter->rotation}, (struct work){.flops = flops},
          (struct work){.flops = 2 * flops});
}

/* --- attention and positions -------------------------------------------------------------------------------------- */

static struct tensor *run_attention(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  return op_attention(tape, in[0], in[1], in[2], op->sequences, op->extra);
}

/* Two products of queries and keys forward, five backward (the scores are made again); causal: half of each. */
static void attention(struct bench *b, const char *name, bool causal, double dropout) {
  const struct model_shape *s = b->shape;
  size_t D = s->hidden / s->heads, kv = s->kv_heads * D;
  struct attention a = {.heads = s->heads, .kv_heads = s->kv_heads, .scale = 1 / sqrtf((float)D), .causal = causal};
  if (dropout > 0)
    a.dropout = dropout_make(dropout, 1, 0, 0);
  double keys = causal ? (double)(s->length + 1) / 2 : (double)s->length;
  double product = 2 * tokens(b) * keys * (double)s->hidden;
  measure(b, name, (struct one_op){.run = run_attention, .cols = {s->hidden, kv, kv}, .extra = &a},
          (struct work){.flops = 2 * product}, (struct work){.flops = 5 * product});
}

static struct tensor *run_rope(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  return op_rope(tape, in[0], op->sequences, op->extra);
}

static void rope(struct bench *b) {
  const struct model_shape *s = b->shape;
  struct rotary rotary = {.head_size = s->hidden / s->heads,
                          .turned = s->hidden / s->heads,
                          .cos = place_host(b->numbers),
                          .sin = place_host(b->numbers)};
  measure(b, "rope q", (struct one_op){.run = run_rope, .cols = {s->hidden}, .extra = &rotary}, moved(b, 2, s->hidden),
          moved(b, 2, s->hidden));
}

/* --- ops that move memory ----------------------------------------------------------------------------------------- */

static struct tensor *run_layernorm(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  return op_layernorm(tape, in[0], op->extra);
}

static struct tensor *run_residual_layernorm(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  return op_residual_layernorm(tape, in[0], in[1], op->extra, op->more);
}

static struct tensor *run_rmsnorm(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  return op_rmsnorm(tape, in[0], op->extra);
}

static struct tensor *run_dropout(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  return op_dropout(tape, in[0], op->extra);
}

static struct tensor *run_gelu(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  (void)op;
  return op_gelu(tape, in[0]);
}

static struct tensor *run_swiglu(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  (void)op;
  return op_swiglu(tape, in[0], in[1]);
}

static struct tensor *run_add(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  (void)op;
  return op_add(tape, in[0], in[1]);
}

static struct tensor *run_embeddings(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  (void)in;
  return op_embeddings(tape, op->sequences, op->extra, place_host(op->more), place_host(op->more));
}

static void embeddings(struct bench *b, const float *positions) {
  const struct weight words = weight_of(b->numbers, b->shape->vocabulary, b->shape->hidden);
  measure(b, "embeddings", (struct one_op){.run = run_embeddings, .extra = &words, .more = positions},
          moved(b, 2, b->shape->hidden), (struct work){0});
}

/* --- the ends of a step ------------------------------------------------------------------------------------------- */

struct head {
  struct linear linear;
  struct next_tokens next;
  double *loss;
};

static struct tensor *run_linear_cross_entropy(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  const struct head *h = op->extra;
  op_linear_cross_entropy(tape, in[0], &h->linear, &h->next, 1e-3f, h->loss, NULL);
  return NULL;
}

/* Forward makes the gradient too; backward only puts it where it belongs. Every token but the last of a sequence. */
static void linear_cross_entropy(struct bench *b) {
  const struct model_shape *s = b->shape;
  double loss;
  struct head h = {.linear = {.name = "head", .in = s->hidden, .out = s->vocabulary}, .loss = &loss};
  h.linear.weight = weight_of(b->numbers, s->vocabulary, s->hidden);
  uint32_t *rows = arena_array(&b->arena, 2 * b->sequences.tokens, sizeof *rows), *targets = rows + b->sequences.tokens;
  const int32_t *ids = place_address(b->sequences.token_ids);
  CHECK(rows);
  for (uint32_t i = 0; i < b->sequences.tokens; i++)
    if ((i + 1) % s->length != 0) {
      targets[h.next.count] = (uint32_t)ids[i + 1];
      rows[h.next.count++] = i;
    }
  h.next.rows = place_host(rows);
  h.next.targets = place_host(targets);
  double flops = 4 * (double)h.next.count * (double)s->hidden * (double)s->vocabulary;
  measure(b, "linear_cross_entropy", (struct one_op){.run = run_linear_cross_entropy, .cols = {s->hidden}, .extra = &h},
          (struct work){.flops = flops}, moved(b, 2, s->hidden));
}

/* Reads parameters, gradients and both moments; writes all but the gradients. */
static void adamw(struct bench *b, size_t narrow, size_t wide) {
  struct parameter_list list = {.arena = &b->arena};
  struct adamw adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01, .max_grad_norm = 1};
  struct error err;
  double norm, best = 1e9;
  if (!wanted(b, "adamw"))
    return;
  for (size_t i = 0; i < b->shape->layers * (narrow + wide); i++) {
    size_t in = i % (narrow + wide) < narrow ? b->shape->hidden : b->shape->wide;
    struct parameter *p = parameter_add(&list, "hra_u", 2, (int64_t)in, RANK);
    CHECK(p);
    memcpy(p->data, b->numbers, p->count * sizeof *p->data);
    memcpy(p->grad, b->numbers, p->count * sizeof *p->grad);
  }
  if (adamw_init(&adamw, &list, &b->backend, &err))
    fail("adamw", &err);
  for (int run = 0; run <= b->runs; run++) {
    double start = clock_seconds();
    if (adamw_update(&adamw, 1e-3, &norm, &err))
      fail("adamw", &err);
    double took = clock_seconds() - start;
    best = run && took < best ? took : best;
  }
  adamw_done(&adamw);
  print(b, "adamw", "update", best, (struct work){.bytes = 7 * 4 * (double)parameter_elements(&list)});
}

/* --- the two models ----------------------------------------------------------------------------------------------- */

static void minilm_ops(struct bench *b) {
  size_t C = b->shape->hidden, wide = b->shape->wide;
  const struct norm norm = {
      .channels = C, .weight = place_host(b->numbers), .bias = place_host(b->numbers), .epsilon = 1e-12f};
  const struct dropout dropout = dropout_make(DROPOUT, 1, 0, 0);
  embeddings(b, b->numbers);
  linear(b, "query", C, C);
  linear(b, "intermediate", C, wide);
  linear(b, "output", wide, C);
  rotate(b, C);
  attention(b, "attention", false, 0);
  attention(b, "attention with dropout", false, DROPOUT);
  measure(b, "layernorm", (struct one_op){.run = run_layernorm, .cols = {C}, .extra = &norm}, moved(b, 2, C),
          moved(b, 3, C));
  measure(b, "residual_layernorm with dropout",
          (struct one_op){.run = run_residual_layernorm, .cols = {C, C}, .extra = &norm, .more = &dropout},
          moved(b, 3, C), moved(b, 4, C));
  measure(b, "gelu", (struct one_op){.run = run_gelu, .cols = {wide}}, moved(b, 2, wide), moved(b, 3, wide));
  measure(b, "dropout", (struct one_op){.run = run_dropout, .cols = {C}, .extra = &dropout}, moved(b, 2, C),
          moved(b, 2, C));
  adamw(b, 5, 1);
}

static void smollm2_ops(struct bench *b) {
  size_t C = b->shape->hidden, wide = b->shape->wide, kv = C / b->shape->heads * b->shape->kv_heads;
  const struct norm norm = {.channels = C, .weight = place_host(b->numbers), .epsilon = 1e-5f};
  embeddings(b, NULL);
  linear(b, "q", C, C);
  linear(b, "k", C, kv);
  linear(b, "up", C, wide);
  linear(b, "down", wide, C);
  rotate(b, C);
  rope(b);
  attention(b, "attention, causal, grouped", true, 0);
  measure(b, "rmsnorm", (struct one_op){.run = run_rmsnorm, .cols = {C}, .extra = &norm}, moved(b, 2, C),
          moved(b, 3, C));
  measure(b, "swiglu", (struct one_op){.run = run_swiglu, .cols = {wide, wide}}, moved(b, 3, wide), moved(b, 5, wide));
  measure(b, "add", (struct one_op){.run = run_add, .cols = {C, C}}, moved(b, 3, C), moved(b, 3, C));
  linear_cross_entropy(b);
  adamw(b, 6, 1);
}

/* --- images ------------------------------------------------------------------------------------------------------- */

static struct tensor *run_conv2d(struct tape *tape, struct tensor *const in[], const struct one_op *op) {
  struct images images = *(const struct images *)op->more;
  return op_conv2d(tape, in[0], &images, op->extra);
}

/* 3 x 3, as many channels out as in; backward is the gradient of the input. */
static void conv2d(struct bench *b, const char *name, size_t side, size_t stride) {
  size_t C = b->shape->hidden, in = 9 * C;
  const struct convolution c = {C, {3, 3}, {stride, stride}, {1, 1}, {1, 1}};
  const struct linear l = {.name = name, .in = in, .out = C, .convolution = &c, .weight = weight_of(b->numbers, C, in)};
  const struct images images = {1, side, side};
  const struct work work = {.flops = 2 * tokens(b) / (double)(stride * stride) * (double)in * (double)C};
  measure(b, name, (struct one_op){.run = run_conv2d, .cols = {C}, .extra = &l, .more = &images}, work, work);
}

static void unet_ops(struct bench *b) {
  conv2d(b, "conv2d 3 x 3", 32, 1);
  conv2d(b, "conv2d 3 x 3, stride 2", 32, 2);
}

static void measure_model(struct bench *b, const struct model_shape *s, void (*ops)(struct bench *b)) {
  struct rng rng;
  arena_init(&b->arena, (size_t)1 << 30);
  b->shape = s;
  b->parameters = (struct parameter_list){.arena = &b->arena};
  float *numbers = random_floats(s->vocabulary * s->hidden);
  uint32_t *offsets = arena_array(&b->arena, s->batch + 1, sizeof *offsets);
  int32_t *ids = arena_array(&b->arena, s->batch * s->length, sizeof *ids);
  CHECK(numbers && offsets && ids);
  rng_init(&rng, 1, RNG_SHUFFLE);
  for (size_t i = 0; i <= s->batch; i++)
    offsets[i] = (uint32_t)(i * s->length);
  for (size_t i = 0; i < s->batch * s->length; i++)
    ids[i] = (int32_t)rng_below(&rng, s->vocabulary);
  b->numbers = numbers;
  b->sequences = sequences_host(s->batch, s->batch * s->length, s->length, offsets, ids, NULL);
  ops(b);
  arena_done(&b->arena);
  free(numbers);
}

int bench_ops(int argc, char **argv) {
  struct bench b = {.runs = 10};
  int threads = 0;
  const char *isa = NULL, *precision = "fp32";
  enum matmul_library matmul = MATMUL_AUTO;
  struct error err;
  for (int i = 0; i + 1 < argc; i += 2)
    if (strcmp(argv[i], "--threads") == 0)
      threads = (int)strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--runs") == 0)
      b.runs = (int)strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--isa") == 0)
      isa = argv[i + 1];
    else if (strcmp(argv[i], "--matmul") == 0)
      matmul = job_matmul_parse(argv[i + 1]);
    else if (strcmp(argv[i], "--precision") == 0)
      precision = argv[i + 1];
    else if (strcmp(argv[i], "--only") == 0)
      b.only = argv[i + 1];
    else
      return 2;
  bool rounded = strcmp(precision, "bf16") == 0;
  if (argc % 2 != 0 || b.runs < 1 || matmul == MATMUL_LIBRARY_COUNT || (!rounded && strcmp(precision, "fp32") != 0))
    return 2;
  if (cpu_open(&b.backend, threads, isa, &err))
    fail("bench ops", &err);
  backend_set_matmul(&b.backend, matmul);
  enum precision wanted_precision = rounded ? PRECISION_BF16 : PRECISION_FP32;
  if (host_measure(&b.host, &b.backend, wanted_precision, b.runs, &err))
    fail("bench ops", &err);
  backend_set_precision(&b.backend, wanted_precision);
  printf("{\"isa\": \"%s\", \"threads\": %d, \"products\": \"%s\", \"gflops_one_thread\": %.1f, \"gflops\": %.1f, "
         "\"read_gbs\": %.1f, \"copy_gbs\": %.1f}\n",
         cpu_isa(&b.backend), pool_threads(b.backend.pool), b.backend.gemm->name, b.host.gflops_one, b.host.gflops,
         b.host.read_gbs, b.host.copy_gbs);
  measure_model(&b, &minilm, minilm_ops);
  measure_model(&b, &smollm2, smollm2_ops);
  measure_model(&b, &unet, unet_ops);
  backend_close(&b.backend);
  return 0;
}
