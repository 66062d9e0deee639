/* The products of attention in floats, for attention.c and attention_backward.c. The same names in bf16 tiles:
   worker/backend/cpu/bf16/attention_products.h. */
#ifndef WORKER_BACKEND_CPU_ISA_ATTENTION_PRODUCTS_H
#define WORKER_BACKEND_CPU_ISA_ATTENTION_PRODUCTS_H

#include "worker/backend/cpu/isa/attention_block.h"
#include "worker/backend/cpu/isa/gemm_ukernel.h"

/* Keys or values: rows of all of them. */
struct keys {
  float *rows;
};

/* A block of query rows, or of the output's gradients. */
struct rows {
  float *panels; /* transposed: panel p is D vectors of PANEL rows, 0 beyond the last */
  float *rows;   /* NULL: no sums over rows */
};

/* Floats from row to row of D columns in scratch memory: an odd number of panels, so that rows spread over all sets
   of the cache. */
static inline size_t row_stride(size_t D) {
  return ((D + PANEL - 1) / PANEL | 1) * PANEL;
}

/* Floats of scratch memory: of keys, of what is gathered for keys (row_stride(D) a row), of rows, of sums for rows. */
static inline size_t keys_floats(size_t T, size_t D) {
  return (T + TALL) * row_stride(D);
}
static inline size_t gathered_floats(size_t T, size_t D) {
  return (T + TALL) * row_stride(D);
}
static inline size_t rows_floats(size_t D) {
  return BLOCK * (D + row_stride(D));
}
static inline size_t sums_floats(size_t D) {
  return BLOCK * row_stride(D);
}

/* For keys of [from, to) sum_over_keys reads scores from `from` to here, */
static inline size_t sum_over_keys_end(size_t from, size_t to) {
  (void)from;
  return to;
}
/* sum_over_rows to here. */
static inline size_t sum_over_rows_end(size_t from, size_t to) {
  (void)from;
  return to + TALL;
}

static inline void products_begin(void) {}
static inline void products_end(void) {}

/* For make_scores, sum_over_keys, or both. */
enum keys_use { KEYS_SCORE = 1, KEYS_SUM = 2 };

static inline struct keys keys_take(float **scratch, const float *in, size_t in_stride, size_t T, size_t D,
                                    unsigned use) {
  (void)use;
  struct keys k = {take(scratch, keys_floats(T, D))};
  copy_rows(k.rows, row_stride(D), in, in_stride, T, D, 1);
  return k;
}

static inline struct rows rows_room(float **scratch, size_t D, bool summed) {
  return (struct rows){take(scratch, BLOCK * D), summed ? take(scratch, BLOCK * row_stride(D)) : NULL};
}

static inline void rows_take(const struct rows *r, const float *in, size_t in_stride, size_t count, size_t D) {
  const float *at[PANEL];
  for (size_t row = 0; row < count; row += PANEL) {
    size_t n = count - row < PANEL ? count - row : PANEL;
    for (size_t i = 0; i < n; i++)
      at[i] = in + (row + i) * in_stride;
    ISA_NAME(gemm_ukernel_fp32).pack_b_columns(r->panels + row * D, at, n, D);
  }
  if (r->rows)
    copy_rows(r->rows, row_stride(D), in, in_stride, count, D, 1);
}

/* A tile: c (ROWS x PANEL, rows C_STEP apart) = [c +] A B. A's element (i, k) is a[i * ROW + k * COLUMN], B's row k is
   b + k * B_STEP. `stride` is that of rows in scratch memory; all others are known here. */
#define TILE(name, ROWS, C_STEP, ROW, COLUMN, B_STEP, ADD)                                                             \
  static inline void name(float *c, const float *a, const float *b, size_t stride, size_t depth) {                     \
    (void)stride;                                                                                                      \
    vf acc[ROWS][2] = {0};                                                                                             \
    _Pragma("GCC unroll 4") for (size_t k = 0; k < depth; k++) {                                                       \
      vf b0 = load(b + k * (B_STEP)), b1 = load(b + k * (B_STEP) + W);                                                 \
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

TILE(score_tall, TALL, BLOCK, stride, 1, PANEL, false)
TILE(score_four, 4, BLOCK, stride, 1, PANEL, false)
TILE(over_keys_tall, TALL, stride, 1, BLOCK, stride, true)
TILE(over_keys_four, 4, stride, 1, BLOCK, stride, true)
TILE(over_rows_tall, TALL, stride, BLOCK, 1, stride, true)
TILE(over_rows_four, 4, stride, BLOCK, 1, stride, true)

/* Panel p of s (keys x rows, from key `base` on, a multiple of CHUNK) = K Q^T for `seen` keys. */
static inline void make_scores(float *s, size_t base, const struct keys *k, const struct rows *q, size_t p,
                               struct span seen, size_t D) {
  const size_t stride = row_stride(D);
  const float *panel = q->panels + p * PANEL * D;
  size_t i = seen.from;
  s += p * PANEL;
  for (; i + 4 < seen.to; i += TALL)
    score_tall(s + (i - base) * BLOCK, k->rows + i * stride, panel, stride, D);
  if (i < seen.to)
    score_four(s + (i - base) * BLOCK, k->rows + i * stride, panel, stride, D);
}

/* sum (rows x D) += S^T V over the keys of [from, to) that they see: s is the block's scores of key `from`. */
static inline void sum_over_keys(float *sum, const float *s, const struct keys *v, const struct attention_heads *h,
                                 struct span rows, size_t from, size_t to) {
  const size_t count = rows.to - rows.from, stride = row_stride(h->head_size);
  for (size_t column = 0; column < h->head_size; column += PANEL)
    for (size_t i = 0; i < count; i += TALL) {
      size_t n = count - i > 4 ? TALL : 4;
      struct span seen = keys_seen(h, rows.from + i, rows.from + (count - i < n ? count : i + n), from, to);
      float *c = sum + i * stride + column;
      const float *a = s + (seen.from - from) * BLOCK + i, *b = v->rows + seen.from * stride + column;
      (n == TALL ? over_keys_tall : over_keys_four)(c, a, b, stride, seen.to - seen.from);
    }
}

/* sum (keys x D, of key 0) += S Q over the block's rows that see them. */
static inline void sum_over_rows(float *sum, const float *s, const struct rows *q, const struct attention_heads *h,
                                 struct span rows, size_t from, size_t to) {
  const size_t stride = row_stride(h->head_size);
  for (size_t column = 0; column < h->head_size; column += PANEL)
    for (size_t key = from; key < to; key += TALL) {
      size_t n = to - key > 4 ? TALL : 4;
      struct span seeing = rows_seeing(h, key, key + n, rows.from, rows.to);
      size_t row = seeing.from - rows.from;
      (n == TALL ? over_rows_tall : over_rows_four)(sum + key * stride + column, s + (key - from) * BLOCK + row,
                                                    q->rows + row * stride + column, stride, seeing.to - seeing.from);
    }
}

/* The sums of `count` rows, each times its scale. */
static inline void sums_deliver(float *out, size_t out_stride, const float *sum, size_t count, size_t D,
                                const float *scales) {
  const size_t stride = row_stride(D);
  for (size_t i = 0; i < count; i++)
    copy_rows(out + i * out_stride, 0, sum + i * stride, 0, 1, D, scales[i]);
}

#endif
