/* The files and folders that the rows of the store name: what a check of the data folder looks for, and what a copy of
   it takes along. */
#ifndef STORAGE_DB_CONTENT_H
#define STORAGE_DB_CONTENT_H

#include "base/arena.h"
#include "storage/db.h"

enum content_kind {
  CONTENT_UPLOAD,
  CONTENT_PART,       /* of an upload that is not complete */
  CONTENT_ARTIFACT,   /* result files among them */
  CONTENT_STATE,       /* what training goes on from */
  CONTENT_CHECKPOINT, /* a folder */
  CONTENT_KIND_COUNT
};

struct content_row {
  int64_t seq;
  const char *owner;  /* id of the file, of the part, or of the job */
  const char *path;   /* relative to the data folder */
  int64_t bytes;      /* 0 for a folder */
  const char *sha256; /* NULL for a folder */
};

/* One by one, oldest first: the first of the kind whose seq is above `after`. *found false: no more. */
NODISCARD enum status db_content_next(struct content_row *out, bool *found, struct db *db, enum content_kind kind,
                                      int64_t after, struct arena *arena, struct error *err);

/* Is there such a job, and does it run? */
NODISCARD enum status db_content_job(bool *known, bool *running, struct db *db, const char *job_id, struct error *err);
/* May jobs/<job_id>/<token> be there: the job has it as its current lease, a row names something in it, or it is noted
   for removal? */
NODISCARD enum status db_content_of_run(bool *out, struct db *db, const char *job_id, int64_t token, struct error *err);
/* Does jobs/<job_id>/exports/<seq> belong to an export, or is it noted for removal? */
NODISCARD enum status db_content_of_export(bool *out, struct db *db, const char *job_id, int64_t seq,
                                           struct error *err);

#endif
