/* Row-wise and elementwise loops, and the table that names every kernel of one instruction set. */
#include "worker/backend/kernels.h"

#include "worker/backend/isa/attention.h"
#include "worker/backend/isa/dropout.h"
#include "worker/backend/isa/gemm.h"

static void column_sums(float *out, const float *x, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, x += cols)
    for (size_t j = 0; j < cols; j++)
      out[j] += x[j];
}

static void add_bias(float *y, const float *bias, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, y += cols)
    for (size_t j = 0; j < cols; j++)
      y[j] += bias[j];
}

static void add(float *y, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++)
    y[i] += x[i];
}

static void dropout(float *y, const float *x, uint64_t row_first, size_t rows, size_t cols, const struct dropout *d) {
  float mask[DROPOUT_GROUP];
  for (size_t i = 0; i < rows; i++, x += cols, y += cols)
    for (size_t g = 0; g * DROPOUT_GROUP < cols; g++) {
      size_t from = g * DROPOUT_GROUP;
      size_t n = cols - from < DROPOUT_GROUP ? cols - from : DROPOUT_GROUP;
      dropout_group(mask, d, row_first + i, g);
      for (size_t j = 0; j < n; j++)
        y[from + j] = x[from + j] * mask[j];
    }
}

/* Sum of f over a row in a fixed order: W lanes, then a tree. */
#define ROW_SUM(result, EXPR_VECTOR, EXPR_SCALAR)                                                                      \
  do {                                                                                                                 \
    vf lanes = {0};                                                                                                    \
    size_t j = 0;                                                                                                      \
    for (; j + W <= cols; j += W)                                                                                      \
      lanes += (EXPR_VECTOR);                                                                                          \
    result = lanes_sum(lanes);                                                                                         \
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
    for (size_t j = 0; j < cols; j++)
      y[j] = (x[j] - m) * r * weight[j] + bias[j];
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

/* The normal distribution: *tail = P(Z < -|x|), *density = its density at x. The tail is the density
   times a polynomial in t = 1 / (1 + |x| / 4), fitted by least squares on [0, 9]: error below 3e-7. */
static inline void normal(vf x, vf *tail, vf *density) {
  vf a = vmax(x, -x);
  vf e = vexp(x * x * -0.5f);
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
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += (double)x[i] * (double)x[i];
  return sum;
}

const struct kernels ISA_NAME(kernels) = {
    .isa = ISA_TEXT(ISA),
    .gemm = ISA_NAME(gemm),
    .column_sums = column_sums,
    .add_bias = add_bias,
    .add = add,
    .dropout = dropout,
    .layernorm = layernorm,
    .layernorm_backward = layernorm_backward,
    .gelu = gelu,
    .gelu_backward = gelu_backward,
    .attention_scratch = ISA_NAME(attention_scratch),
    .attention = ISA_NAME(attention),
    .attention_backward = ISA_NAME(attention_backward),
    .adamw = adamw,
    .sum_squares = sum_squares,
};
