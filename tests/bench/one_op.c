#include "tests/bench/one_op.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/bench/random.h"

/* The op stands between ops of ours that hold the clock: what gives its output a gradient starts it, the first input
   that receives one stops it. */
struct watch {
  const float *numbers;
  double started, forward, backward;
};

static void input_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct watch *const *watch = node->attributes;
  struct tensor *x = node->out[0];
  memcpy(place_address(x->data), (*watch)->numbers, x->rows * x->cols * sizeof(float));
}

static void input_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  struct watch *const *watch = node->attributes;
  if ((*watch)->backward <= 0)
    (*watch)->backward = clock_seconds() - (*watch)->started;
}

static void end_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  (void)node;
}

static void end_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  struct watch *const *watch = node->attributes;
  const struct tensor *y = node->in[0];
  bool accumulate;
  float *dy = place_floats(tape_grad(node->in[0], &accumulate));
  if (dy)
    memcpy(dy, (*watch)->numbers, y->rows * y->cols * sizeof *dy);
  (*watch)->started = clock_seconds();
}

static const struct op_body input_body = {.forward = input_forward, .backward = input_backward};
static const struct op_body end_body = {.forward = end_forward, .backward = end_backward};
static const struct op op_bench_input = {.name = "input", .body = &input_body};
static const struct op op_end = {.name = "end", .body = &end_body};

static void *watched(struct tape *tape, struct watch *watch) {
  struct watch **own = tape_attributes(tape, sizeof *own);
  *own = watch;
  return own;
}

static void build(struct tape *tape, const struct one_op *op, struct watch *watch) {
  struct tensor *inputs[ONE_OP_INPUTS] = {0};
  for (size_t i = 0; i < ONE_OP_INPUTS && op->cols[i]; i++) {
    struct tensor *in[NODE_INPUTS] = {0};
    struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, op->sequences->tokens, op->cols[i])};
    out[0]->needs_grad = true;
    tape_record(tape, &op_bench_input, watched(tape, watch), in, out);
    inputs[i] = out[0];
  }
  double start = clock_seconds();
  struct tensor *y = op->run(tape, inputs, op);
  watch->forward = clock_seconds() - start;
  if (y) {
    struct tensor *in[NODE_INPUTS] = {y}, *out[NODE_OUTPUTS] = {0};
    tape_record(tape, &op_end, watched(tape, watch), in, out);
  }
  watch->backward = 0;
  watch->started = clock_seconds(); /* a loss needs nothing that starts it */
  tape_backward(tape);
}

/* Enough for each input and for the gradient of the output, which is no wider than the widest of them, or than a
   vector of the hidden size where there is no input. */
enum { COLS_LEAST = 1536 };

static size_t most_numbers(const struct one_op *op) {
  size_t cols = COLS_LEAST;
  for (size_t i = 0; i < ONE_OP_INPUTS; i++)
    cols = op->cols[i] > cols ? op->cols[i] : cols;
  return op->sequences->tokens * cols;
}

enum status one_op_measure(struct one_op_times *out, const struct one_op *op, struct backend *backend, int runs,
                           struct error *err) {
  struct tape tape = {0};
  struct plan *plan = NULL;
  float *numbers = random_floats(most_numbers(op));
  struct watch watch = {.numbers = numbers};
  *out = (struct one_op_times){1e9, 1e9};
  enum status status = numbers ? tape_init(&tape, backend, err)
                               : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for an op's inputs");
  if (!status) {
    tape_plan_begin(&tape, true);
    build(&tape, op, &watch);
    status = tape_plan_end(&tape, &plan, err);
  }
  for (int run = 0; !status && run <= runs; run++) {
    tape_begin(&tape, plan, true);
    build(&tape, op, &watch);
    if (run) {
      out->forward = watch.forward < out->forward ? watch.forward : out->forward;
      out->backward = watch.backward < out->backward ? watch.backward : out->backward;
    }
  }
  tape_plan_free(plan);
  if (tape.backend)
    tape_done(&tape);
  free(numbers);
  return status;
}
