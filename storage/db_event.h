/* Table `event`: what happened to a job, for ever. */
#ifndef STORAGE_DB_EVENT_H
#define STORAGE_DB_EVENT_H

#include <stddef.h>

#include "base/arena.h"
#include "base/log.h"
#include "storage/db.h"

struct event_row {
  int64_t seq;          /* given by the table; the wire id is "ftevent-<seq>" */
  const char *job_id;
  int64_t created_at;
  enum log_level level;
  bool metrics;         /* type "metrics"; else "message" */
  const char *message;
  const char *data;     /* JSON text; NULL: none */
};

const char *event_level_name(enum log_level level);  /* "info", "warn", "error"; DEBUG is written as info */

NODISCARD enum status db_event_add(struct db *db, const struct event_row *row, struct error *err);
/* The seq of the newest event of the job; 0: it has none. */
NODISCARD enum status db_event_last(int64_t *out, struct db *db, const char *job_id, struct error *err);
/* The data of the metrics of that step as they are stored. *out NULL: there are none. */
NODISCARD enum status db_event_metrics(const char **out, struct db *db, const char *job_id, int64_t step,
                                       struct arena *arena, struct error *err);
/* Has the job an event with the level, the message and the data of `row` among those up to `last`? */
NODISCARD enum status db_event_said(bool *out, struct db *db, const struct event_row *row, int64_t last,
                                    struct error *err);
/* Those after `after`, a seq, oldest first, at most `limit`; a list also ends where it has PAGE_BYTES. */
NODISCARD enum status db_event_after(struct event_row **out, size_t *count, struct db *db, const char *job_id,
                                     int64_t after, int64_t limit, struct arena *arena, struct error *err);
/* Metrics of the steps from `first` to `last`, in the order of their steps. */
struct metrics_row {
  int64_t step;
  const char *data; /* JSON text */
};
NODISCARD enum status db_event_series(struct metrics_row **out, size_t *count, bool *more, struct db *db,
                                      const char *job_id, int64_t first, int64_t last, int64_t limit,
                                      struct arena *arena, struct error *err);
/* page->after is a wire id. */
NODISCARD enum status db_event_list(struct event_row **out, size_t *count, bool *more, struct db *db,
                                    const char *job_id, const struct page *page, struct arena *arena,
                                    struct error *err);

/* Deletes `limit` events at most of those whose job was deleted: they can be so many that all at once would take
   seconds. *more: there may be others. In a transaction. */
NODISCARD enum status db_event_forget(bool *more, struct db *db, int64_t limit, struct error *err);

#endif
