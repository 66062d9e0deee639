/* Losses: the ends of a tape. Softmax and sums in double: the rows are few. */
#include <math.h>

#include "worker/op/op.h"

struct loss {
  const uint32_t *labels;
  const float *targets;
  float weight;
  double *value;
};

static double log_sum_exp(const float *row, size_t classes) {
  double top = (double)row[0], sum = 0;
  for (size_t c = 1; c < classes; c++)
    top = fmax(top, (double)row[c]);
  for (size_t c = 0; c < classes; c++)
    sum += exp((double)row[c] - top);
  return top + log(sum);
}

double op_row_loss(const float *logits, size_t classes, uint32_t label) {
  return log_sum_exp(logits, classes) - (double)logits[label];
}

static void cross_entropy_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss *l = node->attributes;
  const struct tensor *x = node->in[0];
  double sum = 0;
  for (size_t b = 0; b < x->rows; b++)
    sum += op_row_loss(x->data + b * x->cols, x->cols, l->labels[b]);
  *l->value = sum * (double)l->weight;
}

static void cross_entropy_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss *l = node->attributes;
  struct tensor *x = node->in[0];
  bool accumulate;
  float *dx = tape_grad(x, &accumulate);
  if (!dx)
    return;
  for (size_t b = 0; b < x->rows; b++, dx += x->cols) {
    const float *row = x->data + b * x->cols;
    double lse = log_sum_exp(row, x->cols);
    for (size_t c = 0; c < x->cols; c++) {
      float g = l->weight * (float)(exp((double)row[c] - lse) - (c == l->labels[b]));
      dx[c] = accumulate ? dx[c] + g : g;
    }
  }
}

static void squared_error_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss *l = node->attributes;
  double sum = 0;
  for (size_t b = 0; b < node->in[0]->rows; b++) {
    double d = (double)node->in[0]->data[b] - (double)l->targets[b];
    sum += d * d;
  }
  *l->value = sum * (double)l->weight;
}

static void squared_error_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct loss *l = node->attributes;
  bool accumulate;
  float *dx = tape_grad(node->in[0], &accumulate);
  for (size_t b = 0; dx && b < node->in[0]->rows; b++) {
    float g = 2 * l->weight * (node->in[0]->data[b] - l->targets[b]);
    dx[b] = accumulate ? dx[b] + g : g;
  }
}

static const struct op op_row_cross_entropy = {
    "cross_entropy", cross_entropy_forward, cross_entropy_backward, NULL, 1, 0};
static const struct op op_row_squared_error = {
    "squared_error", squared_error_forward, squared_error_backward, NULL, 1, 0};

static void record(struct tape *tape, const struct op *op, struct tensor *logits, struct loss loss) {
  struct loss *own = tape_attributes(tape, sizeof *own);
  *own = loss;
  struct tensor *in[NODE_INPUTS] = {logits}, *out[NODE_OUTPUTS] = {0};
  tape_record(tape, op, own, in, out);
}

void op_cross_entropy(struct tape *tape, struct tensor *logits, const uint32_t *labels, float weight, double *loss) {
  record(tape, &op_row_cross_entropy, logits, (struct loss){.labels = labels, .weight = weight, .value = loss});
}

void op_squared_error(struct tape *tape, struct tensor *logits, const float *targets, float weight, double *loss) {
  CHECK(logits->cols == 1);
  record(tape, &op_row_squared_error, logits, (struct loss){.targets = targets, .weight = weight, .value = loss});
}
