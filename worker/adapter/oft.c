/* Orthogonal Finetuning (Qiu et al., 2023) as PEFT 0.21 has it: y = (x blockdiag(R)) W^T + b, each R a Cayley
   transform (or its truncated series) of a skew-symmetric Q whose upper triangle is the parameter, row by row. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "worker/adapter/adapter.h"
#include "worker/adapter/cayley.h"
#include "worker/op/op.h"

/* PEFT's rule for a size that does not divide the inputs: the nearest divisor, the lower one of two. */
static size_t nearest_divisor(size_t in, size_t wanted) {
  if (wanted >= in)
    return in;
  size_t high = wanted, low = wanted;
  while (in % high != 0)
    high++;
  while (in % low != 0)
    low--;
  return wanted - low <= high - wanted ? low : high;
}

static int terms_of(const struct adapter *a) {
  return a->spec->oft.use_cayley_neumann ? (int)a->spec->oft.num_cayley_neumann_terms : 0;
}

static enum status attach(struct adapter *a, struct parameter_list *parameters, uint64_t seed, struct error *err) {
  const struct oft_spec *spec = &a->spec->oft;
  size_t in = a->linear->in, block;
  if (spec->oft_block_size > 0)
    block = nearest_divisor(in, (size_t)spec->oft_block_size);
  else
    block = in / nearest_divisor(in, (size_t)spec->r);
  if (block < 2)
    return error_set(err, STATUS_INVALID_VALUE, spec->r ? "adapter.r" : "adapter.oft_block_size",
                     "%s has %zu inputs, whose divisor nearest to what is asked leaves blocks of 1: nothing can turn",
                     a->linear->name, in);
  int64_t rows = spec->block_share ? 1 : (int64_t)(in / block), cols = (int64_t)(block * (block - 1) / 2);
  struct parameter *p = a->parameters[0] =
      adapter_parameter(a, parameters, "oft_R.weight", 2, (const int64_t[]){rows, cols});
  if (!p || !adapter_rotation(a, parameters, block, false) || !cayley_reserve(a, parameters, terms_of(a)))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", a->linear->name);
  struct rng rng;
  adapter_rng(&rng, a, seed, " oft");
  for (size_t i = 0; !spec->init_weights && i < p->count; i++)
    p->data[i] = (float)(0.1 * rng_normal(&rng));
  return STATUS_OK;
}

/* Q = V - V^T with the packed triangle in V. */
static void unpack(float *q, const float *packed, size_t b) {
  for (size_t i = 0; i < b; i++) {
    q[i * b + i] = 0;
    for (size_t j = i + 1; j < b; j++, packed++) {
      q[i * b + j] = *packed;
      q[j * b + i] = -*packed;
    }
  }
}

/* coft: Q no longer than eps / sqrt(rows), as PEFT projects the parameter itself. What was projected once stays as it
   is, rounding and all: how often a step is prepared must not show. */
static void constrain(float *packed, size_t count, double limit) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += 2 * (double)packed[i] * (double)packed[i];
  double norm = sqrt(sum);
  for (size_t i = 0; norm > limit * (1 + 1e-6) && i < count; i++)
    packed[i] = (float)((double)packed[i] * limit / norm);
}

static enum status forward_factors(struct adapter *a, const struct kernels *k, struct error *err) {
  struct rotation *o = &a->rotation;
  const struct oft_spec *spec = &a->spec->oft;
  size_t b = o->block, n = b * b, rows = (size_t)a->parameters[0]->shape[0], packed = b * (b - 1) / 2;
  int terms = terms_of(a);
  float *scratch = a->state, *q = scratch + cayley_scratch(b, terms);
  (void)err;
  for (size_t i = 0; i < o->blocks; i++) {
    float *r = o->r + i * n;
    if (i < rows) {
      float *own = a->parameters[0]->data + i * packed;
      if (spec->coft)
        constrain(own, packed, spec->eps / sqrt((double)rows));
      unpack(q, own, b);
      if (terms)
        cayley_series(r, q, b, terms, k, scratch);
      else
        cayley_exact(r, q, b, scratch);
    } else {
      memcpy(r, o->r, n * sizeof *r); /* shared */
    }
  }
  cayley_transpose(o);
  memset(o->grad_r, 0, o->blocks * n * sizeof *o->grad_r);
  return STATUS_OK;
}

static void backward_factors(struct adapter *a, const struct kernels *k, double penalty_weight) {
  (void)penalty_weight;
  struct rotation *o = &a->rotation;
  size_t b = o->block, n = b * b, rows = (size_t)a->parameters[0]->shape[0], packed = b * (b - 1) / 2;
  int terms = terms_of(a);
  float *scratch = a->state, *q = scratch + cayley_scratch(b, terms), *g_q = q + n;
  for (size_t i = rows; i < o->blocks; i++) /* shared: all blocks' gradients are the one's */
    k->add(o->grad_r, o->grad_r + i * n, n);
  for (size_t i = 0; i < rows; i++) {
    unpack(q, a->parameters[0]->data + i * packed, b);
    if (terms)
      cayley_series_backward(g_q, o->grad_r + i * n, q, b, terms, k, scratch);
    else
      cayley_exact_backward(g_q, o->grad_r + i * n, q, b, scratch);
    float *grad = a->parameters[0]->grad + i * packed;
    for (size_t x = 0; x < b; x++)
      for (size_t y = x + 1; y < b; y++)
        *grad++ += g_q[x * b + y] - g_q[y * b + x];
  }
}

const struct adapter_ops adapter_oft = {
    .attach = attach, .forward_factors = forward_factors, .backward_factors = backward_factors, .merge = cayley_merge};
