/* Which head a classifier's job trains on, and in which order its classes stand: rows and names belong together
   wherever a head comes from. */
#ifndef WORKER_HEADS_H
#define WORKER_HEADS_H

#include "api/task.h"
#include "worker/data/dataset.h"
#include "worker/report.h"

/* Brings the classes of the data into the order of the head that the job starts with: that of the adapter it starts
   from, or else the base's where the names are the same. *fresh: the base's head is of something else; the job needs
   a new one. What was not equal name by name is reported in a message. STATUS_INVALID_VALUE (from_checkpoint) with both
   lists where the adapter's classes are others. `validation` may be empty. */
NODISCARD enum status heads_settle(bool *fresh, struct dataset *training, struct dataset *validation,
                                   const struct task *task, struct report *report, struct error *err);

#endif
