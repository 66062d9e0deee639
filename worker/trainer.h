/* The loop over steps: batches, updates, evaluations, checkpoints, and what is told of them. */
#ifndef WORKER_TRAINER_H
#define WORKER_TRAINER_H

#include "api/task.h"
#include "base/str.h"
#include "worker/corpus.h"
#include "worker/evaluate.h"
#include "worker/learner.h"
#include "worker/report.h"

struct trainer {
  const struct task *task;
  struct learner *learner;
  const struct corpus *training;
  const struct corpus *validation; /* NULL: none */
  struct report *report;
  struct batch batch;        /* of training and of evaluation */
  uint32_t *order;           /* [training->count] the epoch's order */
  struct str csv;            /* step_metrics.csv so far */
  int64_t step, total_steps; /* optimiser steps */
  int64_t steps_per_epoch;
  uint64_t micro_step;           /* micro-batches so far: numbers the dropout masks */
  uint64_t tokens;               /* trained so far */
  double started, last_progress; /* monotonic seconds */
  double train_loss;             /* of the newest step */
  struct evaluation evaluation;  /* the newest */
  int64_t evaluated_step;        /* -1: none yet */
  int64_t checkpoints[64];       /* steps of those on disk, oldest first */
  size_t checkpoint_count;
};

/* Limits of a training step for this task. */
struct batch_limits trainer_limits(const struct task *task, const struct corpus *training);

/* Evaluates (where there is a validation file), trains to the end, evaluates again. The adapter is
   then the model's parameters, the curve is in csv. Everything else is told through `report`. */
NODISCARD enum status trainer_run(struct trainer *trainer, struct error *err);
/* Tells how far it is; not more often than twice a second unless forced. */
void trainer_progress(struct trainer *trainer, const char *phase, bool force);
void trainer_done(struct trainer *trainer);

#endif
