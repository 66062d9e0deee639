/* What stands between convolutions: copies of rows, in panels. */
#include <string.h>

#include "worker/backend/cpu/op.h"

struct rows_pass {
  const struct node *node;
  const struct kernels *kernels;
  size_t panels;
  bool backward;
  float *grad[2]; /* of the inputs; NULL: not asked for */
  bool add[2];    /* to what is there */
};

/* In panels of the first input's rows. */
static struct rows_pass run_panels(struct tape *tape, const struct node *node, pool_task *panel, bool backward) {
  struct rows_pass pass = {
      .node = node, .kernels = tape->backend->kernels, .panels = cpu_panels(node->in[0]->rows), .backward = backward};
  for (int i = 0; backward && i < 2 && node->in[i]; i++)
    pass.grad[i] = cpu_take_grad(node->in[i], &pass.add[i]);
  pool_run(tape->backend->pool, pass.panels, panel, &pass);
  return pass;
}

static void give(const struct kernels *k, float *to, const float *from, size_t count, bool add) {
  if (add)
    k->add(to, from, count);
  else
    memcpy(to, from, count * sizeof *to);
}

/* --- upsample ------------------------------------------------------------------------------------- */

/* Pixel (y, x) of the input becomes four of the output. */
static void upsample_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct rows_pass *pass = payload;
  const struct node *n = pass->node;
  const struct images *from = n->attributes;
  size_t C = n->in[0]->cols, W = from->width, first, rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels);
  for (size_t row = first; row < first + rows; row++) {
    size_t line = row / W, top = (2 * line * 2 * W + 2 * (row % W)) * C, bottom = top + 2 * W * C;
    if (!pass->backward) {
      const float *x = cpu_data(n->in[0]) + row * C;
      float *y = cpu_data(n->out[0]);
      for (size_t i = 0; i < 2; i++) {
        memcpy(y + top + i * C, x, C * sizeof *y);
        memcpy(y + bottom + i * C, x, C * sizeof *y);
      }
    } else if (pass->grad[0]) {
      const float *dy = cpu_grad(n->out[0]);
      float *dx = pass->grad[0] + row * C;
      give(pass->kernels, dx, dy + top, C, pass->add[0]);
      pass->kernels->add(dx, dy + top + C, C);
      pass->kernels->add(dx, dy + bottom, C);
      pass->kernels->add(dx, dy + bottom + C, C);
    }
  }
}

/* --- concat --------------------------------------------------------------------------------------- */

static void concat_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct rows_pass *pass = payload;
  const struct node *n = pass->node;
  size_t cols = n->out[0]->cols, first, rows = cpu_panel(&first, n->out[0]->rows, index, pass->panels), from = 0;
  for (int i = 0; i < 2; from += n->in[i++]->cols) {
    size_t C = n->in[i]->cols;
    for (size_t row = first; row < first + rows; row++)
      if (!pass->backward)
        memcpy(cpu_data(n->out[0]) + row * cols + from, cpu_data(n->in[i]) + row * C, C * sizeof(float));
      else if (pass->grad[i])
        give(pass->kernels, pass->grad[i] + row * C, cpu_grad(n->out[0]) + row * cols + from, C, pass->add[i]);
  }
}

/* --- add_rows ------------------------------------------------------------------------------------- */

static void add_rows_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct rows_pass *pass = payload;
  const struct node *n = pass->node;
  size_t C = n->in[0]->cols, each = n->in[0]->rows / n->in[1]->rows, first;
  size_t rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels);
  if (pass->backward) {
    if (pass->grad[0])
      give(pass->kernels, pass->grad[0] + first * C, cpu_grad(n->out[0]) + first * C, rows * C, pass->add[0]);
    return;
  }
  float *y = cpu_data(n->out[0]);
  memcpy(y + first * C, cpu_data(n->in[0]) + first * C, rows * C * sizeof *y);
  for (size_t row = first; row < first + rows; row++)
    pass->kernels->add(y + row * C, cpu_data(n->in[1]) + row / each * C, C);
}

/* One image's sum. */
static void add_rows_sum(void *payload, size_t image, int thread) {
  (void)thread;
  const struct rows_pass *pass = payload;
  const struct node *n = pass->node;
  size_t C = n->in[1]->cols, each = n->in[0]->rows / n->in[1]->rows;
  float *grad = pass->grad[1] + image * C;
  if (!pass->add[1])
    memset(grad, 0, C * sizeof *grad);
  pass->kernels->column_sums(grad, cpu_grad(n->out[0]) + image * each * C, each, C);
}

static void upsample_forward(struct tape *tape, const struct node *node) {
  run_panels(tape, node, upsample_panel, false);
}

static void upsample_backward(struct tape *tape, const struct node *node) {
  run_panels(tape, node, upsample_panel, true);
}

static void concat_forward(struct tape *tape, const struct node *node) {
  run_panels(tape, node, concat_panel, false);
}

static void concat_backward(struct tape *tape, const struct node *node) {
  run_panels(tape, node, concat_panel, true);
}

static void add_rows_forward(struct tape *tape, const struct node *node) {
  run_panels(tape, node, add_rows_panel, false);
}

static void add_rows_backward(struct tape *tape, const struct node *node) {
  struct rows_pass pass = run_panels(tape, node, add_rows_panel, true);
  if (pass.grad[1])
    pool_run(tape->backend->pool, node->in[1]->rows, add_rows_sum, &pass);
}

const struct op_body cpu_upsample = {.forward = upsample_forward, .backward = upsample_backward};
const struct op_body cpu_concat = {.forward = concat_forward, .backward = concat_backward};
const struct op_body cpu_add_rows = {.forward = add_rows_forward, .backward = add_rows_backward};
