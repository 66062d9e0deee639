/* Table `file`. */
#ifndef STORAGE_DB_FILE_H
#define STORAGE_DB_FILE_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"

enum file_status { FILE_UPLOADED, FILE_PROCESSED, FILE_ERROR, FILE_STATUS_COUNT };
const char *file_status_name(enum file_status status);

struct file_row {
  const char *id;
  const char *tenant; /* of a file that a job made, the job's: not read when it is inserted */
  int64_t created_at;
  int64_t expires_at;          /* 0: never */
  const char *filename;
  const char *purpose;
  int64_t bytes;
  const char *sha256;
  const char *path;            /* relative to the data folder */
  const char *job_id;          /* NULL: an upload */
  enum file_status status;
  const char *status_details;  /* NULL: none */
  const char *report;          /* JSON text; NULL: none */
  const char *idempotency_key; /* NULL: none */
  const char *body_sha256;     /* of what was sent: the bytes' hash and the form's fields; NULL: of no request */
};

NODISCARD enum status db_file_insert(struct db *db, const struct file_row *row, struct error *err);
/* STATUS_FILE_NOT_FOUND, param "file_id". A file past expires_at (`now`) is not found either. */
NODISCARD enum status db_file_get(struct file_row *out, struct db *db, const char *tenant, const char *id, int64_t now,
                                  struct arena *arena, struct error *err);
/* A file that the same request made before: row.h. */
NODISCARD enum status db_file_same(struct file_row *out, bool *found, struct db *db, const char *tenant,
                                   const char *key, const char *body_sha256, int64_t since, struct arena *arena,
                                   struct error *err);
/* At most page->limit rows into *out (an array in the arena); *more: the list goes on. `purpose` may be NULL. */
NODISCARD enum status db_file_list(struct file_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                                   const struct page *page, const char *purpose, int64_t now, struct arena *arena,
                                   struct error *err);
/* The end of a check: only a file that is still `uploaded` changes; *changed false: it was deleted meanwhile. */
NODISCARD enum status db_file_checked(struct db *db, const char *id, enum file_status status, const char *details,
                                      const char *report, bool *changed, struct error *err);
/* STATUS_FILE_IN_USE when a job that has not ended names it. Inside a transaction of the caller's. */
NODISCARD enum status db_file_delete(struct db *db, const char *tenant, const char *id, struct error *err);
/* The rows a job made. */
NODISCARD enum status db_file_delete_of_job(struct db *db, const char *job_id, struct error *err);
/* Uploads that wait for their check, oldest first, at most `limit`. */
NODISCARD enum status db_file_unchecked(struct file_row **out, size_t *count, struct db *db, int64_t limit,
                                        struct arena *arena, struct error *err);
/* Files past their time that no open job needs, at most `limit`. */
NODISCARD enum status db_file_expired(struct file_row **out, size_t *count, struct db *db, int64_t now, int64_t limit,
                                      struct arena *arena, struct error *err);
/* Is there a file with this id, expired or not, or a part of an upload? */
NODISCARD enum status db_file_known(bool *out, struct db *db, const char *id, struct error *err);

#endif
