/* Table `telemetry`: what a training told of each adapted module, by steps; it goes with its job. */
#ifndef STORAGE_DB_TELEMETRY_H
#define STORAGE_DB_TELEMETRY_H

#include "base/arena.h"
#include "storage/db.h"

struct telemetry_row {
  int64_t step;
  const char *data; /* JSON text: EVENT_TELEMETRY's */
};

/* A step that was told before stays as it was. */
NODISCARD enum status db_telemetry_add(struct db *db, const char *job_id, const struct telemetry_row *row,
                                       struct error *err);
/* Those of the steps from `first` on, in their order, at most `limit`. */
NODISCARD enum status db_telemetry_list(struct telemetry_row **out, size_t *count, bool *more, struct db *db,
                                        const char *job_id, int64_t first, int64_t limit, struct arena *arena,
                                        struct error *err);

#endif
