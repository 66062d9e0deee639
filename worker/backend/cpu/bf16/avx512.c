/* Products by AVX512-BF16: a tile of eight rows and two vectors of columns in registers; each instruction adds two
   products a lane. */
#include "worker/backend/cpu/bf16/layout.h"

enum { ROWS = 8 };

struct tile {
  __m512 sum[ROWS][2];
};

/* `a`: the tile's first row of its block; later blocks of the depth follow it. */
static inline void multiply(struct tile *t, const uint16_t *a, const float *panel, size_t depth) {
  for (size_t k = 0; k < depth; k += DEPTH_BLOCK, a += BLOCK_NUMBERS)
    for (size_t pair = 0; pair < DEPTH_BLOCK; pair += 2, panel += BF16_PANEL) {
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

static void run(const struct panel_product *p) {
  const size_t panel_floats = (1 + p->depth / 2) * BF16_PANEL;
  for (size_t row = 0; row < p->rows; row += ROWS) {
    size_t rows = p->rows - row < ROWS ? p->rows - row : ROWS;
    const uint16_t *a = (const uint16_t *)p->a + row / ROW_BLOCK * ROW_BLOCK * p->lda + row % ROW_BLOCK * DEPTH_BLOCK;
    const float *panel = p->panels;
    for (size_t column = 0; column < p->columns; column += BF16_PANEL, panel += panel_floats) {
      size_t columns = p->columns - column < BF16_PANEL ? p->columns - column : BF16_PANEL;
      struct tile t;
      _Pragma("GCC unroll 8") for (size_t i = 0; i < ROWS; i++) {
        t.sum[i][0] = t.sum[i][1] = _mm512_setzero_ps();
      }
      multiply(&t, a, panel + BF16_PANEL, p->depth);
      float sums[ROWS][BF16_PANEL];
      _Pragma("GCC unroll 8") for (size_t i = 0; i < ROWS; i++) {
        _mm512_storeu_ps(sums[i], t.sum[i][0]);
        _mm512_storeu_ps(sums[i] + 16, t.sum[i][1]);
      }
      for (size_t i = 0; i < rows; i++)
        deliver(p->c + (row + i) * p->ldc + column, sums[i], panel, columns, p->accumulate);
    }
  }
}

const struct multiplier multiplier_avx512_bf16 = {.name = "avx512_bf16", .run = run, MULTIPLIER_OF_BF16};
