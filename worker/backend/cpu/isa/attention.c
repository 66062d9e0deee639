/* The forward pass of attention for one grouped-query attention group of a sequence. Scratch memory has the scores of
   one block of query rows and all its keys (Dao et al., "FlashAttention", 2022, section 3.1 without its tiling of
   keys): row_max is known before the first exponential, so nothing is rescaled. */
#include "worker/backend/cpu/isa/attention.h"
#ifdef ATTENTION_TILES
#include "worker/backend/cpu/bf16/attention_products.h"
#else
#include "worker/backend/cpu/isa/attention_distances.h"
#endif
#include "worker/backend/cpu/isa/attention_decode.h"

struct work {
  const struct attention_heads *h;
  struct keys k, v;
  struct rows q; /* a block of query rows */
  float *s;      /* its scores, from a key on that is a multiple of BC */
  float *sum;    /* its output before the softmax's division */
  float *mask;   /* the dropout mask of a panel and BC keys */
  struct work_distances distances;
};

size_t ISA_NAME(attention_scratch)(size_t length, size_t head_size, bool distances) {
  const size_t both = 2 * keys_floats(length, head_size) + sums_floats(head_size) + BC * PANEL;
  const size_t forward = rows_floats(head_size) + (length + BC_ROWS) * BR;
  const size_t backward = 2 * kv_grad_floats(length, head_size) + 2 * rows_floats(head_size) + 2 * BC_ROWS * BR;
  const size_t of_distances = distances ? distances_floats(length, head_size) : 0;
  return 16 + both + of_distances + (forward > backward ? forward : backward);
}

/* The largest score of each of a panel's rows. */
static void row_max(vf max[2], const float *s, size_t keys) {
  max[0] = max[1] = splat(-INFINITY);
  for (size_t i = 0; i < keys; i++, s += BR) {
    max[0] = vmax(load(s), max[0]);
    max[1] = vmax(load(s + W), max[1]);
  }
}

/* Scores of a panel become 2^(factor * score - max), or 0 where dropout drops them; the row sums count them all. */
static inline void softmax_exp(float *s, vf sum[2], const vf max[2], float factor, const float *mask, size_t keys) {
  vf m0 = max[0], m1 = max[1], s0 = sum[0], s1 = sum[1];
  for (size_t i = 0; i < keys; i++, s += BR) {
    vf p[2] = {load(s) * factor - m0, load(s + W) * factor - m1};
    vexp2(p);
    s0 += p[0];
    s1 += p[1];
    store(s, mask ? apply_dropout(p[0], mask + i * PANEL) : p[0]);
    store(s + W, mask ? apply_dropout(p[1], mask + i * PANEL + W) : p[1]);
  }
  sum[0] = s0;
  sum[1] = s1;
}

static void softmax_exp_block(const struct work *w, float *s, vf sum[2], const vf max[2], struct span rows,
                              uint64_t row, size_t from, size_t to) {
  const struct attention_heads *h = w->h;
  const float factor = h->scale * LOG2_E;
  struct span keys = keys_attended(h, rows.from, rows.to, from, to);
  float *at = s + (keys.from - from) * BR;
  if (h->dropout.threshold && keys.from < keys.to) {
    dropout_panel(w->mask, &h->dropout, row, from / BC);
    softmax_exp(at, sum, max, factor, w->mask + (keys.from - from) * PANEL, keys.to - keys.from);
  } else {
    softmax_exp(at, sum, max, factor, NULL, keys.to - keys.from);
  }
  zero_outside(s, keys, from, sum_over_keys_end(from, to));
}

/* out and lse of the rows [first, first + rows) of one head; `row` numbers the first for dropout. */
static void block_forward(const struct work *w, float *out, float *lse, const float *q, size_t first, size_t rows,
                          uint64_t row) {
  const struct attention_heads *h = w->h;
  const size_t D = h->head_size, end = window_end(h, first + rows - 1), base = window_start(h, first) / BC * BC;
  vf max[BR_PANELS][2], sum[BR_PANELS][2] = {0};
  rows_pack(&w->q, q, h->stride, rows, D);
  memset(w->sum, 0, sums_floats(D) * sizeof *w->sum);
  size_t panels = (rows + PANEL - 1) / PANEL;
  struct span of[BR_PANELS];
  for (size_t p = 0; p < panels; p++) {
    of[p] = (struct span){first + p * PANEL, first + ((p + 1) * PANEL < rows ? (p + 1) * PANEL : rows)};
    struct span keys = keys_attended(h, of[p].from, of[p].to, 0, end);
    compute_scores(w->s, base, &w->k, &w->q, p, keys, D);
    if (h->softcap > 0)
      cap_scores(w->s + p * PANEL + (keys.from - base) * BR, h, keys.to - keys.from);
    apply_mask(w->s + p * PANEL, base, h, keys, of[p].from, of[p].to);
  }
  for (size_t from = base; h->distances.index && from < end; from += BC)
    add_distances(w->s + (from - base) * BR, &w->distances, h, &w->k, &w->q, (struct span){first, first + rows}, from,
                  from + BC < end ? from + BC : end);
  for (size_t p = 0; p < panels; p++) {
    struct span keys = keys_attended(h, of[p].from, of[p].to, 0, end);
    row_max(max[p], w->s + p * PANEL + (keys.from - base) * BR, keys.to - keys.from);
    for (int j = 0; j < 2; j++)
      max[p][j] *= h->scale * LOG2_E;
  }
  for (size_t from = base; from < end; from += BC) {
    size_t to = from + BC < end ? from + BC : end;
    float *s = w->s + (from - base) * BR;
    for (size_t p = 0; p < panels; p++)
      softmax_exp_block(w, s + p * PANEL, sum[p], max[p], of[p], row + p * PANEL, from, to);
    sum_over_keys(w->sum, s, &w->v, h, (struct span){first, first + rows}, from, to);
  }
  const float dropout_scale = h->dropout.threshold ? h->dropout.scale : 1;
  float of_rows[2][BR];
  for (size_t p = 0; p < panels; p++)
    for (size_t j = 0; j < 2; j++) {
      store(of_rows[0] + p * PANEL + j * W, max[p][j] * LOG_2 + vlog(sum[p][j]));
      store(of_rows[1] + p * PANEL + j * W, dropout_scale / sum[p][j]);
    }
  memcpy(lse, of_rows[0], rows * sizeof *lse);
  sums_store(out, h->stride, w->sum, rows, D, of_rows[1]);
}

void ISA_NAME(attention)(float *out, float *lse, const float *q, const float *k, const float *v,
                         const struct attention_heads *h, float *scratch) {
  const size_t T = h->length, D = h->head_size;
  struct work w = {.h = h};
  scratch = scratch_align(scratch);
  if (decode_serves(h)) {
    for (size_t m = 0; m < h->count; m++)
      decode_head(out + m * D, lse + m * h->row_step, q + m * D, k, v, h, scratch);
    return;
  }
  products_begin();
  w.k = keys_pack(&scratch, k, h->kv_stride, T, D, KEYS_SCORE);
  w.v = keys_pack(&scratch, v, h->kv_stride, T, D, KEYS_SUM);
  w.sum = scratch_alloc(&scratch, sums_floats(D));
  w.q = rows_alloc(&scratch, D, false);
  w.mask = scratch_alloc(&scratch, BC * PANEL);
  w.distances = distances_pack(&scratch, h, false);
  w.s = scratch;
  for (size_t m = 0; m < h->count; m++, out += D, q += D, lse += h->row_step)
    for (size_t i = 0; i < h->rows; i += BR)
      block_forward(&w, out + i * h->stride, lse + i, q + i * h->stride, h->first + i,
                    h->rows - i < BR ? h->rows - i : BR, h->row_first + m * h->row_step + i);
  products_end();
}
