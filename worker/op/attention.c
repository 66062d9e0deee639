/* Attention over sequences of different lengths: one task a (sequence, head of k and v). */
#include "worker/op/op.h"

struct attributes {
  const struct sequences *sequences;
  struct attention how;
};

struct pass {
  const struct node *node;
  struct tape *tape;
  float *dq, *dk, *dv;
  float *scratch;
  size_t scratch_floats; /* a thread */
};

/* Where a task's numbers begin in q and in k. */
struct place {
  struct attention_heads heads;
  size_t q, kv;
};

static struct place place_of(const struct node *n, size_t task) {
  const struct attributes *a = n->attributes;
  size_t kv_heads = a->how.kv_heads, group = a->how.heads / kv_heads, D = n->in[0]->cols / a->how.heads;
  size_t b = task / kv_heads, kv = task % kv_heads, first = a->sequences->offsets[b];
  bool all = a->how.queries == ROWS_ALL;
  size_t length = a->sequences->offsets[b + 1] - first, q = all ? first : b;
  return (struct place){.heads = {.length = length,
                                  .first = a->how.queries == ROWS_LAST ? length - 1 : 0,
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

static void forward_task(void *payload, size_t task, int thread) {
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  struct place p = place_of(n, task);
  pass->tape->backend->attention->forward(n->out[0]->data + p.q, n->out[1]->data + p.heads.row_first,
                                          n->in[0]->data + p.q, n->in[1]->data + p.kv, n->in[2]->data + p.kv, &p.heads,
                                          pass->scratch + (size_t)thread * pass->scratch_floats);
}

static size_t thread_floats(const struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  return tape->backend->attention->scratch(a->sequences->longest, node->in[0]->cols / a->how.heads);
}

/* One part a thread, and room for the gradients that are made apart. */
static size_t scratch(const struct tape *tape, const struct node *node) {
  size_t floats = thread_floats(tape, node) * (size_t)pool_threads(tape->backend->pool);
  for (int i = 0; i < 3; i++)
    floats += tape_grad_apart(node, i) ? node->in[i]->rows * node->in[i]->cols : 0;
  return floats;
}

static size_t task_count(const struct node *node) {
  const struct attributes *a = node->attributes;
  return a->sequences->count * a->how.kv_heads;
}

static void forward(struct tape *tape, const struct node *node) {
  struct pass pass = {
      .node = node, .tape = tape, .scratch = tape->scratch, .scratch_floats = thread_floats(tape, node)};
  pool_run(tape->backend->pool, task_count(node), forward_task, &pass);
}

static void backward_task(void *payload, size_t task, int thread) {
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  struct place p = place_of(n, task);
  pass->tape->backend->attention->backward(pass->dq + p.q, pass->dk + p.kv, pass->dv + p.kv, n->out[0]->grad + p.q,
                                           n->in[0]->data + p.q, n->in[1]->data + p.kv, n->in[2]->data + p.kv,
                                           n->out[0]->data + p.q, n->out[1]->data + p.heads.row_first, &p.heads,
                                           pass->scratch + (size_t)thread * pass->scratch_floats);
}

static void backward(struct tape *tape, const struct node *node) {
  struct pass pass = {
      .node = node, .tape = tape, .scratch = tape->scratch, .scratch_floats = thread_floats(tape, node)};
  float *spare = tape->scratch + pass.scratch_floats * (size_t)pool_threads(tape->backend->pool);
  float **to[3] = {&pass.dq, &pass.dk, &pass.dv}, *grads[3];
  bool add[3];
  for (int i = 0; i < 3; i++) {
    grads[i] = *to[i] = tape_grad(node->in[i], &add[i]);
    if (!grads[i] || add[i]) {
      *to[i] = spare;
      spare += node->in[i]->rows * node->in[i]->cols;
    }
  }
  pool_run(tape->backend->pool, task_count(node), backward_task, &pass);
  for (int i = 0; i < 3; i++)
    if (grads[i] && add[i])
      tape->backend->kernels->add(grads[i], *to[i], node->in[i]->rows * node->in[i]->cols);
}

static const struct op op = {"attention", forward, backward, scratch, 7, 3};

struct tensor *op_attention(struct tape *tape, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct sequences *sequences, const struct attention *attention) {
  struct attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct attributes){sequences, *attention};
  if (!tape->training)
    a->how.dropout.threshold = 0;
  CHECK(q->rows == (a->how.queries == ROWS_ALL ? sequences->tokens : sequences->count));
  CHECK(q->cols % a->how.heads == 0 && a->how.heads % a->how.kv_heads == 0);
  CHECK(k->cols == v->cols && k->cols / a->how.kv_heads == q->cols / a->how.heads);
  struct tensor *in[NODE_INPUTS] = {q, k, v};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, q->rows, q->cols), tape_tensor(tape, a->how.heads, q->rows)};
  tape_record(tape, &op, a, in, out);
  return out[0];
}
