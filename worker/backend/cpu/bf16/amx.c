/* Products by AMX. */
#include "worker/backend/cpu/bf16/tiles.h"

static void run(const struct panel_product *p) {
  const size_t panel_floats = (1 + p->depth / 2) * BF16_PANEL;
  float sums[ROW_STEP][BF16_PANEL] __attribute__((aligned(64)));
  tiles_begin();
  for (size_t row = 0; row < p->rows; row += ROW_STEP) {
    size_t rows = p->rows - row < ROW_STEP ? p->rows - row : ROW_STEP;
    const uint16_t *a = (const uint16_t *)p->a + row * p->lda;
    const float *panel = p->panels;
    for (size_t column = 0; column < p->columns; column += BF16_PANEL, panel += panel_floats) {
      size_t columns = p->columns - column < BF16_PANEL ? p->columns - column : BF16_PANEL;
      tiles_multiply(sums[0], BF16_PANEL, a, TILE_ROWS * p->lda, panel + BF16_PANEL, p->depth, false);
      for (size_t i = 0; i < rows; i++)
        deliver(p->c + (row + i) * p->ldc + column, sums[i], panel, columns, p->accumulate);
    }
  }
  tiles_end();
}

const struct multiplier multiplier_amx = {.name = "amx", .run = run, MULTIPLIER_OF_BF16};
