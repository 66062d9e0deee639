/* What adapters that rotate put around a linear layer: blocks of the input's columns turned before it, the
   output's columns scaled after it. */
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

/* --- rotation ------------------------------------------------------------------------------------- */

static void rotate_forward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct rotation *o = n->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t C = n->in[0]->cols, b = o->block, first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels);
  for (size_t i = 0; i < o->blocks; i++) {
    size_t at = first * C + i * b;
    k->gemm(n->out[0]->data + at, C, n->in[0]->data + at, C, 1, o->r + i * b * b, b, rows, b, b, 1.0f, false);
  }
}

/* Each panel gathers its own share of g; the shares are added in the panels' order. */
static void rotate_backward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct rotation *o = n->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t C = n->in[0]->cols, b = o->block, first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels);
  float *partial = pass->tape->scratch + index * C * b;
  for (size_t i = 0; i < o->blocks; i++) {
    size_t at = first * C + i * b;
    const float *dz = n->out[0]->grad + at;
    if (pass->dx)
      k->gemm(pass->dx + at, C, dz, C, 1, o->r_t + i * b * b, b, rows, b, b, 1.0f, pass->add_dx);
    k->gemm(partial + i * b * b, b, n->in[0]->data + at, 1, C, dz, C, b, b, rows, 1.0f, false);
  }
}

static void rotate_forward(struct tape *tape, const struct node *node) {
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows)};
  pool_run(tape->backend->pool, pass.panels, rotate_forward_panel, &pass);
}

static void rotate_backward(struct tape *tape, const struct node *node) {
  const struct rotation *o = node->attributes;
  size_t count = node->in[0]->cols * o->block;
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows)};
  pass.dx = tape_grad(node->in[0], &pass.add_dx);
  pool_run(tape->backend->pool, pass.panels, rotate_backward_panel, &pass);
  for (size_t p = 0; p < pass.panels; p++)
    tape->backend->kernels->add(o->grad_r, tape->scratch + p * count, count);
}

static size_t rotate_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct rotation *o = node->attributes;
  return BACKEND_PANELS_MAX * node->in[0]->cols * o->block;
}

static const struct op op_row_rotate = {"rotate", rotate_forward, rotate_backward, rotate_scratch, 1, 0};

struct tensor *op_rotate(struct tape *tape, struct tensor *x, const struct rotation *rotation) {
  CHECK(x->cols == rotation->block * rotation->blocks);
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  out[0]->needs_grad = true;
  tape_record(tape, &op_row_rotate, rotation, in, out);
  return out[0];
}

/* --- scale ---------------------------------------------------------------------------------------- */

struct scale {
  const struct rotation *rotation;
  const struct linear *linear;
};

static void scale_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct scale *a = n->attributes;
  const float *s = a->rotation->scale, *bias = a->linear->bias;
  size_t C = n->in[0]->cols, first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels);
  float *partial = pass->tape->scratch + index * C;
  if (pass->backward)
    memset(partial, 0, C * sizeof *partial);
  for (size_t i = first; i < first + rows; i++) {
    const float *x = n->in[0]->data + i * C;
    if (!pass->backward) {
      float *y = n->out[0]->data + i * C;
      for (size_t c = 0; c < C; c++)
        y[c] = x[c] * s[c] + (bias ? bias[c] : 0.0f);
      continue;
    }
    const float *dy = n->out[0]->grad + i * C;
    float *dx = pass->dx + i * C;
    for (size_t c = 0; c < C; c++) {
      dx[c] = (pass->add_dx ? dx[c] : 0.0f) + dy[c] * s[c];
      partial[c] += dy[c] * x[c];
    }
  }
}

static void scale_forward(struct tape *tape, const struct node *node) {
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows)};
  pool_run(tape->backend->pool, pass.panels, scale_panel, &pass);
}

static void scale_backward(struct tape *tape, const struct node *node) {
  const struct scale *a = node->attributes;
  const struct kernels *k = tape->backend->kernels;
  size_t C = node->in[0]->cols;
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows), .backward = true};
  pass.dx = tape_grad(node->in[0], &pass.add_dx);
  pool_run(tape->backend->pool, pass.panels, scale_panel, &pass);
  for (size_t p = 0; p < pass.panels; p++)
    k->add(a->rotation->grad_scale, tape->scratch + p * C, C);
  if (a->linear->trained_bias)
    k->column_sums(a->linear->trained_bias->grad, node->out[0]->grad, node->in[0]->rows, C);
}

static size_t scale_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return BACKEND_PANELS_MAX * node->in[0]->cols;
}

static const struct op op_row_scale = {"scale", scale_forward, scale_backward, scale_scratch, 1, 0};

struct tensor *op_scale(struct tape *tape, struct tensor *x, const struct rotation *rotation,
                        const struct linear *linear) {
  struct scale *a = tape_attributes(tape, sizeof *a);
  *a = (struct scale){rotation, linear};
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  tape_record(tape, &op_row_scale, a, in, out);
  out[0]->recompute = true; /* x is kept for the scale's gradient, and makes it again */
  return out[0];
}
