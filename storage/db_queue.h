/* How long the queue is and where in it a job stands. Nothing here walks through it: the table `job_count`, which
   triggers keep, has the jobs that have not ended, by state, tenant, priority, device and block of
   their places. */
#ifndef STORAGE_DB_QUEUE_H
#define STORAGE_DB_QUEUE_H

#include "storage/db_job.h"

/* Jobs in a state that they leave again. */
NODISCARD enum status db_queue_jobs(int64_t *out, struct db *db, enum job_state state, struct error *err);
/* How many jobs are in each state that they leave again, and how many have ever ended in each other one by their
   adapter. Ended jobs whose specification is damaged do not count. */
NODISCARD enum status db_queue_count(int64_t open[JOB_STATE_COUNT], int64_t finished[JOB_STATE_COUNT][PEFT_COUNT],
                                     struct db *db, struct error *err);
/* Jobs that wait: validating or queued. */
NODISCARD enum status db_queue_waiting(int64_t *out, struct db *db, struct error *err);
/* A tenant's jobs: those that wait, paused ones too, and those that train. */
NODISCARD enum status db_queue_of_tenant(int64_t *waiting, int64_t *running, struct db *db, const char *tenant,
                                         struct error *err);
/* How many queued jobs of their tenant go before each of these; -1: it is not queued. */
NODISCARD enum status db_queue_positions(int64_t *out, struct db *db, const char *tenant, const struct job_row *jobs,
                                         size_t count, struct error *err);

#endif
