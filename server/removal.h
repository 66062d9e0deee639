/* Deleting. Rows go at once and for good, with a note of the bytes that were theirs (storage/db_removal.h); the bytes
   follow beside the loop, one file or folder at a time, and a job's events on it, in pieces; what a crash left of both
   goes at the next start. Deleting
   works on a full disk. */
#ifndef SERVER_REMOVAL_H
#define SERVER_REMOVAL_H

#include "server/server.h"
#include "storage/db_checkpoint.h"
#include "storage/db_file.h"
#include "storage/db_job.h"
#include "storage/db_sweep.h"

/* STATUS_FILE_IN_USE when a job that has not ended needs it. The bytes of a result are its job's artifact and stay. */
NODISCARD enum status removal_of_file(struct server *server, const struct file_row *file, struct error *err);
/* The adapter of a job that has succeeded, with all that was made of it. STATUS_MODEL_IN_USE when a job that has not
   ended starts from what it made. */
NODISCARD enum status removal_of_model(struct server *server, const struct job_row *job, struct arena *arena,
                                       struct error *err);
/* A job that has ended, with all that it made and its events. STATUS_JOB_NOT_FINISHED; STATUS_JOB_IN_USE when a job
   that has not ended starts from what it made. */
NODISCARD enum status removal_of_job(struct server *server, const struct job_row *job, struct arena *arena,
                                     struct error *err);
/* All these jobs and the sweep (may be NULL) that they were made in, or none of it; the same conditions hold for each.
 */
NODISCARD enum status removal_of_sweep(struct server *server, const struct sweep_row *sweep, const struct job_row *jobs,
                                       size_t count, struct arena *arena, struct error *err);
/* A checkpoint of a job that has ended; with the last one of a job that made no adapter goes all that it left.
   STATUS_MODEL_IN_USE when a job that has not ended starts from it. */
NODISCARD enum status removal_of_checkpoint(struct server *server, const struct job_row *job,
                                            const struct checkpoint_row *checkpoint, struct arena *arena,
                                            struct error *err);

/* At each tick of the loop: a piece of the events of jobs that were deleted, so small that nobody waits for it. */
void removal_of_events(struct server *server);
/* What runs of the job have left in their folders and no row names: noted for removal, in the transaction that made it
   so. `keep`: the lease token of a run whose folder stays as it is; 0: none. */
NODISCARD enum status removal_of_leftovers(struct db *db, const struct config *config, const char *job_id, int64_t keep,
                                           struct error *err);
/* How much that would be. */
int64_t removal_leftover_bytes(const struct server *server, const char *job_id);

/* Removes what is noted, if it is not at it already: after a commit that noted something, and now and then. */
void removal_start(struct server *server);

#endif
