/* y = x W^T + b, with the adapter's low-rank product in the same pass over the rows, or with the input rotated
   before and the output scaled after it (rotate.c). */
#include "worker/backend/cpu/matmul.h"
#include "worker/op/op.h"

enum { STRIP = 24 };

struct attributes {
  const struct linear *linear;
  const struct low_rank *low; /* NULL: no low-rank adapter */
  struct dropout dropout;     /* of what `low` reads; threshold 0: none */
};

/* The adapter's products, by panels of rows. */
struct pass {
  const struct node *node;
  struct tape *tape;
  size_t panels;
  float *c;       /* rows x R */
  float *partial; /* per panel: grad_down and grad_up transposed (R rows), grad_core */
  size_t partial_floats;
  float *dropped; /* rows x in, with dropout: what `down` reads, or what it gives */
  float *product; /* of matmul_run */
  float *dx;      /* with dropout: what the mask is applied to and added */
};

static size_t partial_floats(const struct attributes *a) {
  size_t R = a->low ? a->low->R : 0;
  return (a->linear->in + a->linear->out + R) * R;
}

static size_t rank_of(const struct attributes *a) {
  return a->low ? a->low->R : 0;
}

static size_t scratch(const struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  size_t rows = node->in[0]->rows, dropped = a->dropout.threshold ? rows * a->linear->in : 0;
  return rows * rank_of(a) + BACKEND_PANELS_MAX * partial_floats(a) + dropped +
         matmul_scratch(tape->backend, rows, a->linear->in > a->linear->out ? a->linear->in : a->linear->out,
                        rank_of(a));
}

static struct pass make_pass(struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  size_t rows = node->in[0]->rows;
  struct pass pass = {.node = node,
                      .tape = tape,
                      .panels = backend_panels(rows),
                      .c = tape->scratch,
                      .partial = tape->scratch + rows * rank_of(a),
                      .partial_floats = partial_floats(a)};
  pass.dropped = pass.partial + BACKEND_PANELS_MAX * pass.partial_floats;
  pass.product = pass.dropped + (a->dropout.threshold ? rows * a->linear->in : 0);
  return pass;
}

/* --- forward -------------------------------------------------------------------------------------- */

/* Q = X down */
static void down_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *node = pass->node;
  const struct attributes *a = node->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t in = a->linear->in, R = a->low->R, first;
  size_t rows = backend_panel(&first, node->in[0]->rows, index, pass->panels);
  for (size_t row = first, n; row < first + rows; row += n) {
    n = first + rows - row < STRIP ? first + rows - row : STRIP;
    const float *x = node->in[0]->data + row * in;
    size_t ahead = row + n < first + rows ? n * in : 0;
    if (a->dropout.threshold) {
      k->dropout(pass->dropped + row * in, x, row, n, in, &a->dropout);
      x = pass->dropped + row * in;
    }
    k->thin(node->out[1]->data + row * R, x, a->low->down, n, in, R, node->in[0]->data + (row + n) * in, ahead);
  }
}

static void forward(struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  struct pass pass = make_pass(tape, node);
  struct matmul y = {.c = node->out[0]->data,
                     .a = node->in[0]->data,
                     .rows = node->in[0]->rows,
                     .weight = &a->linear->weight,
                     .transposed = true,
                     .bias = a->linear->bias};
  if (a->low) {
    pool_run(tape->backend->pool, pass.panels, down_panel, &pass);
    y.R = a->low->R;
    y.q = node->out[1]->data;
    y.v = a->low->up_t;
    y.sign = a->low->sign;
  }
  matmul_run(tape->backend, &y, pass.product);
}

/* --- backward ------------------------------------------------------------------------------------- */

/* C = dY up_back, and the gradients of the factors. A strip of rows stays in the cache for all that reads it. */
static void factor_gradients_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *node = pass->node;
  const struct attributes *a = node->attributes;
  const struct low_rank *low = a->low;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t in = a->linear->in, out = a->linear->out, R = low->R, first;
  size_t rows = backend_panel(&first, node->in[0]->rows, index, pass->panels), end = first + rows;
  float *grad_down = pass->partial + index * pass->partial_floats, *grad_up = grad_down + in * R,
        *grad_core = grad_up + out * R;
  for (size_t row = first; row < end; row += STRIP) {
    size_t n = end - row < STRIP ? end - row : STRIP;
    const float *dy = node->out[0]->grad + row * out, *q = node->out[1]->data + row * R;
    const float *x = node->in[0]->data + row * in;
    float *c = pass->c + row * R;
    bool add = row > first;
    k->thin(c, dy, low->up_back, n, out, R, x, n * in);
    k->gemm(grad_up, out, q, 1, R, dy, out, R, out, n, 1.0f, add);
    if (a->dropout.threshold) {
      k->dropout(pass->dropped + row * in, x, row, n, in, &a->dropout);
      x = pass->dropped + row * in;
    }
    k->gemm(grad_down, in, c, 1, R, x, in, R, in, n, 1.0f, add);
    k->gemm(grad_core, R, c, 1, R, q, R, R, R, n, 1.0f, add);
  }
}

/* The adapter's share of dx passes the mask that its input passed. */
static void dropped_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct attributes *a = pass->node->attributes;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t in = a->linear->in, R = a->low->R, first;
  size_t rows = backend_panel(&first, pass->node->in[0]->rows, index, pass->panels);
  float *share = pass->dropped + first * in;
  k->gemm(share, in, pass->c + first * R, R, 1, a->low->down_back_t, in, rows, in, R, a->low->sign, false);
  k->dropout(share, share, first, rows, in, &a->dropout);
  k->add(pass->dx + first * in, share, rows * in);
}

/* to (count x R) += from (R x count), transposed */
static void add_transposed(float *to, const float *from, size_t count, size_t R) {
  for (size_t i = 0; i < count; i++)
    for (size_t r = 0; r < R; r++)
      to[i * R + r] += from[r * count + i];
}

/* Sums over panels in order, in the first panel's place. */
static void sum_partials(const struct pass *pass) {
  const struct attributes *a = pass->node->attributes;
  const struct low_rank *low = a->low;
  const struct kernels *k = pass->tape->backend->kernels;
  size_t in = a->linear->in, out = a->linear->out, R = low->R;
  for (size_t p = 1; p < pass->panels; p++)
    k->add(pass->partial, pass->partial + p * pass->partial_floats, pass->partial_floats);
  add_transposed(low->grad_down, pass->partial, in, R);
  add_transposed(low->grad_up, pass->partial + in * R, out, R);
  k->add(low->grad_core, pass->partial + (in + out) * R, R * R);
}

static void backward_input(struct pass *pass) {
  const struct attributes *a = pass->node->attributes;
  struct tape *tape = pass->tape;
  struct matmul dx = {.a = pass->node->out[0]->grad, .rows = pass->node->in[0]->rows, .weight = &a->linear->weight};
  dx.c = pass->dx = tape_grad(pass->node->in[0], &dx.accumulate);
  if (!dx.c)
    return;
  if (a->low && !a->dropout.threshold) {
    dx.R = a->low->R;
    dx.q = pass->c;
    dx.v = a->low->down_back_t;
    dx.sign = a->low->sign;
  }
  matmul_run(tape->backend, &dx, pass->product);
  if (a->dropout.threshold)
    pool_run(tape->backend->pool, pass->panels, dropped_panel, pass);
}

/* dW += dY^T X of a head that is trained: small. */
static void weight_gradient(struct tape *tape, const struct linear *l, const struct tensor *x, const float *dy) {
  tape->backend->kernels->gemm(l->trained_weight->grad, l->in, dy, 1, l->out, x->data, l->in, l->out, l->in, x->rows,
                               1.0f, true);
}

static void backward(struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  const struct linear *l = a->linear;
  struct tensor *x = node->in[0], *y = node->out[0];
  struct pass pass = make_pass(tape, node);
  if (a->low) {
    pool_run(tape->backend->pool, pass.panels, factor_gradients_panel, &pass);
    sum_partials(&pass);
  }
  backward_input(&pass);
  if (l->trained_weight)
    weight_gradient(tape, l, x, y->grad);
  if (l->trained_bias)
    tape->backend->kernels->column_sums(l->trained_bias->grad, y->grad, x->rows, l->out);
}

/* The input is needed for the adapter's and the weight's gradient only, q for the adapter's. */
static const struct op op_plain = {"linear", forward, backward, scratch, 0, 0};
static const struct op op_adapted = {"linear+adapter", forward, backward, scratch, 1, 2};
static const struct op op_trained = {"linear+weight", forward, backward, scratch, 1, 0};

static struct tensor *record(struct tape *tape, struct tensor *x, const struct linear *l) {
  const struct low_rank *low = l->low_rank;
  struct attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct attributes){.linear = l, .low = low};
  if (low && low->dropout > 0) {
    struct dropout own = op_next_dropout(tape, low->dropout);
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
  const struct rotation *rotation = l->rotation;
  CHECK(x->cols == l->in && !((l->low_rank || rotation) && l->trained_weight));
  if (!rotation)
    return record(tape, x, l);
  struct linear *base = tape_attributes(tape, sizeof *base);
  *base = *l;
  base->rotation = NULL;
  if (rotation->scale) { /* the bias comes after the scale */
    base->bias = NULL;
    base->trained_bias = NULL;
  }
  struct tensor *y = record(tape, op_rotate(tape, x, rotation), base);
  return rotation->scale ? op_scale(tape, y, rotation, l) : y;
}
