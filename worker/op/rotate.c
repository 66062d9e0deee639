/* What adapters put around a linear layer: blocks of the input's columns turned before it, the
   output's columns scaled after it. */
#include "worker/op/attributes.h"

static const struct op op_row_rotate = {.name = "rotate", .kind = OP_ROTATE, .saves_inputs = 1 << 0};

struct tensor *op_rotate(struct tape *tape, struct tensor *x, const struct rotation *rotation) {
  CHECK(x->cols == rotation->block * rotation->blocks);
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  out[0]->needs_grad = true;
  tape_record(tape, &op_row_rotate, rotation, in, out);
  return out[0];
}

static const struct op op_row_scale = {.name = "scale", .kind = OP_SCALE, .saves_inputs = 1 << 0};

struct tensor *op_scale(struct tape *tape, struct tensor *x, const struct linear *linear) {
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  tape_record(tape, &op_row_scale, linear, in, out);
  out[0]->recompute = true; /* x is saved for the scale's gradient, and recomputes it */
  return out[0];
}
