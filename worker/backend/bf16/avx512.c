/* Products by AVX512-BF16: a tile of eight rows and two vectors of columns in registers; each instruction adds two
   products a lane. */
#include "worker/backend/bf16/layout.h"

enum { ROWS = 8 };

struct tile {
  __m512 sum[ROWS][2];
};

/* `a`: the tile's first row of its block; later blocks of the depth follow it. */
static inline void multiply(struct tile *t, const uint16_t *a, const float *panel, size_t depth) {
  for (size_t k = 0; k < depth; k += DEPTH_BLOCK, a += BLOCK_NUMBERS)
    for (size_t pair = 0; pair < DEPTH_BLOCK; pair += 2, panel += PANEL) {
      __m512bh b0 = (__m512bh)_mm512_loadu_si512(panel), b1 = (__m512bh)_mm512_loadu_si512(panel + 16);
      _Pragma("GCC unroll 8") for (size_t i = 0; i < ROWS; i++) {
        uint32_t numbers;
        memcpy(&numbers, a + i * DEPTH_BLOCK + pair, sizeof numbers);
        __m512bh both = (__m512bh)_mm512_set1_epi32((int)numbers);
        t->sum[i][0] = _mm512_dpbf16_ps(t->sum[i][0], both, b0);
        t->sum[i][1] = _mm512_dpbf16_ps(t->sum[i][1], both, b1);
      }
    }
}

/* The low-rank part, in floats. Rows beyond the last of C read its last row. */
static inline void add_low_rank(struct tile *t, const float *q, size_t R, size_t last, const float *panel) {
  for (size_t r = 0; r < R; r++, panel += PANEL) {
    __m512 b0 = _mm512_loadu_ps(panel), b1 = _mm512_loadu_ps(panel + 16);
    _Pragma("GCC unroll 8") for (size_t i = 0; i < ROWS; i++) {
      __m512 s = _mm512_set1_ps(q[(i < last ? i : last) * R + r]);
      t->sum[i][0] = _mm512_fmadd_ps(s, b0, t->sum[i][0]);
      t->sum[i][1] = _mm512_fmadd_ps(s, b1, t->sum[i][1]);
    }
  }
}

static void run(const struct panel_product *p) {
  const size_t panel_floats = (1 + p->depth / 2 + p->R) * PANEL;
  for (size_t row = 0; row < p->rows; row += ROWS) {
    size_t rows = p->rows - row < ROWS ? p->rows - row : ROWS;
    const uint16_t *a = (const uint16_t *)p->a + row / ROW_BLOCK * ROW_BLOCK * p->lda + row % ROW_BLOCK * DEPTH_BLOCK;
    const float *panel = p->panels;
    for (size_t column = 0; column < p->columns; column += PANEL, panel += panel_floats) {
      size_t columns = p->columns - column < PANEL ? p->columns - column : PANEL;
      struct tile t;
      _Pragma("GCC unroll 8") for (size_t i = 0; i < ROWS; i++) {
        t.sum[i][0] = _mm512_loadu_ps(panel);
        t.sum[i][1] = _mm512_loadu_ps(panel + 16);
      }
      multiply(&t, a, panel + PANEL, p->depth);
      if (p->R)
        add_low_rank(&t, p->q + row * p->R, p->R, rows - 1, panel + (1 + p->depth / 2) * PANEL);
      float sums[ROWS][PANEL];
      _Pragma("GCC unroll 8") for (size_t i = 0; i < ROWS; i++) {
        _mm512_storeu_ps(sums[i], t.sum[i][0]);
        _mm512_storeu_ps(sums[i] + 16, t.sum[i][1]);
      }
      for (size_t i = 0; i < rows; i++)
        deliver(p->c + (row + i) * p->ldc + column, sums[i], columns, p->accumulate);
    }
  }
}

const struct multiplier multiplier_avx512_bf16 = {.name = "avx512_bf16", .run = run, MULTIPLIER_OF_BF16};
