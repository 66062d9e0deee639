/* Table `export`: formats requested of jobs that have succeeded, a small queue of its own. One row a job and
   format. */
#ifndef STORAGE_DB_EXPORT_H
#define STORAGE_DB_EXPORT_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"

enum export_state { EXPORT_QUEUED, EXPORT_RUNNING, EXPORT_SUCCEEDED, EXPORT_FAILED, EXPORT_STATE_COUNT };
const char *export_state_name(enum export_state state);

struct export_row {
  int64_t seq;
  const char *job_id;
  const char *format;
  int64_t created_at;
  int64_t finished_at; /* 0: not yet */
  enum export_state state;
  const char *error_code, *error_message; /* NULL: none */
};

/* Queues a format; one that is there already is left alone, one that failed is queued again. */
NODISCARD enum status db_export_add(struct db *db, const char *job_id, const char *format, enum export_state state,
                                    int64_t now, struct error *err);
NODISCARD enum status db_export_list(struct export_row **out, size_t *count, struct db *db, const char *job_id,
                                     struct arena *arena, struct error *err);
NODISCARD enum status db_export_queued(int64_t *out, struct db *db, struct error *err);
/* The oldest queued one, running from then on. *found false: none. */
NODISCARD enum status db_export_claim(struct export_row *out, bool *found, struct db *db, struct arena *arena,
                                      struct error *err);
/* Ends a running one: EXPORT_QUEUED (it was interrupted), SUCCEEDED, or FAILED with the reason. */
NODISCARD enum status db_export_end(struct db *db, int64_t seq, enum export_state to, const struct error *why,
                                    int64_t now, struct error *err);
/* Those that ran when the daemon before this one died wait again. */
NODISCARD enum status db_export_requeue(struct db *db, struct error *err);
NODISCARD enum status db_export_delete_of_job(struct db *db, const char *job_id, struct error *err);

#endif
