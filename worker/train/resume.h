/* Training that goes on: what of it is in a state (state.h), when one is written, and which one a run goes on
   from. A run that goes on gives the same adapter and the same curve as one that was never interrupted. */
#ifndef WORKER_TRAIN_RESUME_H
#define WORKER_TRAIN_RESUME_H

#include <jansson.h>

#include "base/error.h"
#include "base/hash.h"

struct training;

/* Makes *training what the first usable of the task's states has, and tells which and why not the others; where none is
   usable training starts. Fails only as a backend does. It is ready to start, but for its first order. */
NODISCARD enum status resume_load(struct training *training, struct error *err);
/* Is there time for a state: writing them takes at most a hundredth of it. With a checkpoint, or by every_seconds. */
bool resume_due(const struct training *training, bool with_checkpoint);
/* Writes and announces a state, unless the newest one has just this. That it cannot be written is told, and costs
   nothing but the way back to an older one. */
void resume_save(struct training *training);
void resume_done(struct training *training);

#endif
