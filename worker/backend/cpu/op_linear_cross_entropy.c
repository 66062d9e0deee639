/* The head of a language model and its loss in one op, a chunk of rows at a time. The forward pass makes the gradient
   of the rows at once, while their logits are there: the head's matmul never runs twice. */
#include <math.h>
#include <string.h>

#include "worker/backend/cpu/matmul.h"
#include "worker/backend/cpu/op.h"

enum {
  CHUNK = 256, /* rows whose logits exist at a time */
  ROW_TASKS = 16,
  PIECE = 256, /* logits of a row whose soft-capped values are kept while they become their gradient */
};

struct chunk {
  const struct linear_cross_entropy_attributes *a;
  const struct kernels *kernels;
  const uint32_t *targets; /* of the chunk's rows */
  size_t rows;
  float *x;        /* rows x C */
  float *logits;   /* rows x V; then their gradient */
  float *gradient; /* rows x C, or NULL when nobody asks */
  double losses[CHUNK];
  bool right[CHUNK];
};

/* A row's logits become their gradient: weight * softmax, less what the target takes, times the slope of a softcap. */
static void row_gradient(const struct chunk *c, float *row, float lse, size_t target) {
  const float weight = c->a->weight, softcap = c->a->head->softcap;
  size_t V = c->a->head->out;
  if (!(softcap > 0)) {
    c->kernels->softmax_scaled(row, V, lse, weight);
    row[target] -= weight;
    return;
  }
  for (size_t first = 0; first < V; first += PIECE) {
    float capped[PIECE];
    size_t count = V - first < PIECE ? V - first : PIECE;
    memcpy(capped, row + first, count * sizeof *capped);
    c->kernels->softmax_scaled(row + first, count, lse, weight);
    if (target >= first && target < first + count)
      row[target] -= weight;
    c->kernels->softcap_backward(row + first, row + first, capped, count, softcap);
  }
}

static void softmax_task(void *payload, size_t task, int thread) {
  (void)thread;
  struct chunk *c = payload;
  size_t first, count = cpu_panel(&first, c->rows, task, ROW_TASKS), V = c->a->head->out;
  for (size_t i = first; i < first + count; i++) {
    size_t top, target = c->targets[i];
    float *row = c->logits + i * V;
    if (c->a->head->softcap > 0)
      c->kernels->softcap(row, row, V, c->a->head->softcap);
    double lse = c->kernels->log_sum_exp(row, V, &top);
    c->losses[i] = lse - (double)row[target];
    c->right[i] = top == target;
    if (c->gradient)
      row_gradient(c, row, (float)lse, target);
  }
}

static void linear_cross_entropy_forward(struct tape *tape, const struct node *node) {
  const struct linear_cross_entropy_attributes *a = node->attributes;
  const uint32_t *rows = place_address(a->tokens->rows), *targets = place_address(a->tokens->targets);
  const float *x = cpu_data(node->in[0]);
  size_t C = node->in[0]->cols, correct = 0;
  double sum = 0;
  struct chunk c = {.a = a, .kernels = tape->backend->kernels, .x = cpu_scratch(tape)};
  c.logits = c.x + CHUNK * C;
  float *scratch = c.logits + CHUNK * a->head->out;
  for (size_t first = 0; first < a->tokens->count; first += CHUNK) {
    size_t left = a->tokens->count - first;
    c.rows = left < CHUNK ? left : CHUNK;
    c.targets = targets + first;
    c.gradient = node->out[0] ? cpu_data(node->out[0]) + first * C : NULL;
    for (size_t i = 0; i < c.rows; i++)
      memcpy(c.x + i * C, x + rows[first + i] * C, C * sizeof *c.x);
    struct matmul matmul = {.c = c.logits, .a = c.x, .rows = c.rows, .weight = &a->head->weight, .transposed = true};
    matmul_run(tape->backend, &matmul, scratch);
    pool_run(tape->backend->pool, ROW_TASKS, softmax_task, &c);
    matmul = (struct matmul){.c = c.gradient, .a = c.logits, .rows = c.rows, .weight = &a->head->weight};
    if (c.gradient)
      matmul_run(tape->backend, &matmul, scratch);
    for (size_t i = 0; i < c.rows; i++) {
      sum += c.losses[i];
      correct += c.right[i];
    }
  }
  *a->loss = sum * (double)a->weight;
  if (a->correct)
    *a->correct = correct;
}

static void linear_cross_entropy_backward(struct tape *tape, const struct node *node) {
  const struct linear_cross_entropy_attributes *a = node->attributes;
  const uint32_t *rows = place_address(a->tokens->rows);
  size_t C = node->in[0]->cols;
  bool accumulate;
  float *dx = cpu_take_grad(node->in[0], &accumulate);
  if (!accumulate)
    memset(dx, 0, node->in[0]->rows * C * sizeof *dx);
  for (size_t i = 0; i < a->tokens->count; i++)
    tape->backend->kernels->add(dx + rows[i] * C, cpu_data(node->out[0]) + i * C, C);
}

static size_t linear_cross_entropy_scratch(const struct tape *tape, const struct node *node) {
  const struct linear_cross_entropy_attributes *a = node->attributes;
  size_t deepest = a->head->out > a->head->in ? a->head->out : a->head->in;
  return CHUNK * (node->in[0]->cols + a->head->out) + matmul_scratch(tape->backend, CHUNK, deepest, 0);
}

const struct op_body cpu_linear_cross_entropy = {.forward = linear_cross_entropy_forward,
                                                 .backward = linear_cross_entropy_backward,
                                                 .scratch = linear_cross_entropy_scratch};
