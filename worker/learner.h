/* One model being trained: the memory of its steps, the optimiser, and the three verbs of a step.
   The trainer, the golden cases and the benchmark all train through this. */
#ifndef WORKER_LEARNER_H
#define WORKER_LEARNER_H

#include "worker/model/model.h"
#include "worker/optim/adamw.h"

/* What a step may hold at most: the plan is made for this. */
struct batch_limits {
  size_t sequences, tokens, longest;
};

struct learner {
  struct model *model;
  struct tape tape;
  struct plan *training, *evaluation;
  struct adamw adamw;
  double orth_lambda;
  bool regression;
  bool recompute; /* blocks keep only what enters them (tape.h) */
  uint64_t seed;  /* of dropout */
  bool prepared;  /* the adapters' factors are those of the parameters */
};

/* What a batch must predict. */
struct answers {
  const uint32_t *labels; /* classes of the sequences; language models: [row_count] the id that follows rows[i] */
  const float *targets;   /* regression */
  const uint32_t *rows;   /* language models: [row_count] rows of the batch whose next token is trained, ascending */
  size_t row_count;
};

/* Hyperparameters (adamw's, orth_lambda, regression, recompute, seed) are set by the caller before. */
NODISCARD enum status learner_init(struct learner *learner, struct model *model, const struct batch_limits *training,
                                   const struct batch_limits *evaluation, struct error *err);
void learner_done(struct learner *learner);
/* Bytes of activations and gradients a step needs. */
size_t learner_bytes(const struct learner *learner);

/* Starts a step: factors from parameters, gradients to zero. *penalty (may be NULL) receives
   orth_lambda times the sum of the adapters' penalties, a part of the step's loss. */
NODISCARD enum status learner_begin(struct learner *learner, double *penalty, struct error *err);
/* Forward and backward of one micro-batch, scaled by `weight` (1 / examples of the whole step). *loss
   is its part of the step's loss. `dropout_step` tells micro-batches apart. */
void learner_accumulate(struct learner *learner, const struct sequences *sequences, const struct answers *answers,
                        float weight, uint64_t dropout_step, double *loss);
/* Gradients of all parameters are complete after this: of the gathered products and the penalty. */
void learner_finish(struct learner *learner);
/* Clips and updates. */
NODISCARD enum status learner_update(struct learner *learner, double learning_rate, double *grad_norm,
                                     struct error *err);
/* (B, num_labels) logits without dropout; the tensor lives until the next call. */
NODISCARD enum status learner_predict(struct learner *learner, const struct sequences *sequences,
                                      const struct tensor **logits, struct error *err);

#endif
