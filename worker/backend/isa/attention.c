/* Attention of one (sequence, head). A block of query rows sees all its keys at once in scratch
   memory, so the probabilities of a batch never exist; the backward pass makes them again from the
   saved log-sum-exp (Dao et al., "FlashAttention", 2022, section 3.1 without its tiling of keys). */
#include "worker/backend/isa/dropout.h"
#include "worker/backend/isa/gemm.h"

#include "worker/backend/isa/attention.h"

enum { BLOCK = 48 }; /* query rows at once: eight tiles of six */

static size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

/* Floats a row of scores takes: whole groups of dropout, so that masks may be written in full, and room for
   a last vector that does not begin at a multiple of its width (a window's). */
static size_t score_stride(size_t length) {
  return round_up(length + W, DROPOUT_GROUP);
}

size_t ISA_NAME(attention_scratch)(size_t length, size_t head_size) {
  size_t stride = score_stride(length);
  return 2 * head_size * stride        /* K and V transposed */
         + 3 * (size_t)BLOCK * stride; /* scores, their gradients, masks */
}

/* out (head_size x T, rows `stride` apart) = in transposed. */
static void transpose(float *out, size_t stride, const float *in, size_t in_stride, size_t length, size_t head_size) {
  for (size_t t = 0; t < length; t++)
    for (size_t d = 0; d < head_size; d++)
      out[d * stride + t] = in[t * in_stride + d];
}

/* The row's probabilities in place of its scores; returns the log of the sum. Columns from `keys`
   to the end of the last vector become 0. */
static float softmax_row(float *s, size_t keys, float scale) {
  vf top = splat(-INFINITY);
  size_t i = 0;
  for (; i + W <= keys; i += W)
    top = vmax(top, load(s + i));
  if (i < keys)
    top = vmax(top, load_part(s + i, keys - i, -INFINITY));
  float high = lanes_max(top) * scale;
  vf sum = {0};
  for (i = 0; i + W <= keys; i += W) {
    vf p = vexp(load(s + i) * scale - high);
    sum += p;
    store(s + i, p);
  }
  if (i < keys) {
    vf p = vexp(load_part(s + i, keys - i, -INFINITY) * scale - high);
    sum += p;
    store(s + i, p);
  }
  float total = lanes_sum(sum), inverse = 1.0f / total;
  for (i = 0; i < keys; i += W)
    store(s + i, load(s + i) * inverse);
  return high + logf(total);
}

/* The same probabilities again from the saved log-sum-exp. */
static void softmax_again(float *s, size_t keys, float scale, float lse) {
  size_t i = 0;
  for (; i + W <= keys; i += W)
    store(s + i, vexp(load(s + i) * scale - lse));
  if (i < keys)
    store(s + i, vexp(load_part(s + i, keys - i, -INFINITY) * scale - lse));
}

static void make_mask(float *mask, const struct attention_head *h, size_t row, size_t keys) {
  for (size_t g = 0; g * DROPOUT_GROUP < keys; g++)
    dropout_group(mask + g * DROPOUT_GROUP, &h->dropout, h->row_first + row, g);
}

static void multiply(float *y, const float *x, size_t count) {
  for (size_t i = 0; i < count; i += W)
    store(y + i, load(y + i) * load(x + i));
}

/* The keys that row i sees are low(i) .. i (causal) or all. */
static size_t low(const struct attention_head *h, size_t row) {
  return h->causal && h->window && row >= h->window ? row + 1 - h->window : 0;
}

/* The columns that a block of rows has in scratch memory: keys base .. end - 1. */
struct block {
  size_t first, rows, base, end;
};

static struct block block_at(const struct attention_head *h, size_t first) {
  size_t rows = h->length - first < BLOCK ? h->length - first : BLOCK;
  return (struct block){first, rows, low(h, first), h->causal ? first + rows : h->length};
}

/* Zeroes what a row does not see: s is its first column. */
static void clear_unseen(float *s, const struct block *b, size_t from, size_t to) {
  if (from > b->base)
    memset(s, 0, (from - b->base) * sizeof *s);
  if (to < b->end)
    memset(s + (to - b->base), 0, (b->end - to) * sizeof *s);
}

void ISA_NAME(attention)(float *out, float *lse, size_t lse_stride, const float *q, const float *k, const float *v,
                         const struct attention_head *h, float *scratch) {
  const size_t T = h->length, D = h->head_size, stride = score_stride(T), ld = h->stride, kld = h->kv_stride;
  float *kt = scratch, *scores = kt + 2 * D * stride, *mask = scores + (size_t)BLOCK * stride;
  transpose(kt, stride, k, kld, T, D);
  for (size_t first = 0; first < T; first += BLOCK) {
    struct block b = block_at(h, first);
    size_t width = b.end - b.base;
    ISA_NAME(gemm)(scores, stride, q + first * ld, ld, 1, kt + b.base, stride, b.rows, width, D, 1.0f, false);
    for (size_t i = 0; i < b.rows; i++) {
      size_t from = low(h, first + i), to = h->causal ? first + i + 1 : T;
      float *s = scores + i * stride, *seen = s + (from - b.base);
      lse[(first + i) * lse_stride] = softmax_row(seen, to - from, h->scale);
      if (h->dropout.threshold) {
        make_mask(mask, h, first + i, to);
        multiply(seen, mask + from, to - from);
      }
      clear_unseen(s, &b, from, to);
    }
    ISA_NAME(gemm)(out + first * ld, ld, scores, stride, 1, v + b.base * kld, kld, b.rows, D, width, 1.0f, false);
  }
}

/* For one block of rows: scores -> p times mask (what met V), ds -> the scores' gradient. */
static void block_backward(float *scores, float *ds, float *mask, size_t stride, const float *dout, const float *out,
                           const float *lse, size_t lse_stride, const struct attention_head *h,
                           const struct block *b) {
  for (size_t i = 0; i < b->rows; i++) {
    size_t row = b->first + i, from = low(h, row), to = h->causal ? row + 1 : h->length, keys = to - from;
    float *p = scores + i * stride + (from - b->base), *g = ds + i * stride + (from - b->base);
    const float *o = out + i * h->stride, *dy = dout + i * h->stride;
    float delta = 0; /* sum over keys of p * dp = dout . out */
    for (size_t d = 0; d < h->head_size; d++)
      delta += o[d] * dy[d];
    softmax_again(p, keys, h->scale, lse[i * lse_stride]);
    if (h->dropout.threshold) {
      make_mask(mask, h, row, to);
      multiply(g, mask + from, keys);
    }
    for (size_t j = 0; j < keys; j += W)
      store(g + j, load(p + j) * (load(g + j) - delta) * h->scale);
    if (h->dropout.threshold)
      multiply(p, mask + from, keys);
    clear_unseen(scores + i * stride, b, from, to);
    clear_unseen(ds + i * stride, b, from, to);
  }
}

void ISA_NAME(attention_backward)(float *dq, float *dk, float *dv, const float *dout, const float *q, const float *k,
                                  const float *v, const float *out, const float *lse, size_t lse_stride,
                                  const struct attention_head *h, float *scratch) {
  const size_t T = h->length, D = h->head_size, stride = score_stride(T), ld = h->stride, kld = h->kv_stride;
  float *kt = scratch, *vt = kt + D * stride, *scores = vt + D * stride;
  float *ds = scores + (size_t)BLOCK * stride, *mask = ds + (size_t)BLOCK * stride;
  transpose(kt, stride, k, kld, T, D);
  transpose(vt, stride, v, kld, T, D);
  for (size_t t = 0; t < T && !h->add_kv; t++) {
    memset(dk + t * kld, 0, D * sizeof *dk);
    memset(dv + t * kld, 0, D * sizeof *dv);
  }
  for (size_t first = 0; first < T; first += BLOCK) {
    struct block b = block_at(h, first);
    size_t width = b.end - b.base, from = first * ld, keys = b.base * kld;
    ISA_NAME(gemm)(scores, stride, q + from, ld, 1, kt + b.base, stride, b.rows, width, D, 1.0f, false);
    ISA_NAME(gemm)(ds, stride, dout + from, ld, 1, vt + b.base, stride, b.rows, width, D, 1.0f, false);
    block_backward(scores, ds, mask, stride, dout + from, out + from, lse + first * lse_stride, lse_stride, h, &b);
    ISA_NAME(gemm)(dq + from, ld, ds, stride, 1, k + keys, kld, b.rows, D, width, 1.0f, false);
    ISA_NAME(gemm)(dk + keys, kld, ds, 1, stride, q + from, ld, width, D, b.rows, 1.0f, true);
    ISA_NAME(gemm)(dv + keys, kld, scores, 1, stride, dout + from, ld, width, D, b.rows, 1.0f, true);
  }
}
