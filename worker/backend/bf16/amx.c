/* Products by AMX: four tiles of 16 x 16 sums, two of A's blocks and two of the panel's, so that each load is used
   twice. */
#include "worker/backend/bf16/layout.h"

enum { TILE_ROWS = 16, LINE = 64 };

/* The layout of the processor's tile configuration, palette 1. */
struct tile_config {
  uint8_t palette, start_row, reserved[14];
  uint16_t line_bytes[16];
  uint8_t rows[16];
};

/* In memory as a whole: the compiler believes that the instruction reads eight bytes of it. */
static const struct tile_config config = {
    .palette = 1,
    .line_bytes = {LINE, LINE, LINE, LINE, LINE, LINE, LINE, LINE},
    .rows = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS}};

/* 32 rows x 32 columns of sums. `a` and `a_below`: two blocks of rows, blocks of the depth one after the other. */
static inline void multiply(float sums[2 * TILE_ROWS][BF16_PANEL], const uint16_t *a, const uint16_t *a_below,
                            const float *panel, size_t depth) {
  enum { PANEL_LINE = BF16_PANEL * sizeof(float), SUMS_LINE = BF16_PANEL * sizeof(float) };
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t k = 0; k < depth; k += DEPTH_BLOCK) {
    _tile_loadd(4, a, LINE);
    _tile_loadd(6, panel, PANEL_LINE);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panel + 16, PANEL_LINE);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a_below, LINE);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    a += BLOCK_NUMBERS;
    a_below += BLOCK_NUMBERS;
    panel += TILE_ROWS * BF16_PANEL;
  }
  _tile_stored(0, sums[0], SUMS_LINE);
  _tile_stored(1, sums[0] + 16, SUMS_LINE);
  _tile_stored(2, sums[TILE_ROWS], SUMS_LINE);
  _tile_stored(3, sums[TILE_ROWS] + 16, SUMS_LINE);
}

static void run(const struct panel_product *p) {
  const size_t panel_floats = (1 + p->depth / 2) * BF16_PANEL;
  float sums[2 * TILE_ROWS][BF16_PANEL] __attribute__((aligned(64)));
  _tile_loadconfig(&config);
  for (size_t row = 0; row < p->rows; row += 2 * TILE_ROWS) {
    size_t rows = p->rows - row < 2 * TILE_ROWS ? p->rows - row : 2 * TILE_ROWS;
    const uint16_t *a = (const uint16_t *)p->a + row * p->lda;
    const float *panel = p->panels;
    for (size_t column = 0; column < p->columns; column += BF16_PANEL, panel += panel_floats) {
      size_t columns = p->columns - column < BF16_PANEL ? p->columns - column : BF16_PANEL;
      multiply(sums, a, a + TILE_ROWS * p->lda, panel + BF16_PANEL, p->depth);
      for (size_t i = 0; i < rows; i++)
        deliver(p->c + (row + i) * p->ldc + column, sums[i], panel, columns, p->accumulate);
    }
  }
  _tile_release();
}

const struct multiplier multiplier_amx = {.name = "amx", .run = run, MULTIPLIER_OF_BF16};
