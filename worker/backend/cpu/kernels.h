/* The kernels: loops that are compiled once for each instruction set (worker/backend/cpu/isa/) and chosen when the
   worker starts. All are single-threaded and work on rows of fp32; matrices are row-major. Outputs come first, then
   inputs, then sizes. Pointers need no alignment beyond that of float. Results may differ between instruction sets in
   the last bits, never between runs on one.

   Letters, as in BLIS and FlashAttention:
     B, T, H, D   sequences of a batch, tokens of a sequence, heads, columns of a head
     M, N, K      C is M x N, A is M x K, B is K x N
     MR, NR       rows and columns of a microtile of C, which a microkernel keeps in registers
     MC, NC, KC   rows and columns of C, and part of K, that one packed block serves
     BR, BC       query rows and keys of a block of scores
     R            rank of an adapter */
#ifndef WORKER_BACKEND_CPU_KERNELS_H
#define WORKER_BACKEND_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/backend/weight.h"
#include "worker/op/dropout.h"

/* What distances add to the scores of one head (struct distances in worker/op/op.h). Distance d is row
   index[d] - first of the tables, from d = 1 - T to T - 1. */
struct attention_distances {
  const int32_t *index; /* of distance 0; NULL: nothing is added */
  size_t first;
  const float *keys, *queries; /* tables whose rows are attention_heads.stride apart; NULL: none */
  float *dkeys, *dqueries;     /* their gradients, which are added to; NULL: not asked for */
  const float *bias;           /* bias_stride apart; NULL: none */
  size_t bias_stride;
};

/* A grouped-query attention group of one sequence: the query heads that share one head of k and v. k, v and their
   gradients point at the sequence's first row; q, out and theirs at its row `first`, at the first column of the first
   head. Head m begins D * m columns further on. Rows of q and out are `stride` floats apart, of k and v `kv_stride`. */
struct attention_heads {
  size_t length;            /* T */
  size_t first, rows;       /* the query rows: first .. first + rows - 1; q and out have no others */
  size_t head_size;         /* D */
  size_t count;             /* query heads */
  size_t stride, kv_stride; /* leading dimensions */
  float scale;              /* of the scores */
  float softcap;            /* of the scores then; 0: none */
  bool causal;              /* a row attends to itself and the rows before it */
  size_t window;            /* to keys that are nearer than so many tokens; 0: to all */
  struct dropout dropout;   /* of the probabilities; rows are numbered from row_first */
  uint64_t row_first;
  size_t row_step;                      /* from a head's rows to the next head's: of these numbers, and of lse */
  struct attention_distances distances; /* where there is one query head, not causal, no window */
};

/* One block of a GEMM with a frozen operand (worker/backend/cpu/matmul.h): C = [C +] bias + A B + Q V, C m x n.
   B is packed: panels of nr columns, one after the other. A panel has a row of nr floats for the bias, then the rows
   of B, then R rows of V. Columns from n on are zero. */
struct gemm_block {
  float *c;
  size_t ldc;
  const void *a;  /* packed by pack_a, or fp32 rows where there is no pack_a */
  size_t lda;     /* elements */
  const float *q; /* m x R, fp32 */
  const float *panels;
  size_t m, n;
  size_t k;        /* a multiple of k_block */
  size_t R;        /* 0: no low-rank part, or it is part of k */
  bool accumulate; /* add to C */
};

/* A GEMM microkernel, the packing of its operands and the macrokernel that loops over it.
   Packed A is a sequence of tiles of m_block x k_block elements, row-major inside; tiles follow along k, then down the
   rows. With 1 x 1 it is plain row-major. */
struct gemm_ukernel {
  const char *name;
  size_t nr;               /* columns of a panel of B, at most GEMM_NR_MAX */
  size_t vnni;             /* VNNI factor: elements of a column side by side in a panel's row, which takes nr floats
                              either way: 1 fp32 or 2 bf16 a column. At most GEMM_VNNI_MAX */
  size_t element_size;     /* bytes of an element of A */
  size_t m_block, k_block; /* k is padded with zeros to a multiple of k_block */
  size_t mr;               /* a multiple of the microtile's rows; packed A is padded to a multiple of it */
  size_t mc_max;           /* most rows that share one packed block of B */
  /* Packs m x k floats of A, with Q (m x R) beside them where rank_k is set. Writes the padding too. NULL: A is read
     where it lies. */
  void (*pack_a)(void *out, const float *a, const float *q, size_t m, size_t k, size_t R);
  /* By how much a rank of R extends k: the low-rank part is then multiplied with the rest, and pack_v packs it. NULL:
     by nothing, the macrokernel multiplies Q and V in fp32. */
  size_t (*rank_k)(size_t R);
  /* Packs all rows of one panel from columns of B: column j < n is the k floats at columns[j]. */
  void (*pack_b_columns)(float *panel, const float *const *columns, size_t n, size_t k);
  /* Packs one row of one panel from `vnni` rows of B, n columns of each; a NULL row is zero. */
  void (*pack_b_rows)(float *panel_row, const float *const *rows, size_t n);
  /* Packs the rank_k(R) rows of one panel from R rows of V, v_stride apart, n columns of each, times scale. */
  void (*pack_v)(float *panel_rows, const float *v, size_t v_stride, size_t n, size_t R, float scale);
  void (*macrokernel)(const struct gemm_block *block);
};

enum { GEMM_NR_MAX = 32, GEMM_VNNI_MAX = 2 };

/* GEMV_GROUP activations in fixed point: `scale` times 16-bit integers. Sums are of the activations themselves. */
struct gemv_group {
  float scale, sum;
  float sums[2]; /* of the first half, and of the second */
};

/* Few rows times a frozen weight: Y (m x n) = X (m x k) times the transpose of n rows of the weight. Each sum has one
   order, which depends on the type and k alone. */
struct gemv {
  float *y;
  size_t ldy;
  const float *x; /* where the weight's type has floats */
  size_t ldx;
  struct { /* where it is quantised: X in fixed point */
    const int16_t *x;                /* [m][k] */
    const struct gemv_group *groups; /* [m][k / GEMV_GROUP] */
  } fixed;
  const unsigned char *const *rows; /* where the weight's n rows lie */
  enum ggml_type type;
  size_t m, n;
  size_t k; /* a multiple of GEMV_GROUP */
};

enum { GEMV_GROUP = 32 };

/* scratch: scratch(...) floats. lse: the log-sum-exp of each row of scores. backward writes dq, dk and dv. */
struct attention_kernels {
  const char *name;
  size_t (*scratch)(size_t length, size_t head_size, bool distances);
  void (*forward)(float *out, float *lse, const float *q, const float *k, const float *v,
                  const struct attention_heads *heads, float *scratch);
  void (*backward)(float *dq, float *dk, float *dv, const float *dout, const float *q, const float *k, const float *v,
                   const float *out, const float *lse, const struct attention_heads *heads, float *scratch);
};

/* The columns of one image in a GroupNorm: z = (x - mean) * scale + shift, y = z or silu(z); backward
   dx = dz * scale + (x - mean) * pull + push. */
struct group_norm_columns {
  const float *mean, *scale, *shift;
  const float *pull, *push; /* backward */
  bool silu;
};

struct kernels {
  const char *isa;
  const struct attention_kernels *attention;
  const struct gemm_ukernel *gemm_fp32;
  const struct gemm_ukernel *gemm_bf16_emulated; /* fp32 arithmetic on inputs rounded to bf16 */
  /* C (m x n) = [C if accumulate +] alpha * A B. A has a row stride and a column stride (rs_a, cs_a), so it may be a
     transpose. For GEMMs with one small dimension, where BLAS is slow. */
  void (*gemm)(float *c, size_t ldc, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t ldb, size_t m,
               size_t n, size_t k, float alpha, bool accumulate);
  /* y (m x R) = x (m x k) u (k x R), R a multiple of 8: a tall-skinny GEMM. Meanwhile it prefetches what is read next:
     prefetch_floats floats from `prefetch` on. */
  void (*gemm_skinny)(float *y, const float *x, const float *u, size_t m, size_t k, size_t R, const float *prefetch,
                      size_t prefetch_floats);
  void (*gemv)(const struct gemv *gemv);
  /* A row of X in fixed point: out has k integers, groups k / GEMV_GROUP. */
  void (*gemv_fixed)(int16_t *out, struct gemv_group *groups, const float *x, size_t k);
  /* out[j] += sum over rows of x (rows x cols) */
  void (*column_sums)(float *out, const float *x, size_t rows, size_t cols);
  /* y (rows x cols) += bias, broadcast */
  void (*add_bias)(float *y, const float *bias, size_t rows, size_t cols);
  void (*add)(float *y, const float *x, size_t count); /* y += x */
  /* y = x * mask; y may be x. `row_first` numbers the first row. */
  void (*dropout)(float *y, const float *x, uint64_t row_first, size_t rows, size_t cols,
                  const struct dropout *dropout);
  /* LayerNorm over cols: y = (x - mean) * rstd * weight + bias; mean and rstd (rows) are saved. bias NULL: 0. */
  void (*layernorm)(float *y, float *mean, float *rstd, const float *x, const float *weight, const float *bias,
                    size_t rows, size_t cols, float epsilon);
  /* dx is written, not added to. */
  void (*layernorm_backward)(float *dx, const float *dy, const float *x, const float *mean, const float *rstd,
                             const float *weight, size_t rows, size_t cols);
  /* RMSNorm over cols: y = x * rstd * weight, rstd = 1 / sqrt(mean of x^2 + epsilon), saved. */
  void (*rmsnorm)(float *y, float *rstd, const float *x, const float *weight, size_t rows, size_t cols, float epsilon);
  void (*rmsnorm_backward)(float *dx, const float *dy, const float *x, const float *rstd, const float *weight,
                           size_t rows, size_t cols);
  /* Rotary position embedding of one row: heads of 2 * half + rest columns; columns c and c + half of the first
     2 * half are rotated by the angle whose cosine and sine are cos[c] and sin[c]. y may be x. direction -1 rotates
     back. */
  void (*rope)(float *y, const float *x, const float *cos, const float *sin, size_t heads, size_t half, size_t rest,
               float direction);
  /* y = silu(gate) * up, silu(x) = x / (1 + e^-x) */
  void (*swiglu)(float *y, const float *gate, const float *up, size_t count);
  void (*swiglu_backward)(float *dgate, float *dup, const float *dy, const float *gate, const float *up, size_t count);
  /* The same with the exact GELU of the gate. */
  void (*geglu)(float *y, const float *gate, const float *up, size_t count);
  void (*geglu_backward)(float *dgate, float *dup, const float *dy, const float *gate, const float *up, size_t count);
  /* The same with GELU's approximation with tanh. */
  void (*geglu_tanh)(float *y, const float *gate, const float *up, size_t count);
  void (*geglu_tanh_backward)(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                              size_t count);
  void (*multiply)(float *y, const float *x, float factor, size_t count); /* y = factor * x */
  /* out[j] += sum over rows of (x - mean[j])^2 */
  void (*column_squares)(float *out, const float *x, const float *mean, size_t rows, size_t cols);
  void (*group_norm)(float *y, const float *x, const struct group_norm_columns *columns, size_t rows, size_t cols);
  /* sum[j] += sum over rows of dz, dot[j] += that of dz * (x - mean[j]) */
  void (*group_norm_sums)(float *sum, float *dot, const float *dy, const float *x,
                          const struct group_norm_columns *columns, size_t rows, size_t cols);
  void (*group_norm_backward)(float *dx, const float *dy, const float *x, const struct group_norm_columns *columns,
                              size_t rows, size_t cols);
  void (*swish)(float *y, const float *x, float beta, size_t count); /* y = x * sigmoid(beta x) */
  void (*swish_backward)(float *dx, const float *dy, const float *x, float beta, size_t count);
  /* A row of logits: returns the log of the sum of their exponentials, and the index of the largest in *top. */
  double (*log_sum_exp)(const float *x, size_t count, size_t *top);
  /* x = weight * exp(x - lse): its softmax, scaled */
  void (*softmax_scaled)(float *x, size_t count, float lse, float weight);
  /* y = softcap * tanh(x / softcap), also in place; and dx = dy (1 - (y / softcap)^2), also in place. */
  void (*softcap)(float *y, const float *x, size_t count, float softcap);
  void (*softcap_backward)(float *dx, const float *dy, const float *y, size_t count, float softcap);
  void (*gelu)(float *y, const float *x, size_t count);                            /* exact, by erf */
  void (*gelu_backward)(float *dx, const float *dy, const float *x, size_t count); /* dx = dy * gelu'(x) */
  void (*gelu_tanh)(float *y, const float *x, size_t count);                       /* its approximation with tanh */
  void (*gelu_tanh_backward)(float *dx, const float *dy, const float *x, size_t count);
  /* One AdamW update (Loshchilov and Hutter, "Decoupled weight decay regularization"), torch's form:
     step_size = lr / (1 - beta1^t), root_scale = 1 / sqrt(1 - beta2^t), decay = 1 - lr * weight_decay,
     gradients are multiplied by grad_scale first. */
  void (*adamw)(float *p, float *m, float *v, const float *g, size_t count, float grad_scale, float beta1, float beta2,
                float epsilon, float step_size, float root_scale, float decay);
  double (*sum_squares)(const float *x, size_t count);
};

extern const struct kernels kernels_generic, kernels_avx2, kernels_avx512;
extern const struct attention_kernels attention_kernels_generic, attention_kernels_avx2, attention_kernels_avx512;
/* bf16 inputs, fp32 accumulation: worker/backend/cpu/bf16/. */
extern const struct gemm_ukernel gemm_ukernel_avx512_bf16, gemm_ukernel_amx;
extern const struct attention_kernels attention_kernels_amx;

#endif
