/* The ops that models are written from. They check shapes, say what is saved for the backward pass and record
   themselves on the tape; the backends (worker/backend/) have their bodies. Gradients accumulate.

   Legend: B sequences of a batch, T tokens of one, N tokens of all of them one after the other (no padding);
   C channels, H heads of D channels; M, N, K the sizes of a matmul (M x K times K x N); R an adapter's rank. */
#ifndef WORKER_OP_OP_H
#define WORKER_OP_OP_H

#include "worker/op/dropout.h"
#include "worker/op/experts.h"
#include "worker/op/linear.h"
#include "worker/op/preference.h"
#include "worker/tensor/tape.h"

/* Keys and values of the tokens that a sequence has had, layer by layer (KV cache), in host memory. */
struct kv_cache {
  size_t past;          /* tokens in it */
  size_t total;         /* tokens that the sequence has, those that are not in it yet among them */
  size_t capacity;      /* tokens that there is room for */
  size_t cols;          /* kv_heads * D */
  float *keys, *values; /* [layers][capacity][cols] */
};

/* A sequence whose first tokens are those of another one, which comes before it in the batch and has no such prefix
   itself: it has rows for the others alone, and sees the other's rows. */
struct shared_prefix {
  uint32_t sequence, tokens; /* 0 tokens: all rows are its own */
};

/* The sequences of a batch. Its arrays outlive the step. */
struct sequences {
  size_t count;                   /* B */
  size_t tokens;                  /* N */
  size_t longest;                 /* T: tokens of the longest one, those in its cache or prefix among them */
  struct place cu_seqlens;        /* uint32 [B + 1]: sequence b is rows cu_seqlens[b] .. cu_seqlens[b + 1] - 1 */
  struct place token_ids;         /* int32 [N] */
  struct place token_type_ids;    /* uint8 [N]; nowhere: all 0 */
  struct kv_cache *const *caches; /* [B]: the batch has of each sequence the tokens that follow those in its cache, and
                                     op_attention puts theirs beside them; `past` is the caller's to move. Not while
                                     training, and on a backend of host memory alone. NULL: whole sequences */
  const struct shared_prefix *prefixes; /* [B], of causal language models on a backend of host memory; NULL: none */
  size_t row_count;                     /* of what POOLING_ROWS reads; 0: nothing does */
  struct place rows;                    /* uint32 [row_count], ascending */
};
/* How many tokens of sequence b come before its rows. */
static inline size_t sequences_past(const struct sequences *s, size_t b) {
  return s->caches ? s->caches[b]->past : s->prefixes ? s->prefixes[b].tokens : 0;
}
/* Sequences in host memory. */
struct sequences sequences_host(size_t count, size_t tokens, size_t longest, const uint32_t *cu_seqlens,
                                const int32_t *token_ids, const uint8_t *token_type_ids);

/* (N, in) -> (N, out); soft-capped where linear->softcap says so. */
struct tensor *op_linear(struct tape *tape, struct tensor *x, const struct linear *linear);
/* Around the linear layer of an adapter that rotates or scales (op_linear puts them there): columns of x turned in
   blocks; x * linear->scale + the layer's bias. */
struct tensor *op_rotate(struct tape *tape, struct tensor *x, const struct rotation *rotation);
struct tensor *op_scale(struct tape *tape, struct tensor *x, const struct linear *linear);
/* Sum of three frozen tables' rows: token_embedding[id] + position_embedding[index in its sequence] +
   token_type_embedding[type]; the last two, rows of C floats, may be nowhere. -> (N, C) */
struct tensor *op_embeddings(struct tape *tape, const struct sequences *sequences, const struct weight *token_embedding,
                             struct place position_embedding, struct place token_type_embedding);
/* x, rows of op_embeddings, with the trained rows where tokens have such; x itself where there are none. */
struct tensor *op_token_rows(struct tape *tape, struct tensor *x, const struct sequences *sequences,
                             const struct token_rows *rows);
/* y, logits that a tied head makes of x, with those of the trained rows. Not while training, where the losses know of
   them. */
struct tensor *op_token_logits(struct tape *tape, struct tensor *y, struct tensor *x, const struct token_rows *rows);
/* LayerNorm over channels. Its bias may be trained (adapter.bias "all"). */
struct norm {
  size_t channels;
  struct place weight, bias; /* fp32; LayerNorm may have no bias (nowhere), RMSNorm has none */
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
/* GELU by its approximation with tanh. Likewise recomputed. */
struct tensor *op_gelu_tanh(struct tape *tape, struct tensor *x);
struct tensor *op_relu(struct tape *tape, struct tensor *x);
struct tensor *op_tanh(struct tape *tape, struct tensor *x);
/* RMSNorm (Zhang and Sennrich, 2019) over each `norm->channels` of a row: the whole row, or every head of it.
   Its output is recomputed for the backward pass. */
struct tensor *op_rmsnorm(struct tape *tape, struct tensor *x, const struct norm *norm);
struct tensor *op_add(struct tape *tape, struct tensor *x, struct tensor *y);
/* silu(gate) * up. Its output is recomputed for the backward pass. */
struct tensor *op_swiglu(struct tape *tape, struct tensor *gate, struct tensor *up);
/* gelu(gate) * up by GELU's approximation with tanh. Likewise recomputed. */
struct tensor *op_geglu_tanh(struct tape *tape, struct tensor *gate, struct tensor *up);
/* factor * x */
struct tensor *op_multiply(struct tape *tape, struct tensor *x, float factor);
/* gelu(gate) * up of a tensor whose first half of the columns is the gate, or its last. Likewise recomputed. */
struct tensor *op_geglu(struct tape *tape, struct tensor *x);
struct tensor *op_geglu_gate_last(struct tape *tape, struct tensor *x);
/* x * sigmoid(x), and CLIP's approximation of GELU, x * sigmoid(1.702 x) (Hendrycks and Gimpel, 2016): both are Swish
   (Ramachandran et al., 2017). Likewise recomputed. */
struct tensor *op_silu(struct tape *tape, struct tensor *x);
struct tensor *op_quick_gelu(struct tape *tape, struct tensor *x);
/* Columns [first, first + count) of x, which several heads or matrices share. */
struct tensor *op_columns(struct tape *tape, struct tensor *x, size_t first, size_t count);
/* What the experts that `logits` (N, E) choose make of x: (N, C) -> (N, C). */
struct tensor *op_experts(struct tape *tape, struct tensor *x, struct tensor *logits, const struct experts *experts);

/* Rotary position embeddings (Su et al., 2021), Transformers' layout: of a head's first `turned` channels, c turns with
   c + turned / 2; the others stay. Row p of the tables (turned / 2 wide) is for the p-th token of a sequence, or
   row long_row + p where the whole sequence has more than short_most tokens. */
struct rotary {
  size_t head_size, turned; /* even */
  struct place cos, sin;    /* fp32 */
  size_t short_most;        /* 0: all sequences have the same rows */
  size_t long_row;
};
struct tensor *op_rope(struct tape *tape, struct tensor *x, const struct sequences *sequences,
                       const struct rotary *rotary);

/* Which rows are read: all of them, of each sequence the first (CLS), the last or the mean, or sequences->rows:
   (N, C) -> (N, C), x itself, (B, C), or (row_count, C). */
enum pooling { POOLING_NONE, POOLING_CLS, POOLING_LAST, POOLING_MEAN, POOLING_ROWS };
struct tensor *op_pooling(struct tape *tape, struct tensor *x, const struct sequences *sequences, enum pooling pooling);

/* What a Conv1d of an odd kernel, padded by its half, sees at each row of its sequence: (N, C) -> (N, C * kernel).
   Column c * kernel + k of row i is channel c of row i + k - kernel / 2, or 0 where the sequence has no such row. A
   linear layer whose weight is the kernel's, as files have it (out, C, kernel), makes the convolution of it. */
struct tensor *op_unfold(struct tape *tape, struct tensor *x, const struct sequences *sequences, size_t kernel);

/* What the distance from a key to a row (how many tokens the key is before the row) adds to their score. Distance d is
   row index[d + longest - 1] - first of each table; all three may lack, and that a table has the row is the caller's
   care. */
struct distances {
  struct place
      index;      /* int32 [2 * longest - 1], ascending where there are keys or queries; nowhere: nothing is added */
  size_t longest; /* tokens of the longest sequence that index is for */
  size_t first;
  struct tensor *keys;    /* (rows, heads * D): scale * q . keys[d] (c2p of DeBERTa, He et al., 2021) */
  struct tensor *queries; /* (rows, heads * D): scale * k . queries[d] (p2c) */
  struct place bias;      /* fp32 (rows, heads), frozen: bias[d] (T5, Raffel et al., 2020) */
};

/* softmax(scale Q K^T) V within each sequence, the scores soft-capped before where there is a softcap.
   q: (N, heads * D), or (B, heads * D) -> the same shape; k, v: (N, kv_heads * D), where kv_heads divides heads: head h
   reads k and v of h / (heads / kv_heads). */
struct attention {
  size_t heads, kv_heads;
  enum pooling queries; /* the rows that q has: NONE, CLS or LAST */
  float scale;
  float softcap; /* scaled scores become softcap * tanh(score / softcap) (Gemma Team, 2024); 0: they do not */
  bool causal;
  size_t window; /* rows see keys nearer than so many tokens, on both sides if not causal; 0: all */
  size_t layer;  /* of the KV caches, where sequences have them */
  struct dropout dropout;
  struct distances distances; /* each head has its own k and v then, and rows see all keys */
};
struct tensor *op_attention(struct tape *tape, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct sequences *sequences, const struct attention *attention);

/* The same where queries and keys are of different sequences: sequence b of `queries` (all its rows ask) sees all of
   sequence b of `keys`. Not causal, no window, no distances. */
struct tensor *op_cross_attention(struct tape *tape, struct tensor *q, struct tensor *k, struct tensor *v,
                                  const struct sequences *queries, const struct sequences *keys,
                                  const struct attention *attention);

/* Rows brought to length 1 (a row of zeros stays one). */
struct tensor *op_unit_rows(struct tape *tape, struct tensor *x);
/* Scaled products of the first M rows of x (N, C) with the others: of each with every other, (M, N - M); or, where N is
   2 M, of each with its own, the M-th after it, (M, 1). Of unit rows they are cosines. */
enum similarity { SIMILARITY_ALL, SIMILARITY_OWN };
struct tensor *op_similarity(struct tape *tape, struct tensor *x, size_t first, enum similarity which, float scale);

/* --- images --------------------------------------------------------------------------------------- */

/* Images or their feature maps, channels last: a tensor has a row a pixel, image by image and line by line. How many of
   which size: rows = count * height * width. */
struct images {
  size_t count, height, width;
};

static inline size_t images_rows(const struct images *images) {
  return images->count * images->height * images->width;
}

/* What a convolution makes of a height or width (axis 0 or 1): 0 where the kernel does not fit. */
size_t op_convolution_size(const struct convolution *convolution, size_t size, int axis);

/* An fp32 array of the host enters the graph, on any backend. `numbers` may be NULL in a dry run. -> (rows, cols) */
struct tensor *op_input(struct tape *tape, const float *numbers, size_t rows, size_t cols);
/* Conv2d, with its adapter's low-rank product. (rows, channels) -> (rows of *images, out); *images becomes the
   output's. */
struct tensor *op_conv2d(struct tape *tape, struct tensor *x, struct images *images, const struct linear *linear);
/* GroupNorm (Wu and He, 2018): each image's channels in `groups` of neighbours, over all its pixels; then SiLU where
   `silu` is set. Its output is recomputed for the backward pass. */
struct tensor *op_group_norm(struct tape *tape, struct tensor *x, const struct images *images, const struct norm *norm,
                             size_t groups, bool silu);
/* Nearest neighbour, twice as high and as wide; *images becomes the output's. */
struct tensor *op_upsample(struct tape *tape, struct tensor *x, struct images *images);
/* (N, Cx), (N, Cy) -> (N, Cx + Cy) */
struct tensor *op_concat(struct tape *tape, struct tensor *x, struct tensor *y);
/* x + rows[image]: (N, C), (images, C) -> (N, C), where images divides N. */
struct tensor *op_add_rows(struct tape *tape, struct tensor *x, struct tensor *rows);

/* --- losses --------------------------------------------------------------------------------------- */

/* Losses end a tape. *loss, there when the backend has synchronised, is weight * sum over rows; `weight` is 1 /
   (examples of the whole optimiser step), so that gradient accumulation equals one large batch. Targets: uint32 [B]
   classes. */
void op_cross_entropy(struct tape *tape, struct tensor *logits, struct place targets, float weight, double *loss);
/* Against as many targets of fp32: squared error, the sum over elements. */
void op_squared_error(struct tape *tape, struct tensor *logits, struct place targets, float weight, double *loss);
/* logits (B, L) against fp32 [B, L] targets of 0 and 1, each a question of its own: the sum is over elements. */
void op_binary_cross_entropy(struct tape *tape, struct tensor *logits, struct place targets, float weight,
                             double *loss);

/* What a language model predicts next: softmax cross-entropy of the rows `rows` of x (N, C) through the frozen
   head and its softcap, a few hundred rows at a time: logits of a whole batch never exist. */
struct next_tokens {
  struct place rows;    /* uint32 [count] of x, ascending */
  struct place targets; /* uint32 [count] ids below head->out */
  size_t count;
};
/* *loss as above, summed over `count` rows; *correct (may be NULL) counts the rows whose largest logit is the
   target's. `tokens` is read when the op runs: a dry run needs its count only. */
void op_linear_cross_entropy(struct tape *tape, struct tensor *x, const struct linear *head,
                             const struct next_tokens *tokens, float weight, double *loss, size_t *correct);

/* The same rows as the completions of preference.h, and the loss that is made of their token losses. `tokens`,
   `completions` (in host memory) and `scores` are read and written when the op runs; *loss as above. */
void op_linear_preference(struct tape *tape, struct tensor *x, const struct linear *head,
                          const struct next_tokens *tokens, const struct preference *how,
                          const struct completions *completions, double *loss, struct preference_scores *scores);

/* log of the sum of exp(x), in double; the cross-entropy of one row on the host: that minus the target's logit. */
double op_log_sum_exp(const float *x, size_t count);
double op_row_loss(const float *logits, size_t classes, uint32_t target);
/* The binary cross-entropy of one logit. */
double op_binary_loss(float logit, float target);

/* The next dropout of this step: places are numbered in the order in which the model asks. */
struct dropout op_next_dropout(struct tape *tape, double p);

#endif
