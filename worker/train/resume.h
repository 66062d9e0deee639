/* Training that goes on: what of a trainer is in a state (state.h), when one is written, and which one a run goes on
   from. A run that goes on gives the same adapter and the same curve as one that was never interrupted. */
#ifndef WORKER_TRAIN_RESUME_H
#define WORKER_TRAIN_RESUME_H

#include <jansson.h>

#include "base/error.h"
#include "base/hash.h"

struct trainer;

enum { RESUME_KEPT = 2 }; /* states of a run that are kept */

struct resume {
  double last;                   /* on clock_seconds: when the newest state was written, or training began */
  double cost;                   /* seconds that took; 0: none was written yet */
  int64_t step;                  /* of the newest state, written or gone on from; 0: none */
  bool told;                     /* likewise */
  int64_t kept[RESUME_KEPT + 1]; /* steps of this run's states, oldest first */
  size_t kept_count;
  char data[HASH_HEX], model[HASH_HEX]; /* what the states are of; empty until first needed */
  json_t *engines;                      /* what computed former runs where it was not what computes now; NULL: none */
};

/* Makes *trainer what the first usable of the task's states has, and tells which and why not the others; where none is
   usable training starts. Fails only as a backend does. The trainer is ready to start, but for its first order. */
NODISCARD enum status resume_load(struct trainer *trainer, struct error *err);
/* Is there time for a state: writing them takes at most a hundredth of it. With a checkpoint, or by every_seconds. */
bool resume_due(const struct trainer *trainer, bool with_checkpoint);
/* Writes and announces a state, unless the newest one has just this. That it cannot be written is told, and costs
   nothing but the way back to an older one. */
void resume_save(struct trainer *trainer);
void resume_done(struct trainer *trainer);

#endif
