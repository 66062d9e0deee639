/* The backward pass of attention, by blocks of BR query rows and BC keys. The probabilities of each are recomputed from
   the saved log-sum-exp. */
#include "worker/backend/cpu/isa/attention.h"
#ifdef ATTENTION_TILES
#include "worker/backend/cpu/bf16/attention_products.h"
#else
#include "worker/backend/cpu/isa/attention_distances.h"
#endif

struct work {
  const struct attention_heads *h;
  struct keys k, v;
  float *dk, *dv;      /* of all keys */
  struct rows q, dout; /* a block of query rows */
  float *dq;
  float *s, *ds; /* of BR rows and BC keys: scores, then the P of P V; dP, then dS */
  float *mask;   /* the dropout mask of a panel and BC keys */
  struct work_distances distances;
  float *lse, *delta; /* of a block's rows: log-sum-exp in base two; D of FlashAttention, the sum of dout * out */
};

/* A panel's scores become the P of P V, and dP becomes dS. Two factors are left out, the scale of scores and that of
   dropout: dq, dk and dv are multiplied with them in the end. `into` takes a capped score to its tanh, whose slope is
   1 - tanh^2; 0: there is no softcap. Masked scores are -infinity. */
static inline void softmax_backward(float *s, float *ds, const struct work *w, size_t p, const float *mask,
                                    float into, size_t keys) {
  const float factor = w->h->scale * LOG2_E, scale = w->h->dropout.scale;
  const float *lse = w->lse + p * PANEL, *delta = w->delta + p * PANEL;
  for (size_t i = 0; i < keys; i++, s += BR, ds += BR) {
    vf y[2] = {load(s) * factor - load(lse), load(s + W) * factor - load(lse + W)};
    vexp2(y);
    for (size_t j = 0; j < 2; j++) {
      const float *here = mask ? mask + i * PANEL + j * W : NULL;
      vf g = load(ds + j * W), d = load(delta + j * W);
      g = mask ? apply_dropout(g, here) * scale - d : g - d;
      if (into != 0) {
        vf ratio = load(s + j * W) * into;
        g *= vmax(1.0f - ratio * ratio, splat(0));
      }
      store(ds + j * W, y[j] * g);
      store(s + j * W, mask ? apply_dropout(y[j], here) : y[j]);
    }
  }
}

static void panel_scores(const struct work *w, size_t p, struct span rows, size_t from, size_t to) {
  struct span keys = keys_attended(w->h, rows.from, rows.to, from, to);
  if (keys.from == keys.to)
    return;
  compute_scores(w->s, from, &w->k, &w->q, p, keys, w->h->head_size);
  if (w->h->softcap > 0)
    cap_scores(w->s + p * PANEL + (keys.from - from) * BR, w->h, keys.to - keys.from);
  apply_mask(w->s + p * PANEL, from, w->h, keys, rows.from, rows.to);
}

static void panel_backward(const struct work *w, size_t p, struct span rows, uint64_t row, size_t from, size_t to) {
  const struct attention_heads *h = w->h;
  struct span keys = keys_attended(h, rows.from, rows.to, from, to);
  const size_t n = keys.to - keys.from, at = p * PANEL + (keys.from - from) * BR;
  float *s = w->s + at, *ds = w->ds + at, into = h->softcap > 0 ? h->scale / h->softcap : 0;
  if (n) {
    compute_scores(w->ds, from, &w->v, &w->dout, p, keys, h->head_size);
    if (h->dropout.threshold) {
      dropout_panel(w->mask, &h->dropout, row, from / BC);
      softmax_backward(s, ds, w, p, w->mask + (keys.from - from) * PANEL, into, n);
    } else {
      softmax_backward(s, ds, w, p, NULL, into, n);
    }
  }
  zero_outside(w->s + p * PANEL, keys, from, sum_over_rows_end(from, to));
  zero_outside(w->ds + p * PANEL, keys, from, sum_over_rows_end(from, to));
}

static float dot(const float *x, const float *y, size_t count) {
  vf sum = {0};
  size_t i = 0;
  for (; i + W <= count; i += W)
    sum += load(x + i) * load(y + i);
  if (i < count)
    sum += load_part(x + i, count - i, 0) * load_part(y + i, count - i, 0);
  return lanes_sum(sum);
}

/* The rows [first, first + rows) of one head: writes dq, adds to w->dk and w->dv. */
static void block_backward(const struct work *w, float *dq, const float *dout, const float *q, const float *out,
                           const float *lse, size_t first, size_t rows, uint64_t row) {
  const struct attention_heads *h = w->h;
  const size_t D = h->head_size, end = window_end(h, first + rows - 1);
  const struct span all = {first, first + rows};
  rows_pack(&w->q, q, h->stride, rows, D);
  rows_pack(&w->dout, dout, h->stride, rows, D);
  memset(w->dq, 0, sums_floats(D) * sizeof *w->dq);
  for (size_t i = 0; i < BR; i++) {
    w->lse[i] = i < rows ? lse[i] * LOG2_E : INFINITY; /* there is nothing to sum beyond the last */
    w->delta[i] = i < rows ? dot(out + i * h->stride, dout + i * h->stride, D) : 0;
  }
  for (size_t from = window_start(h, first) / BC * BC; from < end; from += BC) {
    size_t to = from + BC < end ? from + BC : end;
    struct span of[BR_PANELS];
    for (size_t p = 0; p * PANEL < rows; p++) {
      of[p] = (struct span){first + p * PANEL, first + ((p + 1) * PANEL < rows ? (p + 1) * PANEL : rows)};
      panel_scores(w, p, of[p], from, to);
    }
    if (h->distances.index)
      add_distances(w->s, &w->distances, h, &w->k, &w->q, all, from, to);
    for (size_t p = 0; p * PANEL < rows; p++)
      panel_backward(w, p, of[p], row + p * PANEL, from, to);
    sum_over_keys(w->dq, w->ds, &w->k, h, all, from, to);
    sum_over_rows(w->dk, w->ds, &w->q, h, all, from, to);
    sum_over_rows(w->dv, w->s, &w->dout, h, all, from, to);
    distances_backward(w->dq, w->dk, w->ds, &w->distances, h, &w->k, &w->q, all, from, to);
  }
  float scales[BR];
  for (size_t i = 0; i < rows; i++)
    scales[i] = h->scale;
  sums_store(dq, h->stride, w->dq, rows, D, scales);
}

void ISA_NAME(attention_backward)(float *dq, float *dk, float *dv, const float *dout, const float *q, const float *k,
                                  const float *v, const float *out, const float *lse, const struct attention_heads *h,
                                  float *scratch) {
  const size_t T = h->length, D = h->head_size, grad_floats = kv_grad_floats(T, D);
  float of_rows[2][BR];
  struct work w = {.h = h, .lse = of_rows[0], .delta = of_rows[1]};
  scratch = scratch_align(scratch);
  products_begin();
  w.k = keys_pack(&scratch, k, h->kv_stride, T, D, KEYS_SCORE | KEYS_SUM);
  w.v = keys_pack(&scratch, v, h->kv_stride, T, D, KEYS_SCORE);
  w.dk = scratch_alloc(&scratch, grad_floats);
  w.dv = scratch_alloc(&scratch, grad_floats);
  w.q = rows_alloc(&scratch, D, true);
  w.dout = rows_alloc(&scratch, D, true);
  w.dq = scratch_alloc(&scratch, sums_floats(D));
  w.s = scratch_alloc(&scratch, BC_ROWS * BR);
  w.ds = scratch_alloc(&scratch, BC_ROWS * BR);
  w.mask = scratch_alloc(&scratch, BC * PANEL);
  w.distances = distances_pack(&scratch, h, true);
  memset(w.dk, 0, 2 * grad_floats * sizeof *w.dk); /* and dv */
  for (size_t m = 0; m < h->count; m++, dq += D, dout += D, q += D, out += D, lse += h->row_step)
    for (size_t i = 0; i < h->rows; i += BR) {
      size_t at = i * h->stride, rows = h->rows - i < BR ? h->rows - i : BR;
      block_backward(&w, dq + at, dout + at, q + at, out + at, lse + i, h->first + i, rows,
                     h->row_first + m * h->row_step + i);
    }
  products_end();
  distances_finish(&w.distances, h);
  scale_rows(dk, h->kv_stride, w.dk, row_stride(D), T, D, h->scale);
  scale_rows(dv, h->kv_stride, w.dv, row_stride(D), T, D, h->dropout.threshold ? h->dropout.scale : 1);
}

const struct attention_kernels ISA_NAME(attention_kernels) = {
    .name = ISA_TEXT(ISA),
    .scratch = ISA_NAME(attention_scratch),
    .forward = ISA_NAME(attention),
    .backward = ISA_NAME(attention_backward),
};
