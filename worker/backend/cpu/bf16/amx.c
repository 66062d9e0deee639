/* The bf16 GEMM microkernel by AMX. */
#include "worker/backend/cpu/bf16/tiles.h"

static void macrokernel(const struct gemm_block *g) {
  const size_t panel_floats = (1 + g->k / VNNI) * NR;
  float acc[MR][NR] __attribute__((aligned(64)));
  tiles_begin();
  for (size_t i = 0; i < g->m; i += MR) {
    size_t rows = g->m - i < MR ? g->m - i : MR;
    const uint16_t *a = (const uint16_t *)g->a + i * g->lda;
    const float *panel = g->panels;
    for (size_t j = 0; j < g->n; j += NR, panel += panel_floats) {
      size_t n = g->n - j < NR ? g->n - j : NR;
      tiles_multiply(acc[0], NR, a, TILE_ROWS * g->lda, panel + NR, g->k, false);
      for (size_t row = 0; row < rows; row++)
        store_c_row(g->c + (i + row) * g->ldc + j, acc[row], panel, n, g->accumulate);
    }
  }
  tiles_end();
}

const struct gemm_ukernel gemm_ukernel_amx = {.name = "amx", .macrokernel = macrokernel, BF16_PACKING};
