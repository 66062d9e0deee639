/* y = x W^T + b, with the adapter's low-rank product in the same pass over the rows, or with the input rotated
   before and the output scaled after it (rotate.c). */
#include <string.h>

#include "worker/op/op.h"

struct attributes {
  const struct linear *linear;
  const struct low_rank *low; /* NULL: no low-rank adapter */
  struct dropout dropout;     /* of what `low` reads; threshold 0: none */
};

struct pass {
  const struct node *node;
  struct tape *tape;
  size_t panels;
  float *dx;
  bool add_dx;
  float *partial; /* per panel: g_down, g_up, g_core */
  size_t partial_floats;
  float *dropped; /* rows x in, with dropout: what `low` read, or gave */
};

static void forward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *node = pass->node;
  const struct attributes *a = node->attributes;
  const struct linear *l = a->linear;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t first, rows = backend_panel(&first, node->in[0]->rows, index, pass->panels);
  const float *x = node->in[0]->data + first * l->in;
  float *y = node->out[0]->data + first * l->out;
  backend_gemm_nt(y, x, l->weight, rows, l->out, l->in);
  if (a->low) {
    const struct low_rank *low = a->low;
    float *q = node->out[1]->data + first * low->R;
    if (a->dropout.threshold) {
      float *dropped = pass->dropped + first * l->in;
      k->dropout(dropped, x, first, rows, l->in, &a->dropout);
      x = dropped;
    }
    k->gemm(q, low->R, x, l->in, 1, low->down, low->R, rows, low->R, l->in, 1.0f, false);
    k->gemm(y, l->out, q, low->R, 1, low->up_t, l->out, rows, l->out, low->R, low->sign, true);
  }
  if (l->bias)
    k->add_bias(y, l->bias, rows, l->out);
}

static size_t partial_floats(const struct attributes *a) {
  size_t R = a->low ? a->low->R : 0;
  return (a->linear->in + a->linear->out + R) * R;
}

/* Scratch: C (rows x R), the panels' partial sums, and with dropout rows x in. */
static size_t scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct attributes *a = node->attributes;
  size_t rows = node->in[0]->rows, dropped = a->dropout.threshold ? rows * a->linear->in : 0;
  return (a->low ? rows * a->low->R : 0) + BACKEND_PANELS_MAX * partial_floats(a) + dropped;
}

static struct pass make_pass(struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  struct pass pass = {.node = node,
                      .tape = tape,
                      .panels = backend_panels(node->in[0]->rows),
                      .partial = tape->scratch + (a->low ? node->in[0]->rows * a->low->R : 0),
                      .partial_floats = partial_floats(a)};
  pass.dropped = pass.partial + BACKEND_PANELS_MAX * pass.partial_floats;
  return pass;
}

static void forward(struct tape *tape, const struct node *node) {
  struct pass pass = make_pass(tape, node);
  pool_run(tape->backend->pool, pass.panels, forward_panel, &pass);
}

/* The adapter's share of dx; with dropout it passes the mask that its input passed. */
static void low_rank_dx(const struct pass *pass, float *dx, const float *c, float *dropped, size_t first, size_t rows) {
  const struct attributes *a = pass->node->attributes;
  const struct low_rank *low = a->low;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t in = a->linear->in;
  if (!a->dropout.threshold) {
    k->gemm(dx, in, c, low->R, 1, low->down_back_t, in, rows, in, low->R, low->sign, true);
    return;
  }
  k->gemm(dropped, in, c, low->R, 1, low->down_back_t, in, rows, in, low->R, low->sign, false);
  k->dropout(dropped, dropped, first, rows, in, &a->dropout);
  k->add(dx, dropped, rows * in);
}

static void backward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *node = pass->node;
  const struct attributes *a = node->attributes;
  const struct linear *l = a->linear;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t first, rows = backend_panel(&first, node->in[0]->rows, index, pass->panels);
  const float *dy = node->out[0]->grad + first * l->out;
  float *dx = pass->dx ? pass->dx + first * l->in : NULL;
  if (dx)
    backend_gemm_nn(dx, dy, l->weight, rows, l->in, l->out, pass->add_dx);
  if (!a->low)
    return;
  const struct low_rank *low = a->low;
  const float *x = node->in[0]->data + first * l->in, *q = node->out[1]->data + first * low->R;
  float *c = pass->tape->scratch + first * low->R, *dropped = pass->dropped + first * l->in;
  float *g_down = pass->partial + index * pass->partial_floats, *g_up = g_down + l->in * low->R;
  k->gemm(c, low->R, dy, l->out, 1, low->up_back, low->R, rows, low->R, l->out, 1.0f, false);
  if (dx)
    low_rank_dx(pass, dx, c, dropped, first, rows);
  if (a->dropout.threshold) {
    k->dropout(dropped, x, first, rows, l->in, &a->dropout);
    x = dropped;
  }
  k->gemm(g_down, low->R, x, 1, l->in, c, low->R, l->in, low->R, rows, 1.0f, false);
  k->gemm(g_up, low->R, dy, 1, l->out, q, low->R, l->out, low->R, rows, 1.0f, false);
  k->gemm(g_up + l->out * low->R, low->R, c, 1, low->R, q, low->R, low->R, low->R, rows, 1.0f, false);
}

static void backward(struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  const struct linear *l = a->linear;
  struct tensor *x = node->in[0], *y = node->out[0];
  struct pass pass = make_pass(tape, node);
  pass.dx = tape_grad(x, &pass.add_dx);
  pool_run(tape->backend->pool, pass.panels, backward_panel, &pass);
  const struct kernels *k = tape->backend->kernels;
  if (a->low) {
    const struct low_rank *low = a->low;
    for (size_t p = 0; p < pass.panels; p++) {
      const float *part = pass.partial + p * pass.partial_floats;
      k->add(low->g_down, part, l->in * low->R);
      k->add(low->g_up, part + l->in * low->R, l->out * low->R);
      k->add(low->g_core, part + (l->in + l->out) * low->R, low->R * low->R);
    }
  }
  if (l->trained_weight)
    backend_gemm_tn(l->trained_weight->grad, y->grad, x->data, l->out, l->in, x->rows);
  if (l->trained_bias)
    k->column_sums(l->trained_bias->grad, y->grad, x->rows, l->out);
}

/* The input is needed for the adapter's and the weight's gradient only, q for the adapter's. */
static const struct op op_plain = {"linear", forward, backward, scratch, 0, 0};
static const struct op op_adapted = {"linear+adapter", forward, backward, scratch, 1, 2};
static const struct op op_trained = {"linear+weight", forward, backward, scratch, 1, 0};

static struct tensor *record(struct tape *tape, struct tensor *x, const struct linear *l, const struct low_rank *low,
                             double dropout) {
  struct attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct attributes){.linear = l, .low = low};
  if (dropout > 0) {
    struct dropout own = op_next_dropout(tape, dropout);
    if (tape->training)
      a->dropout = own;
  }
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, l->out)};
  if (low)
    out[1] = tape_tensor(tape, x->rows, low->R);
  out[0]->needs_grad = low || l->trained_weight || l->trained_bias;
  tape_record(tape, low ? &op_adapted : l->trained_weight ? &op_trained : &op_plain, a, in, out);
  return out[0];
}

struct tensor *op_linear(struct tape *tape, struct tensor *x, const struct linear *l) {
  CHECK(x->cols == l->in && !(l->adapter && l->trained_weight));
  const struct adapter *adapter = l->adapter;
  if (!adapter || adapter->low.R)
    return record(tape, x, l, adapter ? &adapter->low : NULL, adapter ? adapter->dropout : 0);
  const struct rotation *rotation = &adapter->rotation;
  struct linear *base = tape_attributes(tape, sizeof *base);
  *base = *l;
  base->adapter = NULL;
  if (rotation->scale) { /* the bias comes after the scale */
    base->bias = NULL;
    base->trained_bias = NULL;
  }
  struct tensor *y = record(tape, op_rotate(tape, x, rotation), base, NULL, 0);
  return rotation->scale ? op_scale(tape, y, rotation, l) : y;
}
