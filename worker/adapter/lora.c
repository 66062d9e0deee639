/* LoRA (Hu et al., 2022): W' = W + s B A with A r x in, B out x r, s = alpha / r, or alpha / sqrt(r) (rank-stabilised,
   Kalajdzievski, 2023). In op_linear's contract: down = A^T, up = s B.

   Backward, from the accumulated X^T C and dY^T Q with C = dY (s B), Q = X A^T:
     dA = (X^T C)^T,  dB = s dY^T Q. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "worker/adapter/adapter.h"
#include "worker/adapter/target.h"
#include "worker/backend/cpu/kernels.h"
#include "worker/op/op.h"

enum { A, B };

static double scale_of(const struct adapter *a) {
  return *(const double *)a->state;
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
static void initialise(struct adapter *a, uint64_t seed) {
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

static enum status attach(struct adapter *a, struct parameter_list *parameters, uint64_t seed, struct error *err) {
  const struct lora_spec *spec = &a->spec->lora;
  const char *module = a->linear->name;
  double r = (double)spec->r, alpha = spec->lora_alpha;
  enum status status = target_pattern(&r, &spec->rank_pattern, module, "adapter.rank_pattern", err);
  status = status ? status : target_pattern(&alpha, &spec->alpha_pattern, module, "adapter.alpha_pattern", err);
  if (status)
    return status;
  int64_t rank = (int64_t)r, in = (int64_t)a->linear->in, out = (int64_t)a->linear->out;
  double *scale = a->state = arena_alloc(parameters->arena, sizeof *scale);
  a->parameters[A] = adapter_parameter(a, parameters, "lora_A.weight", 2, (const int64_t[]){rank, in});
  a->parameters[B] = adapter_parameter(a, parameters, "lora_B.weight", 2, (const int64_t[]){out, rank});
  if (!scale || !a->parameters[A] || !a->parameters[B] || !adapter_low_rank(a, parameters, (size_t)rank))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", module);
  *scale = alpha / (spec->use_rslora ? sqrt(r) : r);
  a->low.sign = 1;
  a->low.dropout = spec->lora_dropout;
  initialise(a, seed);
  return STATUS_OK;
}

static enum status forward_factors(struct adapter *a, const struct kernels *k, struct error *err) {
  (void)k;
  (void)err;
  struct low_rank *low = &a->low;
  size_t in = a->linear->in, out = a->linear->out, r = a->rank, R = low->R;
  const float *pa = a->parameters[A]->data, *pb = a->parameters[B]->data;
  float scale = (float)scale_of(a);
  for (size_t j = 0; j < r; j++)
    for (size_t i = 0; i < in; i++)
      low->down[i * R + j] = low->down_back_t[j * in + i] = pa[j * in + i];
  for (size_t o = 0; o < out; o++)
    for (size_t j = 0; j < r; j++)
      low->up_back[o * R + j] = low->up_t[j * out + o] = scale * pb[o * r + j];
  memset(low->grad_down, 0, in * R * sizeof(float));
  memset(low->grad_up, 0, out * R * sizeof(float));
  memset(low->grad_core, 0, R * R * sizeof(float));
  return STATUS_OK;
}

static void backward_factors(struct adapter *a, const struct kernels *k, double penalty_weight) {
  (void)k;
  (void)penalty_weight;
  const struct low_rank *low = &a->low;
  size_t in = a->linear->in, out = a->linear->out, r = a->rank, R = low->R;
  float *ga = a->parameters[A]->grad, *gb = a->parameters[B]->grad, scale = (float)scale_of(a);
  for (size_t j = 0; j < r; j++)
    for (size_t i = 0; i < in; i++)
      ga[j * in + i] += low->grad_down[i * R + j];
  for (size_t o = 0; o < out; o++)
    for (size_t j = 0; j < r; j++)
      gb[o * r + j] += scale * low->grad_up[o * R + j];
}

static void merge(const struct adapter *a, const struct kernels *k, float *merged) {
  size_t in = a->linear->in, out = a->linear->out, R = a->low.R;
  weight_read(merged, &a->linear->weight);
  k->gemm(merged, in, a->low.up_back, R, 1, a->low.down_back_t, in, out, in, R, 1.0f, true);
}

static void low_rank(const struct adapter *a, const struct kernels *k, float *to_a, float *to_b) {
  (void)k;
  size_t out = a->linear->out, r = a->rank;
  float scale = (float)scale_of(a);
  memcpy(to_a, a->parameters[A]->data, a->parameters[A]->count * sizeof *to_a);
  for (size_t i = 0; i < out * r; i++)
    to_b[i] = scale * a->parameters[B]->data[i];
}

const struct adapter_ops adapter_lora = {.attach = attach,
                                         .forward_factors = forward_factors,
                                         .backward_factors = backward_factors,
                                         .merge = merge,
                                         .low_rank = low_rank};
