/* Row-wise and elementwise loops, and the table that names every kernel of one instruction set. */
#include "worker/backend/cpu/kernels.h"

#include "worker/backend/cpu/isa/dropout.h"
#include "worker/backend/cpu/isa/gemm.h"
#include "worker/backend/cpu/isa/gemm_skinny.h"
#include "worker/backend/cpu/isa/gemm_ukernel.h"
#include "worker/backend/cpu/isa/gemv.h"
#include "worker/backend/cpu/isa/group_norm.h"

/* Several vectors a turn: a turn of one takes one cycle or two, as the place of its code happens to be. */
static void add(float *y, const float *x, size_t count) {
  size_t i = 0;
#pragma GCC unroll 4
  for (; i + W <= count; i += W)
    store(y + i, load(y + i) + load(x + i));
  for (; i < count; i++)
    y[i] += x[i];
}

static void column_sums(float *out, const float *x, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++)
    add(out, x + i * cols, cols);
}

static void add_bias(float *y, const float *bias, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++)
    add(y + i * cols, bias, cols);
}

static void dropout(float *y, const float *x, uint64_t row_first, size_t rows, size_t cols, const struct dropout *d) {
  float mask[DROPOUT_STRIP];
  for (size_t i = 0; i < rows; i++, x += cols, y += cols)
    for (size_t strip = 0; strip * DROPOUT_STRIP < cols; strip++) {
      size_t from = strip * DROPOUT_STRIP;
      size_t n = cols - from < DROPOUT_STRIP ? cols - from : DROPOUT_STRIP;
      dropout_strip(mask, d, row_first + i, strip);
      for (size_t j = 0; j < n; j++)
        y[from + j] = x[from + j] * mask[j];
    }
}

/* Sum of f over a row in a fixed order: four times W lanes (one addition need not wait for the last), then a tree. */
#define ROW_SUM(result, EXPR_VECTOR, EXPR_SCALAR)                                                                      \
  do {                                                                                                                 \
    vf lanes[4] = {0};                                                                                                 \
    size_t j = 0;                                                                                                      \
    while (j + 4 * W <= cols)                                                                                          \
      for (int part = 0; part < 4; part++, j += W)                                                                     \
        lanes[part] += (EXPR_VECTOR);                                                                                  \
    for (; j + W <= cols; j += W)                                                                                      \
      lanes[0] += (EXPR_VECTOR);                                                                                       \
    result = lanes_sum((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]));                                                 \
    for (; j < cols; j++)                                                                                              \
      result += (EXPR_SCALAR);                                                                                         \
  } while (0)

static void layernorm(float *y, float *mean, float *rstd, const float *x, const float *weight, const float *bias,
                      size_t rows, size_t cols, float epsilon) {
  for (size_t i = 0; i < rows; i++, x += cols, y += cols) {
    float sum, squares;
    ROW_SUM(sum, load(x + j), x[j]);
    float m = sum / (float)cols;
    ROW_SUM(squares, (load(x + j) - m) * (load(x + j) - m), (x[j] - m) * (x[j] - m));
    float r = 1.0f / sqrtf(squares / (float)cols + epsilon);
    if (bias)
      for (size_t j = 0; j < cols; j++)
        y[j] = (x[j] - m) * r * weight[j] + bias[j];
    else
      for (size_t j = 0; j < cols; j++)
        y[j] = (x[j] - m) * r * weight[j];
    mean[i] = m;
    rstd[i] = r;
  }
}

static void layernorm_backward(float *dx, const float *dy, const float *x, const float *mean, const float *rstd,
                               const float *weight, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, x += cols, dy += cols, dx += cols) {
    float m = mean[i], r = rstd[i], sum, dot;
    ROW_SUM(sum, load(dy + j) * load(weight + j), dy[j] * weight[j]);
    ROW_SUM(dot, load(dy + j) * load(weight + j) * ((load(x + j) - m) * r), dy[j] * weight[j] * ((x[j] - m) * r));
    sum /= (float)cols;
    dot /= (float)cols;
    for (size_t j = 0; j < cols; j++)
      dx[j] = r * (dy[j] * weight[j] - sum - (x[j] - m) * r * dot);
  }
}

static void rmsnorm(float *y, float *rstd, const float *x, const float *weight, size_t rows, size_t cols,
                    float epsilon) {
  for (size_t i = 0; i < rows; i++, x += cols, y += cols) {
    float squares;
    ROW_SUM(squares, load(x + j) * load(x + j), x[j] * x[j]);
    float r = rstd[i] = 1.0f / sqrtf(squares / (float)cols + epsilon);
    for (size_t j = 0; j < cols; j++)
      y[j] = x[j] * r * weight[j];
  }
}

static void rmsnorm_backward(float *dx, const float *dy, const float *x, const float *rstd, const float *weight,
                             size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, x += cols, dy += cols, dx += cols) {
    float r = rstd[i], dot;
    ROW_SUM(dot, load(dy + j) * load(weight + j) * load(x + j), dy[j] * weight[j] * x[j]);
    float pull = dot * r * r / (float)cols;
    for (size_t j = 0; j < cols; j++)
      dx[j] = r * (dy[j] * weight[j] - x[j] * pull);
  }
}

static void rope(float *y, const float *x, const float *cos, const float *sin, size_t heads, size_t half, size_t rest,
                 float direction) {
  const size_t head_size = 2 * half + rest;
  for (size_t h = 0; h < heads; h++, x += head_size, y += head_size) {
    for (size_t c = 0; c < half; c++) {
      float a = x[c], b = x[c + half], s = direction * sin[c];
      y[c] = a * cos[c] - b * s;
      y[c + half] = b * cos[c] + a * s;
    }
    for (size_t c = 2 * half; c < head_size; c++)
      y[c] = x[c];
  }
}

static void swiglu(float *y, const float *gate, const float *up, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(y + i, load(gate + i) * sigmoid(load(gate + i)) * load(up + i));
  if (i < count) {
    vf g = load_part(gate + i, count - i, 0);
    store_part(y + i, g * sigmoid(g) * load_part(up + i, count - i, 0), count - i);
  }
}

/* silu' = s (1 + x (1 - s)) with s = sigmoid(x) */
static inline void swiglu_slopes(vf *dgate, vf *dup, vf dy, vf gate, vf up) {
  vf s = sigmoid(gate);
  *dgate = dy * up * s * (1.0f + gate * (1.0f - s));
  *dup = dy * gate * s;
}

/* Of y = act(gate) * up: `slopes` gives both gradients. It is inlined. */
static inline void gated_backward(void (*slopes)(vf *dgate, vf *dup, vf dy, vf gate, vf up), float *dgate, float *dup,
                                  const float *dy, const float *gate, const float *up, size_t count) {
  size_t i = 0;
  vf dg, du;
  for (; i + W <= count; i += W) {
    slopes(&dg, &du, load(dy + i), load(gate + i), load(up + i));
    store(dgate + i, dg);
    store(dup + i, du);
  }
  if (i < count) {
    size_t n = count - i;
    slopes(&dg, &du, load_part(dy + i, n, 0), load_part(gate + i, n, 0), load_part(up + i, n, 0));
    store_part(dgate + i, dg, n);
    store_part(dup + i, du, n);
  }
}

static void swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                            size_t count) {
  gated_backward(swiglu_slopes, dgate, dup, dy, gate, up, count);
}

static float row_max(const float *x, size_t count) {
  vf high = splat(-INFINITY);
  size_t i = 0;
  for (; i + W <= count; i += W)
    high = vmax(high, load(x + i));
  if (i < count)
    high = vmax(high, load_part(x + i, count - i, -INFINITY));
  return lanes_max(high);
}

/* Sums of BLOCK elements are fp32, their sum is fp64: vocabularies are long. */
static double log_sum_exp(const float *x, size_t count, size_t *top) {
  enum { BLOCK = 512 };
  float most = -INFINITY;
  size_t best = 0;
  for (size_t from = 0; from < count; from += BLOCK) {
    float high = row_max(x + from, count - from < BLOCK ? count - from : BLOCK);
    if (!(high <= most)) {
      most = high;
      best = from;
    }
  }
  while (best + 1 < count && !(x[best] >= most)) /* NaN: the last one */
    best++;
  *top = best;
  double sum = 0;
  for (size_t from = 0; from < count; from += BLOCK) {
    size_t to = count - from < BLOCK ? count : from + BLOCK, i = from;
    vf lanes = {0};
    for (; i + W <= to; i += W)
      lanes += vexp(load(x + i) - most);
    if (i < to)
      lanes += vexp(load_part(x + i, to - i, -INFINITY) - most);
    sum += (double)lanes_sum(lanes);
  }
  return (double)most + log(sum);
}

static void softmax_scaled(float *x, size_t count, float lse, float weight) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(x + i, vexp(load(x + i) - lse) * weight);
  if (i < count)
    store_part(x + i, vexp(load_part(x + i, count - i, -INFINITY) - lse) * weight, count - i);
}

static void softcap(float *y, const float *x, size_t count, float cap) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(y + i, vtanh(load(x + i) / cap) * cap);
  if (i < count)
    store_part(y + i, vtanh(load_part(x + i, count - i, 0) / cap) * cap, count - i);
}

static void softcap_backward(float *dx, const float *dy, const float *y, size_t count, float cap) {
  for (size_t i = 0; i < count; i++) {
    float ratio = y[i] / cap;
    dx[i] = dy[i] * (1 - ratio * ratio);
  }
}

/* The normal distribution: *tail = P(Z < -|x|), *density = its density at x. The tail is the density
   times a polynomial in t = 1 / (1 + |x| / 4), fitted by least squares on [0, 9]: error below 3e-7. */
static inline void normal(vf x, vf *tail, vf *density) {
  vf a = vmax(x, -x);
  vf e = vexp_floor(x * x * -0.5f);
  vf t = 1.0f / (1.0f + 0.25f * a);
  vf p = t * -2.081953362e-2f + 5.869297776e-3f;
  p = p * t + 1.511225849e-1f;
  p = p * t - 6.638374925e-2f;
  p = p * t + 1.588633507e-1f;
  p = p * t + 6.766141951e-2f;
  p = p * t + 1.042822525e-1f;
  p = p * t + 9.940426797e-2f;
  *tail = e * p * t;
  *density = e * 0.3989422804f;
}

static inline vf gelu_vector(vf x) {
  vf tail, density;
  normal(x, &tail, &density);
  return x * vselect(x > 0.0f, 1.0f - tail, tail);
}

static inline vf gelu_slope(vf x) {
  vf tail, density;
  normal(x, &tail, &density);
  return vselect(x > 0.0f, 1.0f - tail, tail) + x * density;
}

static void gelu(float *y, const float *x, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(y + i, gelu_vector(load(x + i)));
  if (i < count)
    store_part(y + i, gelu_vector(load_part(x + i, count - i, 0)), count - i);
}

static void gelu_backward(float *dx, const float *dy, const float *x, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(dx + i, load(dy + i) * gelu_slope(load(x + i)));
  if (i < count)
    store_part(dx + i, load_part(dy + i, count - i, 0) * gelu_slope(load_part(x + i, count - i, 0)), count - i);
}

static void geglu(float *y, const float *gate, const float *up, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(y + i, gelu_vector(load(gate + i)) * load(up + i));
  if (i < count)
    store_part(y + i, gelu_vector(load_part(gate + i, count - i, 0)) * load_part(up + i, count - i, 0), count - i);
}

static inline void geglu_slopes(vf *dgate, vf *dup, vf dy, vf gate, vf up) {
  vf tail, density;
  normal(gate, &tail, &density);
  vf below = vselect(gate > 0.0f, 1.0f - tail, tail);
  *dgate = dy * up * (below + gate * density);
  *dup = dy * gate * below;
}

static void geglu_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                           size_t count) {
  gated_backward(geglu_slopes, dgate, dup, dy, gate, up, count);
}

/* sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3): x times it is x (1 + tanh u) / 2. */
static inline vf gelu_tanh_share(vf x) {
  return sigmoid(x * (x * x * 7.135481627e-2f + 1.595769122f));
}

static inline vf gelu_tanh_slope(vf x) {
  vf share = gelu_tanh_share(x);
  return share + x * share * (1.0f - share) * (x * x * 2.140644488e-1f + 1.595769122f);
}

static void gelu_tanh(float *y, const float *x, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(y + i, load(x + i) * gelu_tanh_share(load(x + i)));
  if (i < count)
    store_part(y + i, load_part(x + i, count - i, 0) * gelu_tanh_share(load_part(x + i, count - i, 0)), count - i);
}

static void geglu_tanh(float *y, const float *gate, const float *up, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(y + i, load(gate + i) * gelu_tanh_share(load(gate + i)) * load(up + i));
  if (i < count) {
    vf g = load_part(gate + i, count - i, 0);
    store_part(y + i, g * gelu_tanh_share(g) * load_part(up + i, count - i, 0), count - i);
  }
}

static inline void geglu_tanh_slopes(vf *dgate, vf *dup, vf dy, vf gate, vf up) {
  *dgate = dy * up * gelu_tanh_slope(gate);
  *dup = dy * gate * gelu_tanh_share(gate);
}

static void geglu_tanh_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                                size_t count) {
  gated_backward(geglu_tanh_slopes, dgate, dup, dy, gate, up, count);
}

static void multiply(float *y, const float *x, float factor, size_t count) {
  for (size_t i = 0; i < count; i++)
    y[i] = factor * x[i];
}

static void gelu_tanh_backward(float *dx, const float *dy, const float *x, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W)
    store(dx + i, load(dy + i) * gelu_tanh_slope(load(x + i)));
  if (i < count)
    store_part(dx + i, load_part(dy + i, count - i, 0) * gelu_tanh_slope(load_part(x + i, count - i, 0)), count - i);
}

static void adamw(float *p, float *m, float *v, const float *g, size_t count, float grad_scale, float beta1,
                  float beta2, float epsilon, float step_size, float root_scale, float decay) {
  for (size_t i = 0; i < count; i++) {
    float grad = g[i] * grad_scale;
    m[i] = beta1 * m[i] + (1 - beta1) * grad;
    v[i] = beta2 * v[i] + (1 - beta2) * grad * grad;
    p[i] = p[i] * decay - step_size * m[i] / (sqrtf(v[i]) * root_scale + epsilon);
  }
}

static double sum_squares(const float *x, size_t count) {
  enum { LANES = 8 }; /* sums side by side */
  double sum[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (size_t j = 0; j < LANES; j++)
      sum[j] += (double)x[i + j] * (double)x[i + j];
  for (; i < count; i++)
    sum[0] += (double)x[i] * (double)x[i];
  for (size_t j = 1; j < LANES; j++)
    sum[0] += sum[j];
  return sum[0];
}

const struct kernels ISA_NAME(kernels) = {
    .isa = ISA_TEXT(ISA),
    .gemm_fp32 = &ISA_NAME(gemm_ukernel_fp32),
    .gemm_bf16_emulated = &ISA_NAME(gemm_ukernel_bf16_emulated),
    .gemm = ISA_NAME(gemm),
    .gemm_skinny = ISA_NAME(gemm_skinny),
    .gemv = ISA_NAME(gemv),
    .gemv_fixed = ISA_NAME(gemv_fixed),
    .column_sums = column_sums,
    .add_bias = add_bias,
    .add = add,
    .dropout = dropout,
    .layernorm = layernorm,
    .layernorm_backward = layernorm_backward,
    .rmsnorm = rmsnorm,
    .rmsnorm_backward = rmsnorm_backward,
    .rope = rope,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .geglu = geglu,
    .geglu_backward = geglu_backward,
    .log_sum_exp = log_sum_exp,
    .softmax_scaled = softmax_scaled,
    .softcap = softcap,
    .softcap_backward = softcap_backward,
    .gelu = gelu,
    .gelu_backward = gelu_backward,
    .geglu_tanh = geglu_tanh,
    .geglu_tanh_backward = geglu_tanh_backward,
    .multiply = multiply,
    .column_squares = ISA_NAME(column_squares),
    .group_norm = ISA_NAME(group_norm),
    .group_norm_sums = ISA_NAME(group_norm_sums),
    .group_norm_backward = ISA_NAME(group_norm_backward),
    .swish = ISA_NAME(swish),
    .swish_backward = ISA_NAME(swish_backward),
    .gelu_tanh = gelu_tanh,
    .gelu_tanh_backward = gelu_tanh_backward,
    .attention = &ISA_NAME(attention_kernels),
    .adamw = adamw,
    .sum_squares = sum_squares,
};
