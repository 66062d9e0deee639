/* Y = X W^T + b, with the low-rank product of an adapter in the same launch. */
#include "base/checked.h"
#include "worker/backend/device/device_op.h"

/* Places in scratch memory. */
struct linear_scratch {
  struct place c;     /* rows x R */
  struct place parts; /* of sums that are made in parts */
};

static size_t rank_of(const struct linear *l) {
  return l->low_rank ? l->low_rank->R : 0;
}

static size_t linear_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct linear *l = ((const struct linear_attributes *)node->attributes)->linear;
  size_t N = node->in[0]->rows, R = rank_of(l), parts = 0;
  if (R) {
    parts = size_max(device_skinny_floats(N, R, l->in), device_skinny_floats(N, R, l->out));
    parts = size_max(parts, device_skinny_floats(l->in, R, N));
    parts = size_max(parts, device_skinny_floats(l->out, R, N));
    parts = size_max(parts, device_skinny_floats(R, R, N));
  }
  if (l->trained_bias)
    parts = size_max(parts, device_column_sums_floats(N, l->out));
  return device_part(N * R) + device_part(parts);
}

static struct linear_scratch places_of(const struct tape *tape, const struct node *node) {
  const struct linear *l = ((const struct linear_attributes *)node->attributes)->linear;
  struct place rest = tape->scratch;
  struct linear_scratch s = {.c = device_take(&rest, node->in[0]->rows * rank_of(l))};
  s.parts = rest;
  return s;
}

static void linear_forward(struct tape *tape, const struct node *node) {
  const struct linear_attributes *a = node->attributes;
  const struct linear *l = a->linear;
  const struct low_rank *low = l->low_rank;
  const struct tensor *x = node->in[0];
  struct device_matmul y = {.precision = tape->backend->precision,
                            .c = node->out[0]->data,
                            .a = x->data,
                            .rows = x->rows,
                            .weight = &l->weight,
                            .transposed = true,
                            .alpha = 1,
                            .bias = l->bias};
  if (low) { /* Q = X down */
    const struct device_skinny q = {.out = node->out[1]->data,
                                    .a = x->data,
                                    .b = low->down,
                                    .rows = x->rows,
                                    .cols = low->R,
                                    .depth = l->in,
                                    .a_row = l->in,
                                    .a_col = 1,
                                    .dropout = &a->dropout};
    device_skinny(tape->backend, &q, places_of(tape, node).parts);
    y.R = low->R;
    y.q = node->out[1]->data;
    y.v = low->up_t;
    y.sign = low->sign;
  }
  device_matmul(tape->backend, &y);
}

/* grad (features x R) += X^T C over all rows. */
static void gather(struct backend *backend, struct place grad, struct place x, size_t features, struct place c,
                   size_t R, size_t rows, const struct dropout *dropout, struct place parts) {
  const struct device_skinny product = {.out = grad,
                                        .a = x,
                                        .b = c,
                                        .rows = features,
                                        .cols = R,
                                        .depth = rows,
                                        .a_row = 1,
                                        .a_col = features,
                                        .accumulate = true,
                                        .dropout = dropout};
  device_skinny(backend, &product, parts);
}

/* C = dY up_back, and the gradients of the factors. */
static void factor_gradients(struct tape *tape, const struct node *node, const struct linear_scratch *s) {
  const struct linear_attributes *a = node->attributes;
  const struct linear *l = a->linear;
  const struct low_rank *low = l->low_rank;
  struct backend *b = tape->backend;
  size_t N = node->in[0]->rows, R = low->R;
  struct place dy = node->out[0]->grad, q = node->out[1]->data;
  const struct device_skinny c = {
      .out = s->c, .a = dy, .b = low->up_back, .rows = N, .cols = R, .depth = l->out, .a_row = l->out, .a_col = 1};
  device_skinny(b, &c, s->parts);
  gather(b, low->grad_up, dy, l->out, q, R, N, NULL, s->parts);
  gather(b, low->grad_down, node->in[0]->data, l->in, s->c, R, N, &a->dropout, s->parts);
  gather(b, low->grad_core, s->c, R, q, R, N, NULL, s->parts);
}

/* dX = [dX +] dY W + sign * C down_back^T; with dropout the adapter's share passes the mask that its input passed. */
static void input_gradient(struct tape *tape, const struct node *node, const struct linear_scratch *s) {
  const struct linear_attributes *a = node->attributes;
  const struct linear *l = a->linear;
  const struct low_rank *low = l->low_rank;
  struct device_matmul dx = {.precision = tape->backend->precision,
                             .a = node->out[0]->grad,
                             .rows = node->in[0]->rows,
                             .weight = &l->weight,
                             .alpha = 1};
  dx.c = tape_grad(node->in[0], &dx.accumulate);
  if (!dx.c.buffer)
    return;
  if (low && !a->dropout.threshold) {
    dx.R = low->R;
    dx.q = s->c;
    dx.v = low->down_back_t;
    dx.sign = low->sign;
  }
  device_matmul(tape->backend, &dx);
  if (low && a->dropout.threshold) {
    const struct weight down_back_t = device_floats(low->down_back_t, low->R, l->in);
    const struct device_matmul share = {.c = dx.c,
                                        .a = s->c,
                                        .rows = dx.rows,
                                        .weight = &down_back_t,
                                        .accumulate = true,
                                        .alpha = low->sign,
                                        .dropout = &a->dropout};
    device_matmul(tape->backend, &share);
  }
}

/* dW (out x in) += dY^T X of a head that is trained: small. */
static void weight_gradient(struct backend *backend, struct place grad, const struct linear *l, const struct tensor *x,
                            struct place dy) {
  const struct weight of_x = device_floats(x->data, x->rows, l->in);
  const struct matmul_args args = {.dropout = device_dropout_args(NULL),
                                   .weight = device_weight_args(&of_x),
                                   .rows = (int)l->out,
                                   .cols = (int)l->in,
                                   .depth = (int)x->rows,
                                   .a_row = 1,
                                   .a_col = (int)l->out,
                                   .c_row = (int)l->in,
                                   .c_col = 1,
                                   .alpha = 1,
                                   .accumulate = true,
                                   .splits = 1};
  device_launch(backend, DEVICE_matmul, device_groups(l->in, 64), device_groups(l->out, 64), 1,
                PLACES(grad, dy, x->data, NOWHERE, NOWHERE, NOWHERE), &args);
}

static void linear_backward(struct tape *tape, const struct node *node) {
  const struct linear *l = ((const struct linear_attributes *)node->attributes)->linear;
  const struct linear_scratch s = places_of(tape, node);
  struct place dy = node->out[0]->grad;
  if (l->low_rank)
    factor_gradients(tape, node, &s);
  input_gradient(tape, node, &s);
  if (l->trained_weight)
    weight_gradient(tape->backend, l->trained_weight->grad_at, l, node->in[0], dy);
  if (l->trained_bias)
    device_column_sums(tape->backend, l->trained_bias->grad_at, dy, NOWHERE, node->in[0]->rows, l->out, s.parts);
}

const struct op_body device_linear = {
    .forward = linear_forward, .backward = linear_backward, .scratch = linear_scratch};
