/* The course of a training: what a step takes, in which order the examples come, how many steps there are. */
#ifndef WORKER_TRAIN_COURSE_H
#define WORKER_TRAIN_COURSE_H

#include "api/task.h"
#include "worker/train/batch.h"

struct training;

/* What a micro-batch of this task takes. */
struct batch_rule course_rule(const struct task *task);
/* How many examples of the order, from `first` on, the next optimiser step takes: gradient_accumulation_steps
   micro-batches. */
size_t course_step(const struct training *training, const uint32_t *order, size_t first);
/* Makes the next epoch's order. */
void course_next_epoch(struct training *training);
/* Sets total_steps, total_examples and total_tokens of the whole run. A warm-up that leaves nothing to learn with is
   STATUS_INVALID_VALUE, one that does not end is told. */
NODISCARD enum status course_plan(struct training *training, struct error *err);

#endif
