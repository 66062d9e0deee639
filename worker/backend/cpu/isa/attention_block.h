/* What the forward and the backward pass of attention share. The scores of a block of query rows are stored as
   (keys x rows): a vector holds one key's scores of W rows. So softmax, mask and dropout work on rows side by side, and
   each product reads one operand by vectors and the other by contiguous fp32. */
#ifndef WORKER_BACKEND_CPU_ISA_ATTENTION_BLOCK_H
#define WORKER_BACKEND_CPU_ISA_ATTENTION_BLOCK_H

#include "worker/backend/cpu/isa/dropout.h"

/* BR and BC are FlashAttention's B_r and B_c. */
enum {
  PANEL = DROPOUT_PANEL,                     /* rows side by side, and columns of a microtile: two vectors */
  MICROTILE_ROWS = REGISTERS == 16 ? 6 : 12, /* their accumulators fit the registers beside a panel's row */
  BR = 6 * W,                                /* query rows of a block: a multiple of PANEL and of MICROTILE_ROWS */
  BR_PANELS = BR / PANEL,
  BC = DROPOUT_GROUP,                        /* keys of a block: its scores stay in L1 */
  BC_ROWS = BC + MICROTILE_ROWS,             /* with room for a last microtile that has fewer keys */
};

#define LOG2_E 1.44269504088896341f
#define LOG_2 0.693147180559945309f

struct span {
  size_t from, to;
};

/* Rounds up to a cache line; attention_scratch has room for it. */
static inline float *scratch_align(float *scratch) {
  return (float *)(((uintptr_t)scratch + 63) / 64 * 64);
}

static inline float *scratch_alloc(float **scratch, size_t floats) {
  float *part = *scratch;
  *scratch += floats;
  return part;
}

static inline void scale_rows(float *out, size_t out_stride, const float *in, size_t in_stride, size_t rows,
                              size_t cols, float scale) {
  for (size_t i = 0; i < rows; i++, out += out_stride, in += in_stride) {
    size_t j = 0;
#pragma GCC unroll 4
    for (; j + W <= cols; j += W)
      store(out + j, load(in + j) * scale);
    if (j < cols)
      store_part(out + j, load_part(in + j, cols - j, 0) * scale, cols - j);
  }
}

/* The first key that a row attends to; likewise the first row, not causal, that attends to a key. */
static inline size_t window_start(const struct attention_heads *h, size_t row) {
  return h->window && row >= h->window ? row + 1 - h->window : 0;
}

/* One past the last key that a row attends to. */
static inline size_t window_end(const struct attention_heads *h, size_t row) {
  if (h->causal)
    return row + 1;
  return h->window && h->window < h->length - row ? row + h->window : h->length;
}

/* The keys of [from, to) that any of the rows [first, end) attends to. */
static inline struct span keys_attended(const struct attention_heads *h, size_t first, size_t end, size_t from,
                                        size_t to) {
  size_t least = window_start(h, first), most = window_end(h, end - 1);
  struct span s = {from > least ? from : least, to < most ? to : most};
  return s.from < s.to ? s : (struct span){from, from};
}

/* The rows of [first, end) that attend to any of the keys [from, to). */
static inline struct span rows_attending(const struct attention_heads *h, size_t from, size_t to, size_t first,
                                         size_t end) {
  size_t least = h->causal ? from : window_start(h, from), most = h->window ? to - 1 + h->window : end;
  struct span s = {first > least ? first : least, end < most ? end : most};
  return s.from < s.to ? s : (struct span){first, first};
}

/* Soft-caps a panel's scores, which are not yet times the scale, for a span of `keys` keys. */
static inline void cap_scores(float *s, const struct attention_heads *h, size_t keys) {
  const float into = h->scale / h->softcap, out_of = h->softcap / h->scale;
  for (size_t i = 0; i < keys; i++, s += BR)
    for (size_t j = 0; j < PANEL; j += W)
      store(s + j, vtanh(load(s + j) * into) * out_of);
}

/* Sets a panel's masked scores to -infinity. s: the scores of key `base`. */
static inline void apply_mask(float *s, size_t base, const struct attention_heads *h, struct span keys, size_t first,
                              size_t end) {
  if (!h->causal && !h->window)
    return;
  size_t all_from = window_start(h, end - 1), all_to = window_end(h, first); /* the keys that no row masks */
  for (size_t key = keys.from; key < keys.to; key++) {
    if (key >= all_from && key < all_to) {
      key = all_to - 1;
      continue;
    }
    for (size_t j = 0; j < 2; j++) {
      float *at = s + (key - base) * BR + j * W;
      vi distance = lane_numbers + (int32_t)((int64_t)(first + j * W) - (int64_t)key); /* from the key to each row */
      vi attended = distance > (h->causal ? -1 : -(int32_t)h->window);
      if (h->window)
        attended &= distance < (int32_t)h->window;
      store(at, vselect(attended, load(at), splat(-INFINITY)));
    }
  }
}

/* Zeroes a panel's scores of the keys of [from, to) outside `keep`. s: the scores of key `from`. */
static inline void zero_outside(float *s, struct span keep, size_t from, size_t to) {
  for (size_t key = from; key < to; key++) {
    if (key == keep.from)
      key = keep.to;
    for (size_t j = 0; j < PANEL && key < to; j += W)
      store(s + (key - from) * BR + j, (vf){0});
  }
}

#endif
