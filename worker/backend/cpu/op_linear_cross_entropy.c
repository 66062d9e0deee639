/* The head of a language model and its loss in one op, a chunk of rows at a time. The forward pass makes the gradient
   of the rows at once, while their logits are there: the head's matmul never runs twice. A preference's loss is known
   only when all rows are: then their gradients are multiplied by what each weighs in it. */
#include <math.h>
#include <string.h>

#include "worker/backend/cpu/matmul.h"
#include "worker/backend/cpu/op_token_rows.h"

enum {
  CHUNK = 256, /* rows whose logits exist at a time */
  ROW_TASKS = 16,
  PIECE = 256, /* logits of a row whose soft-capped values are kept while they become their gradient */
};

struct chunk {
  const struct kernels *kernels;
  const uint32_t *targets; /* of the chunk's rows */
  size_t rows, V;
  float weight;    /* of the rows' gradient */
  float softcap;   /* 0: none */
  float *x;        /* rows x C */
  float *logits;   /* rows x V; then their gradient */
  float *gradient; /* rows x C, or NULL when nobody asks */
  float *taken;    /* rows x trained rows of a tied head: their logits' gradient */
  double losses[CHUNK];
  bool right[CHUNK];
};

/* A row's logits become their gradient: weight * softmax, less what the target takes, times the slope of a softcap. */
static void row_gradient(const struct chunk *c, float *row, float lse, size_t target) {
  const float weight = c->weight;
  size_t V = c->V;
  if (!(c->softcap > 0)) {
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
    c->kernels->softcap_backward(row + first, row + first, capped, count, c->softcap);
  }
}

static void softmax_task(void *payload, size_t task, int thread) {
  (void)thread;
  struct chunk *c = payload;
  size_t first, count = cpu_panel(&first, c->rows, task, ROW_TASKS);
  for (size_t i = first; i < first + count; i++) {
    size_t top, target = c->targets[i];
    float *row = c->logits + i * c->V;
    if (c->softcap > 0)
      c->kernels->softcap(row, row, c->V, c->softcap);
    double lse = c->kernels->log_sum_exp(row, c->V, &top);
    c->losses[i] = lse - (double)row[target];
    c->right[i] = top == target;
    if (c->gradient)
      row_gradient(c, row, (float)lse, target);
  }
}

/* Numbers of `taken` for all tokens, and where it stands in an op's scratch memory. */
static size_t taken_count(const struct linear *head, const struct next_tokens *tokens) {
  return linear_token_rows(head) ? tokens->count * head->token_rows->count : 0;
}

/* Losses of the chunk that begins at row `first` of the next tokens, and their rows' gradient where it is asked for. */
static void run_chunk(struct chunk *c, struct tape *tape, const struct tensor *x, const struct linear *head,
                      const struct next_tokens *tokens, size_t first) {
  const uint32_t *rows = place_address(tokens->rows), *targets = place_address(tokens->targets);
  size_t C = x->cols, left = tokens->count - first;
  c->kernels = tape->backend->kernels;
  c->V = head->out;
  c->softcap = head->softcap;
  c->x = cpu_scratch(tape) + taken_count(head, tokens);
  c->taken = cpu_scratch(tape) + (linear_token_rows(head) ? first * head->token_rows->count : 0);
  c->logits = c->x + CHUNK * C;
  float *scratch = c->logits + CHUNK * head->out;
  c->rows = left < CHUNK ? left : CHUNK;
  c->targets = targets + first;
  for (size_t i = 0; i < c->rows; i++)
    memcpy(c->x + i * C, cpu_data(x) + rows[first + i] * C, C * sizeof *c->x);
  struct matmul matmul = {.c = c->logits, .a = c->x, .rows = c->rows, .weight = &head->weight, .transposed = true};
  matmul_run(tape->backend, &matmul, scratch);
  const struct token_rows *trained = linear_token_rows(head);
  if (trained)
    op_token_rows_put(tape->backend, c->logits, c->x, c->rows, trained);
  pool_run(tape->backend->pool, ROW_TASKS, softmax_task, c);
  if (trained && c->gradient)
    op_token_rows_take(c->taken, c->logits, c->rows, trained);
  matmul = (struct matmul){.c = c->gradient, .a = c->logits, .rows = c->rows, .weight = &head->weight};
  if (c->gradient)
    matmul_run(tape->backend, &matmul, scratch);
  if (trained && c->gradient)
    op_token_rows_back(tape->backend, c->gradient, c->taken, c->rows, trained);
}

/* The trained rows' gradient: each token's, times what it weighs. */
static void learn_rows(struct tape *tape, const struct tensor *x, const struct linear *head,
                       const struct next_tokens *tokens, const float *weights) {
  if (linear_token_rows(head))
    op_token_rows_learn(tape->backend, head->token_rows, cpu_scratch(tape), weights, cpu_data(x),
                        place_address(tokens->rows), tokens->count);
}

/* dx += the rows' gradient. */
static void add_gradient(const struct tape *tape, const struct node *node, const struct next_tokens *tokens,
                         const struct tensor *gradient) {
  const uint32_t *rows = place_address(tokens->rows);
  size_t C = node->in[0]->cols;
  bool accumulate;
  float *dx = cpu_take_grad(node->in[0], &accumulate);
  if (!accumulate)
    memset(dx, 0, node->in[0]->rows * C * sizeof *dx);
  for (size_t i = 0; i < tokens->count; i++)
    tape->backend->kernels->add(dx + rows[i] * C, cpu_data(gradient) + i * C, C);
}

static size_t chunk_scratch(const struct tape *tape, const struct node *node, const struct linear *head,
                            const struct next_tokens *tokens) {
  size_t deepest = head->out > head->in ? head->out : head->in;
  return taken_count(head, tokens) + CHUNK * (node->in[0]->cols + head->out) +
         matmul_scratch(tape->backend, CHUNK, deepest, 0);
}

/* --- each token's loss ---------------------------------------------------------------------------- */

static void linear_cross_entropy_forward(struct tape *tape, const struct node *node) {
  const struct linear_cross_entropy_attributes *a = node->attributes;
  size_t C = node->in[0]->cols, correct = 0;
  double sum = 0;
  struct chunk c = {.weight = a->weight};
  for (size_t first = 0; first < a->tokens->count; first += CHUNK) {
    c.gradient = node->out[0] ? cpu_data(node->out[0]) + first * C : NULL;
    run_chunk(&c, tape, node->in[0], a->head, a->tokens, first);
    for (size_t i = 0; i < c.rows; i++) {
      sum += c.losses[i];
      correct += c.right[i];
    }
  }
  if (node->out[0])
    learn_rows(tape, node->in[0], a->head, a->tokens, NULL);
  *a->loss = sum * (double)a->weight;
  if (a->correct)
    *a->correct = correct;
}

static void linear_cross_entropy_backward(struct tape *tape, const struct node *node) {
  const struct linear_cross_entropy_attributes *a = node->attributes;
  add_gradient(tape, node, a->tokens, node->out[0]);
}

static size_t linear_cross_entropy_scratch(const struct tape *tape, const struct node *node) {
  const struct linear_cross_entropy_attributes *a = node->attributes;
  return chunk_scratch(tape, node, a->head, a->tokens);
}

const struct op_body cpu_linear_cross_entropy = {.forward = linear_cross_entropy_forward,
                                                 .backward = linear_cross_entropy_backward,
                                                 .scratch = linear_cross_entropy_scratch};

/* --- a preference's ------------------------------------------------------------------------------- */

static void linear_preference_forward(struct tape *tape, const struct node *node) {
  const struct linear_preference_attributes *a = node->attributes;
  size_t C = node->in[0]->cols;
  float *losses = cpu_data(node->out[0]), *gradient = node->out[1] ? cpu_data(node->out[1]) : NULL;
  struct chunk c = {.weight = 1};
  for (size_t first = 0; first < a->tokens->count; first += CHUNK) {
    c.gradient = gradient ? gradient + first * C : NULL;
    run_chunk(&c, tape, node->in[0], a->head, a->tokens, first);
    for (size_t i = 0; i < c.rows; i++)
      losses[first + i] = (float)c.losses[i];
  }
  *a->loss = preference_weigh(a->scores, a->how, a->completions, losses);
  if (gradient)
    learn_rows(tape, node->in[0], a->head, a->tokens, losses);
  for (size_t i = 0; gradient && i < a->tokens->count; i++)
    for (size_t k = 0; k < C; k++)
      gradient[i * C + k] *= losses[i];
}

static void linear_preference_backward(struct tape *tape, const struct node *node) {
  const struct linear_preference_attributes *a = node->attributes;
  add_gradient(tape, node, a->tokens, node->out[1]);
}

static size_t linear_preference_scratch(const struct tape *tape, const struct node *node) {
  const struct linear_preference_attributes *a = node->attributes;
  return chunk_scratch(tape, node, a->head, a->tokens);
}

const struct op_body cpu_linear_preference = {
    .forward = linear_preference_forward, .backward = linear_preference_backward, .scratch = linear_preference_scratch};
