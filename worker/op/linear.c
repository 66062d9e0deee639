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

/* Its matmul, with the adapter's rotation before it or its low-rank change in it. */
static struct tensor *product(struct tape *tape, struct tensor *x, const struct linear *l) {
  return record(tape, l->rotation ? op_rotate(tape, x, l->rotation) : x, l);
}

/* y = Z * scale + b. DoRA has dropout before the whole product, the frozen one too, where it is not a part of the base
   model's own output (PEFT; Liu et al., 2024): with d = dropout(x), y = Z(d) * scale + (x - d) W^T + b. */
static struct tensor *scaled(struct tape *tape, struct tensor *x, const struct linear *l) {
  double p = l->low_rank ? l->low_rank->dropout : 0;
  struct dropout own = p > 0 ? op_next_dropout(tape, p) : (struct dropout){0};
  struct tensor *kept = op_dropout(tape, x, &own);
  struct linear *bare = tape_attributes(tape, sizeof *bare);
  *bare = *l;
  bare->bias = (struct place){0};
  bare->trained_bias = NULL;
  if (p > 0) {
    struct low_rank *low = tape_attributes(tape, sizeof *low);
    *low = *l->low_rank;
    low->dropout = 0;
    bare->low_rank = low;
  }
  if (kept == x)
    return op_scale(tape, product(tape, x, bare), l);
  struct linear *plain = tape_attributes(tape, sizeof *plain);
  *plain = *l;
  plain->low_rank = NULL;
  struct tensor *dropped = op_add(tape, x, op_multiply(tape, kept, -1));
  return op_add(tape, op_scale(tape, product(tape, kept, bare), bare), record(tape, dropped, plain));
}

struct tensor *op_linear(struct tape *tape, struct tensor *x, const struct linear *l) {
  CHECK(x->cols == l->in && !((l->low_rank || l->rotation) && l->trained_weight));
  struct tensor *y = l->scale ? scaled(tape, x, l) : product(tape, x, l);
  if (linear_token_rows(l))
    y = op_token_logits(tape, y, x, l->token_rows);
  return l->softcap > 0 ? soft_capped(tape, y, l->softcap) : y;
}
