/* Attention over sequences of different lengths: one task a (sequence, head). */
#include "worker/op/op.h"

struct attention {
  const struct sequences *sequences;
  size_t heads;
  float scale;
  struct dropout dropout;
};

struct pass {
  const struct node *node;
  struct tape *tape;
  float *dq, *dk, *dv;
  float *scratch;
  size_t scratch_floats; /* a thread */
};

static struct attention_head head_of(const struct attention *a, const struct tensor *q, size_t task, size_t *at) {
  size_t b = task / a->heads, h = task % a->heads, first = a->sequences->offsets[b];
  struct attention_head head = {
      .length = a->sequences->offsets[b + 1] - first,
      .head_size = q->cols / a->heads,
      .stride = q->cols,
      .scale = a->scale,
      .dropout = a->dropout,
      .row_first = h * a->sequences->tokens + first,
  };
  *at = first * q->cols + h * head.head_size;
  return head;
}

static void forward_task(void *payload, size_t task, int thread) {
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct attention *a = n->attributes;
  size_t at;
  struct attention_head head = head_of(a, n->in[0], task, &at);
  pass->tape->backend->kernels->attention(n->out[0]->data + at, n->out[1]->data + head.row_first, 1,
                                          n->in[0]->data + at, n->in[1]->data + at, n->in[2]->data + at, &head,
                                          pass->scratch + (size_t)thread * pass->scratch_floats);
}

static size_t thread_floats(const struct tape *tape, const struct node *node) {
  const struct attention *a = node->attributes;
  return tape->backend->kernels->attention_scratch(a->sequences->longest, node->in[0]->cols / a->heads);
}

/* One part a thread, and room for the gradients that nobody asked for. */
static size_t scratch(const struct tape *tape, const struct node *node) {
  size_t floats = thread_floats(tape, node) * (size_t)pool_threads(tape->backend->pool);
  for (int i = 0; i < 3; i++)
    floats += node->in[i]->needs_grad ? 0 : node->in[i]->rows * node->in[i]->cols;
  return floats;
}

static void forward(struct tape *tape, const struct node *node) {
  const struct attention *a = node->attributes;
  struct pass pass = {
      .node = node, .tape = tape, .scratch = tape->scratch, .scratch_floats = thread_floats(tape, node)};
  pool_run(tape->backend->pool, a->sequences->count * a->heads, forward_task, &pass);
}

static void backward_task(void *payload, size_t task, int thread) {
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct attention *a = n->attributes;
  size_t at;
  struct attention_head head = head_of(a, n->in[0], task, &at);
  pass->tape->backend->kernels->attention_backward(pass->dq + at, pass->dk + at, pass->dv + at, n->out[0]->grad + at,
                                                   n->in[0]->data + at, n->in[1]->data + at, n->in[2]->data + at,
                                                   n->out[0]->data + at, n->out[1]->data + head.row_first, 1, &head,
                                                   pass->scratch + (size_t)thread * pass->scratch_floats);
}

static void backward(struct tape *tape, const struct node *node) {
  const struct attention *a = node->attributes;
  struct pass pass = {
      .node = node, .tape = tape, .scratch = tape->scratch, .scratch_floats = thread_floats(tape, node)};
  float *spare = tape->scratch + pass.scratch_floats * (size_t)pool_threads(tape->backend->pool);
  float **grads[3] = {&pass.dq, &pass.dk, &pass.dv};
  for (int i = 0; i < 3; i++) {
    bool accumulate;
    *grads[i] = tape_grad(node->in[i], &accumulate);
    CHECK(!accumulate); /* each projection feeds one attention */
    if (!*grads[i]) {
      *grads[i] = spare;
      spare += node->in[i]->rows * node->in[i]->cols;
    }
  }
  pool_run(tape->backend->pool, a->sequences->count * a->heads, backward_task, &pass);
}

static const struct op op = {"attention", forward, backward, scratch, 7, 3};

struct tensor *op_attention(struct tape *tape, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct sequences *sequences, size_t heads, float scale,
                            const struct dropout *dropout) {
  struct attention *a = tape_attributes(tape, sizeof *a);
  *a = (struct attention){.sequences = sequences, .heads = heads, .scale = scale};
  if (tape->training)
    a->dropout = *dropout;
  CHECK(q->cols == k->cols && q->cols == v->cols && q->cols % heads == 0);
  struct tensor *in[NODE_INPUTS] = {q, k, v};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, q->rows, q->cols), tape_tensor(tape, heads, q->rows)};
  tape_record(tape, &op, a, in, out);
  return out[0];
}
