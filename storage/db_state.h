/* Table `training_state`: what the training of a job that has not ended goes on from. The newest two are kept; a
   trigger drops them all when the job ends, and notes their bytes for removal (db_removal.h). */
#ifndef STORAGE_DB_STATE_H
#define STORAGE_DB_STATE_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"
#include "storage/db_job.h"

enum { STATES_KEPT = 2 };

struct state_row {
  int64_t lease_token;  /* of the run that wrote it */
  int64_t step;
  const char *path;     /* relative to the data folder */
  int64_t bytes;
  const char *sha256;
  int64_t created_at;
};

/* A state that the holder of the lease has made durable; row->lease_token is not read. States of its step and of later
   ones give way: training went back before them. When training has never been so far, the attempts before this one
   count no more. Bytes of this run are its worker's to delete, those of former runs are noted for removal.
   *held false: the lease is lost and nothing was written. In a transaction. */
NODISCARD enum status db_state_add(struct db *db, const struct lease *lease, const struct state_row *row, bool *held,
                                   struct error *err);
/* Newest first, at most STATES_KEPT. */
NODISCARD enum status db_state_list(struct state_row **out, size_t *count, struct db *db, const char *job_id,
                                    struct arena *arena, struct error *err);
/* Does a row of the job (a checkpoint, an artifact, a state) name `path`, or something in it? */
NODISCARD enum status db_path_named(bool *out, struct db *db, const char *job_id, const char *path, struct error *err);

#endif
