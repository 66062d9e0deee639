/* AMX: a microtile of 32 x 32 is four tile registers of 16 x 16 fp32 accumulators. Two tiles of A and two of B feed
   them, so each load is used twice. Included only by files compiled for AMX. */
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

/* Tile registers can be used between these two, on the thread that called them. */
static inline void tiles_begin(void) {
  _tile_loadconfig(&tile_config);
}
static inline void tiles_end(void) {
  _tile_release();
}

/* c (32 x 32) = [c +] A B. a: 32 rows of packed A, the lower 16 `lower` elements after the upper. panel: packed B. k: a
   multiple of K_BLOCK. */
static inline void tiles_multiply(float *c, size_t ldc, const uint16_t *a, size_t lower, const float *panel, size_t k,
                                  bool accumulate) {
  enum { PANEL_LINE = NR * sizeof(float) };
  const size_t line = ldc * sizeof *c;
  float *c_lower = c + TILE_ROWS * ldc;
  if (accumulate) {
    _tile_loadd(0, c, line);
    _tile_loadd(1, c + 16, line);
    _tile_loadd(2, c_lower, line);
    _tile_loadd(3, c_lower + 16, line);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (size_t i = 0; i < k; i += K_BLOCK, a += A_TILE, panel += TILE_ROWS * NR) {
    _tile_loadd(4, a, TILE_LINE);
    _tile_loadd(6, panel, PANEL_LINE);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panel + 16, PANEL_LINE);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + lower, TILE_LINE);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, line);
  _tile_stored(1, c + 16, line);
  _tile_stored(2, c_lower, line);
  _tile_stored(3, c_lower + 16, line);
}

#endif
