/* What adapters put around a linear layer. */
#include <string.h>

#include "worker/backend/cpu/op.h"

struct rotate_pass {
  const struct node *node;
  const struct kernels *kernels;
  size_t panels;
  float *scratch;
  float *dx;
  bool add_dx;
  bool backward;
};

static struct rotate_pass make_pass(const struct tape *tape, const struct node *node, bool backward) {
  struct rotate_pass pass = {.node = node,
                             .kernels = tape->backend->kernels,
                             .panels = cpu_panels(node->in[0]->rows),
                             .scratch = cpu_scratch(tape),
                             .backward = backward};
  if (backward)
    pass.dx = cpu_take_grad(node->in[0], &pass.add_dx);
  return pass;
}

/* --- rotation ------------------------------------------------------------------------------------- */

static void rotate_forward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct rotate_pass *pass = payload;
  const struct node *n = pass->node;
  const struct rotation *o = n->attributes;
  size_t C = n->in[0]->cols, b = o->block, first, rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels);
  const float *x = cpu_data(n->in[0]), *r = place_floats(o->r);
  float *z = cpu_data(n->out[0]);
  for (size_t i = 0; i < o->blocks; i++) {
    size_t at = first * C + i * b;
    pass->kernels->gemm(z + at, C, x + at, C, 1, r + i * b * b, b, rows, b, b, 1.0f, false);
  }
}

/* Each panel has a partial sum of grad_r; these are added in the panels' order. */
static void rotate_backward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct rotate_pass *pass = payload;
  const struct node *n = pass->node;
  const struct rotation *o = n->attributes;
  const struct kernels *k = pass->kernels;
  size_t C = n->in[0]->cols, b = o->block, first, rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels);
  const float *x = cpu_data(n->in[0]), *dz = cpu_grad(n->out[0]), *r_t = place_floats(o->r_t);
  float *partial = pass->scratch + index * C * b;
  for (size_t i = 0; i < o->blocks; i++) {
    size_t at = first * C + i * b;
    if (pass->dx)
      k->gemm(pass->dx + at, C, dz + at, C, 1, r_t + i * b * b, b, rows, b, b, 1.0f, pass->add_dx);
    k->gemm(partial + i * b * b, b, x + at, 1, C, dz + at, C, b, b, rows, 1.0f, false);
  }
}

static void rotate_forward(struct tape *tape, const struct node *node) {
  struct rotate_pass pass = make_pass(tape, node, false);
  pool_run(tape->backend->pool, pass.panels, rotate_forward_panel, &pass);
}

static void rotate_backward(struct tape *tape, const struct node *node) {
  const struct rotation *o = node->attributes;
  size_t count = node->in[0]->cols * o->block;
  struct rotate_pass pass = make_pass(tape, node, true);
  pool_run(tape->backend->pool, pass.panels, rotate_backward_panel, &pass);
  for (size_t p = 0; p < pass.panels; p++)
    pass.kernels->add(place_floats(o->grad_r), pass.scratch + p * count, count);
}

static size_t rotate_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct rotation *o = node->attributes;
  return CPU_PANELS_MAX * node->in[0]->cols * o->block;
}

const struct op_body cpu_rotate = {.forward = rotate_forward, .backward = rotate_backward, .scratch = rotate_scratch};

/* --- scale ---------------------------------------------------------------------------------------- */

static void scale_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct rotate_pass *pass = payload;
  const struct node *n = pass->node;
  const struct linear *l = n->attributes;
  const float *s = place_floats(l->scale->scale), *bias = place_floats(l->bias);
  size_t C = n->in[0]->cols, first, rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels);
  float *partial = pass->scratch + index * C;
  if (pass->backward)
    memset(partial, 0, C * sizeof *partial);
  for (size_t i = first; i < first + rows; i++) {
    const float *x = cpu_data(n->in[0]) + i * C;
    if (!pass->backward) {
      float *y = cpu_data(n->out[0]) + i * C;
      for (size_t c = 0; c < C; c++)
        y[c] = x[c] * s[c] + (bias ? bias[c] : 0.0f);
      continue;
    }
    const float *dy = cpu_grad(n->out[0]) + i * C;
    float *dx = pass->dx + i * C;
    for (size_t c = 0; c < C; c++) {
      dx[c] = (pass->add_dx ? dx[c] : 0.0f) + dy[c] * s[c];
      partial[c] += dy[c] * x[c];
    }
  }
}

static void scale_forward(struct tape *tape, const struct node *node) {
  struct rotate_pass pass = make_pass(tape, node, false);
  pool_run(tape->backend->pool, pass.panels, scale_panel, &pass);
}

static void scale_backward(struct tape *tape, const struct node *node) {
  const struct linear *l = node->attributes;
  size_t C = node->in[0]->cols;
  struct rotate_pass pass = make_pass(tape, node, true);
  pool_run(tape->backend->pool, pass.panels, scale_panel, &pass);
  for (size_t p = 0; p < pass.panels; p++)
    pass.kernels->add(place_floats(l->scale->grad_scale), pass.scratch + p * C, C);
  const struct parameter *bias = l->trained_bias;
  if (bias)
    pass.kernels->column_sums(place_floats(bias->grad_at), cpu_grad(node->out[0]), node->in[0]->rows, C);
}

static size_t scale_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return CPU_PANELS_MAX * node->in[0]->cols;
}

const struct op_body cpu_scale = {.forward = scale_forward, .backward = scale_backward, .scratch = scale_scratch};
