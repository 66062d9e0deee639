/* What the forward and the backward pass of attention share. Scores of a block of query rows are kept as
   (keys x rows): a vector holds one key's scores of W rows, so that softmax, what a row may see and dropout work on
   rows side by side, and each product finds one factor in vectors and the other in runs of floats. */
#ifndef WORKER_BACKEND_CPU_ISA_ATTENTION_BLOCK_H
#define WORKER_BACKEND_CPU_ISA_ATTENTION_BLOCK_H

#include "worker/backend/cpu/isa/dropout.h"

enum {
  PANEL = DROPOUT_PANEL,           /* rows side by side, and columns of a tile: two vectors */
  TALL = REGISTERS == 16 ? 6 : 12, /* rows of a tile: what registers hold beside a panel's */
  BLOCK = 6 * W,                   /* query rows at once: whole panels and whole tiles */
  PANELS = BLOCK / PANEL,          /* of a block */
  CHUNK = DROPOUT_GROUP,           /* keys at once: their scores stay in the first-level cache */
  CHUNK_ROWS = CHUNK + TALL,       /* room for a last tile that has fewer keys */
};

struct span {
  size_t from, to;
};

/* The first part of scratch memory that begins a cache line; attention_scratch has room for it. */
static inline float *aligned(float *scratch) {
  return (float *)(((uintptr_t)scratch + 63) / 64 * 64);
}

static inline float *take(float **scratch, size_t floats) {
  float *part = *scratch;
  *scratch += floats;
  return part;
}

static inline void copy_rows(float *out, size_t out_stride, const float *in, size_t in_stride, size_t rows, size_t cols,
                             float scale) {
  for (size_t i = 0; i < rows; i++, out += out_stride, in += in_stride) {
    size_t j = 0;
#pragma GCC unroll 4
    for (; j + W <= cols; j += W)
      store(out + j, load(in + j) * scale);
    if (j < cols)
      store_part(out + j, load_part(in + j, cols - j, 0) * scale, cols - j);
  }
}

/* What a row sees begins here; it ends with itself, or with the sequence. */
static inline size_t low(const struct attention_heads *h, size_t row) {
  return h->causal && h->window && row >= h->window ? row + 1 - h->window : 0;
}

/* The keys of [from, to) that any of the rows [first, end) sees. */
static inline struct span keys_seen(const struct attention_heads *h, size_t first, size_t end, size_t from, size_t to) {
  size_t least = low(h, first), most = h->causal ? end : h->length;
  struct span s = {from > least ? from : least, to < most ? to : most};
  return s.from < s.to ? s : (struct span){from, from};
}

/* The rows of [first, end) that see any of the keys [from, to). */
static inline struct span rows_seeing(const struct attention_heads *h, size_t from, size_t to, size_t first,
                                      size_t end) {
  size_t least = h->causal ? from : 0, most = h->causal && h->window ? to - 1 + h->window : end;
  struct span s = {first > least ? first : least, end < most ? end : most};
  return s.from < s.to ? s : (struct span){first, first};
}

/* A panel's scores (s: of key `base`) that some of its rows do not see become -infinity. */
static inline void hide(float *s, size_t base, const struct attention_heads *h, struct span keys, size_t first,
                        size_t end) {
  if (!h->causal)
    return;
  size_t all_from = low(h, end - 1), all_to = first + 1; /* what every row sees */
  for (size_t key = keys.from; key < keys.to; key++) {
    if (key >= all_from && key < all_to) {
      key = all_to - 1;
      continue;
    }
    for (size_t j = 0; j < 2; j++) {
      float *at = s + (key - base) * BLOCK + j * W;
      vi behind = lane_numbers + (int32_t)((int64_t)(first + j * W) - (int64_t)key); /* keys from this one to the row */
      vi seen = behind >= 0;
      if (h->window)
        seen &= behind < (int32_t)h->window;
      store(at, vselect(seen, load(at), splat(-INFINITY)));
    }
  }
}

/* Zeroes a panel's keys of [from, to) but not those of `keep` (s: of key `from`). */
static inline void clear_outside(float *s, struct span keep, size_t from, size_t to) {
  for (size_t key = from; key < to; key++) {
    if (key == keep.from)
      key = keep.to;
    for (size_t j = 0; j < PANEL && key < to; j += W)
      store(s + (key - from) * BLOCK + j, (vf){0});
  }
}

#endif
