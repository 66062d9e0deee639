/* y = x u for an adapter's few columns: little arithmetic for every number of x, which mostly comes from memory. Twelve
   rows at a time are more streams than the processor follows by itself, so what comes next is asked for meanwhile. */
#include "worker/backend/cpu/isa/thin.h"

enum { TALL = 12, LINE_FLOATS = 16 };

struct fetch {
  const float *at, *end;
  size_t floats; /* after each LINE_FLOATS of the depth */
};

static inline void fetch_some(struct fetch *f) {
  const float *end = f->end - f->at > (ptrdiff_t)f->floats ? f->at + f->floats : f->end;
  for (; f->at < end; f->at += LINE_FLOATS)
    __builtin_prefetch(f->at);
}

struct tile {
  float *y;
  const float *x;
  size_t depth;
  const float *u;
  size_t R;
};

/* ROWS rows, LANES columns; TYPE is v8 or vf */
#define TILE(name, TYPE, LOAD, STORE, ROWS)                                                                            \
  static void name(const struct tile *t, struct fetch *fetch) {                                                        \
    TYPE acc[ROWS];                                                                                                    \
    memset(acc, 0, sizeof acc);                                                                                        \
    const float *x = t->x, *u = t->u;                                                                                  \
    const size_t depth = t->depth, R = t->R;                                                                           \
    for (size_t from = 0; from < depth; from += LINE_FLOATS) {                                                         \
      size_t to = depth - from < LINE_FLOATS ? depth : from + LINE_FLOATS;                                             \
      fetch_some(fetch);                                                                                               \
      for (size_t k = from; k < to; k++, u += R) {                                                                     \
        TYPE column = LOAD(u);                                                                                         \
        _Pragma("GCC unroll 12") for (size_t i = 0; i < ROWS; i++) acc[i] += x[i * depth + k] * column;                \
      }                                                                                                                \
    }                                                                                                                  \
    _Pragma("GCC unroll 12") for (size_t i = 0; i < ROWS; i++) STORE(t->y + i * R, acc[i]);                            \
  }

TILE(tall_8, v8, load8, store8, TALL)
TILE(one_8, v8, load8, store8, 1)
TILE(tall_w, vf, load, store, TALL)
TILE(one_w, vf, load, store, 1)

void ISA_NAME(thin)(float *y, const float *x, const float *u, size_t rows, size_t depth, size_t R, const float *ahead,
                    size_t ahead_floats) {
  size_t pieces = (rows / TALL + rows % TALL) * ((depth + LINE_FLOATS - 1) / LINE_FLOATS);
  size_t share = pieces ? (ahead_floats + pieces - 1) / pieces : 0;
  struct fetch fetch = {ahead, ahead + ahead_floats, (share + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS};
  for (size_t row = 0, n; row < rows; row += n) {
    n = rows - row >= TALL ? TALL : 1;
    for (size_t r = 0, lanes; r < R; r += lanes) {
      struct tile t = {.y = y + row * R + r, .x = x + row * depth, .depth = depth, .u = u + r, .R = R};
      lanes = R - r >= W ? W : 8;
      if (lanes == W)
        (n == TALL ? tall_w : one_w)(&t, &fetch);
      else
        (n == TALL ? tall_8 : one_8)(&t, &fetch);
    }
  }
}
