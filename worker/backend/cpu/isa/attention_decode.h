/* Attention of one query row a head, as each generated token asks for it: keys and values are read where they lie. To
   pack them, as for a block of query rows, would take longer than their products. */
#ifndef WORKER_BACKEND_CPU_ISA_ATTENTION_DECODE_H
#define WORKER_BACKEND_CPU_ISA_ATTENTION_DECODE_H

#include "worker/backend/cpu/isa/attention_block.h"

enum {
  DECODE_KEYS = 4,    /* scores that are summed side by side */
  DECODE_COLUMNS = 8, /* vectors of the output that are */
};

static inline bool decode_serves(const struct attention_heads *h) {
  return h->rows == 1 && !h->dropout.threshold && !h->distances.index;
}

/* s[i]: the product of q and the i-th of some keys. */
static inline void decode_dots(float *s, const float *q, const float *k, size_t stride, size_t D, size_t keys) {
  vf acc[DECODE_KEYS] = {0};
  size_t j = 0;
  for (; j + W <= D; j += W)
#pragma GCC unroll 4
    for (size_t i = 0; i < keys; i++)
      acc[i] += load(q + j) * load(k + i * stride + j);
  for (size_t i = 0; j < D && i < keys; i++)
    acc[i] += load_part(q + j, D - j, 0) * load_part(k + i * stride + j, D - j, 0);
#pragma GCC unroll 4
  for (size_t i = 0; i < keys; i++)
    s[i] = lanes_sum(acc[i]);
}

/* Scores become exponentials of base 2, less their largest; those up to a whole number of vectors are 0. Gives the sum
   and, in *most, what was taken away. */
static inline float decode_softmax(float *most, float *s, const struct attention_heads *h, size_t keys) {
  const size_t padded = (keys + PANEL - 1) / PANEL * PANEL;
  const float into = h->scale / h->softcap, out_of = h->softcap / h->scale, factor = h->scale * LOG2_E;
  vf max = splat(-INFINITY), sums[2] = {splat(0), splat(0)};
  for (size_t i = keys; i < padded; i++)
    s[i] = -INFINITY;
  for (size_t i = 0; i < padded; i += W) {
    vf v = load(s + i);
    if (h->softcap > 0) {
      v = vselect(v > -INFINITY, vtanh(v * into) * out_of, v);
      store(s + i, v);
    }
    max = vmax(v, max);
  }
  *most = lanes_max(max) * factor;
  for (size_t i = 0; i < padded; i += PANEL) {
    vf p[2] = {load(s + i) * factor - *most, load(s + i + W) * factor - *most};
    vexp2(p);
    sums[0] += p[0];
    sums[1] += p[1];
    store(s + i, p[0]);
    store(s + i + W, p[1]);
  }
  return lanes_sum(sums[0] + sums[1]);
}

/* out: `vectors` vectors of the values' sum, weighted by s, times `scale`. */
static inline void decode_sum(float *out, const float *s, const float *v, size_t stride, size_t keys, size_t vectors,
                              float scale) {
  vf acc[DECODE_COLUMNS] = {0};
  for (size_t i = 0; i < keys; i++, v += stride)
#pragma GCC unroll 8
    for (size_t j = 0; j < vectors; j++)
      acc[j] += splat(s[i]) * load(v + j * W);
#pragma GCC unroll 8
  for (size_t j = 0; j < vectors; j++)
    store(out + j * W, acc[j] * scale);
}

static inline void decode_values(float *out, const float *s, const float *v, size_t stride, size_t keys, size_t D,
                                 float scale) {
  size_t j = 0;
  for (; j + DECODE_COLUMNS * W <= D; j += DECODE_COLUMNS * W)
    decode_sum(out + j, s, v + j, stride, keys, DECODE_COLUMNS, scale);
  for (; j + W <= D; j += W)
    decode_sum(out + j, s, v + j, stride, keys, 1, scale);
  if (j == D)
    return;
  vf acc = splat(0);
  for (size_t i = 0; i < keys; i++)
    acc += splat(s[i]) * load_part(v + i * stride + j, D - j, 0);
  store_part(out + j, acc * scale, D - j);
}

/* One head; s: room for its scores, a multiple of PANEL. */
static inline void decode_head(float *out, float *lse, const float *q, const float *k, const float *v,
                               const struct attention_heads *h, float *s) {
  const size_t from = window_start(h, h->first), keys = window_end(h, h->first) - from, D = h->head_size;
  const size_t stride = h->kv_stride;
  float most;
  k += from * stride;
  v += from * stride;
  size_t i = 0;
  for (; i + DECODE_KEYS <= keys; i += DECODE_KEYS)
    decode_dots(s + i, q, k + i * stride, stride, D, DECODE_KEYS);
  for (; i < keys; i++)
    decode_dots(s + i, q, k + i * stride, stride, D, 1);
  float sum = decode_softmax(&most, s, h, keys);
  *lse = most * LOG_2 + vlog(splat(sum))[0];
  decode_values(out, s, v, stride, keys, D, 1 / sum);
}

#endif
