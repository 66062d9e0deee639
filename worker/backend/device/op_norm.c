/* LayerNorm, alone and as the closing of a post-norm block, and RMSNorm. */
#include "worker/backend/device/device_op.h"

enum { ROWS_EACH = 8 }; /* rows of a work-group: NORM_ROWS of kernels/norm.cl */

static struct norm_args norm_args_of(const struct norm *norm, const struct dropout *dropout, size_t rows) {
  return (struct norm_args){.dropout = device_dropout_args(dropout),
                            .rows = (int)rows,
                            .cols = (int)norm->channels,
                            .epsilon = norm->epsilon};
}

static void layernorm_forward(struct tape *tape, const struct node *node) {
  const struct layernorm_attributes *a = node->attributes;
  const struct norm_args args = norm_args_of(a->norm, &a->dropout, node->in[0]->rows);
  bool residual = node->in[1] != NULL;
  device_launch(tape->backend, DEVICE_layernorm_forward, device_groups(node->in[0]->rows, ROWS_EACH), 1, 1,
                PLACES(node->out[0]->data, node->out[1]->data, residual ? node->out[2]->data : NOWHERE,
                       node->in[0]->data, residual ? node->in[1]->data : NOWHERE, a->norm->weight, a->norm->bias),
                &args);
}

static void layernorm_backward(struct tape *tape, const struct node *node) {
  const struct layernorm_attributes *a = node->attributes;
  struct norm_args args = norm_args_of(a->norm, &a->dropout, node->in[0]->rows);
  struct place dy = node->out[0]->grad, dresidual = NOWHERE;
  bool add, add_residual = false;
  struct place dx = tape_grad(node->in[0], &add);
  if (node->in[1])
    dresidual = tape_grad(node->in[1], &add_residual);
  args.accumulate = add;
  args.accumulate_residual = add_residual;
  if (a->norm->trained_bias)
    device_column_sums(tape->backend, a->norm->trained_bias->grad_at, dy, NOWHERE, node->in[0]->rows,
                       node->in[0]->cols, tape->scratch);
  if (dx.buffer || dresidual.buffer)
    device_launch(tape->backend, DEVICE_layernorm_backward, device_groups(node->in[0]->rows, ROWS_EACH), 1, 1,
                  PLACES(dx, dresidual, dy, node->in[1] ? node->out[2]->data : node->in[0]->data, node->out[1]->data,
                         a->norm->weight),
                  &args);
}

static size_t layernorm_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct layernorm_attributes *a = node->attributes;
  return a->norm->trained_bias ? device_column_sums_floats(node->in[0]->rows, node->in[0]->cols) : 0;
}

const struct op_body device_layernorm = {
    .forward = layernorm_forward, .backward = layernorm_backward, .scratch = layernorm_scratch};

/* A row of the kernel is a group of norm->channels. */
static size_t rows_of(const struct node *node) {
  const struct norm *norm = node->attributes;
  return node->in[0]->rows * (node->in[0]->cols / norm->channels);
}

static void rmsnorm_forward(struct tape *tape, const struct node *node) {
  const struct norm *norm = node->attributes;
  const struct norm_args args = norm_args_of(norm, NULL, rows_of(node));
  device_launch(tape->backend, DEVICE_rmsnorm_forward, device_groups(rows_of(node), ROWS_EACH), 1, 1,
                PLACES(node->out[0]->data, node->out[1]->data, node->in[0]->data, norm->weight), &args);
}

static void rmsnorm_backward(struct tape *tape, const struct node *node) {
  const struct norm *norm = node->attributes;
  struct norm_args args = norm_args_of(norm, NULL, rows_of(node));
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  args.accumulate = add;
  if (dx.buffer)
    device_launch(tape->backend, DEVICE_rmsnorm_backward, device_groups(rows_of(node), ROWS_EACH), 1, 1,
                  PLACES(dx, node->out[0]->grad, node->in[0]->data, node->out[1]->data, norm->weight), &args);
}

const struct op_body device_rmsnorm = {.forward = rmsnorm_forward, .backward = rmsnorm_backward};
