/* The matmuls of attention in fp32, for attention.c and attention_backward.c. The same functions in bf16 tiles are
   worker/backend/cpu/bf16/attention_products.h. */
#ifndef WORKER_BACKEND_CPU_ISA_ATTENTION_PRODUCTS_H
#define WORKER_BACKEND_CPU_ISA_ATTENTION_PRODUCTS_H

#include "worker/backend/cpu/isa/attention_block.h"
#include "worker/backend/cpu/isa/gemm_ukernel.h"

/* All keys or values. */
struct keys {
  float *rows;
};

/* A block of query rows, or of rows of the output's gradient. */
struct rows {
  float *panels; /* packed: panel p is D x PANEL, its columns are rows; 0 beyond the last */
  float *rows;   /* as they are; NULL: for no sum over rows */
};

/* The leading dimension of D columns in scratch memory: an odd number of panels, so that rows spread over all sets of
   L1. */
static inline size_t row_stride(size_t D) {
  return ((D + PANEL - 1) / PANEL | 1) * PANEL;
}

/* Floats of scratch memory: of keys, of dK or dV (row_stride(D) a row), of rows, and of sums for rows. */
static inline size_t keys_floats(size_t T, size_t D) {
  return (T + MICROTILE_ROWS) * row_stride(D);
}
static inline size_t kv_grad_floats(size_t T, size_t D) {
  return (T + MICROTILE_ROWS) * row_stride(D);
}
static inline size_t rows_floats(size_t D) {
  return BR * (D + row_stride(D));
}
static inline size_t sums_floats(size_t D) {
  return BR * row_stride(D);
}

/* For the keys of [from, to) sum_over_keys reads scores of the keys from `from` to here, */
static inline size_t sum_over_keys_end(size_t from, size_t to) {
  (void)from;
  return to;
}
/* sum_over_rows to here. */
static inline size_t sum_over_rows_end(size_t from, size_t to) {
  (void)from;
  return to + MICROTILE_ROWS;
}

static inline void products_begin(void) {}
static inline void products_end(void) {}

/* For compute_scores, sum_over_keys, or both. */
enum keys_use { KEYS_SCORE = 1, KEYS_SUM = 2 };

static inline struct keys keys_pack(float **scratch, const float *in, size_t in_stride, size_t T, size_t D,
                                    unsigned use) {
  (void)use;
  struct keys k = {scratch_alloc(scratch, keys_floats(T, D))};
  scale_rows(k.rows, row_stride(D), in, in_stride, T, D, 1);
  return k;
}

static inline struct rows rows_alloc(float **scratch, size_t D, bool summed) {
  return (struct rows){scratch_alloc(scratch, BR * D), summed ? scratch_alloc(scratch, BR * row_stride(D)) : NULL};
}

static inline void rows_pack(const struct rows *r, const float *in, size_t in_stride, size_t count, size_t D) {
  const float *at[PANEL];
  for (size_t row = 0; row < count; row += PANEL) {
    size_t n = count - row < PANEL ? count - row : PANEL;
    for (size_t i = 0; i < n; i++)
      at[i] = in + (row + i) * in_stride;
    ISA_NAME(gemm_ukernel_fp32).pack_b_columns(r->panels + row * D, at, n, D);
  }
  if (r->rows)
    scale_rows(r->rows, row_stride(D), in, in_stride, count, D, 1);
}

/* C (ROWS x PANEL, rows C_STEP apart) = [C +] A B. A's element (i, k) is a[i * ROW + k * COLUMN], B's row k is
   b + k * B_STEP. `stride` is that of rows in scratch memory; all others are constants. */
#define MICROKERNEL(name, ROWS, C_STEP, ROW, COLUMN, B_STEP, ADD)                                                      \
  static inline void name(float *c, const float *a, const float *b, size_t stride, size_t K) {                         \
    (void)stride;                                                                                                      \
    vf acc[ROWS][2] = {0};                                                                                             \
    _Pragma("GCC unroll 4") for (size_t k = 0; k < K; k++, b += (B_STEP)) {                                            \
      vf b0 = load(b), b1 = load(b + W);                                                                               \
      _Pragma("GCC unroll 16") for (size_t i = 0; i < (ROWS); i++) {                                                   \
        float x = a[i * (ROW) + k * (COLUMN)];                                                                         \
        acc[i][0] += x * b0;                                                                                           \
        acc[i][1] += x * b1;                                                                                           \
      }                                                                                                                \
    }                                                                                                                  \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < (ROWS); i++, c += (C_STEP)) {                                      \
      store(c, (ADD) ? load(c) + acc[i][0] : acc[i][0]);                                                               \
      store(c + W, (ADD) ? load(c + W) + acc[i][1] : acc[i][1]);                                                       \
    }                                                                                                                  \
  }

MICROKERNEL(scores_mr, MICROTILE_ROWS, BR, stride, 1, PANEL, false)
MICROKERNEL(scores_4, 4, BR, stride, 1, PANEL, false)
MICROKERNEL(over_keys_mr, MICROTILE_ROWS, stride, 1, BR, stride, true)
MICROKERNEL(over_keys_4, 4, stride, 1, BR, stride, true)
MICROKERNEL(over_rows_mr, MICROTILE_ROWS, stride, BR, 1, stride, true)
MICROKERNEL(over_rows_4, 4, stride, BR, 1, stride, true)

/* Panel p of S (keys x rows, from key `base` on, a multiple of BC) = K Q^T for the keys `attended`. */
static inline void compute_scores(float *s, size_t base, const struct keys *k, const struct rows *q, size_t p,
                                  struct span attended, size_t D) {
  const size_t stride = row_stride(D);
  const float *panel = q->panels + p * PANEL * D;
  size_t i = attended.from;
  s += p * PANEL;
  for (; i + 4 < attended.to; i += MICROTILE_ROWS)
    scores_mr(s + (i - base) * BR, k->rows + i * stride, panel, stride, D);
  if (i < attended.to)
    scores_4(s + (i - base) * BR, k->rows + i * stride, panel, stride, D);
}

/* sum (rows x D) += S^T V over the keys of [from, to) that the rows attend to. s: the block's scores of key `from`. */
static inline void sum_over_keys(float *sum, const float *s, const struct keys *v, const struct attention_heads *h,
                                 struct span rows, size_t from, size_t to) {
  const size_t count = rows.to - rows.from, stride = row_stride(h->head_size);
  for (size_t column = 0; column < h->head_size; column += PANEL)
    for (size_t i = 0; i < count; i += MICROTILE_ROWS) {
      size_t n = count - i > 4 ? MICROTILE_ROWS : 4;
      struct span attended = keys_attended(h, rows.from + i, rows.from + (count - i < n ? count : i + n), from, to);
      float *c = sum + i * stride + column;
      const float *a = s + (attended.from - from) * BR + i, *b = v->rows + attended.from * stride + column;
      (n == MICROTILE_ROWS ? over_keys_mr : over_keys_4)(c, a, b, stride, attended.to - attended.from);
    }
}

/* sum (keys x D, from key 0 on) += S Q over the block's rows that attend to them. */
static inline void sum_over_rows(float *sum, const float *s, const struct rows *q, const struct attention_heads *h,
                                 struct span rows, size_t from, size_t to) {
  const size_t stride = row_stride(h->head_size);
  for (size_t column = 0; column < h->head_size; column += PANEL)
    for (size_t key = from; key < to; key += MICROTILE_ROWS) {
      size_t n = to - key > 4 ? MICROTILE_ROWS : 4;
      struct span attending = rows_attending(h, key, key + n, rows.from, rows.to);
      size_t row = attending.from - rows.from;
      (n == MICROTILE_ROWS ? over_rows_mr : over_rows_4)(sum + key * stride + column, s + (key - from) * BR + row,
                                                         q->rows + row * stride + column, stride,
                                                         attending.to - attending.from);
    }
}

/* Writes the sums of `count` rows, each times its scale. */
static inline void sums_store(float *out, size_t out_stride, const float *sum, size_t count, size_t D,
                              const float *scales) {
  const size_t stride = row_stride(D);
  for (size_t i = 0; i < count; i++)
    scale_rows(out + i * out_stride, 0, sum + i * stride, 0, 1, D, scales[i]);
}

#endif
