/* The loop over steps: batches, updates, evaluations, checkpoints, and what is told of them. */
#ifndef WORKER_TRAIN_TRAINER_H
#define WORKER_TRAIN_TRAINER_H

#include "worker/train/training.h"

/* Makes ready what trainer_run begins with, and the plan of its steps. */
NODISCARD enum status trainer_prepare(struct training *training, struct error *err);
/* Evaluates (where there is a validation file), trains to the end, evaluates again; or goes on from one of the task's
   states. The adapter is then the model's parameters, the curve is in csv. Everything else is told through `report`.
   STATUS_PAUSED, STATUS_CANCELLED: it was told to stop; for a pause what was trained is in a state. */
NODISCARD enum status trainer_run(struct training *training, struct error *err);
void trainer_done(struct training *training);

#endif
