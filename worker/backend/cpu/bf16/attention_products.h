/* The matmuls of attention in bf16 with fp32 accumulation, by AMX tiles; what the functions do is said in
   worker/backend/cpu/isa/attention_products.h. Sums for rows are kept transposed: then scores (keys x rows) are packed
   as a panel of B. */
#ifndef WORKER_BACKEND_CPU_BF16_ATTENTION_PRODUCTS_H
#define WORKER_BACKEND_CPU_BF16_ATTENTION_PRODUCTS_H

#include "worker/backend/cpu/bf16/tiles.h"
#include "worker/backend/cpu/isa/attention_block.h"

struct keys {
  uint16_t *blocks;     /* packed A, rows are keys; NULL: no scores */
  uint16_t *transposed; /* packed A, rows are columns of the head; NULL: no sums over keys */
  size_t lda;           /* of `transposed`: keys, padded */
};

struct rows {
  float *panels; /* a panel has PANEL rows as its columns, its depth is the head's */
  float *pairs;  /* a panel has columns of the head, its depth is the rows; NULL: no sums over rows */
};

static inline size_t padded(size_t n) {
  return (n + NR - 1) / NR * NR;
}

static inline size_t row_stride(size_t D) {
  return padded(D);
}

static inline size_t keys_floats(size_t T, size_t D) {
  return padded(T) * padded(D); /* two of half the size */
}
static inline size_t kv_grad_floats(size_t T, size_t D) {
  return padded(T) * padded(D);
}
static inline size_t rows_floats(size_t D) {
  return BR * padded(D); /* likewise */
}
static inline size_t sums_floats(size_t D) {
  return BR * padded(D);
}

static inline size_t sum_over_keys_end(size_t from, size_t to) {
  return from + padded(to - from);
}
static inline size_t sum_over_rows_end(size_t from, size_t to) {
  return from + padded(to - from);
}

static inline void products_begin(void) {
  tiles_begin();
}
static inline void products_end(void) {
  tiles_end();
}

/* Packs rows x cols floats as A. */
static inline void a_pack(uint16_t *out, const float *in, size_t in_stride, size_t rows, size_t cols) {
  for (size_t i = 0; i < padded(rows); i++)
    pack_a_row(packed_row(out, i, k_blocks(cols)), i < rows ? in + i * in_stride : NULL, cols);
}

/* A panel of which B's rows are `rows` of `in`: its first 32 columns, of which `cols` are there. */
static inline void b_rows_pack(float *panel, const float *in, size_t in_stride, size_t rows, size_t cols) {
  for (size_t i = 0; i < padded(rows); i += 2) {
    const float *pair[2] = {i < rows ? in + i * in_stride : NULL, i + 1 < rows ? in + (i + 1) * in_stride : NULL};
    pack_b_rows(panel + i / 2 * NR, pair, cols < NR ? cols : NR);
  }
}

/* rows x cols floats, transposed, into A's blocks: a panel of them is one, but for the order in its blocks. */
static inline void a_transposed_pack(uint16_t *out, size_t lda, const float *in, size_t in_stride, size_t rows,
                                     size_t cols) {
  for (size_t column = 0; column < padded(cols); column += NR)
    for (size_t row = 0; row < padded(rows); row += K_BLOCK) {
      float panel[K_BLOCK / 2 * NR];
      size_t there = rows > row ? rows - row : 0;
      b_rows_pack(panel, in + row * in_stride + column, in_stride, there < K_BLOCK ? there : K_BLOCK,
                 cols > column ? cols - column : 0);
      for (size_t half = 0; half < 2; half++) {
        __m512i words[16];
        for (size_t i = 0; i < 16; i++)
          words[i] = _mm512_loadu_si512(panel + i * NR + half * 16);
        transpose_words(words);
        memcpy(out + (column + half * 16) * lda + row * M_BLOCK, words, sizeof words);
      }
    }
}

enum keys_use { KEYS_SCORE = 1, KEYS_SUM = 2 };

static inline struct keys keys_pack(float **scratch, const float *in, size_t in_stride, size_t T, size_t D,
                                    unsigned use) {
  uint16_t *room = (uint16_t *)(void *)scratch_alloc(scratch, keys_floats(T, D));
  struct keys k = {use & KEYS_SCORE ? room : NULL, use & KEYS_SUM ? room + keys_floats(T, D) : NULL, padded(T)};
  if (k.blocks)
    a_pack(k.blocks, in, in_stride, T, D);
  if (k.transposed)
    a_transposed_pack(k.transposed, k.lda, in, in_stride, T, D);
  return k;
}

static inline struct rows rows_alloc(float **scratch, size_t D, bool summed) {
  float *room = scratch_alloc(scratch, rows_floats(D));
  return (struct rows){room, summed ? room + rows_floats(D) / 2 : NULL};
}

static inline void rows_pack(const struct rows *r, const float *in, size_t in_stride, size_t count, size_t D) {
  const float *at[NR];
  for (size_t row = 0; row < count; row += NR) {
    size_t n = count - row < NR ? count - row : NR;
    for (size_t i = 0; i < n; i++)
      at[i] = in + (row + i) * in_stride;
    pack_b_columns(r->panels + row * padded(D) / 2, at, n, D);
  }
  for (size_t column = 0; r->pairs && column < D; column += NR)
    b_rows_pack(r->pairs + column * BR / 2, in + column, in_stride, count, D - column);
}

static inline void compute_scores(float *s, size_t base, const struct keys *k, const struct rows *q, size_t p,
                                  struct span attended, size_t D) {
  const float *panel = q->panels + p * NR * padded(D) / 2;
  for (size_t key = attended.from / MR * MR; key < attended.to; key += MR)
    tiles_multiply(s + (key - base) * BR + p * NR, BR, k->blocks + key * padded(D), TILE_ROWS * padded(D), panel,
                   padded(D), false);
}

/* sum: D x rows */
static inline void sum_over_keys(float *sum, const float *s, const struct keys *v, const struct attention_heads *h,
                                 struct span rows, size_t from, size_t to) {
  float panel[BC / 2 * NR] __attribute__((aligned(64)));
  for (size_t row = rows.from; row < rows.to; row += NR) {
    size_t at = row - rows.from, end = rows.to - row < NR ? rows.to : row + NR;
    struct span attended = keys_attended(h, row, end, from, to);
    size_t depth = padded(attended.to - from);
    if (attended.from == attended.to)
      continue;
    b_rows_pack(panel, s + at, BR, depth, NR);
    for (size_t d = 0; d < padded(h->head_size); d += MR)
      tiles_multiply(sum + d * BR + at, BR, v->transposed + d * v->lda + from * M_BLOCK, TILE_ROWS * v->lda,
                     panel, depth, true);
  }
}

static inline void sum_over_rows(float *sum, const float *s, const struct rows *q, const struct attention_heads *h,
                                 struct span rows, size_t from, size_t to) {
  uint16_t blocks[BC * BR] __attribute__((aligned(64)));
  const size_t D = h->head_size, depth = padded(rows.to - rows.from), keys = padded(to - from);
  a_pack(blocks, s, BR, keys, depth);
  for (size_t key = 0; key < keys; key += MR)
    for (size_t column = 0; column < D; column += NR)
      tiles_multiply(sum + (from + key) * row_stride(D) + column, row_stride(D), blocks + key * depth,
                     TILE_ROWS * depth, q->pairs + column * BR / 2, depth, true);
}

static inline void sums_store(float *out, size_t out_stride, const float *sum, size_t count, size_t D,
                                const float *scales) {
  for (size_t row = 0; row < count; row += 16)
    for (size_t d = 0; d < D; d += 16) {
      __mmask16 there = D - d >= 16 ? 0xFFFF : (__mmask16)((1u << (D - d)) - 1);
      __m512i words[16];
      for (size_t i = 0; i < 16; i++)
        words[i] = _mm512_loadu_si512(sum + (d + i) * BR + row);
      transpose_words(words);
      for (size_t i = 0; i < 16 && row + i < count; i++)
        _mm512_mask_storeu_ps(out + (row + i) * out_stride + d, there,
                              _mm512_mul_ps((__m512)words[i], _mm512_set1_ps(scales[row + i])));
    }
}

/* Distances add nothing in tiles: attention that has them runs in fp32 (cpu/op_attention.c). */
struct work_distances {
  bool none;
};
static inline size_t distances_floats(size_t T, size_t D) {
  (void)T;
  (void)D;
  return 0;
}
static inline struct work_distances distances_pack(float **scratch, const struct attention_heads *h, bool backward) {
  (void)scratch;
  (void)h;
  (void)backward;
  return (struct work_distances){true};
}
#define add_distances(...) ((void)0)
#define distances_backward(...) ((void)0)
#define distances_finish(...) ((void)0)

#endif
