/* Butterfly OFT (Liu et al., 2024) with one butterfly factor, which is what PEFT 0.21 runs on a CPU and what its
   permutation leaves in place: y = ((x blockdiag(R)) W^T) * s + b, R the Cayley transform of (A - A^T) / 2. */
#include <string.h>

#include "base/rng.h"
#include "worker/adapter/adapter.h"
#include "worker/adapter/cayley.h"
#include "worker/backend/cpu/kernels.h"

enum { R, S };

static void fill_normal(float *out, size_t count, double mean, double deviation, struct rng *rng) {
  for (size_t i = 0; i < count; i++)
    out[i] = (float)(mean + deviation * rng_normal(rng));
}

static enum status boft_attach(struct adapter *a, struct parameter_list *parameters, uint64_t seed, struct error *err) {
  const struct boft_spec *spec = &a->spec->boft;
  size_t in = a->linear->in, out = a->linear->out;
  bool sized = spec->boft_block_size > 0;
  size_t asked = sized ? (size_t)spec->boft_block_size : (size_t)spec->boft_block_num;
  if (in % asked != 0)
    return error_set(err, STATUS_INVALID_VALUE, sized ? "adapter.boft_block_size" : "adapter.boft_block_num",
                     "%s has %zu inputs, which %s %zu does not divide", a->linear->name, in,
                     sized ? "boft_block_size" : "boft_block_num", asked);
  int64_t block = (int64_t)(sized ? asked : in / asked);
  a->parameters[R] =
      adapter_parameter(a, parameters, "boft_R", 4, (const int64_t[]){1, (int64_t)in / block, block, block});
  a->parameters[S] = adapter_parameter(a, parameters, "boft_s", 2, (const int64_t[]){(int64_t)out, 1});
  if (!a->parameters[R] || !a->parameters[S])
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", a->linear->name);
  enum status status = adapter_rotation(a, parameters, (size_t)block, true, err);
  status = status ? status : cayley_reserve(a, parameters, 0, err);
  if (status)
    return status;
  struct rng rng;
  adapter_rng(&rng, a, seed, " boft");
  for (size_t i = 0; i < out; i++)
    a->parameters[S]->data[i] = 1;
  if (!spec->init_weights) {
    fill_normal(a->parameters[R]->data, a->parameters[R]->count, 0, 0.1, &rng);
    fill_normal(a->parameters[S]->data, out, 1, 0.1, &rng);
  }
  return STATUS_OK;
}

static void make_skew(float *q, const float *from, size_t b) {
  for (size_t x = 0; x < b; x++)
    for (size_t y = 0; y < b; y++)
      q[x * b + y] = 0.5f * (from[x * b + y] - from[y * b + x]);
}

static void boft_forward_factors(struct adapter *a, struct backend *backend) {
  const struct cayley_host *h = cayley_begin_forward(a, backend);
  size_t b = a->rotation.block, n = b * b;
  for (size_t i = 0; i < a->rotation.blocks; i++) {
    make_skew(h->q, a->parameters[R]->data + i * n, b);
    cayley_exact(h->r + i * n, h->q, b, h->scratch);
  }
  memcpy(h->scale, a->parameters[S]->data, a->linear->out * sizeof *h->scale);
  cayley_end_forward(a, backend);
}

static void boft_backward_factors(struct adapter *a, struct backend *backend) {
  const struct cayley_host *h = cayley_begin_backward(a, backend);
  size_t b = a->rotation.block, n = b * b;
  for (size_t i = 0; i < a->rotation.blocks; i++) {
    make_skew(h->q, a->parameters[R]->data + i * n, b);
    cayley_exact_backward(h->grad_q, h->grad_r + i * n, h->q, b, h->scratch);
    float *grad = a->parameters[R]->grad + i * n;
    for (size_t x = 0; x < b; x++)
      for (size_t y = 0; y < b; y++)
        grad[x * b + y] += 0.5f * (h->grad_q[x * b + y] - h->grad_q[y * b + x]);
  }
  backend->kernels->add(a->parameters[S]->grad, h->grad_scale, a->linear->out);
  cayley_end_backward(a, backend);
}

const struct adapter_ops adapter_boft = {.attach = boft_attach,
                                         .forward_factors = boft_forward_factors,
                                         .backward_factors = boft_backward_factors,
                                         .merge = cayley_merge,
                                         .telemetry = cayley_telemetry};
