/* C = [C +] alpha * A B for products where one dimension is small: a head's attention, an adapter's
   thin factors. A tile of C stays in registers while A is read by broadcast and B by vectors. */
#include "worker/backend/cpu/isa/gemm.h"

struct tile {
  float *c;
  size_t ldc;
  const float *a;
  size_t row_a, col_a;
  const float *b;
  size_t ldb;
  size_t depth;
  float alpha;
  bool accumulate;
};

/* ROWS x VECTORS registers; TYPE is vf or v8. The compiler unrolls the constant loops. */
#define TILE(name, TYPE, LOAD, STORE, LANES, ROWS, VECTORS)                                                            \
  static void name(const struct tile *t) {                                                                             \
    TYPE acc[ROWS][VECTORS];                                                                                           \
    memset(acc, 0, sizeof acc);                                                                                        \
    const float *a = t->a, *b = t->b;                                                                                  \
    const size_t row_a = t->row_a, col_a = t->col_a, ldb = t->ldb;                                                     \
    for (size_t k = 0; k < t->depth; k++, a += col_a, b += ldb) {                                                      \
      TYPE bv[VECTORS];                                                                                                \
      _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++) bv[j] = LOAD(b + j * LANES);                           \
      _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++) {                                                        \
        float s = a[(size_t)i * row_a];                                                                                \
        _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++) acc[i][j] += s * bv[j];                              \
      }                                                                                                                \
    }                                                                                                                  \
    _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++) {                                                          \
      float *c = t->c + (size_t)i * t->ldc;                                                                            \
      _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++) {                                                      \
        TYPE v = acc[i][j] * t->alpha;                                                                                 \
        STORE(c + j * LANES, t->accumulate ? v + LOAD(c + j * LANES) : v);                                             \
      }                                                                                                                \
    }                                                                                                                  \
  }

TILE(tile_6x2, vf, load, store, ISA_WIDTH, 6, 2)
TILE(tile_4x2, vf, load, store, ISA_WIDTH, 4, 2)
TILE(tile_1x2, vf, load, store, ISA_WIDTH, 1, 2)
enum { WIDE_ROWS = REGISTERS == 16 ? 4 : 8, WIDE_MOST = 16 }; /* as many sums as there are registers for */
TILE(tile_wide, vf, load, store, ISA_WIDTH, WIDE_ROWS, 3)
TILE(tile_12x1, vf, load, store, ISA_WIDTH, 12, 1)
TILE(tile_4x1, vf, load, store, ISA_WIDTH, 4, 1)
TILE(tile_1x1, vf, load, store, ISA_WIDTH, 1, 1)
TILE(tile_12x8, v8, load8, store8, 8, 12, 1)
TILE(tile_4x8, v8, load8, store8, 8, 4, 1)
TILE(tile_1x8, v8, load8, store8, 8, 1, 1)

/* Fewer than eight columns are left. */
static void columns_scalar(const struct tile *t, size_t m, size_t n) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      float sum = 0;
      for (size_t k = 0; k < t->depth; k++)
        sum += t->a[i * t->row_a + k * t->col_a] * t->b[k * t->ldb + j];
      float *c = &t->c[i * t->ldc + j];
      *c = t->alpha * sum + (t->accumulate ? *c : 0.0f);
    }
}

typedef void tile_function(const struct tile *t);

/* One strip of columns: tiles of `tall` rows, then four, then one. */
static void strip(struct tile t, size_t m, size_t tall, tile_function *run_tall, tile_function *run_4,
                  tile_function *run_1) {
  while (m > 0) {
    size_t rows = m >= tall ? tall : m >= 4 ? 4 : 1;
    (rows == tall ? run_tall : rows == 4 ? run_4 : run_1)(&t);
    t.a += rows * t.row_a;
    t.c += rows * t.ldc;
    m -= rows;
  }
}

void ISA_NAME(gemm)(float *c, size_t ldc, const float *a, size_t row_a, size_t col_a, const float *b, size_t ldb,
                    size_t m, size_t n, size_t depth, float alpha, bool accumulate) {
  struct tile t = {c, ldc, a, row_a, col_a, b, ldb, depth, alpha, accumulate};
  while (n > 0) {
    size_t columns;
    if (n >= 3 * W && m <= WIDE_MOST && m % WIDE_ROWS == 0) { /* a few rows: an adapter's rank */
      columns = 3 * W;
      strip(t, m, WIDE_ROWS, tile_wide, tile_wide, tile_wide);
    } else if (n >= 2 * W) {
      columns = 2 * W;
      strip(t, m, 6, tile_6x2, tile_4x2, tile_1x2);
    } else if (n >= W) {
      columns = W;
      strip(t, m, 12, tile_12x1, tile_4x1, tile_1x1);
    } else if (n >= 8) {
      columns = 8;
      strip(t, m, 12, tile_12x8, tile_4x8, tile_1x8);
    } else {
      columns = n;
      columns_scalar(&t, m, n);
    }
    t.b += columns;
    t.c += columns;
    n -= columns;
  }
}
