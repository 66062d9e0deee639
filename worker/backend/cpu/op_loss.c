/* Losses of classifiers and regressors. Softmax, sigmoid and sums in double: the rows are few. */
#include <math.h>

#include "worker/backend/cpu/op.h"

static void cross_entropy_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss_attributes *a = node->attributes;
  const uint32_t *targets = place_address(a->targets);
  size_t rows = node->in[0]->rows, classes = node->in[0]->cols;
  double sum = 0;
  for (size_t b = 0; b < rows; b++)
    sum += op_row_loss(cpu_data(node->in[0]) + b * classes, classes, targets[b]);
  *a->loss = sum * (double)a->weight;
}

static void cross_entropy_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss_attributes *a = node->attributes;
  const uint32_t *targets = place_address(a->targets);
  const struct tensor *x = node->in[0];
  bool accumulate;
  float *dx = cpu_take_grad(node->in[0], &accumulate);
  if (!dx)
    return;
  for (size_t b = 0; b < x->rows; b++, dx += x->cols) {
    const float *row = cpu_data(x) + b * x->cols;
    double lse = op_log_sum_exp(row, x->cols);
    for (size_t c = 0; c < x->cols; c++) {
      float g = a->weight * (float)(exp((double)row[c] - lse) - (c == targets[b]));
      dx[c] = accumulate ? dx[c] + g : g;
    }
  }
}

const struct op_body cpu_cross_entropy = {.forward = cross_entropy_forward, .backward = cross_entropy_backward};

static void squared_error_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss_attributes *a = node->attributes;
  const float *targets = place_floats(a->targets), *x = cpu_data(node->in[0]);
  size_t count = node->in[0]->rows * node->in[0]->cols;
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    double d = (double)x[i] - (double)targets[i];
    sum += d * d;
  }
  *a->loss = sum * (double)a->weight;
}

static void squared_error_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss_attributes *a = node->attributes;
  const float *targets = place_floats(a->targets), *x = cpu_data(node->in[0]);
  size_t count = node->in[0]->rows * node->in[0]->cols;
  bool accumulate;
  float *dx = cpu_take_grad(node->in[0], &accumulate);
  for (size_t i = 0; dx && i < count; i++) {
    float g = 2 * a->weight * (x[i] - targets[i]);
    dx[i] = accumulate ? dx[i] + g : g;
  }
}

const struct op_body cpu_squared_error = {.forward = squared_error_forward, .backward = squared_error_backward};

static void binary_cross_entropy_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss_attributes *a = node->attributes;
  const float *targets = place_floats(a->targets), *x = cpu_data(node->in[0]);
  size_t count = node->in[0]->rows * node->in[0]->cols;
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += op_binary_loss(x[i], targets[i]);
  *a->loss = sum * (double)a->weight;
}

static void binary_cross_entropy_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss_attributes *a = node->attributes;
  const float *targets = place_floats(a->targets), *x = cpu_data(node->in[0]);
  size_t count = node->in[0]->rows * node->in[0]->cols;
  bool accumulate;
  float *dx = cpu_take_grad(node->in[0], &accumulate);
  for (size_t i = 0; dx && i < count; i++) {
    float g = a->weight * (float)(1 / (1 + exp(-(double)x[i])) - (double)targets[i]);
    dx[i] = accumulate ? dx[i] + g : g;
  }
}

const struct op_body cpu_binary_cross_entropy = {.forward = binary_cross_entropy_forward,
                                                 .backward = binary_cross_entropy_backward};
