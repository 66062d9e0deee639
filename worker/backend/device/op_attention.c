/* Attention on a device, with what distances add to the scores. */
#include <limits.h>

#include "worker/backend/device/device_op.h"

enum { BLOCK = 32, DELTA_ROWS = 8 }; /* query rows or keys, and rows of delta, of a work-group */

static struct attention_args attention_args_of(const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  return (struct attention_args){.dropout = device_dropout_args(&a->how.dropout),
                                 .heads = (int)a->how.heads,
                                 .kv_heads = (int)a->how.kv_heads,
                                 .head_size = (int)(node->in[0]->cols / a->how.heads),
                                 .q_rows = (int)node->in[0]->rows,
                                 .sequences = (int)a->sequences->count,
                                 .queries = a->how.queries == POOLING_CLS    ? QUERIES_FIRST
                                            : a->how.queries == POOLING_LAST ? QUERIES_LAST
                                                                             : QUERIES_ALL,
                                 .causal = a->how.causal,
                                 .window = (int)a->how.window,
                                 .scale = a->how.scale,
                                 .softcap = a->how.softcap,
                                 .longest = (int)a->how.distances.longest,
                                 .first = (int)a->how.distances.first,
                                 .table_rows = node->in[3] ? (int)node->in[3]->rows : INT_MAX};
}

/* What distances add; nowhere: nothing. */
struct tables {
  struct tensor *keys, *queries; /* inputs of the node */
  struct place keys_data, queries_data, bias, index;
};

static struct tables tables_of(const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  const struct distances *d = &a->how.distances;
  struct tables t = {.bias = d->bias, .index = d->index};
  t.keys = d->keys ? node->in[3] : NULL;
  t.queries = d->queries ? node->in[d->keys ? 4 : 3] : NULL;
  t.keys_data = t.keys ? t.keys->data : NOWHERE;
  t.queries_data = t.queries ? t.queries->data : NOWHERE;
  return t;
}

static size_t query_blocks(const struct attention_attributes *a) {
  return a->how.queries == POOLING_NONE ? device_groups(a->sequences->longest, BLOCK) : 1;
}

static void attention_forward(struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  const struct attention_args args = attention_args_of(node);
  const struct tables t = tables_of(node);
  device_launch(tape->backend, DEVICE_attention_forward, query_blocks(a), a->how.heads, a->sequences->count,
                PLACES(node->out[0]->data, node->out[1]->data, node->in[0]->data, node->in[1]->data, node->in[2]->data,
                       a->sequences->cu_seqlens, t.keys_data, t.queries_data, t.bias, t.index),
                &args);
}

/* Blocks of negative distances; there are as many others. */
static size_t distance_blocks(const struct attention_attributes *a) {
  return device_groups(a->sequences->longest, BLOCK);
}

/* Of a table's gradient with a row a distance. */
static size_t part_floats(const struct node *node, const struct tensor *table) {
  bool wanted = table && table->needs_grad;
  return wanted ? device_part(2 * distance_blocks(node->attributes) * BLOCK * node->in[0]->cols) : 0;
}

static size_t attention_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct tables t = tables_of(node);
  return device_part(node->out[1]->rows * node->out[1]->cols) + part_floats(node, t.keys) +
         part_floats(node, t.queries);
}

static void gather(struct backend *b, const struct node *node, struct tensor *table, struct place parts) {
  const struct attention_attributes *a = node->attributes;
  bool add;
  if (!parts.buffer)
    return;
  struct place gradient = tape_grad(table, &add);
  const struct gather_distances_args args = {.rows = (int)table->rows,
                                             .cols = (int)table->cols,
                                             .longest = (int)a->how.distances.longest,
                                             .first = (int)a->how.distances.first,
                                             .blocks = (int)distance_blocks(a),
                                             .tokens = (int)a->sequences->longest,
                                             .accumulate = add};
  device_launch_each(b, DEVICE_gather_distances, table->rows * table->cols,
                     PLACES(gradient, parts, a->how.distances.index), &args);
}

static void attention_backward(struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  struct attention_args args = attention_args_of(node);
  const struct tables t = tables_of(node);
  struct backend *b = tape->backend;
  struct place q = node->in[0]->data, k = node->in[1]->data, v = node->in[2]->data, scratch = tape->scratch;
  struct place dout = node->out[0]->grad, lse = node->out[1]->data, cu_seqlens = a->sequences->cu_seqlens;
  struct place delta = device_take(&scratch, node->out[1]->rows * node->out[1]->cols);
  device_launch(b, DEVICE_attention_delta, device_groups(node->in[0]->rows * a->how.heads, DELTA_ROWS), 1, 1,
                PLACES(delta, dout, node->out[0]->data), &args);
  bool add, add_v;
  struct place dq = tape_grad(node->in[0], &add);
  args.accumulate = add;
  if (dq.buffer)
    device_launch(b, DEVICE_attention_backward_q, query_blocks(a), a->how.heads, a->sequences->count,
                  PLACES(dq, dout, q, k, v, lse, delta, cu_seqlens, t.keys_data, t.queries_data, t.bias, t.index),
                  &args);
  struct place dk = tape_grad(node->in[1], &add), dv = tape_grad(node->in[2], &add_v);
  args.accumulate = add;
  args.accumulate_v = add_v;
  if (dk.buffer || dv.buffer)
    device_launch(b, DEVICE_attention_backward_kv, device_groups(a->sequences->longest, BLOCK), a->how.kv_heads,
                  a->sequences->count,
                  PLACES(dk, dv, dout, q, k, v, lse, delta, cu_seqlens, t.keys_data, t.queries_data, t.bias, t.index),
                  &args);
  struct place keys = part_floats(node, t.keys) ? device_take(&scratch, part_floats(node, t.keys)) : NOWHERE;
  struct place queries = part_floats(node, t.queries) ? device_take(&scratch, part_floats(node, t.queries)) : NOWHERE;
  if (keys.buffer || queries.buffer)
    device_launch(
        b, DEVICE_attention_backward_distances, 2 * distance_blocks(a), a->how.heads, 1,
        PLACES(keys, queries, dout, q, k, v, lse, delta, cu_seqlens, t.keys_data, t.queries_data, t.bias, t.index),
        &args);
  gather(b, node, t.keys, keys);
  gather(b, node, t.queries, queries);
}

const struct op_body device_attention = {
    .forward = attention_forward, .backward = attention_backward, .scratch = attention_scratch};
