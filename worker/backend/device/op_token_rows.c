/* Trained rows of a token embedding: where tokens are looked up, and where a tied head makes logits of them. */
#include "worker/backend/device/device_op.h"

static struct token_rows_args args_of(const struct token_rows *rows, size_t count) {
  return (struct token_rows_args){(int)rows->count, (int)count, (int)rows->table->cols, (int)rows->table->rows};
}

/* --- the embedding -------------------------------------------------------------------------------- */

static void token_rows_forward(struct tape *tape, const struct node *node) {
  const struct token_rows_attributes *a = node->attributes;
  const struct token_rows *rows = a->rows;
  size_t N = node->in[0]->rows, C = node->in[0]->cols;
  const struct embeddings_args args = {device_weight_args(rows->table), (int)N, (int)C, 0};
  device_launch_each(tape->backend, DEVICE_token_rows, N * device_groups(C, 4),
                     PLACES(node->out[0]->data, node->in[0]->data, rows->table->place, rows->trained->at,
                            a->sequences->token_ids, rows->row_of),
                     &args);
}

static void token_rows_backward(struct tape *tape, const struct node *node) {
  const struct token_rows_attributes *a = node->attributes;
  const struct token_rows *rows = a->rows;
  const struct token_rows_args args = args_of(rows, node->in[0]->rows);
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  if (dx.buffer)
    tape->backend->ops->copy(tape->backend, &(struct strided_copy){.to = dx,
                                                                   .to_row = node->in[0]->cols,
                                                                   .to_col = 1,
                                                                   .from = node->out[0]->grad,
                                                                   .from_row = node->in[0]->cols,
                                                                   .from_col = 1,
                                                                   .rows = node->in[0]->rows,
                                                                   .cols = node->in[0]->cols,
                                                                   .scale = 1,
                                                                   .accumulate = add});
  device_launch_each(tape->backend, DEVICE_token_rows_backward, rows->count * rows->table->cols,
                     PLACES(rows->trained->grad_at, node->out[0]->grad, a->sequences->token_ids, rows->row_of), &args);
}

const struct op_body device_token_rows = {.forward = token_rows_forward, .backward = token_rows_backward};

/* --- the tied head -------------------------------------------------------------------------------- */

void device_token_logits_put(struct backend *backend, struct place logits, struct place x, size_t count,
                             const struct token_rows *rows) {
  const struct token_rows_args args = args_of(rows, count);
  device_launch_each(backend, DEVICE_token_logits_put, count * rows->count,
                     PLACES(logits, x, rows->trained->at, rows->tokens), &args);
}

void device_token_logits_take(struct backend *backend, struct place taken, struct place gradient, size_t count,
                              const struct token_rows *rows) {
  const struct token_rows_args args = args_of(rows, count);
  device_launch_each(backend, DEVICE_token_logits_take, count * rows->count, PLACES(taken, gradient, rows->tokens),
                     &args);
}

void device_token_logits_back(struct backend *backend, struct place dx, struct place taken, size_t count,
                              const struct token_rows *rows) {
  const struct token_rows_args args = args_of(rows, count);
  device_launch_each(backend, DEVICE_token_logits_back, count * rows->table->cols, PLACES(dx, taken, rows->trained->at),
                     &args);
}

void device_token_logits_learn(struct backend *backend, const struct token_rows *rows, struct place taken,
                               struct place weights, struct place x, struct place picked, size_t count) {
  const struct token_rows_args args = args_of(rows, count);
  device_launch_each(backend, DEVICE_token_logits_learn, rows->count * rows->table->cols,
                     PLACES(rows->trained->grad_at, taken, weights, x, picked), &args);
}

static void token_logits_forward(struct tape *tape, const struct node *node) {
  const struct tensor *y = node->in[0];
  tape->backend->ops->copy(tape->backend, &(struct strided_copy){.to = node->out[0]->data,
                                                                 .to_row = y->cols,
                                                                 .to_col = 1,
                                                                 .from = y->data,
                                                                 .from_row = y->cols,
                                                                 .from_col = 1,
                                                                 .rows = y->rows,
                                                                 .cols = y->cols,
                                                                 .scale = 1});
  device_token_logits_put(tape->backend, node->out[0]->data, node->in[1]->data, y->rows, node->attributes);
}

const struct op_body device_token_logits = {.forward = token_logits_forward};
