/* Tables `upload` and `upload_part`: files that come in parts. The end of an upload drops its parts, by a trigger, and
   notes their bytes for removal. */
#ifndef STORAGE_DB_UPLOAD_H
#define STORAGE_DB_UPLOAD_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"

enum upload_status { UPLOAD_PENDING, UPLOAD_COMPLETED, UPLOAD_CANCELLED, UPLOAD_EXPIRED, UPLOAD_STATUS_COUNT };
const char *upload_status_name(enum upload_status status);

struct upload_row {
  const char *id;
  const char *tenant;
  int64_t created_at;
  int64_t expires_at; /* until then it must be complete */
  const char *filename;
  const char *purpose;
  int64_t bytes;              /* that all parts will have together */
  int64_t file_expires_after; /* seconds; 0: the file stays */
  enum upload_status status;
  const char *file_id;      /* NULL: it is not complete */
  const char *completed_by; /* hash of the request that completed it, or NULL */
  int64_t arrived;          /* bytes of the parts that are there: not read when it is inserted */
};

struct part_row {
  const char *id;
  const char *upload_id;
  int64_t created_at;
  int64_t bytes;
  const char *sha256;
  const char *path; /* relative to the data folder */
};

NODISCARD enum status db_upload_insert(struct db *db, const struct upload_row *row, struct error *err);
/* STATUS_UPLOAD_NOT_FOUND. One past its time is `expired` at `now`, whatever its row says still. */
NODISCARD enum status db_upload_get(struct upload_row *out, struct db *db, const char *tenant, const char *id,
                                    int64_t now, struct arena *arena, struct error *err);
/* At most page->limit rows into *out (an array in the arena); *more: the list goes on. */
NODISCARD enum status db_upload_list(struct upload_row **out, size_t *count, bool *more, struct db *db,
                                     const char *tenant, const struct page *page, int64_t now, struct arena *arena,
                                     struct error *err);
/* A pending one ends. `file_id` and `completed_by` are those of a completed one, else NULL. *ended false: it was not
   pending. */
NODISCARD enum status db_upload_end(struct db *db, const char *tenant, const char *id, enum upload_status status,
                                    const char *file_id, const char *completed_by, bool *ended, struct error *err);
/* Pending ones past their time, at most `limit`. */
NODISCARD enum status db_upload_due(struct upload_row **out, size_t *count, struct db *db, int64_t now, int64_t limit,
                                    struct arena *arena, struct error *err);
/* Forgets those that have ended and whose time was over before `before`. */
NODISCARD enum status db_upload_forget(struct db *db, int64_t before, struct error *err);

/* *added false: the upload takes it no longer, has one with these bytes already, or would have more bytes than it was
   made for, or too many parts. */
enum { UPLOAD_PARTS_MAX = 5000 };
NODISCARD enum status db_part_add(struct db *db, const char *tenant, const struct part_row *row, bool *added,
                                  struct error *err);
/* The part of an upload with these bytes. */
NODISCARD enum status db_part_with(struct part_row *out, bool *found, struct db *db, const char *tenant,
                                   const char *upload_id, const char *sha256, struct arena *arena, struct error *err);
/* Those of an upload, as a page of them. */
NODISCARD enum status db_part_list(struct part_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                                   const char *upload_id, const struct page *page, struct arena *arena,
                                   struct error *err);

#endif
