/* Dropout, GELU and tanh: one pass over the elements. */
#include <math.h>
#include <string.h>

#include "worker/op/op.h"

struct pass {
  const struct node *node;
  struct tape *tape;
  size_t panels;
  float *dx;
  bool add_dx;
  bool backward;
};

/* The gradient of a panel is made in scratch memory and then delivered, or made in place. */
static float *target(const struct pass *pass, size_t at) {
  return (pass->add_dx ? pass->tape->scratch : pass->dx) + at;
}

static void gelu_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t C = n->in[0]->cols, first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels);
  if (!pass->backward) {
    k->gelu(n->out[0]->data + first * C, n->in[0]->data + first * C, rows * C);
    return;
  }
  k->gelu_backward(target(pass, first * C), n->out[0]->grad + first * C, n->in[0]->data + first * C, rows * C);
  if (pass->add_dx)
    k->add(pass->dx + first * C, target(pass, first * C), rows * C);
}

static void dropout_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct kernels *k = pass->tape->backend->kernels;
  const struct dropout *d = n->attributes;
  size_t C = n->in[0]->cols, first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels);
  if (!pass->backward) {
    k->dropout(n->out[0]->data + first * C, n->in[0]->data + first * C, first, rows, C, d);
    return;
  }
  k->dropout(target(pass, first * C), n->out[0]->grad + first * C, first, rows, C, d);
  if (pass->add_dx)
    k->add(pass->dx + first * C, target(pass, first * C), rows * C);
}

/* tanh is used on one row a sequence: too little work to share out. */
static void tanh_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  size_t C = n->in[0]->cols, first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels);
  const float *y = n->out[0]->data;
  for (size_t i = first * C; i < (first + rows) * C; i++)
    if (!pass->backward)
      n->out[0]->data[i] = tanhf(n->in[0]->data[i]);
    else
      pass->dx[i] = (pass->add_dx ? pass->dx[i] : 0.0f) + n->out[0]->grad[i] * (1.0f - y[i] * y[i]);
}

static void run(struct tape *tape, const struct node *node, pool_task *panel, bool backward) {
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows), .backward = backward};
  if (backward)
    pass.dx = tape_grad(node->in[0], &pass.add_dx);
  pool_run(tape->backend->pool, pass.panels, panel, &pass);
}

static void gelu_forward(struct tape *tape, const struct node *node) {
  run(tape, node, gelu_panel, false);
}

static void gelu_backward(struct tape *tape, const struct node *node) {
  run(tape, node, gelu_panel, true);
}

static void dropout_forward(struct tape *tape, const struct node *node) {
  run(tape, node, dropout_panel, false);
}

static void dropout_backward(struct tape *tape, const struct node *node) {
  run(tape, node, dropout_panel, true);
}

static void tanh_forward(struct tape *tape, const struct node *node) {
  run(tape, node, tanh_panel, false);
}

static void tanh_backward(struct tape *tape, const struct node *node) {
  run(tape, node, tanh_panel, true);
}

static size_t scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return node->in[0]->grad_written ? node->in[0]->rows * node->in[0]->cols : 0;
}

static const struct op op_row_gelu = {"gelu", gelu_forward, gelu_backward, scratch, 1, 0};
static const struct op op_row_dropout = {"dropout", dropout_forward, dropout_backward, scratch, 0, 0};
static const struct op op_row_tanh = {"tanh", tanh_forward, tanh_backward, NULL, 0, 1};

static struct tensor *record(struct tape *tape, const struct op *op, const void *attributes, struct tensor *x) {
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  tape_record(tape, op, attributes, in, out);
  return out[0];
}

struct tensor *op_gelu(struct tape *tape, struct tensor *x) {
  struct tensor *y = record(tape, &op_row_gelu, NULL, x);
  y->recompute = true;
  return y;
}

struct tensor *op_tanh(struct tape *tape, struct tensor *x) {
  return record(tape, &op_row_tanh, NULL, x);
}

struct tensor *op_dropout(struct tape *tape, struct tensor *x, const struct dropout *dropout) {
  if (!tape->training || !dropout->threshold)
    return x;
  struct dropout *own = tape_attributes(tape, sizeof *own);
  *own = *dropout;
  return record(tape, &op_row_dropout, own, x);
}

struct dropout dropout_make(double p, uint64_t seed, uint64_t step, uint32_t site) {
  uint32_t threshold = (uint32_t)lrint(p * 65536);
  return (struct dropout){.seed = seed,
                          .site = step << 20 | site,
                          .threshold = threshold,
                          .scale = 65536.0f / (65536.0f - (float)threshold)};
}

struct dropout op_next_dropout(struct tape *tape, double p) {
  return dropout_make(p, tape->seed, tape->step, tape->dropouts++);
}
