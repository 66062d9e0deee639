/* Butterfly OFT (Liu et al., 2024) with one butterfly factor, which is what PEFT 0.21 runs on a CPU and what its
   permutation leaves in place: y = ((x blockdiag(R)) W^T) * s + b, R the Cayley transform of (A - A^T) / 2. */
#include <string.h>

#include "base/rng.h"
#include "worker/adapter/adapter.h"
#include "worker/adapter/cayley.h"
#include "worker/op/op.h"

enum { R, S };

static void fill_normal(float *out, size_t count, double mean, double deviation, struct rng *rng) {
  for (size_t i = 0; i < count; i++)
    out[i] = (float)(mean + deviation * rng_normal(rng));
}

static enum status attach(struct adapter *a, struct parameter_list *parameters, uint64_t seed, struct error *err) {
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
  if (!a->parameters[R] || !a->parameters[S] || !adapter_rotation(a, parameters, (size_t)block, true) ||
      !cayley_reserve(a, parameters, 0))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", a->linear->name);
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

static enum status forward_factors(struct adapter *a, const struct kernels *k, struct error *err) {
  (void)k;
  (void)err;
  struct rotation *o = &a->rotation;
  size_t b = o->block, n = b * b;
  float *scratch = a->state, *q = scratch + cayley_scratch(b, 0);
  for (size_t i = 0; i < o->blocks; i++) {
    make_skew(q, a->parameters[R]->data + i * n, b);
    cayley_exact(o->r + i * n, q, b, scratch);
  }
  cayley_transpose(o);
  memcpy(o->scale, a->parameters[S]->data, a->linear->out * sizeof *o->scale);
  memset(o->grad_scale, 0, a->linear->out * sizeof *o->grad_scale);
  memset(o->grad_r, 0, o->blocks * n * sizeof *o->grad_r);
  return STATUS_OK;
}

static void backward_factors(struct adapter *a, const struct kernels *k, double penalty_weight) {
  (void)penalty_weight;
  struct rotation *o = &a->rotation;
  size_t b = o->block, n = b * b;
  float *scratch = a->state, *q = scratch + cayley_scratch(b, 0), *g_q = q + n;
  for (size_t i = 0; i < o->blocks; i++) {
    make_skew(q, a->parameters[R]->data + i * n, b);
    cayley_exact_backward(g_q, o->grad_r + i * n, q, b, scratch);
    float *grad = a->parameters[R]->grad + i * n;
    for (size_t x = 0; x < b; x++)
      for (size_t y = 0; y < b; y++)
        grad[x * b + y] += 0.5f * (g_q[x * b + y] - g_q[y * b + x]);
  }
  k->add(a->parameters[S]->grad, o->grad_scale, a->linear->out);
}

const struct adapter_ops adapter_boft = {
    .attach = attach, .forward_factors = forward_factors, .backward_factors = backward_factors, .merge = cayley_merge};
