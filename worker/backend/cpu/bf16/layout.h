/* What both multipliers of bf16 numbers read. A lies in blocks of 16 rows x 32 numbers, a line of cache a row; a row of
   a panel holds two numbers (rows 2k and 2k + 1 of B) of each of its 32 columns. That is what AMX's tiles and
   AVX-512's pairs want. Included only by the files of this folder, compiled for AVX512-BF16. */
#ifndef WORKER_BACKEND_CPU_BF16_LAYOUT_H
#define WORKER_BACKEND_CPU_BF16_LAYOUT_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "worker/backend/cpu/kernels.h"

enum { BF16_PANEL = 32, ROW_BLOCK = 16, DEPTH_BLOCK = 32, BLOCK_NUMBERS = ROW_BLOCK * DEPTH_BLOCK, ROW_STEP = 32 };

/* Numbers 0..count-1 of a row, then zeros, as bf16. */
static inline __m512i take_32(const float *from, size_t count) {
  __mmask32 there = count >= 32 ? ~0u : (1u << count) - 1;
  __m512 low = _mm512_maskz_loadu_ps((__mmask16)there, from);
  __m512 high = _mm512_maskz_loadu_ps((__mmask16)(there >> 16), from + 16);
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static inline size_t blocks_of(size_t depth) {
  return (depth + DEPTH_BLOCK - 1) / DEPTH_BLOCK;
}

/* The low-rank part is in the depth, almost without the error of bf16: with x = high + low, both bf16, it is
   high high + low high + high low of Q and V. */
static inline size_t rank_depth(size_t R) {
  return blocks_of(3 * R) * DEPTH_BLOCK;
}

/* The nearest bf16 number; away from zero where two are. */
static inline float high_part(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x8000u) & 0xFFFF0000u;
  memcpy(&x, &bits, sizeof x);
  return x;
}

enum { RANK_MAX = 1024 };

/* Where row i begins in A's blocks, `blocks` of them along the depth. */
static inline uint16_t *row_in_blocks(void *out, size_t i, size_t blocks) {
  return (uint16_t *)out + i / ROW_BLOCK * blocks * BLOCK_NUMBERS + i % ROW_BLOCK * DEPTH_BLOCK;
}

/* A row of `depth` floats, or zeros (NULL), into whole blocks. */
static inline void row_take(uint16_t *row, const float *from, size_t depth) {
  for (size_t k = 0; k < depth; k += DEPTH_BLOCK, row += BLOCK_NUMBERS)
    _mm512_storeu_si512(row, from ? take_32(from + k, depth - k) : _mm512_setzero_si512());
}

/* depth, then Q's part */
static inline void convert(void *out, const float *a, const float *q, size_t rows, size_t depth, size_t R) {
  size_t blocks = blocks_of(depth), padded = (rows + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
  float parts[3 * RANK_MAX];
  for (size_t i = 0; i < padded; i++) {
    uint16_t *row = row_in_blocks(out, i, blocks + blocks_of(3 * R));
    for (size_t r = 0; r < R; r++) {
      float x = i < rows ? q[i * R + r] : 0.0f;
      parts[r] = parts[2 * R + r] = high_part(x);
      parts[R + r] = x - parts[r];
    }
    row_take(row, i < rows ? a + i * depth : NULL, depth);
    row_take(row + blocks * BLOCK_NUMBERS, parts, 3 * R);
  }
}

/* 16 x 16 words, rows to columns. */
static inline void transpose_words(__m512i r[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  /* r[4 g + c] now has, in its quarter q, column 4 q + c of rows 4 g .. 4 g + 3 */
  for (int c = 0; c < 4; c++) {
    __m512i low = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88), high = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xDD);
    __m512i low2 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88);
    __m512i high2 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xDD);
    t[c] = _mm512_shuffle_i32x4(low, low2, 0x88);
    t[8 + c] = _mm512_shuffle_i32x4(low, low2, 0xDD);
    t[4 + c] = _mm512_shuffle_i32x4(high, high2, 0x88);
    t[12 + c] = _mm512_shuffle_i32x4(high, high2, 0xDD);
  }
  memcpy(r, t, sizeof t);
}

static inline void pack_columns(float *panel, const float *const *rows, size_t count, size_t depth) {
  for (size_t k = 0; k < depth; k += DEPTH_BLOCK)
    for (size_t j = 0; j < BF16_PANEL; j += 16) {
      __m512i words[16];
      for (size_t i = 0; i < 16; i++)
        words[i] = j + i < count ? take_32(rows[j + i] + k, depth - k) : _mm512_setzero_si512();
      transpose_words(words);
      for (size_t i = 0; i < 16; i++)
        _mm512_storeu_si512(panel + (k / 2 + i) * BF16_PANEL + j, words[i]);
    }
}

static inline void pack_row(float *row, const float *const *rows, size_t count) {
  static const uint16_t in_pairs[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i order = _mm512_loadu_si512(in_pairs);
  for (size_t j = 0; j < BF16_PANEL; j += 16) {
    __mmask16 there = j >= count ? 0 : count - j >= 16 ? 0xFFFF : (__mmask16)((1u << (count - j)) - 1);
    __m512 first = _mm512_maskz_loadu_ps(rows[0] ? there : 0, rows[0] + j);
    __m512 second = _mm512_maskz_loadu_ps(rows[1] ? there : 0, rows[1] + j);
    _mm512_storeu_si512(row + j, _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(second, first)));
  }
}

static inline void pack_rank(float *rows, const float *v, size_t v_stride, size_t count, size_t R, float scale) {
  float pair[2][BF16_PANEL];
  const float *const pieces[2] = {pair[0], pair[1]};
  for (size_t e = 0; e < rank_depth(R); e++) {
    for (size_t j = 0; j < count; j++) {
      float x = e < 3 * R ? v[e % R * v_stride + j] * scale : 0.0f;
      pair[e % 2][j] = e < 2 * R ? high_part(x) : x - high_part(x);
    }
    if (e % 2)
      pack_row(rows + e / 2 * BF16_PANEL, pieces, count);
  }
}

/* A row of a tile's sums, and what starts them, into C, as much of it as there is. */
static inline void deliver(float *c, const float *sums, const float *start, size_t columns, bool accumulate) {
  for (size_t j = 0; j < columns; j += 16) {
    __mmask16 there = columns - j >= 16 ? 0xFFFF : (__mmask16)((1u << (columns - j)) - 1);
    __m512 v = _mm512_add_ps(_mm512_loadu_ps(sums + j), _mm512_loadu_ps(start + j));
    if (accumulate)
      v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(there, c + j));
    _mm512_mask_storeu_ps(c + j, there, v);
  }
}

#define MULTIPLIER_OF_BF16                                                                                             \
  .panel = BF16_PANEL, .packed = 2, .number = sizeof(uint16_t), .row_block = ROW_BLOCK, .depth_block = DEPTH_BLOCK,    \
  .row_step = ROW_STEP, .rows_most = 4096, .convert = convert, .rank_depth = rank_depth, .pack_columns = pack_columns, \
  .pack_row = pack_row, .pack_rank = pack_rank

#endif
