/* The bf16 GEMM microkernel by AVX512-BF16: an 8 x 32 microtile in registers; an instruction adds the dot product of a
   VNNI pair to each lane. */
#include "worker/backend/cpu/bf16/layout.h"

enum { ROWS = 8 };

struct microtile {
  __m512 acc[ROWS][2];
};

/* a: the microtile's first row in its tile of packed A; the tiles along k follow. */
static inline void microkernel(struct microtile *t, const uint16_t *a, const float *panel, size_t k) {
  for (size_t tile = 0; tile < k; tile += K_BLOCK, a += A_TILE)
    for (size_t pair = 0; pair < K_BLOCK; pair += VNNI, panel += NR) {
      __m512bh b0 = (__m512bh)_mm512_loadu_si512(panel), b1 = (__m512bh)_mm512_loadu_si512(panel + 16);
      _Pragma("GCC unroll 8") for (size_t i = 0; i < ROWS; i++) {
        uint32_t elements;
        memcpy(&elements, a + i * K_BLOCK + pair, sizeof elements);
        __m512bh both = (__m512bh)_mm512_set1_epi32((int)elements);
        t->acc[i][0] = _mm512_dpbf16_ps(t->acc[i][0], both, b0);
        t->acc[i][1] = _mm512_dpbf16_ps(t->acc[i][1], both, b1);
      }
    }
}

static void macrokernel(const struct gemm_block *g) {
  const size_t panel_floats = (1 + g->k / VNNI) * NR;
  for (size_t i = 0; i < g->m; i += ROWS) {
    size_t rows = g->m - i < ROWS ? g->m - i : ROWS;
    const uint16_t *a = (const uint16_t *)g->a + i / M_BLOCK * M_BLOCK * g->lda + i % M_BLOCK * K_BLOCK;
    const float *panel = g->panels;
    for (size_t j = 0; j < g->n; j += NR, panel += panel_floats) {
      size_t n = g->n - j < NR ? g->n - j : NR;
      struct microtile t;
      _Pragma("GCC unroll 8") for (size_t row = 0; row < ROWS; row++) {
        t.acc[row][0] = t.acc[row][1] = _mm512_setzero_ps();
      }
      microkernel(&t, a, panel + NR, g->k);
      float acc[ROWS][NR];
      _Pragma("GCC unroll 8") for (size_t row = 0; row < ROWS; row++) {
        _mm512_storeu_ps(acc[row], t.acc[row][0]);
        _mm512_storeu_ps(acc[row] + 16, t.acc[row][1]);
      }
      for (size_t row = 0; row < rows; row++)
        store_c_row(g->c + (i + row) * g->ldc + j, acc[row], panel, n, g->accumulate);
    }
  }
}

const struct gemm_ukernel gemm_ukernel_avx512_bf16 = {.name = "avx512_bf16", .macrokernel = macrokernel, BF16_PACKING};
