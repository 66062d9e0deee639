/* Shared by the engine's tests: random numbers, a tape that runs plan and step on one function, and
   gradients checked against central differences. */
#ifndef TESTS_WORKER_ENGINE_H
#define TESTS_WORKER_ENGINE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "worker/op/op.h"

static inline void fill(float *out, size_t count, uint64_t seed) {
  struct rng rng;
  rng_init(&rng, seed, 99);
  for (size_t i = 0; i < count; i++)
    out[i] = 2 * rng_uniform(&rng) - 1;
}

/* A graph under test: `build` makes outputs from the tape and ends in a loss. */
struct graph {
  void (*build)(struct tape *tape, const struct graph *graph, double *loss);
  struct backend *backend;
  struct parameter *x, *y, *z; /* inputs with gradients: filled by the test; may be NULL */
  struct sequences sequences;
  const void *extra;
  size_t rows, cols;
  bool recompute;
};

/* Copies a parameter into a tensor, and its gradient back: the way inputs enter a graph. */
struct tensor *graph_input(struct tape *tape, struct parameter *parameter);
/* loss = sum over elements of weights[i % 7] * t[i]: reaches every element with another weight. */
void graph_loss(struct tape *tape, struct tensor *t, double *loss);
/* Runs the graph once; gradients are added to the parameters. */
double graph_run(const struct graph *graph, bool backward);
/* Compares the gradient of `parameter` with central differences at `points` places. */
void graph_check(const struct graph *graph, struct parameter *parameter, size_t points, double tolerance);

#endif
