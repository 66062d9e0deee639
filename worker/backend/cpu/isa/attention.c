/* The forward pass of attention: the heads of one sequence that share keys and values. A block of query rows sees
   all its keys at once in scratch memory, so the probabilities of a batch never exist (Dao et al.,
   "FlashAttention", 2022, section 3.1 without its tiling of keys). */
#include "worker/backend/cpu/isa/attention.h"
#ifdef ATTENTION_TILES
#include "worker/backend/cpu/bf16/attention_products.h"
#else
#include "worker/backend/cpu/isa/attention_products.h"
#endif

#define LOG2_E 1.44269504088896341f
#define LOG_2 0.693147180559945309f

struct work {
  const struct attention_heads *h;
  struct keys k, v;
  struct rows q; /* a block */
  float *s;      /* its scores, by key, from a multiple of CHUNK on */
  float *sum;    /* its output before the softmax's division */
  float *mask;   /* of a panel and a chunk */
};

size_t ISA_NAME(attention_scratch)(size_t length, size_t head_size) {
  const size_t both = 2 * keys_floats(length, head_size) + sums_floats(head_size) + CHUNK * PANEL;
  const size_t forward = rows_floats(head_size) + (length + CHUNK_ROWS) * BLOCK;
  const size_t backward = 2 * gathered_floats(length, head_size) + 2 * rows_floats(head_size) + 2 * CHUNK_ROWS * BLOCK;
  return 16 + both + (forward > backward ? forward : backward);
}

/* Each row's largest score. */
static void largest(vf high[2], const float *s, size_t keys) {
  high[0] = high[1] = splat(-INFINITY);
  for (size_t i = 0; i < keys; i++, s += BLOCK) {
    high[0] = vmax(load(s), high[0]);
    high[1] = vmax(load(s + W), high[1]);
  }
}

/* Scores of a panel become 2^(factor * score - high), or 0 where a mask drops them; sum counts them all. */
static inline void weigh(float *s, vf sum[2], const vf high[2], float factor, const float *mask, size_t keys) {
  vf h0 = high[0], h1 = high[1], s0 = sum[0], s1 = sum[1];
  for (size_t i = 0; i < keys; i++, s += BLOCK) {
    vf p[2] = {load(s) * factor - h0, load(s + W) * factor - h1};
    vexp2(p);
    s0 += p[0];
    s1 += p[1];
    store(s, mask ? kept(p[0], mask + i * PANEL) : p[0]);
    store(s + W, mask ? kept(p[1], mask + i * PANEL + W) : p[1]);
  }
  sum[0] = s0;
  sum[1] = s1;
}

static void weigh_chunk(const struct work *w, float *s, vf sum[2], const vf high[2], struct span rows, uint64_t row,
                        size_t from, size_t to) {
  const struct attention_heads *h = w->h;
  const float factor = h->scale * LOG2_E;
  struct span keys = keys_seen(h, rows.from, rows.to, from, to);
  float *at = s + (keys.from - from) * BLOCK;
  if (h->dropout.threshold && keys.from < keys.to) {
    dropout_panel(w->mask, &h->dropout, row, from / CHUNK);
    weigh(at, sum, high, factor, w->mask + (keys.from - from) * PANEL, keys.to - keys.from);
  } else {
    weigh(at, sum, high, factor, NULL, keys.to - keys.from);
  }
  clear_outside(s, keys, from, sum_over_keys_end(from, to));
}

/* out and lse of the rows [first, first + rows) of one head; `row` numbers the first for dropout. */
static void block_forward(const struct work *w, float *out, float *lse, const float *q, size_t first, size_t rows,
                          uint64_t row) {
  const struct attention_heads *h = w->h;
  const size_t D = h->head_size, end = h->causal ? first + rows : h->length, base = low(h, first) / CHUNK * CHUNK;
  vf high[PANELS][2], sum[PANELS][2] = {0};
  rows_take(&w->q, q, h->stride, rows, D);
  memset(w->sum, 0, sums_floats(D) * sizeof *w->sum);
  size_t panels = (rows + PANEL - 1) / PANEL;
  struct span of[PANELS];
  for (size_t p = 0; p < panels; p++) {
    of[p] = (struct span){first + p * PANEL, first + ((p + 1) * PANEL < rows ? (p + 1) * PANEL : rows)};
    struct span keys = keys_seen(h, of[p].from, of[p].to, 0, end);
    make_scores(w->s, base, &w->k, &w->q, p, keys, D);
    hide(w->s + p * PANEL, base, h, keys, of[p].from, of[p].to);
    largest(high[p], w->s + p * PANEL + (keys.from - base) * BLOCK, keys.to - keys.from);
    for (int j = 0; j < 2; j++)
      high[p][j] *= h->scale * LOG2_E;
  }
  for (size_t from = base; from < end; from += CHUNK) {
    size_t to = from + CHUNK < end ? from + CHUNK : end;
    float *s = w->s + (from - base) * BLOCK;
    for (size_t p = 0; p < panels; p++)
      weigh_chunk(w, s + p * PANEL, sum[p], high[p], of[p], row + p * PANEL, from, to);
    sum_over_keys(w->sum, s, &w->v, h, (struct span){first, first + rows}, from, to);
  }
  const float kept_scale = h->dropout.threshold ? h->dropout.scale : 1;
  float of_rows[2][BLOCK];
  for (size_t p = 0; p < panels; p++)
    for (size_t j = 0; j < 2; j++) {
      store(of_rows[0] + p * PANEL + j * W, high[p][j] * LOG_2 + vlog(sum[p][j]));
      store(of_rows[1] + p * PANEL + j * W, kept_scale / sum[p][j]);
    }
  memcpy(lse, of_rows[0], rows * sizeof *lse);
  sums_deliver(out, h->stride, w->sum, rows, D, of_rows[1]);
}

void ISA_NAME(attention)(float *out, float *lse, const float *q, const float *k, const float *v,
                         const struct attention_heads *h, float *scratch) {
  const size_t T = h->length, D = h->head_size;
  struct work w = {.h = h};
  products_begin();
  scratch = aligned(scratch);
  w.k = keys_take(&scratch, k, h->kv_stride, T, D, KEYS_SCORE);
  w.v = keys_take(&scratch, v, h->kv_stride, T, D, KEYS_SUM);
  w.sum = take(&scratch, sums_floats(D));
  w.q = rows_room(&scratch, D, false);
  w.mask = take(&scratch, CHUNK * PANEL);
  w.s = scratch;
  for (size_t m = 0; m < h->count; m++, out += D, q += D, lse += h->row_step)
    for (size_t i = 0; i < h->rows; i += BLOCK)
      block_forward(&w, out + i * h->stride, lse + i, q + i * h->stride, h->first + i,
                    h->rows - i < BLOCK ? h->rows - i : BLOCK, h->row_first + m * h->row_step + i);
  products_end();
}
