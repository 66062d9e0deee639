/* AMX's tiles of 16 x 16 float sums: four of them, two of A's blocks and two of a panel's, so that each load is used
   twice. Included only by files compiled for AMX. */
#ifndef WORKER_BACKEND_CPU_BF16_TILES_H
#define WORKER_BACKEND_CPU_BF16_TILES_H

#include "worker/backend/cpu/bf16/layout.h"

enum { TILE_ROWS = 16, TILE_LINE = 64 };

/* The layout of the processor's tile configuration, palette 1. */
struct tile_config {
  uint8_t palette, start_row, reserved[14];
  uint16_t line_bytes[16];
  uint8_t rows[16];
};

/* In memory as a whole: the compiler believes that the instruction reads eight bytes of it. */
static const struct tile_config tile_config = {
    .palette = 1,
    .line_bytes = {TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE, TILE_LINE},
    .rows = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS}};

/* A thread's tiles are there between these two. */
static inline void tiles_begin(void) {
  _tile_loadconfig(&tile_config);
}
static inline void tiles_end(void) {
  _tile_release();
}

/* c (32 x 32, rows ldc floats apart) = [c +] A B. a: the first of A's 32 rows; those 16 further down are `below`
   numbers further on. panel: B, from its first row of numbers on. depth: whole blocks. */
static inline void tiles_multiply(float *c, size_t ldc, const uint16_t *a, size_t below, const float *panel,
                                  size_t depth, bool add) {
  enum { PANEL_LINE = BF16_PANEL * sizeof(float) };
  const size_t line = ldc * sizeof *c;
  float *lower = c + TILE_ROWS * ldc;
  if (add) {
    _tile_loadd(0, c, line);
    _tile_loadd(1, c + 16, line);
    _tile_loadd(2, lower, line);
    _tile_loadd(3, lower + 16, line);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (size_t k = 0; k < depth; k += DEPTH_BLOCK, a += BLOCK_NUMBERS, panel += TILE_ROWS * BF16_PANEL) {
    _tile_loadd(4, a, TILE_LINE);
    _tile_loadd(6, panel, PANEL_LINE);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panel + 16, PANEL_LINE);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + below, TILE_LINE);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, line);
  _tile_stored(1, c + 16, line);
  _tile_stored(2, lower, line);
  _tile_stored(3, lower + 16, line);
}

#endif
