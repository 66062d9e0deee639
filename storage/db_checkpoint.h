/* Table `checkpoint`. */
#ifndef STORAGE_DB_CHECKPOINT_H
#define STORAGE_DB_CHECKPOINT_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"

struct checkpoint_row {
  int64_t seq;          /* given by the table; the wire id is "ftckpt-<seq>" */
  const char *job_id;
  int64_t created_at;
  int64_t step;
  const char *path;     /* relative to the data folder */
  int64_t bytes;        /* of all in it */
  const char *metrics;  /* JSON text */
};

/* A job has one checkpoint of a step: when a later run makes it again, the row names the new bytes and is otherwise
   what it was, and the old bytes are noted for removal (db_removal.h). In a transaction. */
NODISCARD enum status db_checkpoint_add(struct db *db, const struct checkpoint_row *row, struct error *err);
NODISCARD enum status db_checkpoint_list(struct checkpoint_row **out, size_t *count, bool *more, struct db *db,
                                         const char *job_id, const struct page *page, struct arena *arena,
                                         struct error *err);
/* By its wire id. *found false: no checkpoint of the tenant's has it. */
NODISCARD enum status db_checkpoint_get(struct checkpoint_row *out, bool *found, struct db *db, const char *tenant,
                                        const char *id, struct arena *arena, struct error *err);
/* By the name that clients see: "<fine_tuned_model>:ckpt-step-<step>". */
NODISCARD enum status db_checkpoint_of_name(struct checkpoint_row *out, bool *found, struct db *db, const char *tenant,
                                            const char *name, struct arena *arena, struct error *err);
/* The job keeps it no more. Making it again keeps it. */
NODISCARD enum status db_checkpoint_drop(struct db *db, const char *job_id, int64_t step, struct error *err);
/* Of all jobs: forgets those that were dropped, and notes their bytes for removal (db_removal.h), unless a job that has
   not ended starts from one: that stays until nobody needs it. *forgotten: how many. In a transaction. */
NODISCARD enum status db_checkpoint_forget_dropped(struct db *db, int64_t *forgotten, struct error *err);
/* Forgets those that lay in a folder that is gone. */
NODISCARD enum status db_checkpoint_delete_in(struct db *db, const char *job_id, const char *folder,
                                              struct error *err);
/* Forgets a checkpoint; its bytes are the caller's to note. */
NODISCARD enum status db_checkpoint_delete(struct db *db, const char *job_id, int64_t step, struct error *err);
NODISCARD enum status db_checkpoint_count(int64_t *out, struct db *db, const char *job_id, struct error *err);
NODISCARD enum status db_checkpoint_delete_of_job(struct db *db, const char *job_id, struct error *err);

#endif
