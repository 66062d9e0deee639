/* Table `tenant`: who has files and jobs, how much of them, and how much is allowed. */
#ifndef STORAGE_DB_TENANT_H
#define STORAGE_DB_TENANT_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"

enum { TENANT_AS_CONFIGURED = -1 };

struct tenant_row {
  const char *name;
  int64_t created_at;
  int64_t bytes;                              /* of uploads and artifacts */
  int64_t queued_max, running_max, bytes_max; /* 0: no limit; TENANT_AS_CONFIGURED: the option tenant_..._max */
};

/* One that is there already stays as it is. */
NODISCARD enum status db_tenant_add(struct db *db, const char *name, int64_t now, struct error *err);
/* STATUS_TENANT_NOT_FOUND, param "tenant". */
NODISCARD enum status db_tenant_get(struct tenant_row *out, struct db *db, const char *name, struct arena *arena,
                                    struct error *err);
/* All, by name. */
NODISCARD enum status db_tenant_list(struct tenant_row **out, size_t *count, bool *more, struct db *db,
                                     struct arena *arena, struct error *err);
/* Stores the limits of `row`. */
NODISCARD enum status db_tenant_limit(struct db *db, const struct tenant_row *row, struct error *err);

#endif
