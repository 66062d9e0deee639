/* LayerNorm, alone and as the closing of a post-norm block, and RMSNorm. */
#include <string.h>

#include "worker/backend/cpu/op.h"

enum { STRIP = 8 }; /* rows: few enough to stay in L1 */

struct norm_pass {
  const struct node *node;
  const struct kernels *kernels;
  size_t panels;
  float *scratch;
  float *dx, *dresidual;
  bool add_dx, add_dresidual;
};

static struct norm_pass make_pass(const struct tape *tape, const struct node *node, bool backward) {
  struct norm_pass pass = {.node = node,
                           .kernels = tape->backend->kernels,
                           .panels = cpu_panels(node->in[0]->rows),
                           .scratch = cpu_scratch(tape)};
  if (backward)
    pass.dx = cpu_take_grad(node->in[0], &pass.add_dx);
  if (backward && node->in[1])
    pass.dresidual = cpu_take_grad(node->in[1], &pass.add_dresidual);
  return pass;
}

/* --- LayerNorm ------------------------------------------------------------------------------------ */

/* The normalised sum: what LayerNorm saw. */
static const float *seen(const struct node *node) {
  return cpu_data(node->out[2] ? node->out[2] : node->in[0]);
}

static void forward_strip(const struct norm_pass *pass, size_t row, size_t count) {
  const struct node *n = pass->node;
  const struct layernorm_attributes *a = n->attributes;
  const struct kernels *k = pass->kernels;
  size_t N = n->in[0]->rows, C = n->in[0]->cols, at = row * C;
  if (n->out[2]) {
    float *sum = cpu_data(n->out[2]) + at;
    const float *x = cpu_data(n->in[0]) + at;
    if (a->dropout.threshold)
      k->dropout(sum, x, row, count, C, &a->dropout);
    else
      memcpy(sum, x, count * C * sizeof *sum);
    k->add(sum, cpu_data(n->in[1]) + at, count * C);
  }
  float *mean = cpu_data(n->out[1]) + row, *rstd = mean + N;
  k->layernorm(cpu_data(n->out[0]) + at, mean, rstd, seen(n) + at, place_floats(a->norm->weight),
               place_floats(a->norm->bias), count, C, a->norm->epsilon);
}

static void in_strips(const struct norm_pass *pass, size_t index,
                      void (*strip)(const struct norm_pass *, size_t, size_t)) {
  size_t first, rows = cpu_panel(&first, pass->node->in[0]->rows, index, pass->panels);
  for (size_t row = first; row < first + rows; row += STRIP)
    strip(pass, row, first + rows - row < STRIP ? first + rows - row : STRIP);
}

static void forward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  in_strips(payload, index, forward_strip);
}

static void layernorm_forward(struct tape *tape, const struct node *node) {
  struct norm_pass pass = make_pass(tape, node, false);
  pool_run(tape->backend->pool, pass.panels, forward_panel, &pass);
}

static void add_or_copy(float *to, const float *from, size_t count, bool add, const struct kernels *k) {
  if (add)
    k->add(to, from, count);
  else if (to != from)
    memcpy(to, from, count * sizeof *to);
}

/* The gradient of what LayerNorm saw is made where the residual's goes, that of x from it where x's goes, unless these
   are added to: then by way of scratch memory. */
static void backward_strip(const struct norm_pass *pass, size_t row, size_t count) {
  const struct node *n = pass->node;
  const struct layernorm_attributes *a = n->attributes;
  const struct kernels *k = pass->kernels;
  size_t N = n->in[0]->rows, C = n->in[0]->cols, at = row * C;
  const float *mean = cpu_data(n->out[1]) + row, *rstd = mean + N;
  float *own = pass->scratch + at, *dx = pass->dx ? pass->dx + at : NULL;
  float *dresidual = pass->dresidual ? pass->dresidual + at : NULL;
  float *ds = dresidual && !pass->add_dresidual ? dresidual : dx && !dresidual && !pass->add_dx ? dx : own;
  k->layernorm_backward(ds, cpu_grad(n->out[0]) + at, seen(n) + at, mean, rstd, place_floats(a->norm->weight), count,
                        C);
  if (dresidual && pass->add_dx) /* x's share may be made in its place */
    add_or_copy(dresidual, ds, count * C, pass->add_dresidual, k);
  if (dx) {
    const float *share = ds;
    if (a->dropout.threshold) {
      float *dropped = pass->add_dx ? own : dx;
      k->dropout(dropped, ds, row, count, C, &a->dropout);
      share = dropped;
    }
    add_or_copy(dx, share, count * C, pass->add_dx, k);
  }
  if (dresidual && !pass->add_dx) /* the residual may be x itself: written first, then added to */
    add_or_copy(dresidual, ds, count * C, pass->add_dresidual, k);
}

static void backward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  in_strips(payload, index, backward_strip);
}

static void layernorm_backward(struct tape *tape, const struct node *node) {
  const struct layernorm_attributes *a = node->attributes;
  struct norm_pass pass = make_pass(tape, node, true);
  const struct parameter *bias = a->norm->trained_bias;
  if (bias)
    pass.kernels->column_sums(place_floats(bias->grad_at), cpu_grad(node->out[0]), node->in[0]->rows,
                              node->in[0]->cols);
  pool_run(tape->backend->pool, pass.panels, backward_panel, &pass);
}

static size_t layernorm_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return node->in[0]->rows * node->in[0]->cols;
}

const struct op_body cpu_layernorm = {
    .forward = layernorm_forward, .backward = layernorm_backward, .scratch = layernorm_scratch};

/* --- RMSNorm -------------------------------------------------------------------------------------- */

static void rmsnorm_forward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct norm_pass *pass = payload;
  const struct node *n = pass->node;
  const struct norm *norm = n->attributes;
  size_t C = n->in[0]->cols, groups = C / norm->channels;
  size_t first, rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels), at = first * C;
  pass->kernels->rmsnorm(cpu_data(n->out[0]) + at, cpu_data(n->out[1]) + first * groups, cpu_data(n->in[0]) + at,
                         place_floats(norm->weight), rows * groups, norm->channels, norm->epsilon);
}

static void rmsnorm_backward_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct norm_pass *pass = payload;
  const struct node *n = pass->node;
  const struct norm *norm = n->attributes;
  size_t C = n->in[0]->cols, groups = C / norm->channels;
  size_t first, rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels), at = first * C;
  if (!pass->dx)
    return;
  float *dx = (pass->add_dx ? pass->scratch : pass->dx) + at;
  pass->kernels->rmsnorm_backward(dx, cpu_grad(n->out[0]) + at, cpu_data(n->in[0]) + at,
                                  cpu_data(n->out[1]) + first * groups, place_floats(norm->weight), rows * groups,
                                  norm->channels);
  if (pass->add_dx)
    pass->kernels->add(pass->dx + at, dx, rows * C);
}

static void rmsnorm_forward(struct tape *tape, const struct node *node) {
  struct norm_pass pass = make_pass(tape, node, false);
  pool_run(tape->backend->pool, pass.panels, rmsnorm_forward_panel, &pass);
}

static void rmsnorm_backward(struct tape *tape, const struct node *node) {
  struct norm_pass pass = make_pass(tape, node, true);
  pool_run(tape->backend->pool, pass.panels, rmsnorm_backward_panel, &pass);
}

/* Room for a gradient that is added. */
static size_t rmsnorm_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct tensor *x = node->in[0];
  return x->needs_grad && tape_grad_apart(node, 0) ? x->rows * x->cols : 0;
}

const struct op_body cpu_rmsnorm = {
    .forward = rmsnorm_forward, .backward = rmsnorm_backward, .scratch = rmsnorm_scratch};
