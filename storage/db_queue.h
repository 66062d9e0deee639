/* How long the queue is, where in it a job stands, and in which order jobs start. Nothing here walks through it: the
   table `job_count`, which triggers keep, has the jobs that have not ended, by state, tenant, priority, device and
   block of their places. */
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

/* A tenant's jobs that run. */
NODISCARD enum status db_queue_running(struct job_row **out, size_t *count, struct db *db, const char *tenant,
                                       struct arena *arena, struct error *err);
/* Its queued jobs in the order in which they start, behind the queued job `after` (NULL: from the first on). */
NODISCARD enum status db_queue_list(struct job_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                                    const struct job_row *after, int64_t limit, struct arena *arena, struct error *err);
/* The first of that priority. */
NODISCARD enum status db_queue_first(struct job_row *out, bool *found, struct db *db, const char *tenant,
                                     int64_t priority, struct arena *arena, struct error *err);
/* Moves a job right before `before`, a queued one of its tenant's and of `priority`, which the job has or gets; NULL:
   behind all of them. In a transaction. STATUS_JOB_NOT_WAITING: so many were moved there that there is no room. */
NODISCARD enum status db_queue_move(struct db *db, const struct job_row *job, int64_t priority,
                                    const struct job_row *before, struct error *err);

/* Queued jobs of a tenant and a priority. */
struct queue_lane {
  const char *tenant;
  int64_t priority, jobs;
  int64_t turn; /* the tenant's: of equal priorities that of the least is next */
};
/* Of all tenants. */
NODISCARD enum status db_queue_lanes(struct queue_lane **out, size_t *count, struct db *db, struct arena *arena,
                                     struct error *err);
/* How long the last jobs that succeeded took together, and how many these are (at most 32). */
NODISCARD enum status db_queue_seconds(int64_t *seconds, int64_t *jobs, struct db *db, struct error *err);

#endif
