#include "worker/backend/cpu/op.h"

const struct op_body *const cpu_bodies[OP_KINDS] = {
    [OP_LINEAR] = &cpu_linear,
    [OP_ROTATE] = &cpu_rotate,
    [OP_SCALE] = &cpu_scale,
    [OP_EMBEDDINGS] = &cpu_embeddings,
    [OP_POOLING] = &cpu_pooling,
    [OP_LAYERNORM] = &cpu_layernorm,
    [OP_RMSNORM] = &cpu_rmsnorm,
    [OP_DROPOUT] = &cpu_dropout,
    [OP_GELU] = &cpu_gelu,
    [OP_GELU_TANH] = &cpu_gelu_tanh,
    [OP_RELU] = &cpu_relu,
    [OP_TANH] = &cpu_tanh,
    [OP_SWIGLU] = &cpu_swiglu,
    [OP_ADD] = &cpu_add,
    [OP_ROPE] = &cpu_rope,
    [OP_ATTENTION] = &cpu_attention,
    [OP_CROSS_ENTROPY] = &cpu_cross_entropy,
    [OP_SQUARED_ERROR] = &cpu_squared_error,
    [OP_LINEAR_CROSS_ENTROPY] = &cpu_linear_cross_entropy,
};
