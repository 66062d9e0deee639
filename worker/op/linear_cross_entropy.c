/* The head of a language model and its loss in one op. The forward pass makes the gradient of the rows at
   once, while the logits of its few hundred rows are there: the head's product is never made twice. */
#include <math.h>
#include <string.h>

#include "worker/backend/cpu/matmul.h"
#include "worker/op/op.h"

enum {
  CHUNK = 256, /* rows whose logits exist at a time */
  ROW_TASKS = 16,
};

struct attributes {
  const struct linear *head;
  const struct next_tokens *tokens;
  float weight;
  double *loss;
  size_t *correct;
};

/* One chunk of rows. */
struct chunk {
  const struct attributes *a;
  const struct kernels *kernels;
  size_t first, rows;
  float *x;        /* rows x C: gathered */
  float *logits;   /* rows x V; then their gradient */
  float *gradient; /* rows x C, or NULL when nobody asks */
  double losses[CHUNK];
  bool right[CHUNK];
};

static void softmax_task(void *payload, size_t task, int thread) {
  (void)thread;
  struct chunk *c = payload;
  const struct next_tokens *tokens = c->a->tokens;
  size_t first, count = backend_panel(&first, c->rows, task, ROW_TASKS), V = c->a->head->out;
  for (size_t i = first; i < first + count; i++) {
    size_t top, label = tokens->labels[c->first + i];
    float *row = c->logits + i * V;
    double lse = c->kernels->log_sum_exp(row, V, &top);
    c->losses[i] = lse - (double)row[label];
    c->right[i] = top == label;
    if (!c->gradient)
      continue;
    c->kernels->softmax_scaled(row, V, (float)lse, c->a->weight);
    row[label] -= c->a->weight;
  }
}

static void forward(struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  const struct tensor *x = node->in[0];
  size_t C = x->cols, correct = 0;
  double sum = 0;
  struct chunk c = {.a = a, .kernels = tape->backend->kernels, .x = tape->scratch, .logits = tape->scratch + CHUNK * C};
  float *products = c.logits + CHUNK * a->head->out;
  for (c.first = 0; c.first < a->tokens->count; c.first += CHUNK) {
    size_t left = a->tokens->count - c.first;
    c.rows = left < CHUNK ? left : CHUNK;
    c.gradient = node->out[0] ? node->out[0]->data + c.first * C : NULL;
    for (size_t i = 0; i < c.rows; i++)
      memcpy(c.x + i * C, x->data + a->tokens->rows[c.first + i] * C, C * sizeof *c.x);
    struct matmul product = {.c = c.logits, .a = c.x, .rows = c.rows, .weight = &a->head->weight, .transposed = true};
    matmul_run(tape->backend, &product, products);
    pool_run(tape->backend->pool, ROW_TASKS, softmax_task, &c);
    product = (struct matmul){.c = c.gradient, .a = c.logits, .rows = c.rows, .weight = &a->head->weight};
    if (c.gradient)
      matmul_run(tape->backend, &product, products);
    for (size_t i = 0; i < c.rows; i++) {
      sum += c.losses[i];
      correct += c.right[i];
    }
  }
  *a->loss = sum * (double)a->weight;
  if (a->correct)
    *a->correct = correct;
}

static void backward(struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  size_t C = node->in[0]->cols;
  bool accumulate;
  float *dx = tape_grad(node->in[0], &accumulate);
  if (!accumulate)
    memset(dx, 0, node->in[0]->rows * C * sizeof *dx);
  for (size_t i = 0; i < a->tokens->count; i++)
    tape->backend->kernels->add(dx + a->tokens->rows[i] * C, node->out[0]->data + i * C, C);
}

static size_t scratch(const struct tape *tape, const struct node *node) {
  const struct attributes *a = node->attributes;
  size_t deepest = a->head->out > a->head->in ? a->head->out : a->head->in;
  return CHUNK * (node->in[0]->cols + a->head->out) + matmul_scratch(tape->backend, CHUNK, deepest, 0);
}

static const struct op op = {"linear+cross_entropy", forward, backward, scratch, 0, 1};

void op_linear_cross_entropy(struct tape *tape, struct tensor *x, const struct linear *head,
                             const struct next_tokens *tokens, float weight, double *loss, size_t *correct) {
  CHECK(x->cols == head->in && !head->bias && !head->low_rank && !head->rotation);
  struct attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct attributes){head, tokens, weight, loss, correct};
  bool gradient = tape->training && x->needs_grad;
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {0};
  if (gradient)
    out[0] = tape_tensor(tape, tokens->count, x->cols);
  tape_record(tape, &op, a, in, out);
  if (gradient)
    out[0]->grad_written = true; /* the loss's gradient is 1: its op is reached without one */
}
