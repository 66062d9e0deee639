/* Ops of one pass over the elements. */
#include "worker/op/attributes.h"

static const struct op op_row_gelu = {.name = "gelu", .kind = OP_GELU, .saves_inputs = 1 << 0};
static const struct op op_row_gelu_tanh = {.name = "gelu_tanh", .kind = OP_GELU_TANH, .saves_inputs = 1 << 0};
static const struct op op_row_relu = {.name = "relu", .kind = OP_RELU, .saves_outputs = 1 << 0};
static const struct op op_row_dropout = {.name = "dropout", .kind = OP_DROPOUT};
static const struct op op_row_tanh = {.name = "tanh", .kind = OP_TANH, .saves_outputs = 1 << 0};
static const struct op op_row_add = {.name = "add", .kind = OP_ADD};
static const struct op op_row_swiglu = {.name = "swiglu", .kind = OP_SWIGLU, .saves_inputs = 1 << 0 | 1 << 1};

static struct tensor *record(struct tape *tape, const struct op *op, const void *attributes, struct tensor *x,
                             struct tensor *y) {
  CHECK(!y || (x->rows == y->rows && x->cols == y->cols));
  struct tensor *in[NODE_INPUTS] = {x, y}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  tape_record(tape, op, attributes, in, out);
  return out[0];
}

struct tensor *op_gelu(struct tape *tape, struct tensor *x) {
  struct tensor *y = record(tape, &op_row_gelu, NULL, x, NULL);
  y->recompute = true;
  return y;
}

struct tensor *op_gelu_tanh(struct tape *tape, struct tensor *x) {
  struct tensor *y = record(tape, &op_row_gelu_tanh, NULL, x, NULL);
  y->recompute = true;
  return y;
}

struct tensor *op_relu(struct tape *tape, struct tensor *x) {
  return record(tape, &op_row_relu, NULL, x, NULL);
}

struct tensor *op_tanh(struct tape *tape, struct tensor *x) {
  return record(tape, &op_row_tanh, NULL, x, NULL);
}

struct tensor *op_add(struct tape *tape, struct tensor *x, struct tensor *y) {
  return record(tape, &op_row_add, NULL, x, y);
}

struct tensor *op_swiglu(struct tape *tape, struct tensor *gate, struct tensor *up) {
  struct tensor *y = record(tape, &op_row_swiglu, NULL, gate, up);
  y->recompute = true;
  return y;
}

static const struct op op_row_geglu_tanh = {
    .name = "geglu_tanh", .kind = OP_GEGLU_TANH, .saves_inputs = 1 << 0 | 1 << 1};
static const struct op op_row_multiply = {.name = "multiply", .kind = OP_MULTIPLY};

struct tensor *op_geglu_tanh(struct tape *tape, struct tensor *gate, struct tensor *up) {
  struct tensor *y = record(tape, &op_row_geglu_tanh, NULL, gate, up);
  y->recompute = true;
  return y;
}

struct tensor *op_multiply(struct tape *tape, struct tensor *x, float factor) {
  float *own = tape_attributes(tape, sizeof *own);
  *own = factor;
  return record(tape, &op_row_multiply, own, x, NULL);
}

static const struct op op_row_geglu = {.name = "geglu", .kind = OP_GEGLU, .saves_inputs = 1 << 0};

static struct tensor *record_geglu(struct tape *tape, struct tensor *x, bool gate_last) {
  CHECK(x->cols % 2 == 0);
  struct geglu_attributes *a = tape_attributes(tape, sizeof *a);
  a->gate_last = gate_last;
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols / 2)};
  tape_record(tape, &op_row_geglu, a, in, out);
  out[0]->recompute = true;
  return out[0];
}

struct tensor *op_geglu(struct tape *tape, struct tensor *x) {
  return record_geglu(tape, x, false);
}

struct tensor *op_geglu_gate_last(struct tape *tape, struct tensor *x) {
  return record_geglu(tape, x, true);
}

static const struct op op_row_swish = {.name = "swish", .kind = OP_SWISH, .saves_inputs = 1 << 0};

static struct tensor *record_swish(struct tape *tape, struct tensor *x, float beta) {
  float *own = tape_attributes(tape, sizeof *own);
  *own = beta;
  struct tensor *y = record(tape, &op_row_swish, own, x, NULL);
  y->recompute = true;
  return y;
}

struct tensor *op_silu(struct tape *tape, struct tensor *x) {
  return record_swish(tape, x, 1.0f);
}

struct tensor *op_quick_gelu(struct tape *tape, struct tensor *x) {
  return record_swish(tape, x, 1.702f);
}

static const struct op op_row_columns = {.name = "columns", .kind = OP_COLUMNS};

struct tensor *op_columns(struct tape *tape, struct tensor *x, size_t first, size_t count) {
  CHECK(count > 0 && first <= x->cols && count <= x->cols - first);
  struct columns_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct columns_attributes){first};
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, count)};
  tape_record(tape, &op_row_columns, a, in, out);
  return out[0];
}

struct tensor *op_dropout(struct tape *tape, struct tensor *x, const struct dropout *dropout) {
  if (!tape->training || !dropout->threshold)
    return x;
  struct dropout *own = tape_attributes(tape, sizeof *own);
  *own = *dropout;
  return record(tape, &op_row_dropout, own, x, NULL);
}

struct dropout op_next_dropout(struct tape *tape, double p) {
  return dropout_make(p, tape->seed, tape->step, tape->dropouts++);
}
