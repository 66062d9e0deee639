#include "worker/op/attributes.h"

/* The input is saved for the adapter's and the weight's gradient only, Q for the adapter's. */
static const struct op op_plain = {.name = "linear", .kind = OP_LINEAR};
static const struct op op_adapted = {
    .name = "linear+adapter", .kind = OP_LINEAR, .saves_inputs = 1 << 0, .saves_outputs = 1 << 1};
static const struct op op_trained = {.name = "linear+weight", .kind = OP_LINEAR, .saves_inputs = 1 << 0};

static struct tensor *record(struct tape *tape, struct tensor *x, const struct linear *l) {
  const struct low_rank *low = l->low_rank;
  struct linear_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct linear_attributes){.linear = l};
  if (low && low->dropout > 0) {
    struct dropout own = op_next_dropout(tape, low->dropout);
    if (tape->training)
      a->dropout = own;
  }
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, l->out)};
  if (low)
    out[1] = tape_tensor(tape, x->rows, low->R);
  out[0]->needs_grad = low || l->trained_weight || l->trained_bias;
  tape_record(tape, low ? &op_adapted : l->trained_weight ? &op_trained : &op_plain, a, in, out);
  return out[0];
}

static struct tensor *soft_capped(struct tape *tape, struct tensor *y, float softcap) {
  return op_multiply(tape, op_tanh(tape, op_multiply(tape, y, 1 / softcap)), softcap);
}

struct tensor *op_linear(struct tape *tape, struct tensor *x, const struct linear *l) {
  const struct rotation *rotation = l->rotation;
  CHECK(x->cols == l->in && !((l->low_rank || rotation) && l->trained_weight) && !(rotation && l->softcap > 0));
  if (!rotation)
    return l->softcap > 0 ? soft_capped(tape, record(tape, x, l), l->softcap) : record(tape, x, l);
  struct linear *base = tape_attributes(tape, sizeof *base);
  *base = *l;
  base->rotation = NULL;
  bool scaled = rotation->scale.buffer != NULL;
  if (scaled) { /* the bias comes after the scale */
    base->bias = (struct place){0};
    base->trained_bias = NULL;
  }
  struct tensor *y = record(tape, op_rotate(tape, x, rotation), base);
  return scaled ? op_scale(tape, y, rotation, l) : y;
}
