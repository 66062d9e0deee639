/* Ops that move rows: embeddings, and the first or the last row of each sequence. */
#include <string.h>

#include "worker/op/op.h"

struct embeddings {
  const struct sequences *sequences;
  const struct weight *words;
  const float *positions, *types;
};

static void embeddings_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct embeddings *e = node->attributes;
  const struct sequences *s = e->sequences;
  size_t C = node->out[0]->cols;
  for (size_t b = 0; b < s->count; b++)
    for (size_t i = s->offsets[b]; i < s->offsets[b + 1]; i++) {
      const float *position = e->positions ? e->positions + (i - s->offsets[b]) * C : NULL;
      const float *type = e->types ? e->types + (s->types ? s->types[i] : 0) * C : NULL;
      float *y = node->out[0]->data + i * C;
      const float *word = weight_part(e->words, (size_t)s->ids[i], 0, C, y);
      for (size_t c = 0; c < C; c++)
        y[c] = word[c] + (type ? type[c] : 0.0f) + (position ? position[c] : 0.0f);
    }
}

static const struct op op_row_embeddings = {"embeddings", embeddings_forward, NULL, NULL, 0, 0};

struct tensor *op_embeddings(struct tape *tape, const struct sequences *sequences, const struct weight *words,
                             const float *positions, const float *types) {
  struct embeddings *e = tape_attributes(tape, sizeof *e);
  *e = (struct embeddings){sequences, words, positions, types};
  struct tensor *in[NODE_INPUTS] = {0}, *out[NODE_OUTPUTS] = {tape_tensor(tape, sequences->tokens, words->cols)};
  tape_record(tape, &op_row_embeddings, e, in, out);
  return out[0];
}

struct pick {
  const struct sequences *sequences;
  enum sequence_rows rows;
};

static size_t picked(const struct pick *p, size_t sequence) {
  return p->rows == ROWS_LAST ? p->sequences->offsets[sequence + 1] - 1 : p->sequences->offsets[sequence];
}

static void pick_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct pick *p = node->attributes;
  size_t C = node->in[0]->cols;
  for (size_t b = 0; b < p->sequences->count; b++)
    memcpy(node->out[0]->data + b * C, node->in[0]->data + picked(p, b) * C, C * sizeof(float));
}

static void pick_backward(struct tape *tape, const struct node *node) {
  const struct pick *p = node->attributes;
  size_t C = node->in[0]->cols;
  bool accumulate;
  float *dx = tape_grad(node->in[0], &accumulate);
  if (!accumulate)
    memset(dx, 0, node->in[0]->rows * C * sizeof *dx);
  for (size_t b = 0; b < p->sequences->count; b++)
    tape->backend->kernels->add(dx + picked(p, b) * C, node->out[0]->grad + b * C, C);
}

static const struct op op_row_pick = {"pick_rows", pick_forward, pick_backward, NULL, 0, 0};

struct tensor *op_rows(struct tape *tape, struct tensor *x, const struct sequences *sequences,
                       enum sequence_rows rows) {
  if (rows == ROWS_ALL)
    return x;
  struct pick *p = tape_attributes(tape, sizeof *p);
  *p = (struct pick){sequences, rows};
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, sequences->count, x->cols)};
  tape_record(tape, &op_row_pick, p, in, out);
  return out[0];
}
