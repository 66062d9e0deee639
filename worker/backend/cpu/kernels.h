/* The loops that are compiled once for each instruction set (worker/backend/cpu/isa/) and chosen when
   the worker starts. All are single-threaded and work on raw float rows; matrices are row-major.
   Outputs first, then inputs, then sizes. Pointers need no alignment beyond that of float.
   Results may differ between instruction sets in the last bits, never between runs on one. */
#ifndef WORKER_BACKEND_CPU_KERNELS_H
#define WORKER_BACKEND_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Inverted dropout by a counter-based generator (base/rng.h): element e of row r is kept or not
   by (seed, site, r, e) alone, so the backward pass makes the same mask again. */
struct dropout {
  uint64_t seed;
  uint64_t site;      /* which dropout of the model, and which step */
  uint32_t threshold; /* of 65536: elements below it are dropped; 0: no dropout */
  float scale;        /* 65536 / (65536 - threshold) */
};

/* The heads of one sequence that share one head of k and v. k, v and their gradients point at the sequence's first row,
   q, out and theirs at its row `first`, the first head's first column; head m's columns are D * m further on. Rows of q
   and out are `stride` floats apart, of k and v `kv_stride`. */
struct attention_heads {
  size_t length;      /* T: tokens of the sequence */
  size_t first, rows; /* the rows that ask: first .. first + rows - 1; q and out have no others */
  size_t head_size; /* D */
  size_t count;     /* of the heads */
  size_t stride, kv_stride;
  float scale;            /* of the scores */
  bool causal;            /* a row sees itself and the rows before it */
  size_t window;          /* causal: at most so many of them; 0: all */
  struct dropout dropout; /* of the probabilities; rows are numbered from row_first */
  uint64_t row_first;
  size_t row_step; /* from one head's rows to the next one's: of these numbers, and of lse */
};

/* One task of a product (worker/backend/cpu/matmul.h): C (rows x columns, ldc apart) = [C +] [1 A Q] panels. A panel
   holds `panel` columns: a row of floats that starts the sums, the rows of the depth, R rows of floats; the columns
   beyond the last are padding. */
struct panel_product {
  float *c;
  size_t ldc;
  const void *a; /* as the multiplier reads it; lda numbers a row */
  size_t lda;
  const float *q; /* rows x R */
  const float *panels;
  size_t rows, columns, depth, R; /* depth: padded. R 0: none, or the low-rank part is in the depth */
  bool accumulate;
};

/* How products with a frozen matrix run: the layout of what they read, and the loops over it. Number (i, k) of A,
   i and k multiples of row_block and depth_block, begins a block of row_block x depth_block numbers in rows; blocks
   follow each other along the depth, then down the rows. In floats as they lie both are 1. */
struct multiplier {
  const char *name;
  size_t panel;  /* columns of a packed panel, at most KERNELS_PANEL_MAX */
  size_t packed; /* numbers of a column in one row of a panel, which has the size of a float: 1 float or 2 bf16 */
  size_t number; /* bytes of a number of A */
  size_t row_block;
  size_t depth_block; /* depths are padded with zeros to whole blocks */
  size_t row_step;    /* a task has whole steps of rows, but the last one: A is padded to whole steps */
  size_t rows_most;   /* of a task: packing is shared by its rows */
  /* A of `rows` x depth floats, beside it Q of rows x R, into blocks, padding included; NULL: products read floats. */
  void (*convert)(void *out, const float *a, const float *q, size_t rows, size_t depth, size_t R);
  /* The depth that a rank takes beside A's, in whole blocks; NULL: none, the low-rank part is multiplied in floats. */
  size_t (*rank_depth)(size_t R);
  /* The rows of a panel's depth: column j of the panel is rows[j], 0 from `count` on; padding included. */
  void (*pack_columns)(float *panel, const float *const *rows, size_t count, size_t depth);
  /* One row of a panel: its first `count` columns from `packed` rows of B; NULL: zeros. */
  void (*pack_row)(float *row, const float *const *rows, size_t count);
  /* The rows of rank_depth: `count` columns of V's R rows, v_stride apart, times scale. */
  void (*pack_rank)(float *rows, const float *v, size_t v_stride, size_t count, size_t R, float scale);
  void (*run)(const struct panel_product *product);
};

enum { KERNELS_PANEL_MAX = 32, KERNELS_PACKED_MAX = 2 };

/* scratch: scratch(...) floats. lse = log of the sum of exp of each row. backward writes dq, dk, dv. */
struct attention_kernels {
  const char *name;
  size_t (*scratch)(size_t length, size_t head_size);
  void (*forward)(float *out, float *lse, const float *q, const float *k, const float *v,
                  const struct attention_heads *heads, float *scratch);
  void (*backward)(float *dq, float *dk, float *dv, const float *dout, const float *q, const float *k, const float *v,
                   const float *out, const float *lse, const struct attention_heads *heads, float *scratch);
};

struct kernels {
  const char *isa;
  const struct attention_kernels *attention;
  const struct multiplier *fp32;
  const struct multiplier *rounded; /* floats that were rounded to bf16: where the processor multiplies no bf16 */
  /* C (m x n, rows ldc apart) = [C if accumulate +] alpha * A B. A's element (i, k) lies at
     a[i * row_a + k * col_a]: transposes are strides. B is depth x n, rows ldb apart. For products
     with one small dimension, where BLAS is slow. */
  void (*gemm)(float *c, size_t ldc, const float *a, size_t row_a, size_t col_a, const float *b, size_t ldb, size_t m,
               size_t n, size_t depth, float alpha, bool accumulate);
  /* y (rows x R) = x (rows x depth) u (depth x R), R a multiple of 8; meanwhile ahead_floats floats from `ahead` on are
     brought near, because they are needed next. */
  void (*thin)(float *y, const float *x, const float *u, size_t rows, size_t depth, size_t R, const float *ahead,
               size_t ahead_floats);
  /* out[j] += sum over rows of x (rows x cols) */
  void (*column_sums)(float *out, const float *x, size_t rows, size_t cols);
  /* y (rows x cols) += bias, broadcast */
  void (*add_bias)(float *y, const float *bias, size_t rows, size_t cols);
  void (*add)(float *y, const float *x, size_t count); /* y += x */
  /* y = x * mask; y may be x. `row_first` numbers the first row. */
  void (*dropout)(float *y, const float *x, uint64_t row_first, size_t rows, size_t cols,
                  const struct dropout *dropout);
  /* LayerNorm over cols: y = (x - mean) * rstd * weight + bias; mean and rstd (rows) are saved. */
  void (*layernorm)(float *y, float *mean, float *rstd, const float *x, const float *weight, const float *bias,
                    size_t rows, size_t cols, float epsilon);
  /* dx = its gradient (written, not added). */
  void (*layernorm_backward)(float *dx, const float *dy, const float *x, const float *mean, const float *rstd,
                             const float *weight, size_t rows, size_t cols);
  /* RMSNorm over cols: y = x * rstd * weight, rstd = 1 / sqrt(mean of x^2 + epsilon), saved. */
  void (*rmsnorm)(float *y, float *rstd, const float *x, const float *weight, size_t rows, size_t cols, float epsilon);
  void (*rmsnorm_backward)(float *dx, const float *dy, const float *x, const float *rstd, const float *weight,
                           size_t rows, size_t cols);
  /* Rotary positions of one row: heads of 2 * half columns, column c turns with column c + half by the
     angle whose cosine and sine are cos[c], sin[c]. y may be x. direction -1 turns back. */
  void (*rope)(float *y, const float *x, const float *cos, const float *sin, size_t heads, size_t half,
               float direction);
  /* y = silu(gate) * up, silu(x) = x / (1 + e^-x) */
  void (*swiglu)(float *y, const float *gate, const float *up, size_t count);
  void (*swiglu_backward)(float *dgate, float *dup, const float *dy, const float *gate, const float *up, size_t count);
  /* A row of logits: returns the log of the sum of their exponentials, and the index of the largest in *top. */
  double (*log_sum_exp)(const float *x, size_t count, size_t *top);
  /* x = weight * exp(x - lse): its softmax, scaled */
  void (*softmax_scaled)(float *x, size_t count, float lse, float weight);
  void (*gelu)(float *y, const float *x, size_t count);                            /* exact, by erf */
  void (*gelu_backward)(float *dx, const float *dy, const float *x, size_t count); /* dx = dy * gelu'(x) */
  /* One AdamW update (Loshchilov and Hutter, "Decoupled weight decay regularization"), torch's form:
     step_size = lr / (1 - beta1^t), root_scale = 1 / sqrt(1 - beta2^t), decay = 1 - lr * weight_decay,
     gradients are multiplied by grad_scale first. */
  void (*adamw)(float *p, float *m, float *v, const float *g, size_t count, float grad_scale, float beta1, float beta2,
                float epsilon, float step_size, float root_scale, float decay);
  double (*sum_squares)(const float *x, size_t count);
};

extern const struct kernels kernels_avx2, kernels_avx512;
extern const struct attention_kernels attention_kernels_avx2, attention_kernels_avx512;
/* Products of bf16 numbers with float sums: worker/backend/cpu/bf16/. */
extern const struct multiplier multiplier_avx512_bf16, multiplier_amx;
extern const struct attention_kernels attention_kernels_amx;

#endif
