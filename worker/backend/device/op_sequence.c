/* Ops that know where sequences begin: embeddings, pooling, what convolutions see, rotary positions. */
#include "worker/backend/device/device_op.h"

static void embeddings_forward(struct tape *tape, const struct node *node) {
  const struct embeddings_attributes *a = node->attributes;
  const struct sequences *s = a->sequences;
  size_t N = node->out[0]->rows, C = node->out[0]->cols;
  const struct embeddings_args args = {device_weight_args(a->token_embedding), (int)N, (int)C, (int)s->count};
  device_launch_each(tape->backend, DEVICE_embeddings, N * device_groups(C, 4),
                     PLACES(node->out[0]->data, a->token_embedding->place, a->position_embedding,
                            a->token_type_embedding, s->token_ids, s->cu_seqlens, s->token_type_ids),
                     &args);
}

const struct op_body device_embeddings = {.forward = embeddings_forward};

/* --- pooling -------------------------------------------------------------------------------------- */

/* The first row of a sequence is in cu_seqlens; the last one is before the next sequence's first. */
static struct rows_args pooling_args(const struct node *node) {
  const struct pooling_attributes *a = node->attributes;
  return (struct rows_args){(int)node->out[0]->rows, (int)node->in[0]->cols, a->pooling == POOLING_LAST};
}

static struct place picked(const struct pooling_attributes *a) {
  return a->pooling == POOLING_ROWS ? a->sequences->rows : a->sequences->cu_seqlens;
}

static void pooling_forward(struct tape *tape, const struct node *node) {
  const struct pooling_attributes *a = node->attributes;
  const struct rows_args args = pooling_args(node);
  if (a->pooling == POOLING_MEAN) {
    const struct mean_args mean = {args.rows, args.cols, 0};
    device_launch_each(tape->backend, DEVICE_mean_rows, a->sequences->count * node->in[0]->cols,
                       PLACES(node->out[0]->data, node->in[0]->data, a->sequences->cu_seqlens), &mean);
    return;
  }
  device_launch_each(tape->backend, DEVICE_pick_rows, node->out[0]->rows * node->in[0]->cols,
                     PLACES(node->out[0]->data, node->in[0]->data, picked(a)), &args);
}

static void pooling_backward(struct tape *tape, const struct node *node) {
  const struct pooling_attributes *a = node->attributes;
  const struct rows_args args = pooling_args(node);
  size_t C = node->in[0]->cols;
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  if (!dx.buffer)
    return;
  if (a->pooling == POOLING_MEAN) {
    const struct mean_args mean = {args.rows, args.cols, add};
    device_launch_each(tape->backend, DEVICE_spread_rows, a->sequences->count * C,
                       PLACES(dx, node->out[0]->grad, a->sequences->cu_seqlens), &mean);
    return;
  }
  const struct fill_args zeros = {(long)(node->in[0]->rows * C), 0};
  if (!add)
    device_launch_each(tape->backend, DEVICE_fill_with, node->in[0]->rows * C, &dx, &zeros);
  device_launch_each(tape->backend, DEVICE_scatter_rows, node->out[0]->rows * C,
                     PLACES(dx, node->out[0]->grad, picked(a)), &args);
}

const struct op_body device_pooling = {.forward = pooling_forward, .backward = pooling_backward};

/* --- what a convolution sees ---------------------------------------------------------------------- */

static struct unfold_args unfold_args(const struct node *node, bool accumulate) {
  const struct unfold_attributes *a = node->attributes;
  return (struct unfold_args){.rows = (int)node->in[0]->rows,
                              .cols = (int)node->in[0]->cols,
                              .taps = (int)a->kernel,
                              .sequences = (int)a->sequences->count,
                              .accumulate = accumulate};
}

static void unfold_forward(struct tape *tape, const struct node *node) {
  const struct unfold_attributes *a = node->attributes;
  const struct unfold_args args = unfold_args(node, false);
  device_launch_each(tape->backend, DEVICE_unfold, node->out[0]->rows * node->out[0]->cols,
                     PLACES(node->out[0]->data, node->in[0]->data, a->sequences->cu_seqlens), &args);
}

static void unfold_backward(struct tape *tape, const struct node *node) {
  const struct unfold_attributes *a = node->attributes;
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct unfold_args args = unfold_args(node, add);
  if (dx.buffer)
    device_launch_each(tape->backend, DEVICE_fold, node->in[0]->rows * node->in[0]->cols,
                       PLACES(dx, node->out[0]->grad, a->sequences->cu_seqlens), &args);
}

const struct op_body device_unfold = {.forward = unfold_forward, .backward = unfold_backward};

/* --- rotary positions ----------------------------------------------------------------------------- */

static void turn(struct tape *tape, const struct node *node, struct place y, struct place x, float direction,
                 bool accumulate) {
  const struct rope_attributes *a = node->attributes;
  const struct rotary *r = a->rotary;
  size_t N = node->in[0]->rows, C = node->in[0]->cols;
  const struct rope_args args = {.rows = (int)N,
                                 .heads = (int)(C / r->head_size),
                                 .half_head = (int)(r->head_size / 2),
                                 .turning = (int)(r->turned / 2),
                                 .sequences = (int)a->sequences->count,
                                 .short_most = (int)r->short_most,
                                 .long_row = (int)r->long_row,
                                 .direction = direction,
                                 .accumulate = accumulate};
  device_launch_each(tape->backend, DEVICE_rope, N * C / 2, PLACES(y, x, r->cos, r->sin, a->sequences->cu_seqlens),
                     &args);
}

static void rope_forward(struct tape *tape, const struct node *node) {
  turn(tape, node, node->out[0]->data, node->in[0]->data, 1, false);
}

static void rope_backward(struct tape *tape, const struct node *node) {
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  if (dx.buffer)
    turn(tape, node, dx, node->out[0]->grad, -1, add);
}

const struct op_body device_rope = {.forward = rope_forward, .backward = rope_backward};
