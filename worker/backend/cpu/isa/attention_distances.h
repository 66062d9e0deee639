/* What distances add to scores (struct attention_distances), in fp32, for attention.c and attention_backward.c. Tables
   are spread out first, a row a distance. A block's scores then need a band of their products: keys[d] . q has a tile
   that is as high as the block's keys and a panel's rows together, k . queries[d] one as wide as a microtile's keys and
   the block's rows. Backward there are no such tiles: an element of dS is one of a row and a key, of a row and a
   distance, and of a key and a distance, so that each product reads dS along another diagonal. */
#ifndef WORKER_BACKEND_CPU_ISA_ATTENTION_DISTANCES_H
#define WORKER_BACKEND_CPU_ISA_ATTENTION_DISTANCES_H

#include "worker/backend/cpu/isa/attention_products.h"

enum {
  EDGE = (MICROTILE_ROWS + PANEL - 1) / PANEL * PANEL, /* by how much a microtile may lie outside of what there is */
  TABLE_EDGE = EDGE + PANEL,
  KEYS_BAND = (BC + PANEL + MICROTILE_ROWS) * PANEL,
  QUERIES_BAND = BR + 3 * PANEL, /* columns: the block's rows, a microtile's keys, and a panel where it begins */
  BAND = KEYS_BAND > MICROTILE_ROWS *QUERIES_BAND ? KEYS_BAND : MICROTILE_ROWS *QUERIES_BAND,
  DS_STEP = BR + 2 * EDGE,
};

_Static_assert(MICROTILE_ROWS + BR + PANEL <= QUERIES_BAND, "a band of queries holds what is read of it");

/* Tables point at distance 0; TABLE_EDGE rows before the first and after the last distance are zeros. NULL: none. */
struct work_distances {
  float *keys, *queries, *dkeys, *dqueries; /* rows row_stride(D) apart */
  float *query_panels;                      /* packed columns: panel 0 begins at distance 1 - T */
  float *bias;                              /* divided by the scale of the scores */
  float *band;
  float *ds; /* dS of a block, DS_STEP a key; around it are EDGE columns and MICROTILE_ROWS rows of zeros */
};

static inline size_t table_rows(size_t T) {
  return 2 * T - 1 + 2 * TABLE_EDGE;
}

static inline size_t panels_floats(size_t T, size_t D) {
  return (2 * T - 1 + PANEL) / PANEL * PANEL * D;
}

static inline size_t distances_floats(size_t T, size_t D) {
  return table_rows(T) * (4 * row_stride(D) + 1) + panels_floats(T, D) + BAND + (BC + 2 * MICROTILE_ROWS) * DS_STEP;
}

static inline float *zeros_alloc(float **scratch, size_t floats) {
  float *part = scratch_alloc(scratch, floats);
  memset(part, 0, floats * sizeof *part);
  return part;
}

/* The row of a table for distance d. */
static inline const float *table_row(const struct attention_heads *h, const float *table, size_t stride, ptrdiff_t d) {
  return table + ((size_t)h->distances.index[d] - h->distances.first) * stride;
}

/* A table of zeros, or a row a distance of `from`. */
static inline float *table_spread(float **scratch, const struct attention_heads *h, const float *from) {
  const size_t stride = row_stride(h->head_size);
  const ptrdiff_t T = (ptrdiff_t)h->length;
  float *table = zeros_alloc(scratch, table_rows(h->length) * stride) + (h->length - 1 + TABLE_EDGE) * stride;
  for (ptrdiff_t d = 1 - T; from && d < T; d++)
    scale_rows(table + d * (ptrdiff_t)stride, 0, table_row(h, from, h->stride, d), 0, 1, h->head_size, 1);
  return table;
}

static inline float *panels_pack(float **scratch, const struct attention_heads *h, const float *from) {
  const ptrdiff_t T = (ptrdiff_t)h->length;
  const size_t D = h->head_size;
  float *panels = scratch_alloc(scratch, panels_floats(h->length, D)), *to = panels;
  const float *at[PANEL];
  for (ptrdiff_t first = 1 - T; first < T; first += PANEL, to += PANEL * D) {
    size_t n = T - first < PANEL ? (size_t)(T - first) : PANEL;
    for (size_t i = 0; i < n; i++)
      at[i] = table_row(h, from, h->stride, first + (ptrdiff_t)i);
    ISA_NAME(gemm_ukernel_fp32).pack_b_columns(to, at, n, D);
  }
  return panels;
}

static inline float *bias_spread(float **scratch, const struct attention_heads *h) {
  const ptrdiff_t T = (ptrdiff_t)h->length;
  float *bias = zeros_alloc(scratch, table_rows(h->length)) + h->length - 1 + TABLE_EDGE;
  for (ptrdiff_t d = 1 - T; d < T; d++)
    bias[d] = *table_row(h, h->distances.bias, h->distances.bias_stride, d) / h->scale;
  return bias;
}

static inline struct work_distances distances_pack(float **scratch, const struct attention_heads *h, bool backward) {
  const struct attention_distances *from = &h->distances;
  struct work_distances d = {0};
  if (!from->index)
    return d;
  d.keys = from->keys ? table_spread(scratch, h, from->keys) : NULL;
  d.query_panels = from->queries ? panels_pack(scratch, h, from->queries) : NULL;
  d.bias = from->bias ? bias_spread(scratch, h) : NULL;
  d.band = zeros_alloc(scratch, BAND);
  if (!backward)
    return d;
  d.queries = from->queries ? table_spread(scratch, h, from->queries) : NULL;
  d.dkeys = from->dkeys ? table_spread(scratch, h, NULL) : NULL;
  d.dqueries = from->dqueries ? table_spread(scratch, h, NULL) : NULL;
  d.ds = zeros_alloc(scratch, (BC + 2 * MICROTILE_ROWS) * DS_STEP) + MICROTILE_ROWS * DS_STEP + EDGE;
  return d;
}

/* --- scores --------------------------------------------------------------------------------------- */

MICROKERNEL(keys_band_mr, MICROTILE_ROWS, PANEL, stride, 1, PANEL, false)
MICROKERNEL(queries_band_mr, MICROTILE_ROWS, QUERIES_BAND, stride, 1, PANEL, false)

/* keys[d] . q for the distances of panel p and the keys [from, to), then each to its score. */
static inline void add_keys(float *s, const struct work_distances *d, const struct attention_heads *h,
                            const struct rows *q, size_t p, size_t row, size_t from, size_t to) {
  const size_t D = h->head_size, stride = row_stride(D), count = to - from + PANEL - 1;
  const float *least = d->keys + ((ptrdiff_t)row - (ptrdiff_t)to + 1) * (ptrdiff_t)stride;
  for (size_t i = 0; i < count; i += MICROTILE_ROWS)
    keys_band_mr(d->band + i * PANEL, least + i * stride, q->panels + p * PANEL * D, stride, D);
  for (size_t key = from; key < to; key++) {
    float *to_row = s + (key - from) * BR + p * PANEL;
    const float *diagonal = d->band + (to - 1 - key) * PANEL; /* a row further the distance is one more */
    for (size_t j = 0; j < PANEL; j += W)
      store(to_row + j, load(to_row + j) + load_every(diagonal + j * (PANEL + 1), PANEL + 1));
  }
}

/* k . queries[d] for a microtile's keys and the distances of the block's rows. */
static inline void add_queries(float *s, const struct work_distances *d, const struct attention_heads *h,
                               const struct keys *k, struct span rows, size_t from, size_t to) {
  const size_t D = h->head_size, T = h->length, stride = row_stride(D), count = rows.to - rows.from;
  for (size_t key = from; key < to; key += MICROTILE_ROWS) {
    size_t n = to - key < MICROTILE_ROWS ? to - key : MICROTILE_ROWS;
    size_t least = rows.from + T - key - n, most = rows.to + T - key - 2; /* distances + T - 1 */
    size_t first = least / PANEL;
    for (size_t p = first; p <= most / PANEL; p++)
      queries_band_mr(d->band + (p - first) * PANEL, k->rows + key * stride, d->query_panels + p * PANEL * D, stride,
                      D);
    for (size_t i = 0; i < n; i++) {
      float *to_row = s + (key + i - from) * BR;
      const float *band = d->band + i * QUERIES_BAND + (rows.from + T - 1 - key - i - first * PANEL);
      for (size_t r = 0; r < count; r += W)
        store(to_row + r, load(to_row + r) + load(band + r));
    }
  }
}

static inline void add_bias(float *s, const struct work_distances *d, struct span rows, size_t from, size_t to) {
  for (size_t key = from; key < to; key++, s += BR) {
    const float *bias = d->bias + ((ptrdiff_t)rows.from - (ptrdiff_t)key);
    for (size_t r = 0; r < rows.to - rows.from; r += W)
      store(s + r, load(s + r) + load(bias + r));
  }
}

/* Adds to the scores of the block's rows and the keys [from, to), at most BC; s: those of key `from`. */
static inline void add_distances(float *s, const struct work_distances *d, const struct attention_heads *h,
                                 const struct keys *k, const struct rows *q, struct span rows, size_t from, size_t to) {
  for (size_t p = 0; d->keys && p * PANEL < rows.to - rows.from; p++)
    add_keys(s, d, h, q, p, rows.from + p * PANEL, from, to);
  if (d->query_panels)
    add_queries(s, d, h, k, rows, from, to);
  if (d->bias)
    add_bias(s, d, rows, from, to);
}

/* --- gradients ------------------------------------------------------------------------------------ */

#define BACK (-(ptrdiff_t)stride)
MICROKERNEL(rows_by_keys_mr, MICROTILE_ROWS, stride, DS_STEP + 1, DS_STEP, BACK, true)
MICROKERNEL(keys_by_rows_mr, MICROTILE_ROWS, stride, DS_STEP + 1, 1, stride, true)
MICROKERNEL(distances_by_rows_mr, MICROTILE_ROWS, BACK, DS_STEP, DS_STEP + 1, stride, true) /* the last one first */
MICROKERNEL(distances_by_keys_mr, MICROTILE_ROWS, stride, 1, DS_STEP + 1, stride, true)
#undef BACK

/* dS into its frame. */
static inline void frame_ds(const struct work_distances *d, const float *ds, size_t rows, size_t keys) {
  float *out = d->ds;
  for (size_t key = 0; key < keys; key++, out += DS_STEP, ds += BR)
    for (size_t r = 0; r < BR; r += W)
      store(out + r, r + W <= rows ? load(ds + r) : r < rows ? load_part(ds + r, rows - r, 0) : (vf){0});
  memset(out - EDGE, 0, (size_t)MICROTILE_ROWS * DS_STEP * sizeof *out);
}

/* dQ (rows x D) += the sum over keys of dS keys[row - key]. */
static inline void sum_keys_table(float *dq, const struct work_distances *d, const struct attention_heads *h,
                                  struct span rows, size_t from, size_t to) {
  const size_t stride = row_stride(h->head_size), depth = to - from + MICROTILE_ROWS - 1;
  const float *a = d->ds - (MICROTILE_ROWS - 1) * DS_STEP; /* the microtile's last row meets the first key */
  for (size_t column = 0; column < h->head_size; column += PANEL)
    for (size_t i = 0; i < rows.to - rows.from; i += MICROTILE_ROWS) {
      ptrdiff_t most = (ptrdiff_t)(rows.from + i + MICROTILE_ROWS - 1) - (ptrdiff_t)from;
      rows_by_keys_mr(dq + i * stride + column, a + i, d->keys + most * (ptrdiff_t)stride + column, stride, depth);
    }
}

/* dK (keys x D, from key 0 on) += the sum over rows of dS queries[row - key]. */
static inline void sum_queries_table(float *dk, const struct work_distances *d, const struct attention_heads *h,
                                     struct span rows, size_t from, size_t to) {
  const size_t stride = row_stride(h->head_size), depth = rows.to - rows.from + MICROTILE_ROWS - 1;
  for (size_t column = 0; column < h->head_size; column += PANEL)
    for (size_t key = from; key < to; key += MICROTILE_ROWS) {
      ptrdiff_t least = (ptrdiff_t)rows.from - (ptrdiff_t)(key + MICROTILE_ROWS - 1);
      const float *a = d->ds + (key - from) * DS_STEP - (MICROTILE_ROWS - 1);
      keys_by_rows_mr(dk + key * stride + column, a, d->queries + least * (ptrdiff_t)stride + column, stride, depth);
    }
}

static inline ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b) {
  return a > b ? a : b;
}
static inline ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) {
  return a < b ? a : b;
}

/* Of the tables' gradients those distances that lie between the block's rows and the keys [from, to). */
static inline void sum_distances(const struct work_distances *d, const struct attention_heads *h, const struct keys *k,
                                 const struct rows *q, struct span rows, ptrdiff_t from, ptrdiff_t to) {
  const ptrdiff_t stride = (ptrdiff_t)row_stride(h->head_size), first = (ptrdiff_t)rows.from, end = (ptrdiff_t)rows.to;
  for (ptrdiff_t least = first - to + 1; least < end - from; least += MICROTILE_ROWS) {
    const ptrdiff_t most = least + MICROTILE_ROWS - 1;
    const ptrdiff_t row = larger(first, from + least), row_end = smaller(end, to + most);
    const ptrdiff_t key = larger(from, first - most), key_end = smaller(to, end - least);
    const float *by_rows = d->ds + (row - most - from) * DS_STEP + (row - first);
    const float *by_keys = d->ds + (key - from) * DS_STEP + (key + least - first);
    for (ptrdiff_t column = 0; column < (ptrdiff_t)h->head_size; column += PANEL) {
      if (d->dkeys)
        distances_by_rows_mr(d->dkeys + most * stride + column, by_rows, q->rows + (row - first) * stride + column,
                             (size_t)stride, (size_t)(row_end - row));
      if (d->dqueries)
        distances_by_keys_mr(d->dqueries + least * stride + column, by_keys, k->rows + key * stride + column,
                             (size_t)stride, (size_t)(key_end - key));
    }
  }
}

/* From dS of the block's rows and the keys [from, to), at most BC; ds: that of key `from`. Adds to dQ of the block, to
   dK of all keys and to the tables' gradients. */
static inline void distances_backward(float *dq, float *dk, const float *ds, const struct work_distances *d,
                                      const struct attention_heads *h, const struct keys *k, const struct rows *q,
                                      struct span rows, size_t from, size_t to) {
  if (!d->keys && !d->queries)
    return;
  frame_ds(d, ds, rows.to - rows.from, to - from);
  if (d->keys)
    sum_keys_table(dq, d, h, rows, from, to);
  if (d->queries)
    sum_queries_table(dk, d, h, rows, from, to);
  if (d->dkeys || d->dqueries)
    sum_distances(d, h, k, q, rows, (ptrdiff_t)from, (ptrdiff_t)to);
}

/* Distances that share a row of the table are summed in their order. */
static inline void table_gather(float *to, const float *from, const struct attention_heads *h) {
  const ptrdiff_t T = (ptrdiff_t)h->length, stride = (ptrdiff_t)row_stride(h->head_size);
  for (ptrdiff_t d = 1 - T; from && d < T; d++) {
    float *row = to + ((size_t)h->distances.index[d] - h->distances.first) * h->stride;
    for (size_t c = 0; c < h->head_size; c++)
      row[c] += h->scale * from[d * stride + (ptrdiff_t)c];
  }
}

static inline void distances_finish(const struct work_distances *d, const struct attention_heads *h) {
  table_gather(h->distances.dkeys, d->dkeys, h);
  table_gather(h->distances.dqueries, d->dqueries, h);
}

#endif
