/* LayerNorm, alone and as the closing of a post-norm block: LN(dropout(x) + residual). */
#include <string.h>

#include "worker/op/op.h"

struct attributes {
  const struct norm *norm;
  struct dropout dropout;
};

struct pass {
  const struct node *node;
  struct tape *tape;
  size_t panels;
  float *dx, *dresidual;
  bool add_dx, add_dresidual;
};

/* The normalised sum: what LayerNorm saw. */
static const struct tensor *seen(const struct node *node) {
  return node->out[2] ? node->out[2] : node->in[0];
}

static void forward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct attributes *a = n->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t N = n->in[0]->rows, C = n->in[0]->cols;
  size_t first, rows = backend_panel(&first, N, index, pass->panels), at = first * C;
  if (n->out[2]) {
    float *sum = n->out[2]->data + at;
    if (a->dropout.threshold)
      k->dropout(sum, n->in[0]->data + at, first, rows, C, &a->dropout);
    else
      memcpy(sum, n->in[0]->data + at, rows * C * sizeof *sum);
    k->add(sum, n->in[1]->data + at, rows * C);
  }
  float *mean = n->out[1]->data + first, *rstd = mean + N;
  k->layernorm(n->out[0]->data + at, mean, rstd, seen(n)->data + at, a->norm->weight, a->norm->bias, rows, C,
               a->norm->epsilon);
}

static void forward(struct tape *tape, const struct node *node) {
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows)};
  pool_run(tape->backend->pool, pass.panels, forward_panel, &pass);
}

static void deliver(float *to, const float *from, size_t count, bool add, const struct kernels *k) {
  if (add)
    k->add(to, from, count);
  else
    memcpy(to, from, count * sizeof *to);
}

static void backward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct attributes *a = n->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t N = n->in[0]->rows, C = n->in[0]->cols;
  size_t first, rows = backend_panel(&first, N, index, pass->panels), at = first * C;
  float *ds = pass->tape->scratch + at;
  const float *mean = n->out[1]->data + first, *rstd = mean + N;
  k->layernorm_backward(ds, n->out[0]->grad + at, seen(n)->data + at, mean, rstd, a->norm->weight, rows, C);
  if (pass->dresidual)
    deliver(pass->dresidual + at, ds, rows * C, pass->add_dresidual, k);
  if (!pass->dx)
    return;
  if (a->dropout.threshold)
    k->dropout(ds, ds, first, rows, C, &a->dropout);
  deliver(pass->dx + at, ds, rows * C, pass->add_dx, k);
}

static void backward(struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows)};
  if (a->norm->trained_bias)
    tape->backend->kernels->column_sums(a->norm->trained_bias->grad, node->out[0]->grad, node->in[0]->rows,
                                        node->in[0]->cols);
  pass.dx = tape_grad(node->in[0], &pass.add_dx);
  if (node->in[1])
    pass.dresidual = tape_grad(node->in[1], &pass.add_dresidual);
  pool_run(tape->backend->pool, pass.panels, backward_panel, &pass);
}

static size_t scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return node->in[0]->rows * node->in[0]->cols;
}

static const struct op op_alone = {"layernorm", forward, backward, scratch, 1, 2};
static const struct op op_closing = {"residual+layernorm", forward, backward, scratch, 0, 6};

static struct tensor *record(struct tape *tape, const struct op *op, struct tensor *x, struct tensor *residual,
                             const struct norm *norm, const struct dropout *dropout) {
  struct attributes *a = tape_attributes(tape, sizeof *a);
  a->norm = norm;
  if (dropout && tape->training)
    a->dropout = *dropout;
  struct tensor *in[NODE_INPUTS] = {x, residual};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols), tape_tensor(tape, 2, x->rows)};
  if (residual)
    out[2] = tape_tensor(tape, x->rows, x->cols);
  out[0]->needs_grad = norm->trained_bias != NULL;
  tape_record(tape, op, a, in, out);
  return out[0];
}

struct tensor *op_layernorm(struct tape *tape, struct tensor *x, const struct norm *norm) {
  return record(tape, &op_alone, x, NULL, norm, NULL);
}

struct tensor *op_residual_layernorm(struct tape *tape, struct tensor *x, struct tensor *residual,
                                     const struct norm *norm, const struct dropout *dropout) {
  CHECK(x->rows == residual->rows && x->cols == residual->cols);
  return record(tape, &op_closing, x, residual, norm, dropout);
}
