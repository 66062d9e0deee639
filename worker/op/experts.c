#include "worker/op/experts.h"

#include "worker/op/attributes.h"

/* The experts are frozen, so that their input is not needed again; the routes follow from the logits. */
static const struct op op_row_experts = {
    .name = "experts", .kind = OP_EXPERTS, .saves_inputs = 1 << 1, .saves_outputs = 1 << 1 | 1 << 2};

struct tensor *op_experts(struct tape *tape, struct tensor *x, struct tensor *logits, const struct experts *experts) {
  CHECK(x->cols == experts->channels && logits->cols == experts->count && logits->rows == x->rows &&
        experts->chosen > 0 && experts->chosen <= experts->count);
  size_t slots = x->rows * experts->chosen;
  struct tensor *in[NODE_INPUTS] = {x, logits};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols), tape_tensor(tape, slots, experts->inner),
                                      tape_tensor(tape, slots, experts->inner)};
  tape_record(tape, &op_row_experts, experts, in, out);
  return out[0];
}
