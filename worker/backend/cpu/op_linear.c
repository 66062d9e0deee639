/* Y = X W^T + b, with the low-rank product of an adapter in the same pass over the rows. */
#include "worker/backend/cpu/matmul.h"
#include "worker/backend/cpu/op.h"

enum { STRIP = 24 };

/* The adapter's products, by panels of rows. */
struct linear_pass {
  const struct node *node;
  const struct linear *linear;
  const struct low_rank *low; /* NULL: no low-rank adapter */
  const struct dropout *dropout;
  const struct backend *backend;
  size_t panels;
  const float *x;
  float *q;       /* rows x R */
  float *c;       /* rows x R */
  float *partial; /* per panel: grad_down and grad_up transposed (R rows), grad_core */
  size_t partial_floats;
  float *dropped; /* rows x in, with dropout: what `down` reads, or what it gives */
  float *matmul;  /* scratch of matmul_run */
  float *dx;      /* with dropout: what the mask is applied to and added */
};

static size_t rank_of(const struct linear *l) {
  return l->low_rank ? l->low_rank->R : 0;
}

static size_t partial_floats(const struct linear *l) {
  return (l->in + l->out + rank_of(l)) * rank_of(l);
}

static size_t linear_scratch(const struct tape *tape, const struct node *node) {
  const struct linear_attributes *a = node->attributes;
  const struct linear *l = a->linear;
  size_t rows = node->in[0]->rows, dropped = a->dropout.threshold ? rows * l->in : 0;
  return rows * rank_of(l) + CPU_PANELS_MAX * partial_floats(l) + dropped +
         matmul_scratch(tape->backend, rows, l->in > l->out ? l->in : l->out, rank_of(l));
}

static struct linear_pass make_pass(const struct tape *tape, const struct node *node) {
  const struct linear_attributes *a = node->attributes;
  const struct linear *l = a->linear;
  size_t rows = node->in[0]->rows;
  struct linear_pass pass = {.node = node,
                             .linear = l,
                             .low = l->low_rank,
                             .dropout = &a->dropout,
                             .backend = tape->backend,
                             .panels = cpu_panels(rows),
                             .x = cpu_data(node->in[0]),
                             .q = l->low_rank ? cpu_data(node->out[1]) : NULL,
                             .c = cpu_scratch(tape),
                             .partial = cpu_scratch(tape) + rows * rank_of(l),
                             .partial_floats = partial_floats(l)};
  pass.dropped = pass.partial + CPU_PANELS_MAX * pass.partial_floats;
  pass.matmul = pass.dropped + (a->dropout.threshold ? rows * l->in : 0);
  return pass;
}

/* --- forward -------------------------------------------------------------------------------------- */

/* Q = X down */
static void down_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct linear_pass *pass = payload;
  const struct kernels *k = pass->backend->kernels;
  const float *down = place_floats(pass->low->down);
  size_t in = pass->linear->in, R = pass->low->R, first;
  size_t rows = cpu_panel(&first, pass->node->in[0]->rows, index, pass->panels);
  for (size_t row = first, n; row < first + rows; row += n) {
    n = first + rows - row < STRIP ? first + rows - row : STRIP;
    const float *x = pass->x + row * in;
    size_t ahead = row + n < first + rows ? n * in : 0;
    if (pass->dropout->threshold) {
      k->dropout(pass->dropped + row * in, x, row, n, in, pass->dropout);
      x = pass->dropped + row * in;
    }
    k->gemm_skinny(pass->q + row * R, x, down, n, in, R, pass->x + (row + n) * in, ahead);
  }
}

static void linear_forward(struct tape *tape, const struct node *node) {
  struct linear_pass pass = make_pass(tape, node);
  const struct linear *l = pass.linear;
  struct matmul y = {.c = cpu_data(node->out[0]),
                     .a = pass.x,
                     .rows = node->in[0]->rows,
                     .weight = &l->weight,
                     .transposed = true,
                     .bias = place_floats(l->bias)};
  if (pass.low) {
    pool_run(tape->backend->pool, pass.panels, down_panel, &pass);
    y.R = pass.low->R;
    y.q = pass.q;
    y.v = place_floats(pass.low->up_t);
    y.sign = pass.low->sign;
  }
  matmul_run(tape->backend, &y, pass.matmul);
}

/* --- backward ------------------------------------------------------------------------------------- */

/* C = dY up_back, and the gradients of the factors. A strip of rows stays in the cache for all that reads it. */
static void factor_gradients_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct linear_pass *pass = payload;
  const struct kernels *k = pass->backend->kernels;
  const float *up_back = place_floats(pass->low->up_back), *all_dy = cpu_grad(pass->node->out[0]);
  size_t in = pass->linear->in, out = pass->linear->out, R = pass->low->R, first;
  size_t rows = cpu_panel(&first, pass->node->in[0]->rows, index, pass->panels), end = first + rows;
  float *grad_down = pass->partial + index * pass->partial_floats, *grad_up = grad_down + in * R,
        *grad_core = grad_up + out * R;
  for (size_t row = first; row < end; row += STRIP) {
    size_t n = end - row < STRIP ? end - row : STRIP;
    const float *dy = all_dy + row * out, *q = pass->q + row * R, *x = pass->x + row * in;
    float *c = pass->c + row * R;
    bool add = row > first;
    k->gemm_skinny(c, dy, up_back, n, out, R, x, n * in);
    k->gemm(grad_up, out, q, 1, R, dy, out, R, out, n, 1.0f, add);
    if (pass->dropout->threshold) {
      k->dropout(pass->dropped + row * in, x, row, n, in, pass->dropout);
      x = pass->dropped + row * in;
    }
    k->gemm(grad_down, in, c, 1, R, x, in, R, in, n, 1.0f, add);
    k->gemm(grad_core, R, c, 1, R, q, R, R, R, n, 1.0f, add);
  }
}

/* The adapter's share of dX passes the mask that its input passed. */
static void dropped_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct linear_pass *pass = payload;
  const struct low_rank *low = pass->low;
  const struct kernels *k = pass->backend->kernels;
  size_t in = pass->linear->in, R = low->R, first;
  size_t rows = cpu_panel(&first, pass->node->in[0]->rows, index, pass->panels);
  float *share = pass->dropped + first * in;
  k->gemm(share, in, pass->c + first * R, R, 1, place_floats(low->down_back_t), in, rows, in, R, low->sign, false);
  k->dropout(share, share, first, rows, in, pass->dropout);
  k->add(pass->dx + first * in, share, rows * in);
}

/* to (count x R) += from (R x count), transposed */
static void add_transposed(float *to, const float *from, size_t count, size_t R) {
  for (size_t i = 0; i < count; i++)
    for (size_t r = 0; r < R; r++)
      to[i * R + r] += from[r * count + i];
}

/* Sums over panels in order, in the first panel's place. */
static void sum_partials(const struct linear_pass *pass) {
  const struct low_rank *low = pass->low;
  const struct kernels *k = pass->backend->kernels;
  size_t in = pass->linear->in, out = pass->linear->out, R = low->R;
  for (size_t p = 1; p < pass->panels; p++)
    k->add(pass->partial, pass->partial + p * pass->partial_floats, pass->partial_floats);
  add_transposed(place_floats(low->grad_down), pass->partial, in, R);
  add_transposed(place_floats(low->grad_up), pass->partial + in * R, out, R);
  k->add(place_floats(low->grad_core), pass->partial + (in + out) * R, R * R);
}

static void input_gradient(struct linear_pass *pass) {
  const struct node *node = pass->node;
  const struct low_rank *low = pass->low;
  struct matmul dx = {.a = cpu_grad(node->out[0]), .rows = node->in[0]->rows, .weight = &pass->linear->weight};
  dx.c = pass->dx = cpu_take_grad(node->in[0], &dx.accumulate);
  if (!dx.c)
    return;
  if (low && !pass->dropout->threshold) {
    dx.R = low->R;
    dx.q = pass->c;
    dx.v = place_floats(low->down_back_t);
    dx.sign = low->sign;
  }
  matmul_run(pass->backend, &dx, pass->matmul);
  if (pass->dropout->threshold)
    pool_run(pass->backend->pool, pass->panels, dropped_panel, pass);
}

static void linear_backward(struct tape *tape, const struct node *node) {
  struct linear_pass pass = make_pass(tape, node);
  const struct linear *l = pass.linear;
  const struct kernels *k = tape->backend->kernels;
  const float *dy = cpu_grad(node->out[0]);
  size_t rows = node->in[0]->rows;
  if (pass.low) {
    pool_run(tape->backend->pool, pass.panels, factor_gradients_panel, &pass);
    sum_partials(&pass);
  }
  input_gradient(&pass);
  if (l->trained_weight) /* dW += dY^T X of a head that is trained: small */
    k->gemm(place_floats(l->trained_weight->grad_at), l->in, dy, 1, l->out, pass.x, l->in, l->out, l->in, rows, 1.0f,
            true);
  if (l->trained_bias)
    k->column_sums(place_floats(l->trained_bias->grad_at), dy, rows, l->out);
}

const struct op_body cpu_linear = {.forward = linear_forward, .backward = linear_backward, .scratch = linear_scratch};
