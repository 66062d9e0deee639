/* One training run: from a claimed job to its end in the store. Every write carries the lease. */
#ifndef SERVER_TRAINING_H
#define SERVER_TRAINING_H

#include "server/run.h"
#include "storage/db_job.h"

extern const struct run_kind training_kind;
/* Starts its worker on the device ("cpu"), which takes `need` of the budget, or it ends itself. A fault of the job's
   own is stored with it and is none here: the status says what of the host kept it from running. */
NODISCARD enum status training_start(struct run *run, const struct job_row *job, const char *device,
                                     const struct budget_need *need, struct error *err);
/* The device that it was given. */
const char *training_device(const struct run *run);
int64_t training_priority(const struct run *run);
/* What it takes, as far as that is known by now. */
struct budget_need training_need(const struct run *run);
/* clock_seconds when it was started. */
double training_began(const struct run *run);

#endif
