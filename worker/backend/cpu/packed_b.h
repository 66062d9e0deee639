/* A packed block of B (struct gemm_block): panels of NR columns, each a row of bias, then rows of B, then R rows of V.
   Matmuls and convolutions pack their weights into such blocks. */
#ifndef WORKER_BACKEND_CPU_PACKED_B_H
#define WORKER_BACKEND_CPU_PACKED_B_H

#include <string.h>

#include "worker/backend/cpu/kernels.h"

enum {
  B_BLOCK_FLOATS = 64 << 10, /* half of a small L2 */
  CACHE_LINE_FLOATS = 16,
};

static inline size_t ceil_div(size_t n, size_t d) {
  return (n + d - 1) / d;
}

static inline size_t round_up(size_t n, size_t to) {
  return ceil_div(n, to) * to;
}

/* The low-rank part either extends k, or is R further rows of a panel. */
static inline size_t rank_k(const struct gemm_ukernel *u, size_t R) {
  return u->rank_k ? u->rank_k(R) : 0;
}

static inline size_t rank_rows(const struct gemm_ukernel *u, size_t R) {
  return u->rank_k ? 0 : R;
}

struct packed_b {
  const struct gemm_ukernel *u;
  float *panels;
  size_t nc;         /* columns */
  size_t panel_rows; /* of NR floats */
};

static inline float *packed_row(const struct packed_b *b, size_t panel, size_t row) {
  return b->panels + (panel * b->panel_rows + row) * b->u->nr;
}

static inline size_t packed_columns(const struct packed_b *b, size_t panel) {
  size_t nr = b->u->nr, left = b->nc - panel * nr;
  return left < nr ? left : nr;
}

/* Packs one fp32 row of all panels, times `scale`; NULL: zeros. */
static inline void packed_fp32_row(const struct packed_b *b, size_t row, const float *from, float scale) {
  size_t nr = b->u->nr;
  for (size_t p = 0; p * nr < b->nc; p++) {
    float *to = packed_row(b, p, row);
    size_t n = packed_columns(b, p);
    for (size_t j = 0; j < n; j++)
      to[j] = from ? from[p * nr + j] * scale : 0.0f;
    memset(to + n, 0, (nr - n) * sizeof *to);
  }
}

/* Packs V (R rows, `stride` apart, of the block's columns), times `scale`, from `row` on. */
static inline void packed_v(const struct packed_b *b, size_t row, const float *v, size_t stride, size_t R,
                            float scale) {
  const struct gemm_ukernel *u = b->u;
  if (!u->rank_k)
    for (size_t i = 0; i < R; i++)
      packed_fp32_row(b, row + i, v + i * stride, scale);
  else
    for (size_t p = 0; p * u->nr < b->nc; p++)
      u->pack_v(packed_row(b, p, row), v + p * u->nr, stride, packed_columns(b, p), R, scale);
}

#endif
