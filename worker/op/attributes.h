/* What the ops record with a node for the backends (node->attributes), by enum op_kind. Where none is named the op has
   none. */
#ifndef WORKER_OP_ATTRIBUTES_H
#define WORKER_OP_ATTRIBUTES_H

#include "worker/op/kind.h"
#include "worker/op/op.h"

/* OP_LINEAR: in X; out Y, and Q where there is a low-rank adapter. */
struct linear_attributes {
  const struct linear *linear;
  struct dropout dropout; /* of what low_rank->down reads; threshold 0: none */
};

/* OP_ROTATE: const struct rotation. in X; out Z. */

/* OP_SCALE: const struct linear, for its scale and its bias. in Z; out Y */

/* OP_EMBEDDINGS: out X */
struct embeddings_attributes {
  const struct sequences *sequences;
  const struct weight *token_embedding;
  struct place position_embedding, token_type_embedding; /* nowhere: none */
};

/* OP_TOKEN_ROWS: in X of OP_EMBEDDINGS; out X with the trained rows. */
struct token_rows_attributes {
  const struct sequences *sequences;
  const struct token_rows *rows;
};

/* OP_TOKEN_LOGITS: const struct token_rows. in logits, what the head made them of; out logits */

/* OP_POOLING: in X; out its rows */
struct pooling_attributes {
  const struct sequences *sequences;
  enum pooling pooling; /* not NONE */
};

/* OP_UNFOLD: in x; out what the kernel sees */
struct unfold_attributes {
  const struct sequences *sequences;
  size_t kernel;
};

/* OP_LAYERNORM: in x[, residual]; out y, mean and rstd (2 x N)[, dropout(x) + residual] */
struct layernorm_attributes {
  const struct norm *norm;
  struct dropout dropout; /* of x, where there is a residual */
};

/* OP_RMSNORM: const struct norm. in x; out y, rstd (N x groups) */
/* OP_DROPOUT: const struct dropout. */

/* OP_GEGLU: in gate and up side by side; out y */
struct geglu_attributes {
  bool gate_last; /* up stands before it */
};

/* OP_GEGLU_TANH: in gate, up; out y. OP_SWISH: const float, beta of x * sigmoid(beta x). in x; out y */
/* OP_MULTIPLY: const float, the factor. in x; out y */

/* OP_COLUMNS: in x; out some of its columns */
struct columns_attributes {
  size_t first;
};

/* OP_EXPERTS: const struct experts. in x, logits; out y, and gate x and up x of each row's experts (N * K x F), expert
   by expert, the rows of one in their order */

/* OP_ROPE */
struct rope_attributes {
  const struct sequences *sequences;
  const struct rotary *rotary;
};

/* OP_ATTENTION: in q, k, v[, distances.keys][, distances.queries]; out O, log-sum-exp (H x rows of q).
   OP_CROSS_ATTENTION: in q, k, v; likewise */
struct attention_attributes {
  const struct sequences *sequences; /* of q */
  const struct sequences *keys;      /* of k and v; OP_ATTENTION: the same */
  struct attention how;
};

/* OP_CONV2D: in X; out Y, and Q where there is a low-rank adapter. */
struct conv2d_attributes {
  const struct linear *linear;
  struct images in, out;
  struct dropout dropout; /* of what low_rank->down reads; threshold 0: none */
};

/* OP_GROUP_NORM: in x; out y, mean and rstd (2 x images * groups) */
struct group_norm_attributes {
  const struct norm *norm;
  size_t images, groups;
  bool silu;
};

/* OP_UPSAMPLE: const struct images, of x. in x; out y. OP_CONCAT: in x, y; out both. OP_ADD_ROWS: in x, rows; out y */

/* OP_UNIT_ROWS: in x; out y, 1 / length (1 x N) */

/* OP_SIMILARITY: in x; out the products */
struct similarity_attributes {
  size_t first; /* rows */
  enum similarity which;
  float scale;
};

/* OP_CROSS_ENTROPY (labels), OP_SQUARED_ERROR, OP_BINARY_CROSS_ENTROPY (values): in logits; no outputs */
struct loss_attributes {
  struct place targets;
  float weight;
  double *loss;
};

/* OP_LINEAR_CROSS_ENTROPY: in x; out its gradient where one is asked for, row by row of tokens->rows */
struct linear_cross_entropy_attributes {
  const struct linear *head;
  const struct next_tokens *tokens;
  float weight;
  double *loss;
  size_t *correct; /* NULL: not asked for */
};

/* OP_LINEAR_PREFERENCE: in x; out the token losses, which become the tokens' weights[, x's gradient as above] */
struct linear_preference_attributes {
  const struct linear *head;
  const struct next_tokens *tokens;
  const struct preference *how;
  const struct completions *completions;
  double *loss;
  struct preference_scores *scores;
};

#endif
