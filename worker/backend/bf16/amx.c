/* Products by AMX: four tiles of 16 x 16 sums, two of A's blocks and two of the panel's, so that each load is used
   twice. The low-rank part and the start of the sums are added in floats when a tile is delivered. */
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
static inline void multiply(float sums[2 * TILE_ROWS][PANEL], const uint16_t *a, const uint16_t *a_below,
                            const float *panel, size_t depth) {
  enum { PANEL_LINE = PANEL * sizeof(float), SUMS_LINE = PANEL * sizeof(float) };
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
    panel += TILE_ROWS * PANEL;
  }
  _tile_stored(0, sums[0], SUMS_LINE);
  _tile_stored(1, sums[0] + 16, SUMS_LINE);
  _tile_stored(2, sums[TILE_ROWS], SUMS_LINE);
  _tile_stored(3, sums[TILE_ROWS] + 16, SUMS_LINE);
}

/* Rows of sums with their start and the low-rank part. */
static inline void finish(float sums[2 * TILE_ROWS][PANEL], const float *begin, const float *q, const float *v,
                          size_t R, size_t rows) {
  enum { AT_ONCE = 4 };
  __m512 b0 = _mm512_loadu_ps(begin), b1 = _mm512_loadu_ps(begin + 16);
  for (size_t i = 0; i < rows; i += AT_ONCE) {
    __m512 s[AT_ONCE][2];
    for (size_t j = 0; j < AT_ONCE; j++) {
      s[j][0] = _mm512_add_ps(_mm512_loadu_ps(sums[i + j]), b0);
      s[j][1] = _mm512_add_ps(_mm512_loadu_ps(sums[i + j] + 16), b1);
    }
    for (size_t r = 0; r < R; r++) {
      __m512 v0 = _mm512_loadu_ps(v + r * PANEL), v1 = _mm512_loadu_ps(v + r * PANEL + 16);
      for (size_t j = 0; j < AT_ONCE; j++) {
        __m512 x = _mm512_set1_ps(q[(i + j < rows ? i + j : rows - 1) * R + r]);
        s[j][0] = _mm512_fmadd_ps(x, v0, s[j][0]);
        s[j][1] = _mm512_fmadd_ps(x, v1, s[j][1]);
      }
    }
    for (size_t j = 0; j < AT_ONCE; j++) {
      _mm512_storeu_ps(sums[i + j], s[j][0]);
      _mm512_storeu_ps(sums[i + j] + 16, s[j][1]);
    }
  }
}

static void run(const struct panel_product *p) {
  const size_t depth_rows = p->depth / 2, panel_floats = (1 + depth_rows + p->R) * PANEL;
  float sums[2 * TILE_ROWS][PANEL] __attribute__((aligned(64)));
  _tile_loadconfig(&config);
  for (size_t row = 0; row < p->rows; row += 2 * TILE_ROWS) {
    size_t rows = p->rows - row < 2 * TILE_ROWS ? p->rows - row : 2 * TILE_ROWS;
    const uint16_t *a = (const uint16_t *)p->a + row * p->lda;
    const float *panel = p->panels;
    for (size_t column = 0; column < p->columns; column += PANEL, panel += panel_floats) {
      size_t columns = p->columns - column < PANEL ? p->columns - column : PANEL;
      multiply(sums, a, a + TILE_ROWS * p->lda, panel + PANEL, p->depth);
      finish(sums, panel, p->R ? p->q + row * p->R : NULL, panel + (1 + depth_rows) * PANEL, p->R, rows);
      for (size_t i = 0; i < rows; i++)
        deliver(p->c + (row + i) * p->ldc + column, sums[i], columns, p->accumulate);
    }
  }
  _tile_release();
}

const struct multiplier multiplier_amx = {.name = "amx", .run = run, MULTIPLIER_OF_BF16};
