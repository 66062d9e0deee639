/* Table `sweep`: jobs that are made and compared together. A job names its sweep: one that is deleted has left it. */
#ifndef STORAGE_DB_SWEEP_H
#define STORAGE_DB_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "api/job_state.h"
#include "base/arena.h"
#include "storage/db.h"

struct sweep_row {
  int64_t seq;
  const char *id;
  const char *tenant;
  int64_t created_at;
  const char *name;    /* NULL: none */
  const char *metric;  /* what its jobs are compared by */
  const char *goal;    /* "minimize", "maximize" */
  const char *fields;  /* JSON array of strings */
  const char *request; /* JSON object */
  const char *idempotency_key; /* NULL: none */
  const char *body_sha256;     /* NULL: not known */
};

/* What a comparison needs of a job. */
struct sweep_member {
  const char *id;
  enum job_state state;
  const char *values;              /* JSON object */
  int64_t started_at, finished_at; /* 0: not yet */
  const char *progress, *estimate; /* JSON objects; NULL: none */
  const char *error_code, *error_message;
  const char *fine_tuned_model; /* the name it has once it succeeded */
  bool best_at_end;             /* its adapter is that of its best evaluation, not the last */
};

NODISCARD enum status db_sweep_insert(struct db *db, const struct sweep_row *row, struct error *err);
/* STATUS_SWEEP_NOT_FOUND, param "sweep_id". */
NODISCARD enum status db_sweep_get(struct sweep_row *out, struct db *db, const char *tenant, const char *id,
                                   struct arena *arena, struct error *err);
NODISCARD enum status db_sweep_list(struct sweep_row **out, size_t *count, bool *more, struct db *db,
                                    const char *tenant, const struct page *page, struct arena *arena,
                                    struct error *err);
/* The newest since `since` that came with the key or, where that is NULL, without one and with a body of that hash. */
NODISCARD enum status db_sweep_same(struct sweep_row *out, bool *found, struct db *db, const char *tenant,
                                    const char *key, const char *body_sha256, int64_t since, struct arena *arena,
                                    struct error *err);
/* Its jobs are those of no sweep then. */
NODISCARD enum status db_sweep_delete(struct db *db, const char *tenant, const char *id, struct error *err);

/* In the order in which they were made. */
NODISCARD enum status db_sweep_members(struct sweep_member **out, size_t *count, struct db *db, const char *tenant,
                                       const char *id, struct arena *arena, struct error *err);

#endif
