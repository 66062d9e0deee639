/* The tall-skinny GEMM y = x u, for an adapter's few columns. It does little arithmetic with every element of x, which
   mostly comes from memory. Twelve rows at a time are more streams than the hardware prefetches, so this code
   prefetches what is read next. */
#include "worker/backend/cpu/isa/gemm_skinny.h"

enum { MR = 12, LINE_FLOATS = 16 };

/* What remains to be prefetched: `floats` with each LINE_FLOATS of k. */
struct prefetch {
  const float *at, *end;
  size_t floats;
};

static inline void prefetch_some(struct prefetch *p) {
  const float *end = p->end - p->at > (ptrdiff_t)p->floats ? p->at + p->floats : p->end;
  for (; p->at < end; p->at += LINE_FLOATS)
    __builtin_prefetch(p->at);
}

struct microtile {
  float *y;
  const float *x;
  size_t k;
  const float *u;
  size_t R;
};

/* ROWS rows, one vector of columns; TYPE is v8 or vf */
#define MICROKERNEL(name, TYPE, LOAD, STORE, ROWS)                                                                     \
  static void name(const struct microtile *t, struct prefetch *prefetch) {                                             \
    TYPE acc[ROWS];                                                                                                    \
    memset(acc, 0, sizeof acc);                                                                                        \
    const float *x = t->x, *u = t->u;                                                                                  \
    const size_t K = t->k, R = t->R;                                                                                   \
    for (size_t from = 0; from < K; from += LINE_FLOATS) {                                                             \
      size_t to = K - from < LINE_FLOATS ? K : from + LINE_FLOATS;                                                     \
      prefetch_some(prefetch);                                                                                         \
      for (size_t k = from; k < to; k++, u += R) {                                                                     \
        TYPE b = LOAD(u);                                                                                              \
        _Pragma("GCC unroll 12") for (size_t i = 0; i < ROWS; i++) acc[i] += x[i * K + k] * b;                         \
      }                                                                                                                \
    }                                                                                                                  \
    _Pragma("GCC unroll 12") for (size_t i = 0; i < ROWS; i++) STORE(t->y + i * R, acc[i]);                            \
  }

MICROKERNEL(microkernel_mr_8, v8, load8, store8, MR)
MICROKERNEL(microkernel_1_8, v8, load8, store8, 1)
MICROKERNEL(microkernel_mr_w, vf, load, store, MR)
MICROKERNEL(microkernel_1_w, vf, load, store, 1)

void ISA_NAME(gemm_skinny)(float *y, const float *x, const float *u, size_t m, size_t k, size_t R,
                           const float *prefetch, size_t prefetch_floats) {
  size_t pieces = (m / MR + m % MR) * ((k + LINE_FLOATS - 1) / LINE_FLOATS);
  size_t share = pieces ? (prefetch_floats + pieces - 1) / pieces : 0;
  struct prefetch p = {prefetch, prefetch + prefetch_floats, (share + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS};
  for (size_t i = 0, rows; i < m; i += rows) {
    rows = m - i >= MR ? MR : 1;
    for (size_t r = 0, lanes; r < R; r += lanes) {
      struct microtile t = {.y = y + i * R + r, .x = x + i * k, .k = k, .u = u + r, .R = R};
      lanes = R - r >= W ? W : 8;
      if (lanes == W)
        (rows == MR ? microkernel_mr_w : microkernel_1_w)(&t, &p);
      else
        (rows == MR ? microkernel_mr_8 : microkernel_1_8)(&t, &p);
    }
  }
}
