/* Table `artifact`: what a job that succeeded made, and the previews of any. */
#ifndef STORAGE_DB_ARTIFACT_H
#define STORAGE_DB_ARTIFACT_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"

struct artifact_row {
  const char *job_id;
  const char *name;
  const char *path;     /* relative to the data folder */
  int64_t bytes;
  const char *sha256;
  const char *file_id;  /* NULL: not a result file */
  int64_t created_at;
};

NODISCARD enum status db_artifact_add(struct db *db, const struct artifact_row *row, struct error *err);
/* A picture that shows what the job has learnt so far. A later run that makes it again takes its name; a job keeps the
   newest `keep`, at least one. The bytes of those that go are noted for removal (db_removal.h); *noted: how many. In a
   transaction. */
NODISCARD enum status db_artifact_add_preview(struct db *db, const struct artifact_row *row, int64_t keep,
                                              int64_t *noted, struct error *err);
/* All of a job, in the order they were made. */
NODISCARD enum status db_artifact_list(struct artifact_row **out, size_t *count, struct db *db, const char *job_id,
                                       struct arena *arena, struct error *err);
/* STATUS_ARTIFACT_NOT_FOUND, param "name". */
NODISCARD enum status db_artifact_get(struct artifact_row *out, struct db *db, const char *job_id, const char *name,
                                      struct arena *arena, struct error *err);
NODISCARD enum status db_artifact_delete_of_job(struct db *db, const char *job_id, struct error *err);

#endif
