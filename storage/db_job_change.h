/* What is changed of a job that exists, and its end: table `job` once more. */
#ifndef STORAGE_DB_JOB_CHANGE_H
#define STORAGE_DB_JOB_CHANGE_H

#include "storage/db_job.h"

/* Writes the row's spec, metadata, priority and fine_tuned_model. In a transaction. */
NODISCARD enum status db_job_update(struct db *db, const struct job_row *row, struct error *err);

/* The first job that has not ended and starts from one of the names: of a job, its model or a checkpoint of it. *out
   NULL: none. `names` is a JSON array. */
NODISCARD enum status db_job_that_needs(const char **out, struct db *db, const char *tenant, const char *names,
                                        struct arena *arena, struct error *err);

/* Forgets a job that has ended, with its events. What else hangs on it must be gone (server/removal.h). In a
   transaction. */
NODISCARD enum status db_job_delete(struct db *db, const char *tenant, const char *id, struct error *err);

#endif
