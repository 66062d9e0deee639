/* The large products. A tile of C stays in registers: two vectors of columns times as many rows as fit beside
   them; the panel is read by vectors, A by broadcast from where it lies. */
#include "worker/backend/cpu/isa/product.h"

enum { PANEL = 2 * W, TALL = W == 8 ? 6 : 12, AHEAD = 12 };
_Static_assert((int)PANEL <= (int)KERNELS_PANEL_MAX, "panels fit");

struct tile {
  float *c;
  size_t ldc;
  const float *a;
  size_t lda;
  const float *q;
  const float *panel;
  size_t depth, R;
  bool accumulate;
};

/* The panel is asked for some rows ahead: it comes from the second-level cache. */
#define STEPS(ROWS, from, stride, count)                                                                               \
  _Pragma("GCC unroll 4") for (size_t k = 0; k < (count); k++, b += PANEL) {                                           \
    vf b0 = load(b), b1 = load(b + W);                                                                                 \
    __builtin_prefetch(b + AHEAD * PANEL);                                                                             \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < (ROWS); i++) {                                                     \
      float s = (from)[i * (stride) + k];                                                                              \
      acc[i][0] += s * b0;                                                                                             \
      acc[i][1] += s * b1;                                                                                             \
    }                                                                                                                  \
  }

#define TILE(name, ROWS)                                                                                               \
  static void name(const struct tile *t) {                                                                             \
    vf acc[ROWS][2];                                                                                                   \
    const float *a = t->a, *q = t->q, *b = t->panel + PANEL;                                                           \
    const size_t lda = t->lda, R = t->R;                                                                               \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < (ROWS); i++) {                                                     \
      acc[i][0] = load(t->panel);                                                                                      \
      acc[i][1] = load(t->panel + W);                                                                                  \
    }                                                                                                                  \
    STEPS(ROWS, a, lda, t->depth)                                                                                      \
    STEPS(ROWS, q, R, R)                                                                                               \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < (ROWS); i++) {                                                     \
      float *c = t->c + i * t->ldc;                                                                                    \
      store(c, t->accumulate ? load(c) + acc[i][0] : acc[i][0]);                                                       \
      store(c + W, t->accumulate ? load(c + W) + acc[i][1] : acc[i][1]);                                               \
    }                                                                                                                  \
  }

TILE(tile_tall, TALL)
TILE(tile_4, 4)
TILE(tile_1, 1)

static void run(const struct tile *t, size_t rows) {
  (rows == TALL ? tile_tall : rows == 4 ? tile_4 : tile_1)(t);
}

/* Fewer columns than a panel has: through memory of our own. */
static void run_part(struct tile t, size_t rows, size_t columns) {
  float own[TALL * PANEL], *c = t.c;
  size_t ldc = t.ldc;
  bool accumulate = t.accumulate;
  t.c = own;
  t.ldc = PANEL;
  t.accumulate = false;
  run(&t, rows);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++)
      c[i * ldc + j] = own[i * PANEL + j] + (accumulate ? c[i * ldc + j] : 0.0f);
}

/* A strip of rows stays in the first-level cache while the panels pass by. */
static void run_all(const struct panel_product *p) {
  const float *a = p->a;
  const size_t panel_floats = (1 + p->depth + p->R) * PANEL;
  for (size_t row = 0, rows; row < p->rows; row += rows) {
    size_t left = p->rows - row;
    rows = left >= TALL ? TALL : left >= 4 ? 4 : 1;
    struct tile t = {.a = a + row * p->lda,
                     .lda = p->lda,
                     .q = p->R ? p->q + row * p->R : NULL,
                     .panel = p->panels,
                     .c = p->c + row * p->ldc,
                     .ldc = p->ldc,
                     .depth = p->depth,
                     .R = p->R,
                     .accumulate = p->accumulate};
    for (size_t column = 0; column < p->columns; column += PANEL, t.c += PANEL, t.panel += panel_floats)
      if (p->columns - column >= PANEL)
        run(&t, rows);
      else
        run_part(t, rows, p->columns - column);
  }
}

/* --- packing -------------------------------------------------------------------------------------- */

/* Eight rows of eight floats, columns to rows. */
static void transpose_8x8(float *out, const float *const *rows, size_t k) {
  __m256 r[8], t[8];
  for (int i = 0; i < 8; i++)
    r[i] = _mm256_loadu_ps(rows[i] + k);
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
  }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(out + i * PANEL, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(out + (i + 4) * PANEL, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

static void pack_columns(float *panel, const float *const *rows, size_t count, size_t depth) {
  for (size_t j = 0; j < PANEL; j += 8) {
    size_t k = 0;
    for (; j + 8 <= count && k + 8 <= depth; k += 8)
      transpose_8x8(panel + k * PANEL + j, rows + j, k);
    for (; k < depth; k++)
      for (size_t i = j; i < j + 8; i++)
        panel[k * PANEL + i] = i < count ? rows[i][k] : 0.0f;
  }
}

static void pack_row(float *row, const float *const *rows, size_t count) {
  if (count == PANEL) {
    store(row, load(rows[0]));
    store(row + W, load(rows[0] + W));
    return;
  }
  memcpy(row, rows[0], count * sizeof *row);
  memset(row + count, 0, (PANEL - count) * sizeof *row);
}

/* --- floats that are rounded to bf16 -------------------------------------------------------------- */

/* To nearest, ties to even; NaN stays one. */
static inline vf bf16(vf x) {
  vi bits = (vi)x;
  bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & (int32_t)0xFFFF0000u;
  return vselect(x == x, (vf)bits, x);
}

static void round_row(float *out, const float *in, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(out + i, bf16(load(in + i)));
  if (i < count)
    store_part(out + i, bf16(load_part(in + i, count - i, 0)), count - i);
}

static void round_rows(void *out, const float *a, const float *q, size_t rows, size_t depth, size_t R) {
  (void)q, (void)R;
  round_row(out, a, rows * depth);
}

static void round_columns(float *panel, const float *const *rows, size_t count, size_t depth) {
  pack_columns(panel, rows, count, depth);
  round_row(panel, panel, depth * PANEL);
}

static void pack_rounded_row(float *row, const float *const *rows, size_t count) {
  round_row(row, rows[0], count);
  memset(row + count, 0, (PANEL - count) * sizeof *row);
}

#define MULTIPLIER_OF_FLOATS                                                                                           \
  .panel = PANEL, .packed = 1, .number = sizeof(float), .row_block = 1, .depth_block = 1, .row_step = 12,              \
  .rows_most = 1024, .run = run_all

const struct multiplier ISA_NAME(multiplier_fp32) = {
    .name = ISA_TEXT(ISA), .pack_columns = pack_columns, .pack_row = pack_row, MULTIPLIER_OF_FLOATS};
const struct multiplier ISA_NAME(multiplier_rounded) = {.name = ISA_TEXT(ISA),
                                                        .convert = round_rows,
                                                        .pack_columns = round_columns,
                                                        .pack_row = pack_rounded_row,
                                                        MULTIPLIER_OF_FLOATS};
