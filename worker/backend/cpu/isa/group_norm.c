/* GroupNorm's statistics belong to groups of columns, so its loops have an affine map a column; what is left of a row
   when all whole vectors are done is one vector of part. */
#include "worker/backend/cpu/isa/group_norm.h"

/* Swish is x s with s = sigmoid(beta x); its slope is s + beta x s (1 - s). */
static inline vf swish_of(vf x, float beta) {
  return x * sigmoid(x * beta);
}

static inline vf swish_slope(vf x, float beta) {
  vf s = sigmoid(x * beta);
  return s * (1.0f + beta * x * (1.0f - s));
}

void ISA_NAME(swish)(float *y, const float *x, float beta, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(y + i, swish_of(load(x + i), beta));
  if (i < count)
    store_part(y + i, swish_of(load_part(x + i, count - i, 0), beta), count - i);
}

void ISA_NAME(swish_backward)(float *dx, const float *dy, const float *x, float beta, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(dx + i, load(dy + i) * swish_slope(load(x + i), beta));
  if (i < count)
    store_part(dx + i, load_part(dy + i, count - i, 0) * swish_slope(load_part(x + i, count - i, 0), beta), count - i);
}

static inline vf part_or_all(const float *p, size_t n) {
  return n == W ? load(p) : load_part(p, n, 0);
}

static inline void put(float *p, vf v, size_t n) {
  if (n == W)
    store(p, v);
  else
    store_part(p, v, n);
}

void ISA_NAME(column_squares)(float *out, const float *x, const float *mean, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, x += cols)
    for (size_t j = 0; j < cols; j += W) {
      size_t n = cols - j < W ? cols - j : W;
      vf d = part_or_all(x + j, n) - part_or_all(mean + j, n);
      put(out + j, part_or_all(out + j, n) + d * d, n);
    }
}

/* What SiLU sees of columns [j, j + n), or what is given out where there is none. */
static inline vf normalised(vf x, const struct group_norm_columns *c, size_t j, size_t n) {
  return (x - part_or_all(c->mean + j, n)) * part_or_all(c->scale + j, n) + part_or_all(c->shift + j, n);
}

void ISA_NAME(group_norm)(float *y, const float *x, const struct group_norm_columns *c, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, x += cols, y += cols)
    for (size_t j = 0; j < cols; j += W) {
      size_t n = cols - j < W ? cols - j : W;
      vf z = normalised(part_or_all(x + j, n), c, j, n);
      put(y + j, c->silu ? swish_of(z, 1.0f) : z, n);
    }
}

/* The gradient before SiLU. */
static inline vf before_silu(vf dy, vf x, const struct group_norm_columns *c, size_t j, size_t n) {
  return c->silu ? dy * swish_slope(normalised(x, c, j, n), 1.0f) : dy;
}

void ISA_NAME(group_norm_sums)(float *sum, float *dot, const float *dy, const float *x,
                               const struct group_norm_columns *c, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, x += cols, dy += cols)
    for (size_t j = 0; j < cols; j += W) {
      size_t n = cols - j < W ? cols - j : W;
      vf at = part_or_all(x + j, n), dz = before_silu(part_or_all(dy + j, n), at, c, j, n);
      put(sum + j, part_or_all(sum + j, n) + dz, n);
      put(dot + j, part_or_all(dot + j, n) + dz * (at - part_or_all(c->mean + j, n)), n);
    }
}

void ISA_NAME(group_norm_backward)(float *dx, const float *dy, const float *x, const struct group_norm_columns *c,
                                   size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, x += cols, dy += cols, dx += cols)
    for (size_t j = 0; j < cols; j += W) {
      size_t n = cols - j < W ? cols - j : W;
      vf at = part_or_all(x + j, n), dz = before_silu(part_or_all(dy + j, n), at, c, j, n);
      put(dx + j,
          dz * part_or_all(c->scale + j, n) + (at - part_or_all(c->mean + j, n)) * part_or_all(c->pull + j, n) +
              part_or_all(c->push + j, n),
          n);
    }
}
