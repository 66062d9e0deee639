/* What compares embeddings: rows of length 1, and their products. */
#include "worker/op/attributes.h"

static const struct op op_row_unit_rows = {.name = "unit_rows", .kind = OP_UNIT_ROWS, .saves_outputs = 1 << 0 | 1 << 1};

struct tensor *op_unit_rows(struct tape *tape, struct tensor *x) {
  struct tensor *in[NODE_INPUTS] = {x};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols), tape_tensor(tape, 1, x->rows)};
  tape_record(tape, &op_row_unit_rows, NULL, in, out);
  return out[0];
}

static const struct op op_row_similarity = {.name = "similarity", .kind = OP_SIMILARITY, .saves_inputs = 1 << 0};

struct tensor *op_similarity(struct tape *tape, struct tensor *x, size_t first, enum similarity which, float scale) {
  CHECK(first > 0 && first < x->rows && (which == SIMILARITY_ALL || x->rows == 2 * first));
  struct similarity_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct similarity_attributes){first, which, scale};
  struct tensor *in[NODE_INPUTS] = {x};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, first, which == SIMILARITY_OWN ? 1 : x->rows - first)};
  tape_record(tape, &op_row_similarity, a, in, out);
  return out[0];
}
