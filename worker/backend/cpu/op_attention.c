/* Attention over sequences of different lengths: a task is a sequence and a head of k and v, with the group of heads of
   q that share it. */
#include "worker/backend/cpu/op.h"

struct attention_pass {
  const struct node *node;
  const struct attention_kernels *kernels;
  const float *q, *k, *v;
  float *out, *lse;
  const float *dout;
  float *dq, *dk, *dv;
  float *scratch;
  size_t scratch_floats; /* a thread */
};

/* Where a task's numbers begin in q and in k. */
struct task_place {
  struct attention_heads heads;
  size_t q, kv;
};

static struct task_place place_of(const struct node *n, size_t task) {
  const struct attention_attributes *a = n->attributes;
  const uint32_t *cu_seqlens = place_address(a->sequences->cu_seqlens);
  size_t kv_heads = a->how.kv_heads, group = a->how.heads / kv_heads, D = n->in[0]->cols / a->how.heads;
  size_t b = task / kv_heads, kv = task % kv_heads, first = cu_seqlens[b];
  bool all = a->how.queries == POOLING_NONE;
  size_t length = cu_seqlens[b + 1] - first, q = all ? first : b;
  return (struct task_place){.heads = {.length = length,
                                       .first = a->how.queries == POOLING_LAST ? length - 1 : 0,
                                       .rows = all ? length : 1,
                                       .head_size = D,
                                       .count = group,
                                       .stride = n->in[0]->cols,
                                       .kv_stride = n->in[1]->cols,
                                       .scale = a->how.scale,
                                       .causal = a->how.causal,
                                       .window = a->how.window,
                                       .dropout = a->how.dropout,
                                       .row_first = kv * group * n->in[0]->rows + q,
                                       .row_step = n->in[0]->rows},
                             .q = q * n->in[0]->cols + kv * group * D,
                             .kv = first * n->in[1]->cols + kv * D};
}

static size_t thread_floats(const struct tape *tape, const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  return tape->backend->attention->scratch(a->sequences->longest, node->in[0]->cols / a->how.heads);
}

/* A part for each thread, and room for the gradients that are made apart. */
static size_t attention_scratch(const struct tape *tape, const struct node *node) {
  size_t floats = thread_floats(tape, node) * (size_t)pool_threads(tape->backend->pool);
  for (int i = 0; i < 3; i++)
    floats += tape_grad_apart(node, i) ? node->in[i]->rows * node->in[i]->cols : 0;
  return floats;
}

static size_t task_count(const struct node *node) {
  const struct attention_attributes *a = node->attributes;
  return a->sequences->count * a->how.kv_heads;
}

static struct attention_pass make_pass(const struct tape *tape, const struct node *node) {
  return (struct attention_pass){.node = node,
                                 .kernels = tape->backend->attention,
                                 .q = cpu_data(node->in[0]),
                                 .k = cpu_data(node->in[1]),
                                 .v = cpu_data(node->in[2]),
                                 .out = cpu_data(node->out[0]),
                                 .lse = cpu_data(node->out[1]),
                                 .scratch = cpu_scratch(tape),
                                 .scratch_floats = thread_floats(tape, node)};
}

static void forward_task(void *payload, size_t task, int thread) {
  const struct attention_pass *pass = payload;
  struct task_place p = place_of(pass->node, task);
  pass->kernels->forward(pass->out + p.q, pass->lse + p.heads.row_first, pass->q + p.q, pass->k + p.kv, pass->v + p.kv,
                         &p.heads, pass->scratch + (size_t)thread * pass->scratch_floats);
}

static void attention_forward(struct tape *tape, const struct node *node) {
  struct attention_pass pass = make_pass(tape, node);
  pool_run(tape->backend->pool, task_count(node), forward_task, &pass);
}

static void backward_task(void *payload, size_t task, int thread) {
  const struct attention_pass *pass = payload;
  struct task_place p = place_of(pass->node, task);
  pass->kernels->backward(pass->dq + p.q, pass->dk + p.kv, pass->dv + p.kv, pass->dout + p.q, pass->q + p.q,
                          pass->k + p.kv, pass->v + p.kv, pass->out + p.q, pass->lse + p.heads.row_first, &p.heads,
                          pass->scratch + (size_t)thread * pass->scratch_floats);
}

static void attention_backward(struct tape *tape, const struct node *node) {
  struct attention_pass pass = make_pass(tape, node);
  float *spare = pass.scratch + pass.scratch_floats * (size_t)pool_threads(tape->backend->pool);
  float **to[3] = {&pass.dq, &pass.dk, &pass.dv}, *grads[3];
  bool add[3];
  for (int i = 0; i < 3; i++) {
    grads[i] = *to[i] = cpu_take_grad(node->in[i], &add[i]);
    if (!grads[i] || add[i]) {
      *to[i] = spare;
      spare += node->in[i]->rows * node->in[i]->cols;
    }
  }
  pass.dout = cpu_grad(node->out[0]);
  pool_run(tape->backend->pool, task_count(node), backward_task, &pass);
  for (int i = 0; i < 3; i++)
    if (grads[i] && add[i])
      tape->backend->kernels->add(grads[i], *to[i], node->in[i]->rows * node->in[i]->cols);
}

const struct op_body cpu_attention = {
    .forward = attention_forward, .backward = attention_backward, .scratch = attention_scratch};
