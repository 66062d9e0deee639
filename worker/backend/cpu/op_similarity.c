/* Rows of length 1 and their products. A row's length and its sums are in double: the rows are few. */
#include <math.h>

#include "worker/backend/cpu/op.h"
#include "worker/tensor/dot.h"

/* What PyTorch divides by at least. */
static const double least_length = 1e-12;

struct pass {
  const struct node *node;
  const struct kernels *kernels;
  size_t panels;
  float *dx;
  bool accumulate;
};

/* --- rows of length 1 ----------------------------------------------------------------------------- */

static void unit_row(void *payload, size_t row, int thread) {
  (void)thread;
  const struct node *node = ((const struct pass *)payload)->node;
  size_t C = node->in[0]->cols;
  const float *x = cpu_data(node->in[0]) + row * C;
  float *y = cpu_data(node->out[0]) + row * C;
  double length = sqrt(dot(x, x, C));
  float inverse = (float)(1 / (length < least_length ? least_length : length)); /* NaN stays one */
  for (size_t c = 0; c < C; c++)
    y[c] = x[c] * inverse;
  cpu_data(node->out[1])[row] = inverse;
}

static void unit_row_backward(void *payload, size_t row, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct node *node = pass->node;
  size_t C = node->in[0]->cols;
  const float *y = cpu_data(node->out[0]) + row * C, *dy = cpu_grad(node->out[0]) + row * C;
  float *dx = pass->dx + row * C, inverse = cpu_data(node->out[1])[row], along = (float)dot(y, dy, C);
  for (size_t c = 0; c < C; c++)
    dx[c] = (dy[c] - y[c] * along) * inverse + (pass->accumulate ? dx[c] : 0.0f);
}

static void unit_rows_forward(struct tape *tape, const struct node *node) {
  struct pass pass = {.node = node};
  pool_run(tape->backend->pool, node->in[0]->rows, unit_row, &pass);
}

static void unit_rows_backward(struct tape *tape, const struct node *node) {
  struct pass pass = {.node = node};
  pass.dx = cpu_take_grad(node->in[0], &pass.accumulate);
  if (pass.dx)
    pool_run(tape->backend->pool, node->in[0]->rows, unit_row_backward, &pass);
}

const struct op_body cpu_unit_rows = {.forward = unit_rows_forward, .backward = unit_rows_backward};

/* --- products ------------------------------------------------------------------------------------- */

static void similarities_of_row(void *payload, size_t row, int thread) {
  (void)thread;
  const struct node *node = ((const struct pass *)payload)->node;
  const struct similarity_attributes *a = node->attributes;
  size_t C = node->in[0]->cols, width = node->out[0]->cols;
  const float *x = cpu_data(node->in[0]), *others = x + (a->first + (a->which == SIMILARITY_OWN ? row : 0)) * C;
  for (size_t j = 0; j < width; j++)
    cpu_data(node->out[0])[row * width + j] = (float)((double)a->scale * dot(x + row * C, others + j * C, C));
}

static void similarity_forward(struct tape *tape, const struct node *node) {
  struct pass pass = {.node = node};
  pool_run(tape->backend->pool, node->out[0]->rows, similarities_of_row, &pass);
}

/* Each with its own: one row of dx. */
static void own_backward(void *payload, size_t row, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct similarity_attributes *a = pass->node->attributes;
  size_t C = pass->node->in[0]->cols, pair = row < a->first ? row : row - a->first;
  const float *other = cpu_data(pass->node->in[0]) + (row < a->first ? row + a->first : pair) * C;
  float *dx = pass->dx + row * C, share = a->scale * cpu_grad(pass->node->out[0])[pair];
  for (size_t c = 0; c < C; c++)
    dx[c] = share * other[c] + (pass->accumulate ? dx[c] : 0.0f);
}

/* A panel of the first rows and one of the others: two products with dY. */
static void all_backward(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  const struct similarity_attributes *a = pass->node->attributes;
  size_t C = pass->node->in[0]->cols, M = a->first, width = pass->node->out[0]->cols, at;
  const float *x = cpu_data(pass->node->in[0]), *dy = cpu_grad(pass->node->out[0]);
  size_t rows = cpu_panel(&at, M, index, pass->panels);
  pass->kernels->gemm(pass->dx + at * C, C, dy + at * width, width, 1, x + M * C, C, rows, C, width, a->scale,
                      pass->accumulate);
  rows = cpu_panel(&at, width, index, pass->panels);
  pass->kernels->gemm(pass->dx + (M + at) * C, C, dy + at, 1, width, x, C, rows, C, M, a->scale, pass->accumulate);
}

static void similarity_backward(struct tape *tape, const struct node *node) {
  const struct similarity_attributes *a = node->attributes;
  struct pass pass = {.node = node, .kernels = tape->backend->kernels, .panels = cpu_panels(node->in[0]->rows)};
  pass.dx = cpu_take_grad(node->in[0], &pass.accumulate);
  if (!pass.dx)
    return;
  if (a->which == SIMILARITY_OWN)
    pool_run(tape->backend->pool, node->in[0]->rows, own_backward, &pass);
  else
    pool_run(tape->backend->pool, pass.panels, all_backward, &pass);
}

const struct op_body cpu_similarity = {.forward = similarity_forward, .backward = similarity_backward};
