/* The fp32 GEMM microkernel: an MR x NR tile of C stays in registers, NR is two vectors. Each k loads two vectors of
   the packed panel and broadcasts MR elements of A, which is read where it lies. */
#include "worker/backend/cpu/isa/gemm_ukernel.h"

enum { NR = 2 * W, MR = REGISTERS == 16 ? 6 : 12, PREFETCH_ROWS = 12 };
_Static_assert((int)NR <= (int)GEMM_NR_MAX, "panels fit");

struct microtile {
  float *c;
  size_t ldc;
  const float *a;
  size_t lda;
  const float *q;
  const float *panel;
  size_t k, R;
  bool accumulate;
};

/* acc += columns 0 .. count - 1 of `from` times as many rows of the panel at b. The panel is in L2, so it is prefetched
   into L1. */
#define RANK_1_UPDATES(ROWS, from, stride, count)                                                                      \
  _Pragma("GCC unroll 4") for (size_t k = 0; k < (count); k++, b += NR) {                                              \
    vf b0 = load(b), b1 = load(b + W);                                                                                 \
    __builtin_prefetch(b + PREFETCH_ROWS * NR);                                                                        \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < (ROWS); i++) {                                                     \
      float s = (from)[i * (stride) + k];                                                                              \
      acc[i][0] += s * b0;                                                                                             \
      acc[i][1] += s * b1;                                                                                             \
    }                                                                                                                  \
  }

#define MICROKERNEL(name, ROWS)                                                                                        \
  static void name(const struct microtile *t) {                                                                        \
    vf acc[ROWS][2];                                                                                                   \
    const float *a = t->a, *q = t->q, *bias = t->panel, *b = t->panel + NR;                                            \
    const size_t lda = t->lda, R = t->R;                                                                               \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < (ROWS); i++) {                                                     \
      acc[i][0] = load(bias);                                                                                          \
      acc[i][1] = load(bias + W);                                                                                      \
    }                                                                                                                  \
    RANK_1_UPDATES(ROWS, a, lda, t->k)                                                                                 \
    RANK_1_UPDATES(ROWS, q, R, R)                                                                                      \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < (ROWS); i++) {                                                     \
      float *c = t->c + i * t->ldc;                                                                                    \
      store(c, t->accumulate ? load(c) + acc[i][0] : acc[i][0]);                                                       \
      store(c + W, t->accumulate ? load(c + W) + acc[i][1] : acc[i][1]);                                               \
    }                                                                                                                  \
  }

MICROKERNEL(microkernel_mr, MR)
MICROKERNEL(microkernel_4, 4)
MICROKERNEL(microkernel_1, 1)

static void microkernel(const struct microtile *t, size_t rows) {
  (rows == MR ? microkernel_mr : rows == 4 ? microkernel_4 : microkernel_1)(t);
}

/* An edge tile has n < NR columns: it is computed whole in a buffer, and n of its columns are copied. */
static void edge_tile(struct microtile t, size_t rows, size_t n) {
  float tile[MR * NR], *c = t.c;
  size_t ldc = t.ldc;
  bool accumulate = t.accumulate;
  t.c = tile;
  t.ldc = NR;
  t.accumulate = false;
  microkernel(&t, rows);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < n; j++)
      c[i * ldc + j] = tile[i * NR + j] + (accumulate ? c[i * ldc + j] : 0.0f);
}

/* MR rows of A stay in L1 while all panels pass. */
static void macrokernel(const struct gemm_block *g) {
  const float *a = g->a;
  const size_t panel_floats = (1 + g->k + g->R) * NR;
  for (size_t i = 0, rows; i < g->m; i += rows) {
    size_t left = g->m - i;
    rows = left >= MR ? MR : left >= 4 ? 4 : 1;
    struct microtile t = {.a = a + i * g->lda,
                          .lda = g->lda,
                          .q = g->R ? g->q + i * g->R : NULL,
                          .panel = g->panels,
                          .c = g->c + i * g->ldc,
                          .ldc = g->ldc,
                          .k = g->k,
                          .R = g->R,
                          .accumulate = g->accumulate};
    for (size_t j = 0; j < g->n; j += NR, t.c += NR, t.panel += panel_floats)
      if (g->n - j >= NR)
        microkernel(&t, rows);
      else
        edge_tile(t, rows, g->n - j);
  }
}

/* --- packing -------------------------------------------------------------------------------------- */

/* Lanes 0 to 7 are x's, 8 to 15 are y's. */
#define SHUFFLE_8(x, y, ...) __builtin_shuffle(x, y, (v8i){__VA_ARGS__})
typedef int32_t v8i __attribute__((vector_size(32)));

/* Transposes 8 x 8 floats: columns k .. k + 7 of eight rows. */
static void transpose_8x8(float *out, const float *const *rows, size_t k) {
  v8 r[8], t[8];
  for (int i = 0; i < 8; i++)
    r[i] = load8(rows[i] + k);
  for (int i = 0; i < 8; i += 2) {
    t[i] = SHUFFLE_8(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = SHUFFLE_8(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = SHUFFLE_8(t[i], t[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 1] = SHUFFLE_8(t[i], t[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    r[i + 2] = SHUFFLE_8(t[i + 1], t[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 3] = SHUFFLE_8(t[i + 1], t[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int i = 0; i < 4; i++) {
    store8(out + i * NR, SHUFFLE_8(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    store8(out + (i + 4) * NR, SHUFFLE_8(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

static void pack_b_columns(float *panel, const float *const *columns, size_t n, size_t k) {
  for (size_t j = 0; j < NR; j += 8) {
    size_t row = 0;
    for (; j + 8 <= n && row + 8 <= k; row += 8)
      transpose_8x8(panel + row * NR + j, columns + j, row);
    for (; row < k; row++)
      for (size_t i = j; i < j + 8; i++)
        panel[row * NR + i] = i < n ? columns[i][row] : 0.0f;
  }
}

static void pack_b_rows(float *panel_row, const float *const *rows, size_t n) {
  if (n == NR) {
    store(panel_row, load(rows[0]));
    store(panel_row + W, load(rows[0] + W));
    return;
  }
  memcpy(panel_row, rows[0], n * sizeof *panel_row);
  memset(panel_row + n, 0, (NR - n) * sizeof *panel_row);
}

/* --- bf16 emulation ------------------------------------------------------------------------------- */

/* Rounds fp32 to the nearest bf16, ties to even; NaN stays NaN. */
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

static void pack_rounded_a(void *out, const float *a, const float *q, size_t m, size_t k, size_t R) {
  (void)q, (void)R;
  round_row(out, a, m * k);
}

static void pack_rounded_b_columns(float *panel, const float *const *columns, size_t n, size_t k) {
  pack_b_columns(panel, columns, n, k);
  round_row(panel, panel, k * NR);
}

static void pack_rounded_b_rows(float *panel_row, const float *const *rows, size_t n) {
  round_row(panel_row, rows[0], n);
  memset(panel_row + n, 0, (NR - n) * sizeof *panel_row);
}

#define FP32_BLOCKING                                                                                                  \
  .nr = NR, .vnni = 1, .element_size = sizeof(float), .m_block = 1, .k_block = 1, .mr = 12, .mc_max = 1024,            \
  .macrokernel = macrokernel

const struct gemm_ukernel ISA_NAME(gemm_ukernel_fp32) = {
    .name = ISA_TEXT(ISA), .pack_b_columns = pack_b_columns, .pack_b_rows = pack_b_rows, FP32_BLOCKING};
const struct gemm_ukernel ISA_NAME(gemm_ukernel_bf16_emulated) = {.name = ISA_TEXT(ISA),
                                                                  .pack_a = pack_rounded_a,
                                                                  .pack_b_columns = pack_rounded_b_columns,
                                                                  .pack_b_rows = pack_rounded_b_rows,
                                                                  FP32_BLOCKING};
