/* The ops' bodies on the CPU, and what they share. */
#ifndef WORKER_BACKEND_CPU_OP_H
#define WORKER_BACKEND_CPU_OP_H

#include "worker/backend/cpu/cpu.h"
#include "worker/backend/cpu/kernels.h"
#include "worker/op/attributes.h"

extern const struct op_body cpu_linear, cpu_rotate, cpu_scale, cpu_embeddings, cpu_token_rows, cpu_token_logits,
    cpu_pooling, cpu_unfold, cpu_layernorm, cpu_rmsnorm, cpu_dropout, cpu_gelu, cpu_gelu_tanh, cpu_relu, cpu_tanh,
    cpu_swiglu, cpu_geglu, cpu_geglu_tanh, cpu_swish, cpu_multiply, cpu_columns, cpu_add, cpu_experts, cpu_rope,
    cpu_attention, cpu_cross_attention, cpu_conv2d, cpu_group_norm, cpu_upsample, cpu_concat, cpu_add_rows,
    cpu_unit_rows, cpu_similarity, cpu_cross_entropy, cpu_squared_error, cpu_binary_cross_entropy,
    cpu_linear_cross_entropy, cpu_linear_preference;
extern const struct op_body *const cpu_bodies[OP_KINDS];

static inline float *cpu_data(const struct tensor *t) {
  return place_floats(t->data);
}

static inline float *cpu_grad(const struct tensor *t) {
  return place_floats(t->grad);
}

/* tape_grad's place; NULL when nothing below needs the gradient. */
static inline float *cpu_take_grad(struct tensor *t, bool *accumulate) {
  return place_floats(tape_grad(t, accumulate));
}

static inline float *cpu_scratch(const struct tape *tape) {
  return place_floats(tape->scratch);
}

#endif
