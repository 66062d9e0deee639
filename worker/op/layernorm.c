/* LayerNorm, alone and as the closing of a post-norm block: LN(dropout(x) + residual). */
#include <string.h>

#include "worker/op/op.h"

enum { STRIP = 8 };

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

/* Rows [row, row + count): few enough to stay in the first-level cache. */
static void forward_strip(const struct pass *pass, size_t row, size_t count) {
  const struct node *n = pass->node;
  const struct attributes *a = n->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t N = n->in[0]->rows, C = n->in[0]->cols, at = row * C;
  if (n->out[2]) {
    float *sum = n->out[2]->data + at;
    if (a->dropout.threshold)
      k->dropout(sum, n->in[0]->data + at, row, count, C, &a->dropout);
    else
      memcpy(sum, n->in[0]->data + at, count * C * sizeof *sum);
    k->add(sum, n->in[1]->data + at, count * C);
  }
  float *mean = n->out[1]->data + row, *rstd = mean + N;
  k->layernorm(n->out[0]->data + at, mean, rstd, seen(n)->data + at, a->norm->weight, a->norm->bias, count, C,
               a->norm->epsilon);
}

static void in_strips(const struct pass *pass, size_t index, void (*strip)(const struct pass *, size_t, size_t)) {
  size_t first, rows = backend_panel(&first, pass->node->in[0]->rows, index, pass->panels);
  for (size_t row = first; row < first + rows; row += STRIP)
    strip(pass, row, first + rows - row < STRIP ? first + rows - row : STRIP);
}

static void forward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  in_strips(payload, index, forward_strip);
}

static void forward(struct tape *tape, const struct node *node) {
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows)};
  pool_run(tape->backend->pool, pass.panels, forward_panel, &pass);
}

static void deliver(float *to, const float *from, size_t count, bool add, const struct kernels *k) {
  if (add)
    k->add(to, from, count);
  else if (to != from)
    memcpy(to, from, count * sizeof *to);
}

/* The gradient of what LayerNorm saw is made where the residual's goes, that of x from it where x's goes, unless these
   are added to: then by way of scratch memory. */
static void backward_strip(const struct pass *pass, size_t row, size_t count) {
  const struct node *n = pass->node;
  const struct attributes *a = n->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t N = n->in[0]->rows, C = n->in[0]->cols, at = row * C;
  const float *mean = n->out[1]->data + row, *rstd = mean + N;
  float *own = pass->tape->scratch + at, *dx = pass->dx ? pass->dx + at : NULL;
  float *dresidual = pass->dresidual ? pass->dresidual + at : NULL;
  float *ds = dresidual && !pass->add_dresidual ? dresidual : dx && !dresidual && !pass->add_dx ? dx : own;
  k->layernorm_backward(ds, n->out[0]->grad + at, seen(n)->data + at, mean, rstd, a->norm->weight, count, C);
  if (dresidual && pass->add_dx) /* x's share may be made in its place */
    deliver(dresidual, ds, count * C, pass->add_dresidual, k);
  if (dx) {
    const float *share = ds;
    if (a->dropout.threshold) {
      float *dropped = pass->add_dx ? own : dx;
      k->dropout(dropped, ds, row, count, C, &a->dropout);
      share = dropped;
    }
    deliver(dx, share, count * C, pass->add_dx, k);
  }
  if (dresidual && !pass->add_dx) /* the residual may be x itself: laid down first, then added to */
    deliver(dresidual, ds, count * C, pass->add_dresidual, k);
}

static void backward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  in_strips(payload, index, backward_strip);
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
