/* The ops models are written from: each is a forward and a backward in one file. Shapes: N tokens of
   all sequences of the batch one after the other (no padding), C channels, B sequences, H heads,
   R adapter rank. Gradients accumulate. */
#ifndef WORKER_OP_OP_H
#define WORKER_OP_OP_H

#include "worker/op/linear.h"
#include "worker/tensor/tape.h"

/* The sequences of a batch. All arrays belong to the caller and outlive the step. */
struct sequences {
  size_t count;            /* B */
  size_t tokens;           /* N */
  size_t longest;          /* tokens of the longest one */
  const uint32_t *offsets; /* [B + 1]: sequence b is rows offsets[b] .. offsets[b + 1] - 1 */
  const int32_t *ids;      /* [N] */
  const uint8_t *types;    /* [N], or NULL: all 0 */
};

/* (N, in) -> (N, out) */
struct tensor *op_linear(struct tape *tape, struct tensor *x, const struct linear *linear);
/* Around the linear layer of an adapter that rotates (op_linear puts them there): columns of x turned in blocks;
   x * scale + the layer's bias. */
struct tensor *op_rotate(struct tape *tape, struct tensor *x, const struct rotation *rotation);
struct tensor *op_scale(struct tape *tape, struct tensor *x, const struct rotation *rotation,
                        const struct linear *linear);
/* Sum of three frozen tables' rows: words[id] + positions[index in its sequence] + types[type];
   positions and types, rows of C floats, may be NULL. -> (N, C) */
struct tensor *op_embeddings(struct tape *tape, const struct sequences *sequences, const struct weight *words,
                             const float *positions, const float *types);
/* LayerNorm over channels. Its bias may be trained (adapter.bias "all"). */
struct norm {
  size_t channels;
  const float *weight, *bias; /* RMSNorm has no bias: NULL */
  struct parameter *trained_bias;
  float epsilon;
};
struct tensor *op_layernorm(struct tape *tape, struct tensor *x, const struct norm *norm);
/* LN(dropout(x) + residual): the closing of a post-norm block in one pass over the rows. */
struct tensor *op_residual_layernorm(struct tape *tape, struct tensor *x, struct tensor *residual,
                                     const struct norm *norm, const struct dropout *dropout);
/* Inverted dropout; the identity when not training. */
struct tensor *op_dropout(struct tape *tape, struct tensor *x, const struct dropout *dropout);
/* Exact GELU. Its output is recomputed for the backward pass. */
struct tensor *op_gelu(struct tape *tape, struct tensor *x);
struct tensor *op_tanh(struct tape *tape, struct tensor *x);
/* RMSNorm (Zhang and Sennrich, 2019) over each `norm->channels` of a row: the whole row, or every head of it.
   Its output is recomputed for the backward pass. */
struct tensor *op_rmsnorm(struct tape *tape, struct tensor *x, const struct norm *norm);
struct tensor *op_add(struct tape *tape, struct tensor *x, struct tensor *y);
/* silu(gate) * up. Its output is recomputed for the backward pass. */
struct tensor *op_swiglu(struct tape *tape, struct tensor *gate, struct tensor *up);

/* Rotary position embeddings (Su et al., 2021), Transformers' layout: in a head of D channels, c turns
   with c + D / 2. Row p of the tables (D / 2 wide) is for the p-th token of a sequence. */
struct rotary {
  size_t head_size;
  const float *cos, *sin;
};
struct tensor *op_rope(struct tape *tape, struct tensor *x, const struct sequences *sequences,
                       const struct rotary *rotary);

/* The rows of each sequence, its first or its last: (N, C) -> (N, C), x itself, or (B, C). */
enum sequence_rows { ROWS_ALL, ROWS_FIRST, ROWS_LAST };
struct tensor *op_rows(struct tape *tape, struct tensor *x, const struct sequences *sequences, enum sequence_rows rows);

/* softmax(scale Q K^T) V within each sequence. q: (N, heads * D), or (B, heads * D) -> the same shape;
   k, v: (N, kv_heads * D), where kv_heads divides heads: head h reads k and v of h / (heads / kv_heads). */
struct attention {
  size_t heads, kv_heads;
  enum sequence_rows queries; /* the rows that q has */
  float scale;
  bool causal;
  size_t window; /* causal: keys a row sees, its own included; 0: all before it */
  struct dropout dropout;
};
struct tensor *op_attention(struct tape *tape, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct sequences *sequences, const struct attention *attention);

/* Losses end a tape. *loss receives weight * sum over rows; `weight` is 1 / (examples of the whole
   optimiser step), so that gradient accumulation equals one large batch. */
void op_cross_entropy(struct tape *tape, struct tensor *logits, const uint32_t *labels, float weight, double *loss);
/* logits (B, 1) against targets: squared error. */
void op_squared_error(struct tape *tape, struct tensor *logits, const float *targets, float weight, double *loss);

/* What a language model says next: softmax cross-entropy of the rows `rows` of x (N, C) through the frozen
   head, a few hundred rows at a time: logits of a whole batch never exist. */
struct next_tokens {
  const uint32_t *rows;   /* [count] of x, ascending */
  const uint32_t *labels; /* [count] ids below head->out */
  size_t count;
};
/* *loss as above, summed over `count` rows; *correct (may be NULL) counts the rows whose largest logit is the
   label's. `tokens` is read when the op runs: a dry run needs its count only. */
void op_linear_cross_entropy(struct tape *tape, struct tensor *x, const struct linear *head,
                             const struct next_tokens *tokens, float weight, double *loss, size_t *correct);

/* The cross-entropy of one row: log of the sum of exp(logits) minus the label's logit. */
double op_row_loss(const float *logits, size_t classes, uint32_t label);

/* A dropout of probability p at a place of the model that no other dropout of the step shares. */
struct dropout dropout_make(double p, uint64_t seed, uint64_t step, uint32_t site);
/* The next one of this step: places are numbered in the order in which the model asks. */
struct dropout op_next_dropout(struct tape *tape, double p);

#endif
