/* LoRA (Hu et al., 2022): W' = W + s B A with A r x in, B out x r, s = alpha / r, or alpha / sqrt(r) (rank-stabilised,
   Kalajdzievski, 2023). In op_linear's contract: down = A^T, up = s B.

   Backward, from the accumulated X^T C and dY^T Q with C = dY (s B), Q = X A^T:
     dA = (X^T C)^T,  dB = s dY^T Q. */
#include "worker/adapter/lora.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "worker/adapter/target.h"

enum { A = LORA_A, B = LORA_B };

static double scale_of(const struct adapter *a) {
  const struct lora_state *state = a->state;
  return state->scale;
}

static void fill_normal(float *out, size_t count, double deviation, struct rng *rng) {
  for (size_t i = 0; i < count; i++)
    out[i] = (float)(deviation * rng_normal(rng));
}

static void fill_uniform(float *out, size_t count, double bound, struct rng *rng) {
  for (size_t i = 0; i < count; i++)
    out[i] = (2 * rng_uniform(rng) - 1) * (float)bound;
}

/* PEFT's: kaiming_uniform(a = sqrt 5) has the bound 1 / sqrt(fan-in). */
static void lora_initialise(struct adapter *a, uint64_t seed) {
  struct rng rng;
  double in = (double)a->linear->in, r = (double)a->rank;
  adapter_rng(&rng, a, seed, " lora");
  struct parameter *pa = a->parameters[A], *pb = a->parameters[B];
  switch ((enum lora_init)a->spec->lora.init_lora_weights) {
  case LORA_INIT_TRUE: fill_uniform(pa->data, pa->count, 1 / sqrt(in), &rng); return;
  case LORA_INIT_GAUSSIAN: fill_normal(pa->data, pa->count, 1 / r, &rng); return;
  case LORA_INIT_FALSE:
    fill_uniform(pa->data, pa->count, 1 / sqrt(in), &rng);
    fill_uniform(pb->data, pb->count, 1 / sqrt(r), &rng);
    return;
  case LORA_INIT_COUNT: break;
  }
  CHECK(!"a way to initialise");
}

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
  status = adapter_low_rank(a, parameters, (size_t)rank, spec->use_dora, err);
  if (status)
    return status;
  *state = (struct lora_state){.scale = alpha / (spec->use_rslora ? sqrt(r) : r)};
  a->low.sign = 1;
  a->low.dropout = spec->lora_dropout;
  lora_initialise(a, seed);
  return STATUS_OK;
}

void lora_forward_factors(struct adapter *a, struct backend *b) {
  const struct low_rank *low = &a->low;
  size_t in = a->linear->in, out = a->linear->out, r = a->rank, R = low->R;
  struct place pa = a->parameters[A]->at, pb = a->parameters[B]->at;
  float scale = (float)scale_of(a);
  struct strided_copy copy = {.from = pa, .rows = r, .cols = in, .from_row = in, .from_col = 1, .scale = 1};
  copy.to = low->down; /* A^T */
  copy.to_row = 1;
  copy.to_col = R;
  b->ops->copy(b, &copy);
  copy.to = low->down_back_t; /* A */
  copy.to_row = in;
  copy.to_col = 1;
  b->ops->copy(b, &copy);
  copy = (struct strided_copy){.from = pb, .rows = out, .cols = r, .from_row = r, .from_col = 1, .scale = scale};
  copy.to = low->up_back; /* s B */
  copy.to_row = R;
  copy.to_col = 1;
  b->ops->copy(b, &copy);
  copy.to = low->up_t;
  copy.to_row = 1;
  copy.to_col = out;
  b->ops->copy(b, &copy);
  adapter_zero_grads(a, b);
}

void lora_backward_factors(struct adapter *a, struct backend *b) {
  const struct low_rank *low = &a->low;
  size_t in = a->linear->in, out = a->linear->out, r = a->rank, R = low->R;
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
                                         .scale = (float)scale_of(a),
                                         .accumulate = true});
}

static void lora_low_rank(const struct adapter *a, struct backend *b, float *to_a, float *to_b) {
  (void)b;
  size_t out = a->linear->out, r = a->rank;
  float scale = (float)scale_of(a);
  memcpy(to_a, a->parameters[A]->data, a->parameters[A]->count * sizeof *to_a);
  for (size_t i = 0; i < out * r; i++)
    to_b[i] = scale * a->parameters[B]->data[i];
}

/* LoRA+ (Hayou et al., 2024), whose groups are those of PEFT's create_loraplus_optimizer: B and all vectors. */
double lora_lr_ratio(const struct adapter_spec *spec, const struct parameter *p) {
  return p->rank == 1 || strstr(p->key, ".lora_B.") ? spec->lora.loraplus_lr_ratio : 1;
}

const struct adapter_ops adapter_lora = {.attach = lora_attach,
                                         .forward_factors = lora_forward_factors,
                                         .backward_factors = lora_backward_factors,
                                         .merge = adapter_merge_low_rank,
                                         .low_rank = lora_low_rank,
                                         .lr_ratio = lora_lr_ratio};
