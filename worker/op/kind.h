/* The kinds of ops: a row here, a prototype in op.h, a body on each backend. */
#ifndef WORKER_OP_KIND_H
#define WORKER_OP_KIND_H

enum op_kind {
  OP_LINEAR,
  OP_ROTATE,
  OP_SCALE,
  OP_EMBEDDINGS,
  OP_POOLING,
  OP_LAYERNORM,
  OP_RMSNORM,
  OP_DROPOUT,
  OP_GELU,
  OP_GELU_TANH,
  OP_RELU,
  OP_TANH,
  OP_SWIGLU,
  OP_ADD,
  OP_ROPE,
  OP_ATTENTION,
  OP_UNIT_ROWS,
  OP_SIMILARITY,
  OP_CROSS_ENTROPY,
  OP_SQUARED_ERROR,
  OP_LINEAR_CROSS_ENTROPY,
  OP_KINDS
};

#endif
