/* Tables `webhook_endpoint` and `webhook_delivery`: who is told of jobs, and what is to be told. A delivery is made by
   a trigger, in the transaction that changes a job's state. */
#ifndef STORAGE_DB_WEBHOOK_H
#define STORAGE_DB_WEBHOOK_H

#include <stddef.h>

#include "base/arena.h"
#include "storage/db.h"

struct webhook_row {
  int64_t seq;
  const char *id;
  const char *tenant;
  int64_t created_at, updated_at;
  const char *name, *url;
  const char *event_types;       /* JSON array of strings */
  const char *secret;
  const char *old_secret;        /* signs beside it until then; NULL: none */
  int64_t old_secret_until;
};

enum delivery_status { DELIVERY_PENDING, DELIVERY_DELIVERED, DELIVERY_GIVEN_UP };

struct webhook_delivery {
  int64_t seq;                   /* the wire id is "whd-<seq>" */
  const char *endpoint_id, *event_id, *event_type, *job_id;
  int64_t created_at;
  enum delivery_status status;
  int64_t attempts;
  int64_t due_at;
  int64_t status_code;           /* 0: there was no answer */
  const char *error;             /* NULL: none */
  int64_t finished_at;           /* 0: not yet */
};
const char *webhook_delivery_status(enum delivery_status status);  /* "pending", "delivered", "failed" */

NODISCARD enum status db_webhook_insert(struct db *db, const struct webhook_row *row, struct error *err);
/* STATUS_WEBHOOK_NOT_FOUND, param "webhook_endpoint_id". */
NODISCARD enum status db_webhook_get(struct webhook_row *out, struct db *db, const char *tenant, const char *id,
                                     struct arena *arena, struct error *err);
NODISCARD enum status db_webhook_list(struct webhook_row **out, size_t *count, bool *more, struct db *db,
                                      const char *tenant, const struct page *page, struct arena *arena,
                                      struct error *err);
NODISCARD enum status db_webhook_count(int64_t *out, struct db *db, const char *tenant, struct error *err);
/* Writes what can change: name, url, event_types, the secrets, updated_at. */
NODISCARD enum status db_webhook_update(struct db *db, const struct webhook_row *row, struct error *err);
/* With its deliveries. */
NODISCARD enum status db_webhook_delete(struct db *db, const char *tenant, const char *id, struct error *err);

/* page->after is a wire id. */
NODISCARD enum status db_webhook_deliveries(struct webhook_delivery **out, size_t *count, bool *more, struct db *db,
                                            const char *endpoint_id, const struct page *page, struct arena *arena,
                                            struct error *err);
/* Of the endpoints that have something due the ones that were tried longest ago, at most `limit`. */
NODISCARD enum status db_webhook_due(struct webhook_row **out, size_t *count, struct db *db, int64_t now,
                                     int64_t limit, struct arena *arena, struct error *err);
/* The delivery of that endpoint that is due first. *found false: none is. */
NODISCARD enum status db_webhook_next(struct webhook_delivery *out, bool *found, struct db *db,
                                      const char *endpoint_id, int64_t now, struct arena *arena, struct error *err);
/* What became of an attempt: status, status_code, error, and, while it stays pending, due_at. It counts. Nothing
   happens where the endpoint was deleted meanwhile. */
NODISCARD enum status db_webhook_tried(struct db *db, const struct webhook_delivery *delivery, int64_t now,
                                       struct error *err);
/* Deletes at most `limit` of those that ended before `before`. */
NODISCARD enum status db_webhook_forget(struct db *db, int64_t before, int64_t limit, struct error *err);

#endif
