/* The loop over steps: batches, updates, evaluations, checkpoints, and what is told of them. */
#ifndef WORKER_TRAINER_H
#define WORKER_TRAINER_H

#include "api/task.h"
#include "base/rng.h"
#include "base/str.h"
#include "worker/batch.h"
#include "worker/evaluate.h"
#include "worker/learner.h"
#include "worker/report.h"

struct trainer {
  const struct task *task;
  struct learner *learner;
  const struct corpus *training;
  const struct corpus *validation; /* NULL: none */
  struct report *report;
  struct batch batch;                         /* of training and of evaluation */
  struct batch_rule rule;                     /* what a micro-batch takes */
  uint32_t *order;                            /* [training->count] the epoch's order */
  struct rng rng;                             /* shuffles it */
  struct str csv;                             /* step_metrics.csv so far */
  int64_t step, total_steps;                  /* optimiser steps */
  uint64_t micro_step;                        /* micro-batches so far: numbers the dropout masks */
  uint64_t tokens;                            /* trained so far */
  uint64_t examples;                          /* trained so far */
  double started, last_progress;              /* monotonic seconds */
  double train_loss;                          /* of the newest step */
  double train_accuracy;                      /* of its predicted tokens; language models */
  struct evaluation evaluation;               /* the newest */
  int64_t evaluated_step;                     /* -1: none yet */
  int64_t checkpoints[JOB_KEEP_LAST_MAX + 1]; /* steps of those on disk, oldest first */
  size_t checkpoint_count;
};

/* What a micro-batch of this task takes. */
struct batch_rule trainer_rule(const struct task *task);

/* Evaluates (where there is a validation file), trains to the end, evaluates again. The adapter is
   then the model's parameters, the curve is in csv. Everything else is told through `report`. */
NODISCARD enum status trainer_run(struct trainer *trainer, struct error *err);
/* Tells how far it is; not more often than twice a second unless forced. */
void trainer_progress(struct trainer *trainer, const char *phase, bool force);
void trainer_done(struct trainer *trainer);

#endif
