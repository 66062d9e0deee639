/* Cases of a mixture of experts for test_conformance.c. */
#ifndef TESTS_WORKER_OP_CASES_EXPERTS_H
#define TESTS_WORKER_OP_CASES_EXPERTS_H

#include "tests/worker/op/trial.h"

enum { EXPERTS = 5, INNER = 96 };

static void make_experts_of(struct trial *t, enum ggml_type type, size_t chosen, bool normalised) {
  for (size_t e = 0; e < EXPERTS; e++)
    t->expert[e] = (struct expert){weight(t, type, INNER, IN, 40 + e), weight(t, type, INNER, IN, 50 + e),
                                   weight(t, type, IN, INNER, 60 + e)};
  t->experts = (struct experts){.count = EXPERTS,
                                .chosen = chosen,
                                .channels = IN,
                                .inner = INNER,
                                .normalised = normalised,
                                .expert = t->expert};
}

static void make_experts(struct trial *t) {
  make_experts_of(t, GGML_BF16, 2, true);
}

static void make_quantised_experts(struct trial *t) {
  make_experts_of(t, GGML_Q8_0, 3, false);
}

static struct tensor *experts(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_experts(tape, in[0], in[1], &t->experts);
}

#endif
