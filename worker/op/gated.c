/* What a LLaMA block is made of besides its products: RMSNorm, rotary positions, SwiGLU, the residual sum. */
#include <string.h>

#include "worker/op/op.h"

struct pass {
  const struct node *node;
  struct tape *tape;
  size_t panels;
  bool backward;
  float *grad[2]; /* of the inputs; NULL: not asked for */
  bool add[2];    /* to what is there */
};

/* Runs `panel` over panels of rows, with the gradients of the inputs at hand in the backward direction. */
static void run(struct tape *tape, const struct node *node, pool_task *panel, bool backward) {
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows), .backward = backward};
  for (int i = 0; backward && i < 2 && node->in[i]; i++)
    pass.grad[i] = tape_grad(node->in[i], &pass.add[i]);
  pool_run(tape->backend->pool, pass.panels, panel, &pass);
}

/* Adds a gradient to what is there, or lays it down. */
static void deliver(float *to, const float *from, size_t count, bool add, const struct kernels *k) {
  if (add)
    k->add(to, from, count);
  else
    memcpy(to, from, count * sizeof *to);
}

/* Room for those of the inputs, one after the other. */
static size_t scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  size_t parts = 0;
  bool any = false;
  for (int i = 0; i < 2 && node->in[i]; i++) {
    parts += tape_grad_apart(node, i);
    any = any || node->in[i]->needs_grad;
  }
  return any ? parts * node->in[0]->rows * node->in[0]->cols : 0;
}

/* --- RMSNorm -------------------------------------------------------------------------------------- */

static void rmsnorm_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct norm *norm = n->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t C = n->in[0]->cols, groups = C / norm->channels;
  size_t first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels), at = first * C;
  float *rstd = n->out[1]->data + first * groups;
  if (!pass->backward) {
    k->rmsnorm(n->out[0]->data + at, rstd, n->in[0]->data + at, norm->weight, rows * groups, norm->channels,
               norm->epsilon);
    return;
  }
  if (!pass->grad[0])
    return;
  float *dx = pass->add[0] ? pass->tape->scratch + at : pass->grad[0] + at;
  k->rmsnorm_backward(dx, n->out[0]->grad + at, n->in[0]->data + at, rstd, norm->weight, rows * groups, norm->channels);
  if (pass->add[0])
    k->add(pass->grad[0] + at, dx, rows * C);
}

static void rmsnorm_forward(struct tape *tape, const struct node *node) {
  run(tape, node, rmsnorm_panel, false);
}

static void rmsnorm_backward(struct tape *tape, const struct node *node) {
  run(tape, node, rmsnorm_panel, true);
}

static const struct op op_row_rmsnorm = {"rmsnorm", rmsnorm_forward, rmsnorm_backward, scratch, 1, 2};

struct tensor *op_rmsnorm(struct tape *tape, struct tensor *x, const struct norm *norm) {
  CHECK(x->cols % norm->channels == 0);
  struct tensor *in[NODE_INPUTS] = {x};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols),
                                      tape_tensor(tape, x->rows, x->cols / norm->channels)};
  tape_record(tape, &op_row_rmsnorm, norm, in, out);
  out[0]->recompute = true;
  return out[0];
}

/* --- the residual sum ----------------------------------------------------------------------------- */

static void add_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t C = n->in[0]->cols, first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels);
  size_t at = first * C, count = rows * C;
  if (!pass->backward) {
    memcpy(n->out[0]->data + at, n->in[0]->data + at, count * sizeof(float));
    k->add(n->out[0]->data + at, n->in[1]->data + at, count);
    return;
  }
  for (int i = 0; i < 2; i++)
    if (pass->grad[i])
      deliver(pass->grad[i] + at, n->out[0]->grad + at, count, pass->add[i], k);
}

static void add_forward(struct tape *tape, const struct node *node) {
  run(tape, node, add_panel, false);
}

static void add_backward(struct tape *tape, const struct node *node) {
  run(tape, node, add_panel, true);
}

static const struct op op_row_add = {"add", add_forward, add_backward, NULL, 0, 0};

struct tensor *op_add(struct tape *tape, struct tensor *x, struct tensor *y) {
  CHECK(x->rows == y->rows && x->cols == y->cols);
  struct tensor *in[NODE_INPUTS] = {x, y}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  tape_record(tape, &op_row_add, NULL, in, out);
  return out[0];
}

/* --- SwiGLU --------------------------------------------------------------------------------------- */

static void swiglu_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t C = n->in[0]->cols, first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels);
  size_t at = first * C, count = rows * C;
  const float *gate = n->in[0]->data + at, *up = n->in[1]->data + at;
  if (!pass->backward) {
    k->swiglu(n->out[0]->data + at, gate, up, count);
    return;
  }
  float *spare = pass->tape->scratch, *to[2];
  for (int i = 0; i < 2; i++) {
    bool own = pass->grad[i] && !pass->add[i];
    to[i] = (own ? pass->grad[i] : spare) + at;
    spare += own ? 0 : n->in[0]->rows * C;
  }
  k->swiglu_backward(to[0], to[1], n->out[0]->grad + at, gate, up, count);
  for (int i = 0; i < 2; i++)
    if (pass->grad[i] && pass->add[i])
      k->add(pass->grad[i] + at, to[i], count);
}

static void swiglu_forward(struct tape *tape, const struct node *node) {
  run(tape, node, swiglu_panel, false);
}

static void swiglu_backward(struct tape *tape, const struct node *node) {
  run(tape, node, swiglu_panel, true);
}

static const struct op op_row_swiglu = {"swiglu", swiglu_forward, swiglu_backward, scratch, 3, 0};

struct tensor *op_swiglu(struct tape *tape, struct tensor *gate, struct tensor *up) {
  CHECK(gate->rows == up->rows && gate->cols == up->cols);
  struct tensor *in[NODE_INPUTS] = {gate, up}, *out[NODE_OUTPUTS] = {tape_tensor(tape, gate->rows, gate->cols)};
  tape_record(tape, &op_row_swiglu, NULL, in, out);
  out[0]->recompute = true;
  return out[0];
}

/* --- rotary positions ----------------------------------------------------------------------------- */

struct rope {
  const struct sequences *sequences;
  const struct rotary *rotary;
};

/* One panel of rows, whatever sequences they belong to. */
static void rope_task(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *n = pass->node;
  const struct rope *r = n->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t C = n->in[0]->cols, half = r->rotary->head_size / 2, heads = C / r->rotary->head_size;
  size_t first, rows = backend_panel(&first, n->in[0]->rows, index, pass->panels), b = 0;
  for (size_t i = first; i < first + rows; i++) {
    while (r->sequences->offsets[b + 1] <= i)
      b++;
    const float *cos = r->rotary->cos + (i - r->sequences->offsets[b]) * half;
    const float *sin = r->rotary->sin + (i - r->sequences->offsets[b]) * half;
    if (!pass->backward) {
      k->rope(n->out[0]->data + i * C, n->in[0]->data + i * C, cos, sin, heads, half, 1.0f);
      continue;
    }
    float *dx = (pass->add[0] ? pass->tape->scratch : pass->grad[0]) + i * C;
    k->rope(dx, n->out[0]->grad + i * C, cos, sin, heads, half, -1.0f);
    if (pass->add[0])
      k->add(pass->grad[0] + i * C, dx, C);
  }
}

static void rope_forward(struct tape *tape, const struct node *node) {
  run(tape, node, rope_task, false);
}

static void rope_backward(struct tape *tape, const struct node *node) {
  run(tape, node, rope_task, true);
}

static const struct op op_row_rope = {"rope", rope_forward, rope_backward, scratch, 0, 0};

struct tensor *op_rope(struct tape *tape, struct tensor *x, const struct sequences *sequences,
                       const struct rotary *rotary) {
  CHECK(x->cols % rotary->head_size == 0);
  struct rope *r = tape_attributes(tape, sizeof *r);
  *r = (struct rope){sequences, rotary};
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  tape_record(tape, &op_row_rope, r, in, out);
  return out[0];
}
