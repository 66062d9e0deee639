/* Orthogonal Finetuning (Qiu et al., 2023) as PEFT 0.21 has it: y = (x blockdiag(R)) W^T + b, each R a Cayley
   transform (or its truncated series) of a skew-symmetric Q whose upper triangle is the parameter, row by row. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "worker/adapter/adapter.h"
#include "worker/adapter/cayley.h"
#include "worker/backend/cpu/kernels.h"

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

static enum status oft_attach(struct adapter *a, struct parameter_list *parameters, uint64_t seed, struct error *err) {
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
  if (!p)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", a->linear->name);
  enum status status = adapter_rotation(a, parameters, block, false, err);
  status = status ? status : cayley_reserve(a, parameters, terms_of(a), err);
  if (status)
    return status;
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

static void oft_forward_factors(struct adapter *a, struct backend *backend) {
  const struct oft_spec *spec = &a->spec->oft;
  const struct cayley_host *h = cayley_begin_forward(a, backend);
  size_t b = a->rotation.block, n = b * b, rows = (size_t)a->parameters[0]->shape[0], packed = b * (b - 1) / 2;
  int terms = terms_of(a);
  for (size_t i = 0; i < a->rotation.blocks; i++) {
    float *r = h->r + i * n;
    if (i < rows) {
      float *own = a->parameters[0]->data + i * packed;
      if (spec->coft)
        constrain(own, packed, spec->eps / sqrt((double)rows));
      unpack(h->q, own, b);
      if (terms)
        cayley_series(r, h->q, b, terms, backend->kernels, h->scratch);
      else
        cayley_exact(r, h->q, b, h->scratch);
    } else {
      memcpy(r, h->r, n * sizeof *r); /* shared */
    }
  }
  cayley_end_forward(a, backend);
}

static void oft_backward_factors(struct adapter *a, struct backend *backend) {
  const struct cayley_host *h = cayley_begin_backward(a, backend);
  size_t b = a->rotation.block, n = b * b, rows = (size_t)a->parameters[0]->shape[0], packed = b * (b - 1) / 2;
  int terms = terms_of(a);
  for (size_t i = rows; i < a->rotation.blocks; i++) /* shared: all blocks' gradients are the one's */
    backend->kernels->add(h->grad_r, h->grad_r + i * n, n);
  for (size_t i = 0; i < rows; i++) {
    unpack(h->q, a->parameters[0]->data + i * packed, b);
    if (terms)
      cayley_series_backward(h->grad_q, h->grad_r + i * n, h->q, b, terms, backend->kernels, h->scratch);
    else
      cayley_exact_backward(h->grad_q, h->grad_r + i * n, h->q, b, h->scratch);
    float *grad = a->parameters[0]->grad + i * packed;
    for (size_t x = 0; x < b; x++)
      for (size_t y = x + 1; y < b; y++)
        *grad++ += h->grad_q[x * b + y] - h->grad_q[y * b + x];
  }
  cayley_end_backward(a, backend);
}

const struct adapter_ops adapter_oft = {.attach = oft_attach,
                                        .forward_factors = oft_forward_factors,
                                        .backward_factors = oft_backward_factors,
                                        .merge = cayley_merge,
                                        .telemetry = cayley_telemetry};
