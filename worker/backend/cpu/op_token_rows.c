/* Trained rows of a token embedding: where tokens are looked up, and where a tied head makes logits of them. */
#include "worker/backend/cpu/op_token_rows.h"

#include <string.h>

static const float *trained_row(const struct token_rows *rows, size_t row) {
  return place_floats(rows->trained->at) + row * rows->table->cols;
}

/* --- the embedding -------------------------------------------------------------------------------- */

/* x has the frozen row, and whatever stands beside it. */
static void token_rows_forward(struct tape *tape, const struct node *node) {
  const struct token_rows_attributes *a = node->attributes;
  const struct token_rows *rows = a->rows;
  const int32_t *ids = place_address(a->sequences->token_ids), *row_of = place_address(rows->row_of);
  size_t C = node->in[0]->cols;
  memcpy(cpu_data(node->out[0]), cpu_data(node->in[0]), node->in[0]->rows * C * sizeof(float));
  for (size_t i = 0; i < node->in[0]->rows; i++) {
    int32_t row = row_of[ids[i]];
    if (row < 0)
      continue;
    float *y = cpu_data(node->out[0]) + i * C;
    const float *frozen = weight_part(rows->table, (size_t)ids[i], 0, C, cpu_scratch(tape));
    const float *trained = trained_row(rows, (size_t)row);
    for (size_t c = 0; c < C; c++)
      y[c] = y[c] - frozen[c] + trained[c];
  }
}

struct lookup_pass {
  const struct kernels *kernels;
  const struct token_rows *rows;
  const int32_t *ids, *row_of;
  const float *dy;
  size_t tokens;
};

/* The gradient of one row: a task each, so that sums do not depend on the number of threads. */
static void lookup_gradient(void *payload, size_t row, int thread) {
  (void)thread;
  const struct lookup_pass *p = payload;
  size_t C = p->rows->table->cols;
  float *grad = place_floats(p->rows->trained->grad_at) + row * C;
  for (size_t i = 0; i < p->tokens; i++)
    if (p->row_of[p->ids[i]] == (int32_t)row)
      p->kernels->add(grad, p->dy + i * C, C);
}

static void token_rows_backward(struct tape *tape, const struct node *node) {
  const struct token_rows_attributes *a = node->attributes;
  const struct kernels *kernels = tape->backend->kernels;
  size_t count = node->in[0]->rows * node->in[0]->cols;
  bool accumulate;
  float *dx = cpu_take_grad(node->in[0], &accumulate);
  if (dx && accumulate)
    kernels->add(dx, cpu_grad(node->out[0]), count);
  else if (dx)
    memcpy(dx, cpu_grad(node->out[0]), count * sizeof *dx);
  struct lookup_pass pass = {.kernels = kernels,
                             .rows = a->rows,
                             .ids = place_address(a->sequences->token_ids),
                             .row_of = place_address(a->rows->row_of),
                             .dy = cpu_grad(node->out[0]),
                             .tokens = node->in[0]->rows};
  pool_run(tape->backend->pool, a->rows->count, lookup_gradient, &pass);
}

static size_t token_rows_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return node->in[0]->cols;
}

const struct op_body cpu_token_rows = {
    .forward = token_rows_forward, .backward = token_rows_backward, .scratch = token_rows_scratch};

/* --- the tied head -------------------------------------------------------------------------------- */

struct logits_pass {
  const struct token_rows *rows;
  float *logits;
  const float *x;
};

static void row_logits(void *payload, size_t i, int thread) {
  (void)thread;
  const struct logits_pass *p = payload;
  size_t C = p->rows->table->cols, V = p->rows->table->rows;
  for (size_t j = 0; j < p->rows->count; j++) {
    const float *x = p->x + i * C, *trained = trained_row(p->rows, j);
    double sum = 0;
    for (size_t c = 0; c < C; c++)
      sum += (double)x[c] * (double)trained[c];
    p->logits[i * V + (size_t)p->rows->ids[j]] = (float)sum;
  }
}

void op_token_rows_put(struct backend *backend, float *logits, const float *x, size_t count,
                       const struct token_rows *rows) {
  struct logits_pass pass = {rows, logits, x};
  pool_run(backend->pool, count, row_logits, &pass);
}

void op_token_rows_take(float *taken, float *gradient, size_t count, const struct token_rows *rows) {
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < rows->count; j++) {
      float *from = gradient + i * rows->table->rows + (size_t)rows->ids[j];
      *taken++ = *from;
      *from = 0;
    }
}

struct back_pass {
  const struct token_rows *rows;
  float *dx;
  const float *taken;
};

static void row_back(void *payload, size_t i, int thread) {
  (void)thread;
  const struct back_pass *p = payload;
  size_t C = p->rows->table->cols;
  for (size_t j = 0; j < p->rows->count; j++) {
    float g = p->taken[i * p->rows->count + j], *dx = p->dx + i * C;
    const float *trained = trained_row(p->rows, j);
    for (size_t c = 0; c < C; c++)
      dx[c] += g * trained[c];
  }
}

void op_token_rows_back(struct backend *backend, float *dx, const float *taken, size_t count,
                        const struct token_rows *rows) {
  struct back_pass pass = {rows, dx, taken};
  pool_run(backend->pool, count, row_back, &pass);
}

struct learn_pass {
  const struct token_rows *rows;
  const float *taken, *weights, *x;
  const uint32_t *picked;
  size_t count;
};

static void row_learn(void *payload, size_t j, int thread) {
  (void)thread;
  const struct learn_pass *p = payload;
  size_t C = p->rows->table->cols;
  float *grad = place_floats(p->rows->trained->grad_at) + j * C;
  for (size_t i = 0; i < p->count; i++) {
    float g = p->taken[i * p->rows->count + j] * (p->weights ? p->weights[i] : 1.0f);
    const float *x = p->x + p->picked[i] * C;
    for (size_t c = 0; c < C; c++)
      grad[c] += g * x[c];
  }
}

void op_token_rows_learn(struct backend *backend, const struct token_rows *rows, const float *taken,
                         const float *weights, const float *x, const uint32_t *picked, size_t count) {
  struct learn_pass pass = {rows, taken, weights, x, picked, count};
  pool_run(backend->pool, rows->count, row_learn, &pass);
}

static void token_logits_forward(struct tape *tape, const struct node *node) {
  size_t count = node->in[0]->rows * node->in[0]->cols;
  memcpy(cpu_data(node->out[0]), cpu_data(node->in[0]), count * sizeof(float));
  op_token_rows_put(tape->backend, cpu_data(node->out[0]), cpu_data(node->in[1]), node->in[1]->rows, node->attributes);
}

const struct op_body cpu_token_logits = {.forward = token_logits_forward};
