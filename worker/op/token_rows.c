/* What trained rows of a token embedding change of the frozen ones' results. */
#include "worker/op/attributes.h"

static const struct op op_row_token_rows = {.name = "token_rows", .kind = OP_TOKEN_ROWS};

struct tensor *op_token_rows(struct tape *tape, struct tensor *x, const struct sequences *sequences,
                             const struct token_rows *rows) {
  if (!token_rows_on(rows))
    return x;
  CHECK(x->rows == sequences->tokens && x->cols == rows->table->cols);
  struct token_rows_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct token_rows_attributes){sequences, rows};
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  out[0]->needs_grad = true;
  tape_record(tape, &op_row_token_rows, a, in, out);
  return out[0];
}

static const struct op op_row_token_logits = {.name = "token_logits", .kind = OP_TOKEN_LOGITS};

struct tensor *op_token_logits(struct tape *tape, struct tensor *y, struct tensor *x, const struct token_rows *rows) {
  CHECK(!tape->training && x->rows == y->rows && x->cols == rows->table->cols && y->cols == rows->table->rows);
  struct tensor *in[NODE_INPUTS] = {y, x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, y->rows, y->cols)};
  tape_record(tape, &op_row_token_logits, rows, in, out);
  return out[0];
}
