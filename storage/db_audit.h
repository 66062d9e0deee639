/* Table `audit`: what was changed, when and by whom. It only grows: the schema refuses to change or delete a row. */
#ifndef STORAGE_DB_AUDIT_H
#define STORAGE_DB_AUDIT_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"

struct audit_row {
  int64_t seq;        /* given by the table; the wire id is "audit_log-<seq>" */
  const char *tenant; /* whose things it was about */
  int64_t created_at;
  const char *type;     /* "jobs.create": the operation */
  const char *object;   /* id of what it was about; NULL: none */
  const char *result;   /* "success", or the code of the error */
  const char *actor;    /* "api_key", "configured_key", "anyone" (no key is set up), "local_user" */
  const char *actor_id; /* id of the key, or the user's number; NULL: none */
  const char *address;  /* that the request came from; NULL: none */
  const char *request;  /* its id; NULL: none */
};

/* A db_change: `row` is a struct audit_row. */
NODISCARD enum status db_audit_add(struct db *db, const void *row, struct error *err);
/* page->after is a wire id. */
NODISCARD enum status db_audit_list(struct audit_row **out, size_t *count, bool *more, struct db *db,
                                    const char *tenant, const struct page *page, struct arena *arena,
                                    struct error *err);

#endif
