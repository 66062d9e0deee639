/* C = [C +] alpha * A B for small GEMMs: an adapter's factors. Nothing is packed. A microtile of C stays in registers;
   each k loads a row of B by vectors and broadcasts elements of A. */
#include "worker/backend/cpu/isa/gemm.h"

struct microtile {
  float *c;
  size_t ldc;
  const float *a;
  size_t rs_a, cs_a;
  const float *b;
  size_t ldb;
  size_t k;
  float alpha;
  bool accumulate;
};

/* A microtile of ROWS x VECTORS registers; TYPE is vf or v8. The compiler unrolls the constant loops. */
#define MICROKERNEL(name, TYPE, LOAD, STORE, LANES, ROWS, VECTORS)                                                     \
  static void name(const struct microtile *t) {                                                                        \
    TYPE acc[ROWS][VECTORS];                                                                                           \
    memset(acc, 0, sizeof acc);                                                                                        \
    const float *a = t->a, *b = t->b;                                                                                  \
    const size_t rs_a = t->rs_a, cs_a = t->cs_a, ldb = t->ldb;                                                         \
    for (size_t k = 0; k < t->k; k++, a += cs_a, b += ldb) {                                                           \
      TYPE bv[VECTORS];                                                                                                \
      _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++) bv[j] = LOAD(b + j * LANES);                           \
      _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++) {                                                        \
        float s = a[(size_t)i * rs_a];                                                                                 \
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

MICROKERNEL(microkernel_6x2, vf, load, store, ISA_WIDTH, 6, 2)
MICROKERNEL(microkernel_4x2, vf, load, store, ISA_WIDTH, 4, 2)
MICROKERNEL(microkernel_1x2, vf, load, store, ISA_WIDTH, 1, 2)
enum { WIDE_ROWS = REGISTERS == 16 ? 4 : 8, WIDE_MOST = 16 }; /* as many accumulators as there are registers for */
MICROKERNEL(microkernel_wide, vf, load, store, ISA_WIDTH, WIDE_ROWS, 3)
MICROKERNEL(microkernel_12x1, vf, load, store, ISA_WIDTH, 12, 1)
MICROKERNEL(microkernel_4x1, vf, load, store, ISA_WIDTH, 4, 1)
MICROKERNEL(microkernel_1x1, vf, load, store, ISA_WIDTH, 1, 1)
MICROKERNEL(microkernel_12x8, v8, load8, store8, 8, 12, 1)
MICROKERNEL(microkernel_4x8, v8, load8, store8, 8, 4, 1)
MICROKERNEL(microkernel_1x8, v8, load8, store8, 8, 1, 1)

/* The edge of fewer than eight columns. */
static void edge_columns(const struct microtile *t, size_t m, size_t n) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      float sum = 0;
      for (size_t k = 0; k < t->k; k++)
        sum += t->a[i * t->rs_a + k * t->cs_a] * t->b[k * t->ldb + j];
      float *c = &t->c[i * t->ldc + j];
      *c = t->alpha * sum + (t->accumulate ? *c : 0.0f);
    }
}

typedef void microkernel_function(const struct microtile *t);

/* One panel of columns: microtiles of mr rows, then of four, then of one. */
static void panel(struct microtile t, size_t m, size_t mr, microkernel_function *run_mr, microkernel_function *run_4,
                  microkernel_function *run_1) {
  while (m > 0) {
    size_t rows = m >= mr ? mr : m >= 4 ? 4 : 1;
    (rows == mr ? run_mr : rows == 4 ? run_4 : run_1)(&t);
    t.a += rows * t.rs_a;
    t.c += rows * t.ldc;
    m -= rows;
  }
}

void ISA_NAME(gemm)(float *c, size_t ldc, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t ldb,
                    size_t m, size_t n, size_t k, float alpha, bool accumulate) {
  struct microtile t = {c, ldc, a, rs_a, cs_a, b, ldb, k, alpha, accumulate};
  while (n > 0) {
    size_t columns;
    if (n >= 3 * W && m <= WIDE_MOST && m % WIDE_ROWS == 0) { /* a few rows: an adapter's rank */
      columns = 3 * W;
      panel(t, m, WIDE_ROWS, microkernel_wide, microkernel_wide, microkernel_wide);
    } else if (n >= 2 * W) {
      columns = 2 * W;
      panel(t, m, 6, microkernel_6x2, microkernel_4x2, microkernel_1x2);
    } else if (n >= W) {
      columns = W;
      panel(t, m, 12, microkernel_12x1, microkernel_4x1, microkernel_1x1);
    } else if (n >= 8) {
      columns = 8;
      panel(t, m, 12, microkernel_12x8, microkernel_4x8, microkernel_1x8);
    } else {
      columns = n;
      edge_columns(&t, m, n);
    }
    t.b += columns;
    t.c += columns;
    n -= columns;
  }
}
