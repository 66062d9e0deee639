/* Losses: the ends of a tape. */
#include <math.h>

#include "worker/op/attributes.h"

double op_log_sum_exp(const float *x, size_t count) {
  double top = (double)x[0], sum = 0;
  for (size_t c = 1; c < count; c++) /* fmax in a loop breaks gcc 12 for aarch64 */
    top = (double)x[c] > top ? (double)x[c] : top;
  for (size_t c = 0; c < count; c++)
    sum += exp((double)x[c] - top);
  return top + log(sum);
}

double op_row_loss(const float *logits, size_t classes, uint32_t target) {
  return op_log_sum_exp(logits, classes) - (double)logits[target];
}

/* No exponential of a positive number: it would overflow. */
double op_binary_loss(float logit, float target) {
  double x = (double)logit;
  return (x > 0 ? x : 0) - x * (double)target + log1p(exp(-fabs(x)));
}

static const struct op op_row_cross_entropy = {
    .name = "cross_entropy", .kind = OP_CROSS_ENTROPY, .saves_inputs = 1 << 0};
static const struct op op_row_squared_error = {
    .name = "squared_error", .kind = OP_SQUARED_ERROR, .saves_inputs = 1 << 0};

static const struct op op_row_binary_cross_entropy = {
    .name = "binary_cross_entropy", .kind = OP_BINARY_CROSS_ENTROPY, .saves_inputs = 1 << 0};

static void record(struct tape *tape, const struct op *op, struct tensor *logits, struct place targets, float weight,
                   double *loss) {
  struct loss_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct loss_attributes){targets, weight, loss};
  struct tensor *in[NODE_INPUTS] = {logits}, *out[NODE_OUTPUTS] = {0};
  tape_record(tape, op, a, in, out);
}

void op_cross_entropy(struct tape *tape, struct tensor *logits, struct place targets, float weight, double *loss) {
  record(tape, &op_row_cross_entropy, logits, targets, weight, loss);
}

void op_squared_error(struct tape *tape, struct tensor *logits, struct place targets, float weight, double *loss) {
  record(tape, &op_row_squared_error, logits, targets, weight, loss);
}

void op_binary_cross_entropy(struct tape *tape, struct tensor *logits, struct place targets, float weight,
                             double *loss) {
  record(tape, &op_row_binary_cross_entropy, logits, targets, weight, loss);
}

static const struct op op_row_linear_cross_entropy = {
    .name = "linear+cross_entropy", .kind = OP_LINEAR_CROSS_ENTROPY, .saves_outputs = 1 << 0};

void op_linear_cross_entropy(struct tape *tape, struct tensor *x, const struct linear *head,
                             const struct next_tokens *tokens, float weight, double *loss, size_t *correct) {
  CHECK(x->cols == head->in && !head->bias.buffer && !head->low_rank && !head->rotation && !head->scale);
  struct linear_cross_entropy_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct linear_cross_entropy_attributes){head, tokens, weight, loss, correct};
  bool gradient = tape->training && x->needs_grad;
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {0};
  if (gradient)
    out[0] = tape_tensor(tape, tokens->count, x->cols);
  tape_record(tape, &op_row_linear_cross_entropy, a, in, out);
  if (gradient)
    out[0]->grad_written = true; /* the loss's gradient is 1: its op is reached without one */
}

static const struct op op_row_linear_preference = {
    .name = "linear+preference", .kind = OP_LINEAR_PREFERENCE, .saves_outputs = 1 << 1};

void op_linear_preference(struct tape *tape, struct tensor *x, const struct linear *head,
                          const struct next_tokens *tokens, const struct preference *how,
                          const struct completions *completions, double *loss, struct preference_scores *scores) {
  CHECK(x->cols == head->in && !head->bias.buffer && !head->low_rank && !head->rotation && !head->scale);
  struct linear_preference_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct linear_preference_attributes){head, tokens, how, completions, loss, scores};
  bool gradient = tape->training && x->needs_grad;
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, tokens->count, 1)};
  if (gradient)
    out[1] = tape_tensor(tape, tokens->count, x->cols);
  tape_record(tape, &op_row_linear_preference, a, in, out);
  out[0]->grad_written = gradient; /* the loss's gradient is 1 */
}
