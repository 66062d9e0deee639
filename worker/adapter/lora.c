/* LoRA (Hu et al., 2022): W' = W + s B A with A r x in, B out x r, s = alpha / r, or alpha / sqrt(r) (rank-stabilised,
   Kalajdzievski, 2023). In op_linear's contract: down = A^T, up = s B.

   Backward, from the accumulated X^T C and dY^T Q with C = dY (s B), Q = X A^T:
     dA = (X^T C)^T,  dB = s dY^T Q.

   A start that is a part of the weight (lora_init.h) is W = (W - s B0 A0) + s B0 A0. PEFT makes the first term the
   frozen weight. Here that stays as its file has it, and W' = W + s (B A - B0 A0): a LoRA of twice the rank whose
   factors are [A; A0] and [B, -B0], with A0 and -B0 as parameters that are never changed. In PEFT's files they are the
   ends of lora_A and lora_B: what save_pretrained(path_initial_model_for_weight_conversion=...) makes of such an
   adapter. */
#include "worker/adapter/lora.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "worker/adapter/lora_init.h"
#include "worker/adapter/target.h"

enum { A = LORA_A, B = LORA_B, A0 = LORA_A0, B0 = LORA_B0 };

static void fill_normal(float *out, size_t count, double deviation, struct rng *rng) {
  for (size_t i = 0; i < count; i++)
    out[i] = (float)(deviation * rng_normal(rng));
}

static void fill_uniform(float *out, size_t count, double bound, struct rng *rng) {
  for (size_t i = 0; i < count; i++)
    out[i] = (2 * rng_uniform(rng) - 1) * (float)bound;
}

/* PEFT's: kaiming_uniform(a = sqrt 5) has the bound 1 / sqrt(fan-in). What starts from the weight starts in
   lora_start. */
static void lora_initialise(struct adapter *a, uint64_t seed) {
  const struct lora_state *state = a->state;
  struct rng rng;
  double in = (double)a->linear->in, r = (double)state->r;
  int init = a->spec->lora.init_lora_weights;
  adapter_rng(&rng, a, seed, " lora");
  struct parameter *pa = a->parameters[A], *pb = a->parameters[B];
  if (init == LORA_INIT_TRUE || init == LORA_INIT_FALSE)
    fill_uniform(pa->data, pa->count, 1 / sqrt(in), &rng);
  if (init == LORA_INIT_FALSE)
    fill_uniform(pb->data, pb->count, 1 / sqrt(r), &rng);
  if (init == LORA_INIT_GAUSSIAN)
    fill_normal(pa->data, pa->count, 1 / r, &rng);
}

/* --- a start from the weight ---------------------------------------------------------------------- */

static enum status check_rank(const struct adapter *a, int64_t rank, struct error *err) {
  int64_t in = (int64_t)a->linear->in, out = (int64_t)a->linear->out, most = in < out ? in : out;
  if (rank <= most)
    return STATUS_OK;
  return error_set(
      err, STATUS_INVALID_VALUE, "adapter.r",
      "adapter.r is %lld for %s, whose weight is %lld x %lld: with this init_lora_weights A and B begin as "
      "a part of it, which has at most rank %lld",
      (long long)rank, a->linear->name, (long long)out, (long long)in, (long long)most);
}

/* `parameter` and then one that is never changed are one tensor in the file, along a dimension. */
static struct parameter *add_tail(struct adapter *a, struct parameter_list *parameters, struct parameter *parameter,
                                  const char *suffix, int dimension) {
  struct parameter *tail = adapter_parameter(a, parameters, suffix, parameter->rank, parameter->shape);
  if (!tail)
    return NULL;
  tail->frozen = true;
  tail->tail_of = parameter;
  parameter->tail = tail;
  parameter->tail_dimension = dimension;
  return tail;
}

static enum status add_initial(struct adapter *a, struct parameter_list *parameters, struct error *err) {
  a->parameters[A0] = add_tail(a, parameters, a->parameters[A], "lora_A0.weight", 0);
  a->parameters[B0] = add_tail(a, parameters, a->parameters[B], "lora_B0.weight", 1);
  return a->parameters[A0] && a->parameters[B0] ? STATUS_OK : error_no_memory(err, "the adapter");
}

static struct lora_init_task init_task(const struct adapter *a) {
  const struct lora_state *state = a->state;
  return (struct lora_init_task){
      .weight = &a->linear->weight, .init = a->spec->lora.init_lora_weights, .r = state->r, .scale = state->scale};
}

static size_t lora_start_bytes(const struct adapter *a) {
  const struct lora_init_task task = init_task(a);
  return a->parameters[A0] ? lora_init_bytes(&task) : 0;
}

static enum status lora_start(struct adapter *a, uint64_t seed, struct error *err) {
  const struct parameter *pa = a->parameters[A], *pb = a->parameters[B];
  const struct lora_init_task task = init_task(a);
  struct rng rng;
  if (!a->parameters[A0])
    return STATUS_OK;
  adapter_rng(&rng, a, seed, " lora");
  enum status status = lora_init_fill(pa->data, pb->data, &task, &rng, err);
  if (status)
    return error_prefix(err, "init_lora_weights of %s", a->linear->name);
  memcpy(a->parameters[A0]->data, pa->data, pa->count * sizeof *pa->data);
  for (size_t i = 0; i < pb->count; i++)
    a->parameters[B0]->data[i] = -pb->data[i];
  return STATUS_OK;
}

/* --- the method ----------------------------------------------------------------------------------- */

enum status lora_attach(struct adapter *a, struct parameter_list *parameters, uint64_t seed, struct error *err) {
  const struct lora_spec *spec = &a->spec->lora;
  const char *module = a->linear->name;
  double r = (double)spec->r, alpha = spec->lora_alpha;
  enum status status = target_pattern(&r, &spec->rank_pattern, module, "adapter.rank_pattern", err);
  status = status ? status : target_pattern(&alpha, &spec->alpha_pattern, module, "adapter.alpha_pattern", err);
  if (status)
    return status;
  int64_t rank = (int64_t)r, in = (int64_t)a->linear->in, out = (int64_t)a->linear->out;
  struct lora_state *state = a->state = arena_alloc(parameters->arena, sizeof *state);
  const struct convolution *c = a->linear->convolution; /* A reads patches, B is of one pixel */
  int64_t channels = c ? (int64_t)c->channels : in, height = c ? (int64_t)c->kernel[0] : 1;
  int64_t width = c ? (int64_t)c->kernel[1] : 1;
  int dimensions = c ? 4 : 2;
  a->parameters[A] =
      adapter_parameter(a, parameters, "lora_A.weight", dimensions, (const int64_t[]){rank, channels, height, width});
  a->parameters[B] = adapter_parameter(a, parameters, "lora_B.weight", dimensions, (const int64_t[]){out, rank, 1, 1});
  if (!state || !a->parameters[A] || !a->parameters[B])
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", module);
  bool initial = lora_init_of_weight(spec->init_lora_weights);
  status = initial ? check_rank(a, rank, err) : STATUS_OK;
  status = status || !initial ? status : add_initial(a, parameters, err);
  status = status ? status : adapter_low_rank(a, parameters, (size_t)rank << initial, spec->use_dora, err);
  if (status)
    return status;
  *state = (struct lora_state){.r = (size_t)rank, .scale = alpha / (spec->use_rslora ? sqrt(r) : r)};
  a->low.sign = 1;
  a->low.dropout = spec->lora_dropout;
  lora_initialise(a, seed);
  return STATUS_OK;
}

/* Rows [first, first + r) of the factors' rank. */
static void put_factors(struct adapter *a, struct backend *b, struct place pa, struct place pb, size_t first) {
  const struct low_rank *low = &a->low;
  const struct lora_state *state = a->state;
  size_t in = a->linear->in, out = a->linear->out, r = state->r, R = low->R;
  struct strided_copy copy = {.from = pa, .rows = r, .cols = in, .from_row = in, .from_col = 1, .scale = 1};
  copy.to = low->down; /* A^T */
  copy.to_first = first;
  copy.to_row = 1;
  copy.to_col = R;
  b->ops->copy(b, &copy);
  copy.to = low->down_back_t; /* A */
  copy.to_first = first * in;
  copy.to_row = in;
  copy.to_col = 1;
  b->ops->copy(b, &copy);
  copy = (struct strided_copy){.from = pb, .rows = out, .cols = r, .from_row = r, .from_col = 1};
  copy.scale = (float)state->scale;
  copy.to = low->up_back; /* s B */
  copy.to_first = first;
  copy.to_row = R;
  copy.to_col = 1;
  b->ops->copy(b, &copy);
  copy.to = low->up_t;
  copy.to_first = first * out;
  copy.to_row = 1;
  copy.to_col = out;
  b->ops->copy(b, &copy);
}

void lora_forward_factors(struct adapter *a, struct backend *b) {
  const struct lora_state *state = a->state;
  put_factors(a, b, a->parameters[A]->at, a->parameters[B]->at, 0);
  if (a->parameters[A0])
    put_factors(a, b, a->parameters[A0]->at, a->parameters[B0]->at, state->r);
  adapter_zero_grads(a, b);
}

void lora_backward_factors(struct adapter *a, struct backend *b) {
  const struct low_rank *low = &a->low;
  const struct lora_state *state = a->state;
  size_t in = a->linear->in, out = a->linear->out, r = state->r, R = low->R;
  b->ops->copy(b, &(struct strided_copy){.to = a->parameters[A]->grad_at,
                                         .to_row = in,
                                         .to_col = 1,
                                         .from = low->grad_down,
                                         .from_row = 1,
                                         .from_col = R,
                                         .rows = r,
                                         .cols = in,
                                         .scale = 1,
                                         .accumulate = true});
  b->ops->copy(b, &(struct strided_copy){.to = a->parameters[B]->grad_at,
                                         .to_row = r,
                                         .to_col = 1,
                                         .from = low->grad_up,
                                         .from_row = R,
                                         .from_col = 1,
                                         .rows = out,
                                         .cols = r,
                                         .scale = (float)state->scale,
                                         .accumulate = true});
}

static void lora_low_rank(const struct adapter *a, struct backend *b, float *to_a, float *to_b) {
  (void)b;
  const struct lora_state *state = a->state;
  size_t in = a->linear->in, out = a->linear->out, r = state->r;
  float scale = (float)state->scale;
  for (size_t first = 0; first < a->rank; first += r) {
    const struct parameter *pa = a->parameters[first ? A0 : A], *pb = a->parameters[first ? B0 : B];
    memcpy(to_a + first * in, pa->data, pa->count * sizeof *to_a);
    for (size_t i = 0; i < out; i++)
      for (size_t k = 0; k < r; k++)
        to_b[i * a->rank + first + k] = scale * pb->data[i * r + k];
  }
}

/* LoRA+ (Hayou et al., 2024), whose groups are those of PEFT's create_loraplus_optimizer: B and all vectors. */
double lora_lr_ratio(const struct adapter_spec *spec, const struct parameter *p) {
  return p->rank == 1 || strstr(p->key, ".lora_B.") ? spec->lora.loraplus_lr_ratio : 1;
}

const struct adapter_ops adapter_lora = {.attach = lora_attach,
                                         .start = lora_start,
                                         .start_bytes = lora_start_bytes,
                                         .forward_factors = lora_forward_factors,
                                         .backward_factors = lora_backward_factors,
                                         .merge = adapter_merge_low_rank,
                                         .low_rank = lora_low_rank,
                                         .lr_ratio = lora_lr_ratio};
