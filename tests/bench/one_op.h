/* One op through the tape, as a model runs it, with a clock around each of its directions. */
#ifndef TESTS_BENCH_ONE_OP_H
#define TESTS_BENCH_ONE_OP_H

#include "worker/op/op.h"

enum { ONE_OP_INPUTS = 3 };

struct one_op {
  /* Calls the op; returns its output, or NULL when it was a loss. */
  struct tensor *(*run)(struct tape *tape, struct tensor *const in[ONE_OP_INPUTS], const struct one_op *op);
  const struct sequences *sequences; /* an input has their tokens as rows */
  size_t cols[ONE_OP_INPUTS];        /* of the inputs; 0: there is none */
  const void *extra, *more;          /* what else `run` needs */
};

/* Seconds, the best of the runs. backward 0: nothing below the op is trained, so it has none. */
struct one_op_times {
  double forward, backward;
};

/* `runs` training steps of nothing but the op, after one that warms up. */
NODISCARD enum status one_op_measure(struct one_op_times *out, const struct one_op *op, struct backend *backend,
                                     int runs, struct error *err);

#endif
