/* Table `removal`: folders and files that no row names any more. A path is noted in the transaction that deletes its
   rows, so that neither a crash nor a full disk leaves bytes that nobody removes, or removes bytes that a row names. */
#ifndef STORAGE_DB_REMOVAL_H
#define STORAGE_DB_REMOVAL_H

#include "base/arena.h"
#include "storage/db.h"

/* `path` is relative to the data folder. One that is noted already stays so. */
NODISCARD enum status db_removal_add(struct db *db, const char *path, struct error *err);
/* The first path after `after` (""; any). *out NULL: no more. */
NODISCARD enum status db_removal_next(const char **out, struct db *db, const char *after, struct arena *arena,
                                      struct error *err);
NODISCARD enum status db_removal_noted(bool *out, struct db *db, const char *path, struct error *err);
/* It is gone. */
NODISCARD enum status db_removal_done(struct db *db, const char *path, struct error *err);

#endif
