/* Rows of length 1 and their products. */
#include "worker/backend/device/device_op.h"

enum { UNIT_ROWS = 8 }; /* of a work-group */

static struct norm_args unit_args(const struct node *node, bool accumulate) {
  return (struct norm_args){.dropout = device_dropout_args(NULL),
                            .rows = (int)node->in[0]->rows,
                            .cols = (int)node->in[0]->cols,
                            .epsilon = 1e-12f,
                            .accumulate = accumulate};
}

static void unit_rows_forward(struct tape *tape, const struct node *node) {
  const struct norm_args args = unit_args(node, false);
  device_launch(tape->backend, DEVICE_unit_rows, device_groups(node->in[0]->rows, UNIT_ROWS), 1, 1,
                PLACES(node->out[0]->data, node->out[1]->data, node->in[0]->data), &args);
}

static void unit_rows_backward(struct tape *tape, const struct node *node) {
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct norm_args args = unit_args(node, add);
  if (dx.buffer)
    device_launch(tape->backend, DEVICE_unit_rows_backward, device_groups(node->in[0]->rows, UNIT_ROWS), 1, 1,
                  PLACES(dx, node->out[0]->grad, node->out[0]->data, node->out[1]->data), &args);
}

const struct op_body device_unit_rows = {.forward = unit_rows_forward, .backward = unit_rows_backward};

static struct similarity_args similarity_args_of(const struct node *node, bool accumulate) {
  const struct similarity_attributes *a = node->attributes;
  return (struct similarity_args){.first = (int)a->first,
                                  .others = (int)(node->in[0]->rows - a->first),
                                  .cols = (int)node->in[0]->cols,
                                  .own = a->which == SIMILARITY_OWN,
                                  .scale = a->scale,
                                  .accumulate = accumulate};
}

static void similarity_forward(struct tape *tape, const struct node *node) {
  const struct similarity_args args = similarity_args_of(node, false);
  device_launch_each(tape->backend, DEVICE_similarity, node->out[0]->rows * node->out[0]->cols,
                     PLACES(node->out[0]->data, node->in[0]->data), &args);
}

static void similarity_backward(struct tape *tape, const struct node *node) {
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct similarity_args args = similarity_args_of(node, add);
  if (dx.buffer)
    device_launch_each(tape->backend, DEVICE_similarity_backward, node->in[0]->rows * node->in[0]->cols,
                       PLACES(dx, node->out[0]->grad, node->in[0]->data), &args);
}

const struct op_body device_similarity = {.forward = similarity_forward, .backward = similarity_backward};
