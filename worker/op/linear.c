/* y = x W^T + b, with the adapter's low-rank product in the same pass over the rows. */
#include <string.h>

#include "worker/op/op.h"

static size_t rank_of(const struct linear *l) {
  return l->adapter ? l->adapter->low.R : 0;
}

struct pass {
  const struct node *node;
  struct tape *tape;
  size_t panels;
  float *dx;
  bool add_dx;
  float *partial; /* per panel: g_down, g_up, g_core */
  size_t partial_floats;
};

static void forward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *node = pass->node;
  const struct linear *l = node->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t first, rows = backend_panel(&first, node->in[0]->rows, index, pass->panels);
  const float *x = node->in[0]->data + first * l->in;
  float *y = node->out[0]->data + first * l->out;
  backend_gemm_nt(y, x, l->weight, rows, l->out, l->in);
  if (l->adapter) {
    const struct low_rank *low = &l->adapter->low;
    float *q = node->out[1]->data + first * low->R;
    k->gemm(q, low->R, x, l->in, 1, low->down, low->R, rows, low->R, l->in, 1.0f, false);
    k->gemm(y, l->out, q, low->R, 1, low->up_t, l->out, rows, l->out, low->R, low->sign, true);
  }
  if (l->bias)
    k->add_bias(y, l->bias, rows, l->out);
}

static void forward(struct tape *tape, const struct node *node) {
  struct pass pass = {.node = node, .tape = tape, .panels = backend_panels(node->in[0]->rows)};
  pool_run(tape->backend->pool, pass.panels, forward_panel, &pass);
}

static size_t partial_floats(const struct linear *l) {
  size_t R = rank_of(l);
  return (l->in + l->out + R) * R;
}

static size_t scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct linear *l = node->attributes;
  return node->in[0]->rows * rank_of(l) + BACKEND_PANELS_MAX * partial_floats(l);
}

static void backward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *node = pass->node;
  const struct linear *l = node->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t first, rows = backend_panel(&first, node->in[0]->rows, index, pass->panels);
  const float *dy = node->out[0]->grad + first * l->out;
  float *dx = pass->dx ? pass->dx + first * l->in : NULL;
  if (dx)
    backend_gemm_nn(dx, dy, l->weight, rows, l->in, l->out, pass->add_dx);
  if (!l->adapter)
    return;
  const struct low_rank *low = &l->adapter->low;
  const float *x = node->in[0]->data + first * l->in, *q = node->out[1]->data + first * low->R;
  float *c = pass->tape->scratch + first * low->R;
  float *g_down = pass->partial + index * pass->partial_floats, *g_up = g_down + l->in * low->R;
  k->gemm(c, low->R, dy, l->out, 1, low->up_back, low->R, rows, low->R, l->out, 1.0f, false);
  if (dx)
    k->gemm(dx, l->in, c, low->R, 1, low->down_back_t, l->in, rows, l->in, low->R, low->sign, true);
  k->gemm(g_down, low->R, x, 1, l->in, c, low->R, l->in, low->R, rows, 1.0f, false);
  k->gemm(g_up, low->R, dy, 1, l->out, q, low->R, l->out, low->R, rows, 1.0f, false);
  k->gemm(g_up + l->out * low->R, low->R, c, 1, low->R, q, low->R, low->R, low->R, rows, 1.0f, false);
}

static void backward(struct tape *tape, const struct node *node) {
  const struct linear *l = node->attributes;
  struct tensor *x = node->in[0], *y = node->out[0];
  struct pass pass = {
      .node = node, .tape = tape, .panels = backend_panels(x->rows), .partial_floats = partial_floats(l)};
  pass.dx = tape_grad(x, &pass.add_dx);
  pass.partial = tape->scratch + x->rows * rank_of(l);
  pool_run(tape->backend->pool, pass.panels, backward_panel, &pass);
  const struct kernels *k = tape->backend->kernels;
  if (l->adapter) {
    const struct low_rank *low = &l->adapter->low;
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

struct tensor *op_linear(struct tape *tape, struct tensor *x, const struct linear *l) {
  CHECK(x->cols == l->in && !(l->adapter && l->trained_weight));
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, l->out)};
  if (l->adapter)
    out[1] = tape_tensor(tape, x->rows, rank_of(l));
  out[0]->needs_grad = l->adapter || l->trained_weight || l->trained_bias;
  tape_record(tape, l->adapter ? &op_adapted : l->trained_weight ? &op_trained : &op_plain, l, in, out);
  return out[0];
}
