/* The packed operands of both bf16 GEMM microkernels. A: tiles of 16 rows x 32 elements, a cache line a row. B: panels
   of 32 columns whose rows hold a VNNI pair (rows 2k and 2k + 1 of B) for each column. AMX tiles and AVX512-BF16 dot
   products both read that. Included only by the files of this folder, compiled for AVX512-BF16. */
#ifndef WORKER_BACKEND_CPU_BF16_LAYOUT_H
#define WORKER_BACKEND_CPU_BF16_LAYOUT_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "worker/backend/cpu/kernels.h"

enum { NR = 32, VNNI = 2, MR = 32, M_BLOCK = 16, K_BLOCK = 32, A_TILE = M_BLOCK * K_BLOCK };

/* Rounds elements 0..count-1 of a row to bf16; then zeros. */
static inline __m512i round_32(const float *from, size_t count) {
  __mmask32 there = count >= 32 ? ~0u : (1u << count) - 1;
  __m512 low = _mm512_maskz_loadu_ps((__mmask16)there, from);
  __m512 high = _mm512_maskz_loadu_ps((__mmask16)(there >> 16), from + 16);
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static inline size_t k_blocks(size_t k) {
  return (k + K_BLOCK - 1) / K_BLOCK;
}

/* The low-rank part extends k. Split bf16 keeps almost fp32 accuracy: x = high + low, both bf16, and Q V is computed as
   high high + low high + high low. */
static inline size_t rank_k(size_t R) {
  return k_blocks(3 * R) * K_BLOCK;
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

/* Where row i of packed A begins; `tiles` along k. */
static inline uint16_t *packed_row(void *packed, size_t i, size_t tiles) {
  return (uint16_t *)packed + i / M_BLOCK * tiles * A_TILE + i % M_BLOCK * K_BLOCK;
}

/* Packs a row of k floats, or zeros (NULL), into tiles; `row` points into the first. */
static inline void pack_a_row(uint16_t *row, const float *from, size_t k) {
  for (size_t i = 0; i < k; i += K_BLOCK, row += A_TILE)
    _mm512_storeu_si512(row, from ? round_32(from + i, k - i) : _mm512_setzero_si512());
}

/* A row of packed A: k elements of A, then split Q. */
static inline void pack_a(void *out, const float *a, const float *q, size_t m, size_t k, size_t R) {
  size_t tiles = k_blocks(k), padded = (m + MR - 1) / MR * MR;
  float parts[3 * RANK_MAX];
  for (size_t i = 0; i < padded; i++) {
    uint16_t *row = packed_row(out, i, tiles + k_blocks(3 * R));
    for (size_t r = 0; r < R; r++) {
      float x = i < m ? q[i * R + r] : 0.0f;
      parts[r] = parts[2 * R + r] = high_part(x);
      parts[R + r] = x - parts[r];
    }
    pack_a_row(row, i < m ? a + i * k : NULL, k);
    pack_a_row(row + tiles * A_TILE, parts, 3 * R);
  }
}

/* Transposes 16 x 16 words of 32 bits. */
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

static inline void pack_b_columns(float *panel, const float *const *columns, size_t n, size_t k) {
  for (size_t row = 0; row < k; row += K_BLOCK)
    for (size_t j = 0; j < NR; j += 16) {
      __m512i words[16];
      for (size_t i = 0; i < 16; i++)
        words[i] = j + i < n ? round_32(columns[j + i] + row, k - row) : _mm512_setzero_si512();
      transpose_words(words);
      for (size_t i = 0; i < 16; i++)
        _mm512_storeu_si512(panel + (row / VNNI + i) * NR + j, words[i]);
    }
}

static inline void pack_b_rows(float *panel_row, const float *const *rows, size_t n) {
  static const uint16_t in_pairs[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i order = _mm512_loadu_si512(in_pairs);
  for (size_t j = 0; j < NR; j += 16) {
    __mmask16 there = j >= n ? 0 : n - j >= 16 ? 0xFFFF : (__mmask16)((1u << (n - j)) - 1);
    __m512 first = _mm512_maskz_loadu_ps(rows[0] ? there : 0, rows[0] + j);
    __m512 second = _mm512_maskz_loadu_ps(rows[1] ? there : 0, rows[1] + j);
    _mm512_storeu_si512(panel_row + j, _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(second, first)));
  }
}

static inline void pack_v(float *panel_rows, const float *v, size_t v_stride, size_t n, size_t R, float scale) {
  float pair[VNNI][NR];
  const float *const rows[VNNI] = {pair[0], pair[1]};
  for (size_t e = 0; e < rank_k(R); e++) {
    for (size_t j = 0; j < n; j++) {
      float x = e < 3 * R ? v[e % R * v_stride + j] * scale : 0.0f;
      pair[e % VNNI][j] = e < 2 * R ? high_part(x) : x - high_part(x);
    }
    if (e % VNNI == VNNI - 1)
      pack_b_rows(panel_rows + e / VNNI * NR, rows, n);
  }
}

/* Stores n columns of a row of accumulators, plus the bias, to C. */
static inline void store_c_row(float *c, const float *acc, const float *bias, size_t n, bool accumulate) {
  for (size_t j = 0; j < n; j += 16) {
    __mmask16 there = n - j >= 16 ? 0xFFFF : (__mmask16)((1u << (n - j)) - 1);
    __m512 v = _mm512_add_ps(_mm512_loadu_ps(acc + j), _mm512_loadu_ps(bias + j));
    if (accumulate)
      v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(there, c + j));
    _mm512_mask_storeu_ps(c + j, there, v);
  }
}

#define BF16_PACKING                                                                                                   \
  .nr = NR, .vnni = VNNI, .element_size = sizeof(uint16_t), .m_block = M_BLOCK, .k_block = K_BLOCK, .mr = MR,          \
  .mc_max = 4096, .pack_a = pack_a, .rank_k = rank_k, .pack_b_columns = pack_b_columns, .pack_b_rows = pack_b_rows,    \
  .pack_v = pack_v

#endif
