/* Ops of one pass over the elements, in panels of rows. */
#include <math.h>
#include <string.h>

#include "worker/backend/cpu/op.h"

struct elementwise_pass {
  const struct node *node;
  const struct kernels *kernels;
  size_t panels;
  bool backward;
  float *scratch;
  float *grad[2]; /* of the inputs; NULL: not asked for */
  bool add[2];    /* to what is there */
};

/* A panel's elements, and where its gradients are made: in place, or in scratch memory to be added. */
struct elements {
  size_t first_row, rows, cols, at, count;
  const float *x[2], *dy;
  float *y, *dx[2];
};

static struct elements elements_of(const struct elementwise_pass *pass, size_t index) {
  const struct node *n = pass->node;
  struct elements e = {.cols = n->in[0]->cols};
  e.rows = cpu_panel(&e.first_row, n->in[0]->rows, index, pass->panels);
  e.at = e.first_row * e.cols;
  e.count = e.rows * e.cols;
  e.y = cpu_data(n->out[0]) + e.at;
  e.dy = pass->backward ? cpu_grad(n->out[0]) + e.at : NULL;
  float *spare = pass->scratch;
  for (int i = 0; i < 2 && n->in[i]; i++) {
    bool own = pass->grad[i] && !pass->add[i];
    float *dx = own ? pass->grad[i] : spare;
    e.x[i] = cpu_data(n->in[i]) + e.at;
    e.dx[i] = dx ? dx + e.at : NULL;
    spare = own || !spare ? spare : spare + n->in[0]->rows * e.cols;
  }
  return e;
}

/* Adds the gradients that were made in scratch memory. */
static void add_gradients(const struct elementwise_pass *pass, const struct elements *e) {
  for (int i = 0; i < 2; i++)
    if (pass->grad[i] && pass->add[i])
      pass->kernels->add(pass->grad[i] + e->at, e->dx[i], e->count);
}

static void run_panels(struct tape *tape, const struct node *node, pool_task *panel, bool backward) {
  struct elementwise_pass pass = {.node = node,
                                  .kernels = tape->backend->kernels,
                                  .panels = cpu_panels(node->in[0]->rows),
                                  .backward = backward,
                                  .scratch = cpu_scratch(tape)};
  for (int i = 0; backward && i < 2 && node->in[i]; i++)
    pass.grad[i] = cpu_take_grad(node->in[i], &pass.add[i]);
  pool_run(tape->backend->pool, pass.panels, panel, &pass);
}

/* Room for the gradients that are made apart, one after the other. */
static size_t elementwise_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  size_t parts = 0;
  bool any = false;
  for (int i = 0; i < 2 && node->in[i]; i++) {
    parts += tape_grad_apart(node, i);
    any = any || node->in[i]->needs_grad;
  }
  return any ? parts * node->in[0]->rows * node->in[0]->cols : 0;
}

/* --- GELU, ReLU, tanh, dropout -------------------------------------------------------------------------- */

static void gelu_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  struct elements e = elements_of(pass, index);
  if (!pass->backward) {
    pass->kernels->gelu(e.y, e.x[0], e.count);
    return;
  }
  pass->kernels->gelu_backward(e.dx[0], e.dy, e.x[0], e.count);
  add_gradients(pass, &e);
}

static void gelu_tanh_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  struct elements e = elements_of(pass, index);
  if (!pass->backward) {
    pass->kernels->gelu_tanh(e.y, e.x[0], e.count);
    return;
  }
  pass->kernels->gelu_tanh_backward(e.dx[0], e.dy, e.x[0], e.count);
  add_gradients(pass, &e);
}

static void dropout_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  const struct dropout *d = pass->node->attributes;
  struct elements e = elements_of(pass, index);
  if (!pass->backward) {
    pass->kernels->dropout(e.y, e.x[0], e.first_row, e.rows, e.cols, d);
    return;
  }
  pass->kernels->dropout(e.dx[0], e.dy, e.first_row, e.rows, e.cols, d);
  add_gradients(pass, &e);
}

/* ReLU and tanh are used on one row a sequence: no kernel is worth its while. */
static void relu_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  struct elements e = elements_of(pass, index);
  float *dx = pass->grad[0] ? pass->grad[0] + e.at : NULL;
  for (size_t i = 0; i < e.count; i++)
    if (!pass->backward)
      e.y[i] = e.x[0][i] < 0.0f ? 0.0f : e.x[0][i]; /* NaN stays */
    else
      dx[i] = (pass->add[0] ? dx[i] : 0.0f) + (e.y[i] > 0.0f ? e.dy[i] : 0.0f);
}

static void tanh_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  struct elements e = elements_of(pass, index);
  float *dx = pass->grad[0] ? pass->grad[0] + e.at : NULL;
  for (size_t i = 0; i < e.count; i++)
    if (!pass->backward)
      e.y[i] = tanhf(e.x[0][i]);
    else
      dx[i] = (pass->add[0] ? dx[i] : 0.0f) + e.dy[i] * (1.0f - e.y[i] * e.y[i]);
}

/* --- sums and products of two --------------------------------------------------------------------- */

static void add_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  struct elements e = elements_of(pass, index);
  if (!pass->backward) {
    memcpy(e.y, e.x[0], e.count * sizeof *e.y);
    pass->kernels->add(e.y, e.x[1], e.count);
    return;
  }
  for (int i = 0; i < 2; i++) {
    float *dx = pass->grad[i] ? pass->grad[i] + e.at : NULL;
    if (dx && pass->add[i])
      pass->kernels->add(dx, e.dy, e.count);
    else if (dx)
      memcpy(dx, e.dy, e.count * sizeof *dx);
  }
}

static void swiglu_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  struct elements e = elements_of(pass, index);
  if (!pass->backward) {
    pass->kernels->swiglu(e.y, e.x[0], e.x[1], e.count);
    return;
  }
  pass->kernels->swiglu_backward(e.dx[0], e.dx[1], e.dy, e.x[0], e.x[1], e.count);
  add_gradients(pass, &e);
}

static void geglu_tanh_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  struct elements e = elements_of(pass, index);
  if (!pass->backward) {
    pass->kernels->geglu_tanh(e.y, e.x[0], e.x[1], e.count);
    return;
  }
  pass->kernels->geglu_tanh_backward(e.dx[0], e.dx[1], e.dy, e.x[0], e.x[1], e.count);
  add_gradients(pass, &e);
}

static void swish_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  const float *beta = pass->node->attributes;
  struct elements e = elements_of(pass, index);
  if (!pass->backward) {
    pass->kernels->swish(e.y, e.x[0], *beta, e.count);
    return;
  }
  pass->kernels->swish_backward(e.dx[0], e.dy, e.x[0], *beta, e.count);
  add_gradients(pass, &e);
}

static void multiply_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  const float *factor = pass->node->attributes;
  struct elements e = elements_of(pass, index);
  if (!pass->backward) {
    pass->kernels->multiply(e.y, e.x[0], *factor, e.count);
    return;
  }
  pass->kernels->multiply(e.dx[0], e.dy, *factor, e.count);
  add_gradients(pass, &e);
}

/* --- parts of rows -------------------------------------------------------------------------------- */

/* Rows are gate and up side by side; so are their gradients. */
static void geglu_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  const struct geglu_attributes *a = pass->node->attributes;
  const struct kernels *k = pass->kernels;
  struct elements e = elements_of(pass, index);
  size_t F = e.cols / 2, at = e.first_row * F, gate = a->gate_last ? F : 0, up = F - gate;
  for (size_t row = 0; row < e.rows; row++) {
    const float *x = e.x[0] + row * e.cols;
    size_t y = at + row * F;
    if (!pass->backward) {
      k->geglu(cpu_data(pass->node->out[0]) + y, x + gate, x + up, F);
      continue;
    }
    float *dx = e.dx[0] + row * e.cols;
    k->geglu_backward(dx + gate, dx + up, cpu_grad(pass->node->out[0]) + y, x + gate, x + up, F);
  }
  if (pass->backward)
    add_gradients(pass, &e);
}

static void columns_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct elementwise_pass *pass = payload;
  const struct columns_attributes *a = pass->node->attributes;
  struct elements e = elements_of(pass, index);
  size_t count = pass->node->out[0]->cols, at = e.first_row * count;
  for (size_t row = 0; row < e.rows; row++) {
    size_t y = at + row * count;
    if (!pass->backward) {
      memcpy(cpu_data(pass->node->out[0]) + y, e.x[0] + row * e.cols + a->first, count * sizeof *e.y);
      continue;
    }
    float *dx = pass->grad[0] + e.at + row * e.cols;
    if (!pass->add[0])
      memset(dx, 0, e.cols * sizeof *dx);
    pass->kernels->add(dx + a->first, cpu_grad(pass->node->out[0]) + y, count);
  }
}

#define BODY(name, scratch_of)                                                                                         \
  static void name##_forward(struct tape *tape, const struct node *node) {                                             \
    run_panels(tape, node, name##_panel, false);                                                                       \
  }                                                                                                                    \
  static void name##_backward(struct tape *tape, const struct node *node) {                                            \
    run_panels(tape, node, name##_panel, true);                                                                        \
  }                                                                                                                    \
  const struct op_body cpu_##name = {.forward = name##_forward, .backward = name##_backward, .scratch = scratch_of};

BODY(gelu, elementwise_scratch)
BODY(gelu_tanh, elementwise_scratch)
BODY(relu, NULL)
BODY(dropout, elementwise_scratch)
BODY(tanh, NULL)
BODY(add, NULL)
BODY(swiglu, elementwise_scratch)
BODY(geglu_tanh, elementwise_scratch)
BODY(swish, elementwise_scratch)
BODY(multiply, elementwise_scratch)
BODY(geglu, elementwise_scratch)
BODY(columns, NULL)
