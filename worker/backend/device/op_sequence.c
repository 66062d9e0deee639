/* Ops that know where sequences begin: embeddings, pooling, rotary positions, attention. */
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

/* --- rotary positions ----------------------------------------------------------------------------- */

static void turn(struct tape *tape, const struct node *node, struct place y, struct place x, float direction,
                 bool accumulate) {
  const struct rope_attributes *a = node->attributes;
  const struct rotary *r = a->rotary;
  size_t N = node->in[0]->rows, C = node->in[0]->cols;
  const struct rope_args args = {
      (int)N, (int)(C / r->head_size), (int)(r->head_size / 2), (int)a->sequences->count, direction, accumulate};
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

/* --- attention ------------------------------------------------------------------------------------ */

enum { BLOCK = 32, DELTA_ROWS = 8 }; /* query rows or keys, and rows of delta, of a work-group */

static struct attention_args attention_args_of(const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  return (struct attention_args){.dropout = device_dropout_args(&a->how.dropout),
                                 .heads = (int)a->how.heads,
                                 .kv_heads = (int)a->how.kv_heads,
                                 .head_size = (int)(node->in[0]->cols / a->how.heads),
                                 .q_rows = (int)node->in[0]->rows,
                                 .queries = a->how.queries == POOLING_CLS    ? QUERIES_FIRST
                                            : a->how.queries == POOLING_LAST ? QUERIES_LAST
                                                                             : QUERIES_ALL,
                                 .causal = a->how.causal,
                                 .window = (int)a->how.window,
                                 .scale = a->how.scale};
}

static size_t query_blocks(const struct attention_attributes *a) {
  return a->how.queries == POOLING_NONE ? device_groups(a->sequences->longest, BLOCK) : 1;
}

static void attention_forward(struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  const struct attention_args args = attention_args_of(node);
  device_launch(tape->backend, DEVICE_attention_forward, query_blocks(a), a->how.heads, a->sequences->count,
                PLACES(node->out[0]->data, node->out[1]->data, node->in[0]->data, node->in[1]->data, node->in[2]->data,
                       a->sequences->cu_seqlens),
                &args);
}

static size_t attention_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return node->out[1]->rows * node->out[1]->cols;
}

static void attention_backward(struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  struct attention_args args = attention_args_of(node);
  struct backend *b = tape->backend;
  struct place q = node->in[0]->data, k = node->in[1]->data, v = node->in[2]->data, delta = tape->scratch;
  struct place dout = node->out[0]->grad, lse = node->out[1]->data, cu_seqlens = a->sequences->cu_seqlens;
  device_launch(b, DEVICE_attention_delta, device_groups(node->in[0]->rows * a->how.heads, DELTA_ROWS), 1, 1,
                PLACES(delta, dout, node->out[0]->data), &args);
  bool add, add_v;
  struct place dq = tape_grad(node->in[0], &add);
  args.accumulate = add;
  if (dq.buffer)
    device_launch(b, DEVICE_attention_backward_q, query_blocks(a), a->how.heads, a->sequences->count,
                  PLACES(dq, dout, q, k, v, lse, delta, cu_seqlens), &args);
  struct place dk = tape_grad(node->in[1], &add), dv = tape_grad(node->in[2], &add_v);
  args.accumulate = add;
  args.accumulate_v = add_v;
  if (dk.buffer || dv.buffer)
    device_launch(b, DEVICE_attention_backward_kv, device_groups(a->sequences->longest, BLOCK), a->how.kv_heads,
                  a->sequences->count, PLACES(dk, dv, dout, q, k, v, lse, delta, cu_seqlens), &args);
}

const struct op_body device_attention = {
    .forward = attention_forward, .backward = attention_backward, .scratch = attention_scratch};
