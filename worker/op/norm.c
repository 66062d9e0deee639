/* LayerNorm, alone and as the closing of a post-norm block, and RMSNorm. */
#include "worker/op/attributes.h"

/* With a residual the normalised sum is an output of its own, and saved instead of the inputs. */
static const struct op op_alone = {
    .name = "layernorm", .kind = OP_LAYERNORM, .saves_inputs = 1 << 0, .saves_outputs = 1 << 1};
static const struct op op_closing = {
    .name = "residual+layernorm", .kind = OP_LAYERNORM, .saves_outputs = 1 << 1 | 1 << 2};

static struct tensor *record(struct tape *tape, const struct op *op, struct tensor *x, struct tensor *residual,
                             const struct norm *norm, const struct dropout *dropout) {
  struct layernorm_attributes *a = tape_attributes(tape, sizeof *a);
  a->norm = norm;
  if (dropout && tape->training)
    a->dropout = *dropout;
  struct tensor *in[NODE_INPUTS] = {x, residual};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols), tape_tensor(tape, 2, x->rows)};
  if (residual)
    out[2] = tape_tensor(tape, x->rows, x->cols);
  out[0]->needs_grad = norm->trained_bias != NULL;
  tape_record(tape, op, a, in, out);
  return out[0];
}

struct tensor *op_layernorm(struct tape *tape, struct tensor *x, const struct norm *norm) {
  return record(tape, &op_alone, x, NULL, norm, NULL);
}

struct tensor *op_residual_layernorm(struct tape *tape, struct tensor *x, struct tensor *residual,
                                     const struct norm *norm, const struct dropout *dropout) {
  CHECK(x->rows == residual->rows && x->cols == residual->cols);
  return record(tape, &op_closing, x, residual, norm, dropout);
}

static const struct op op_row_rmsnorm = {
    .name = "rmsnorm", .kind = OP_RMSNORM, .saves_inputs = 1 << 0, .saves_outputs = 1 << 1};

struct tensor *op_rmsnorm(struct tape *tape, struct tensor *x, const struct norm *norm) {
  CHECK(x->cols % norm->channels == 0);
  struct tensor *in[NODE_INPUTS] = {x};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols),
                                      tape_tensor(tape, x->rows, x->cols / norm->channels)};
  tape_record(tape, &op_row_rmsnorm, norm, in, out);
  out[0]->recompute = true;
  return out[0];
}
