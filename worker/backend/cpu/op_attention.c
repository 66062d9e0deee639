/* Attention over sequences of different lengths, or from such sequences to others: a task is a sequence and a head of k
   and v, with the group of heads of q that share it. A sequence that begins with rows of another has keys and values in
   both places; they are put one after the other first, and in the backward pass it belongs to the other's task, since
   both add to the gradients of the rows that they share. Where tables of distances have gradients, which all sequences
   add to, a backward task is a head of one of a few parts of the sequences, so that sums do not depend on the number of
   threads. */
#include <string.h>

#include "worker/backend/cpu/op.h"

enum { PARTS_MAX = 4 };
/* What of a sequence with a shared prefix is made in one piece. */
enum { JOINED_KEYS, JOINED_VALUES, JOINED_DKEYS, JOINED_DVALUES, JOINED };

struct attention_pass {
  const struct node *node;
  const struct attention_kernels *kernels;
  const struct kernels *all;
  const float *q, *k, *v;
  float *out, *lse;
  const float *dout;
  float *dq, *dk, *dv;
  size_t parts, table_floats;
  float *dtables; /* of each part of the sequences that of keys, then that of queries */
  bool wanted[2]; /* of keys, of queries */
  float *scratch;
  size_t scratch_floats;               /* a thread */
  size_t kernel_floats, joined_floats; /* of them its kernels', then JOINED times what is joined */
};

/* Where a task's numbers begin in q and in k; of a sequence with a cache, where the cache has all keys and values. */
struct task_place {
  struct attention_heads heads;
  size_t q, kv;
  size_t past;          /* tokens of the sequence before its rows */
  size_t prefix;        /* where those begin in k that are rows of another sequence */
  float *keys, *values; /* NULL: no cache */
};

/* Which input has the table of distances' keys, and which that of its queries; 0: none. */
struct table_inputs {
  int keys, queries;
};

static struct table_inputs table_inputs(const struct distances *d) {
  int keys = d->keys ? 3 : 0;
  return (struct table_inputs){keys, d->queries ? (keys ? 4 : 3) : 0};
}

/* `from` is the head's first column. */
static struct attention_distances distances_of(const struct node *n, size_t from) {
  const struct attention_attributes *a = n->attributes;
  const struct distances *d = &a->how.distances;
  const struct table_inputs in = table_inputs(d);
  if (!d->index.buffer)
    return (struct attention_distances){0};
  return (struct attention_distances){
      .index = (const int32_t *)place_address(d->index) + d->longest - 1,
      .first = d->first,
      .keys = in.keys ? cpu_data(n->in[in.keys]) + from : NULL,
      .queries = in.queries ? cpu_data(n->in[in.queries]) + from : NULL,
      .bias = d->bias.buffer ? place_floats(d->bias) + from / (n->in[0]->cols / a->how.heads) : NULL,
      .bias_stride = a->how.heads};
}

static struct task_place place_of(const struct node *n, size_t b, size_t kv) {
  const struct attention_attributes *a = n->attributes;
  const uint32_t *cu_seqlens = place_address(a->sequences->cu_seqlens), *keys = place_address(a->keys->cu_seqlens);
  size_t group = a->how.heads / a->how.kv_heads, D = n->in[0]->cols / a->how.heads, first = cu_seqlens[b];
  bool all = a->how.queries == POOLING_NONE;
  const struct kv_cache *cache = a->sequences->caches ? a->sequences->caches[b] : NULL;
  const struct shared_prefix *prefix = a->sequences->prefixes ? &a->sequences->prefixes[b] : NULL;
  size_t past = sequences_past(a->sequences, b), rows = cu_seqlens[b + 1] - first, q = all ? first : b;
  size_t length = past + keys[b + 1] - keys[b];
  size_t in_cache = cache ? a->how.layer * cache->capacity * cache->cols + kv * D : 0;
  return (struct task_place){.keys = cache ? cache->keys + in_cache : NULL,
                             .values = cache ? cache->values + in_cache : NULL,
                             .heads = {.length = length,
                                       .first = a->how.queries == POOLING_LAST ? length - 1 : past,
                                       .rows = all ? rows : 1,
                                       .head_size = D,
                                       .count = group,
                                       .stride = n->in[0]->cols,
                                       .kv_stride = n->in[1]->cols,
                                       .scale = a->how.scale,
                                       .softcap = a->how.softcap,
                                       .causal = a->how.causal,
                                       .window = a->how.window,
                                       .dropout = a->how.dropout,
                                       .row_first = kv * group * n->in[0]->rows + q,
                                       .row_step = n->in[0]->rows,
                                       .distances = distances_of(n, kv * group * D)},
                             .q = q * n->in[0]->cols + kv * group * D,
                             .kv = keys[b] * n->in[1]->cols + kv * D,
                             .past = past,
                             .prefix = prefix ? keys[prefix->sequence] * n->in[1]->cols + kv * D : 0};
}

/* What distances add is in fp32, whatever the precision. */
static const struct attention_kernels *kernels_for(const struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  return a->how.distances.index.buffer ? tape->backend->kernels->attention : tape->backend->attention;
}

static size_t kernel_floats(const struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  return kernels_for(tape, node)
      ->scratch(a->keys->longest, node->in[0]->cols / a->how.heads, a->how.distances.index.buffer != NULL);
}

/* Keys, values or gradients of them, of one head of a sequence with a shared prefix. */
static size_t joined_floats(const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  return a->sequences->prefixes ? a->keys->longest * (node->in[0]->cols / a->how.heads) : 0;
}

static size_t thread_floats(const struct tape *tape, const struct node *node) {
  return kernel_floats(tape, node) + JOINED * joined_floats(node);
}

/* Parts of the sequences that sum the gradients of tables apart; 0: there are none to sum. */
static size_t table_parts(const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  bool any = false;
  for (int i = 3; i < NODE_INPUTS && node->in[i]; i++)
    any = any || node->in[i]->needs_grad;
  return !any ? 0 : a->sequences->count < PARTS_MAX ? a->sequences->count : PARTS_MAX;
}

static size_t table_floats(const struct node *node) {
  return node->in[3] ? node->in[3]->rows * node->in[3]->cols : 0;
}

/* A part for each thread, room for the gradients that are made apart, and those of tables. */
static size_t attention_scratch(const struct tape *tape, const struct node *node) {
  size_t floats = thread_floats(tape, node) * (size_t)pool_threads(tape->backend->pool);
  for (int i = 0; i < 3; i++)
    floats += tape_grad_apart(node, i) ? node->in[i]->rows * node->in[i]->cols : 0;
  return floats + table_parts(node) * 2 * table_floats(node);
}

static struct attention_pass make_pass(const struct tape *tape, const struct node *node) {
  return (struct attention_pass){.node = node,
                                 .kernels = kernels_for(tape, node),
                                 .all = tape->backend->kernels,
                                 .q = cpu_data(node->in[0]),
                                 .k = cpu_data(node->in[1]),
                                 .v = cpu_data(node->in[2]),
                                 .out = cpu_data(node->out[0]),
                                 .lse = cpu_data(node->out[1]),
                                 .scratch = cpu_scratch(tape),
                                 .scratch_floats = thread_floats(tape, node),
                                 .kernel_floats = kernel_floats(tape, node),
                                 .joined_floats = joined_floats(node)};
}

static float *kernel_scratch(const struct attention_pass *pass, int thread) {
  return pass->scratch + (size_t)thread * pass->scratch_floats;
}

static float *joined(const struct attention_pass *pass, int thread, size_t which) {
  return kernel_scratch(pass, thread) + pass->kernel_floats + which * pass->joined_floats;
}

/* The shared rows of a head's keys or values, then its own, without columns of other heads between them. */
static void join(float *to, const float *from, const struct task_place *p) {
  size_t D = p->heads.head_size, stride = p->heads.kv_stride;
  for (size_t i = 0; i < p->past; i++)
    memcpy(to + i * D, from + p->prefix + i * stride, D * sizeof *to);
  for (size_t i = p->past; i < p->heads.length; i++)
    memcpy(to + i * D, from + p->kv + (i - p->past) * stride, D * sizeof *to);
}

/* Puts a head's new keys and values beside those in the cache. */
static void fill_cache(const struct attention_pass *pass, const struct task_place *p) {
  const struct attention_heads *h = &p->heads;
  for (size_t i = p->past; i < h->length; i++) {
    size_t from = p->kv + (i - p->past) * h->kv_stride, to = i * h->kv_stride;
    memcpy(p->keys + to, pass->k + from, h->head_size * sizeof(float));
    memcpy(p->values + to, pass->v + from, h->head_size * sizeof(float));
  }
}

static void forward_task(void *payload, size_t task, int thread) {
  const struct attention_pass *pass = payload;
  const struct attention_attributes *a = pass->node->attributes;
  struct task_place p = place_of(pass->node, task / a->how.kv_heads, task % a->how.kv_heads);
  const float *keys = pass->k + p.kv, *values = pass->v + p.kv;
  if (p.keys) {
    fill_cache(pass, &p);
    keys = p.keys;
    values = p.values;
  } else if (p.past) {
    join(joined(pass, thread, JOINED_KEYS), pass->k, &p);
    join(joined(pass, thread, JOINED_VALUES), pass->v, &p);
    p.heads.kv_stride = p.heads.head_size;
    keys = joined(pass, thread, JOINED_KEYS);
    values = joined(pass, thread, JOINED_VALUES);
  }
  pass->kernels->forward(pass->out + p.q, pass->lse + p.heads.row_first, pass->q + p.q, keys, values, &p.heads,
                         kernel_scratch(pass, thread));
}

static void attention_forward(struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  struct attention_pass pass = make_pass(tape, node);
  pool_run(tape->backend->pool, a->sequences->count * a->how.kv_heads, forward_task, &pass);
}

static void backward_of(const struct attention_pass *pass, const struct task_place *p, int thread) {
  pass->kernels->backward(pass->dq + p->q, pass->dk + p->kv, pass->dv + p->kv, pass->dout + p->q, pass->q + p->q,
                          pass->k + p->kv, pass->v + p->kv, pass->out + p->q, pass->lse + p->heads.row_first, &p->heads,
                          kernel_scratch(pass, thread));
}

/* Adds the shared rows' gradients to what they have, and puts those of the sequence's own rows in their place. */
static void part_gradient(const struct attention_pass *pass, float *to, const float *from, const struct task_place *p) {
  size_t D = p->heads.head_size, stride = p->heads.kv_stride;
  const struct kernels *kernels = pass->all;
  for (size_t i = 0; i < p->past; i++)
    kernels->add(to + p->prefix + i * stride, from + i * D, D);
  for (size_t i = p->past; i < p->heads.length; i++)
    memcpy(to + p->kv + (i - p->past) * stride, from + i * D, D * sizeof *to);
}

/* Of a sequence that begins with rows of another one. */
static void backward_joined(const struct attention_pass *pass, const struct task_place *p, int thread) {
  float *room[JOINED];
  struct attention_heads heads = p->heads;
  heads.kv_stride = heads.head_size;
  for (size_t i = 0; i < JOINED; i++)
    room[i] = joined(pass, thread, i);
  join(room[JOINED_KEYS], pass->k, p);
  join(room[JOINED_VALUES], pass->v, p);
  pass->kernels->backward(pass->dq + p->q, room[JOINED_DKEYS], room[JOINED_DVALUES], pass->dout + p->q, pass->q + p->q,
                          room[JOINED_KEYS], room[JOINED_VALUES], pass->out + p->q, pass->lse + heads.row_first, &heads,
                          kernel_scratch(pass, thread));
  part_gradient(pass, pass->dk, room[JOINED_DKEYS], p);
  part_gradient(pass, pass->dv, room[JOINED_DVALUES], p);
}

/* A sequence, then those that begin with its rows: they come after it, so that each sum has one order. */
static void backward_task(void *payload, size_t task, int thread) {
  const struct attention_pass *pass = payload;
  const struct attention_attributes *a = pass->node->attributes;
  const struct shared_prefix *prefixes = a->sequences->prefixes;
  size_t b = task / a->how.kv_heads, head = task % a->how.kv_heads;
  if (prefixes && prefixes[b].tokens)
    return;
  struct task_place p = place_of(pass->node, b, head);
  backward_of(pass, &p, thread);
  for (size_t other = b + 1; prefixes && other < a->sequences->count; other++)
    if (prefixes[other].tokens && prefixes[other].sequence == b) {
      p = place_of(pass->node, other, head);
      backward_joined(pass, &p, thread);
    }
}

/* A head of the sequences of a part, one after the other. */
static void backward_part(void *payload, size_t task, int thread) {
  const struct attention_pass *pass = payload;
  const struct node *node = pass->node;
  const struct attention_attributes *a = node->attributes;
  size_t head = task % a->how.heads, part = task / a->how.heads, cols = node->in[3]->cols, D = cols / a->how.heads;
  float *dtables[2];
  for (size_t i = 0; i < 2; i++) {
    dtables[i] = pass->wanted[i] ? pass->dtables + (part * 2 + i) * pass->table_floats + head * D : NULL;
    for (size_t row = 0; dtables[i] && row < node->in[3]->rows; row++)
      memset(dtables[i] + row * cols, 0, D * sizeof(float));
  }
  size_t count = a->sequences->count;
  for (size_t b = count * part / pass->parts; b < count * (part + 1) / pass->parts; b++) {
    struct task_place p = place_of(node, b, head);
    p.heads.distances.dkeys = dtables[0];
    p.heads.distances.dqueries = dtables[1];
    backward_of(pass, &p, thread);
  }
}

/* The parts' sums, in their order. */
static void add_tables(const struct attention_pass *pass, const struct kernels *kernels, int input, size_t which) {
  bool add;
  if (!pass->wanted[which])
    return;
  float *grad = cpu_take_grad(pass->node->in[input], &add);
  for (size_t part = 0; part < pass->parts; part++) {
    const float *from = pass->dtables + (part * 2 + which) * pass->table_floats;
    if (part == 0 && !add)
      memcpy(grad, from, pass->table_floats * sizeof *grad);
    else
      kernels->add(grad, from, pass->table_floats);
  }
}

static void attention_backward(struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  const struct table_inputs tables = table_inputs(&a->how.distances);
  struct attention_pass pass = make_pass(tape, node);
  float *spare = pass.scratch + pass.scratch_floats * (size_t)pool_threads(tape->backend->pool);
  float **to[3] = {&pass.dq, &pass.dk, &pass.dv}, *grads[3];
  bool add[3];
  pass.parts = table_parts(node);
  pass.table_floats = table_floats(node);
  pass.wanted[0] = tables.keys && node->in[tables.keys]->needs_grad;
  pass.wanted[1] = tables.queries && node->in[tables.queries]->needs_grad;
  for (int i = 0; i < 3; i++) {
    grads[i] = *to[i] = cpu_take_grad(node->in[i], &add[i]);
    if (!grads[i] || add[i]) {
      *to[i] = spare;
      spare += node->in[i]->rows * node->in[i]->cols;
    }
  }
  pass.dout = cpu_grad(node->out[0]);
  pass.dtables = spare;
  if (pass.parts)
    pool_run(tape->backend->pool, pass.parts * a->how.heads, backward_part, &pass);
  else
    pool_run(tape->backend->pool, a->sequences->count * a->how.kv_heads, backward_task, &pass);
  for (int i = 0; i < 3; i++)
    if (grads[i] && add[i])
      tape->backend->kernels->add(grads[i], *to[i], node->in[i]->rows * node->in[i]->cols);
  add_tables(&pass, tape->backend->kernels, tables.keys, 0);
  add_tables(&pass, tape->backend->kernels, tables.queries, 1);
}

const struct op_body cpu_attention = {
    .forward = attention_forward, .backward = attention_backward, .scratch = attention_scratch};
const struct op_body cpu_cross_attention = {
    .forward = attention_forward, .backward = attention_backward, .scratch = attention_scratch};
