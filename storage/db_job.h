/* Table `job`: the queue. A claim gives a lease token; every write that a worker causes carries the
   token, so that a worker that lost its lease changes nothing. States move along api/job_state.h only. */
#ifndef STORAGE_DB_JOB_H
#define STORAGE_DB_JOB_H

#include <stddef.h>

#include "api/job.h"
#include "api/job_state.h"
#include "base/arena.h"
#include "storage/db.h"

struct job_row {
  const char *id;
  const char *tenant;
  int64_t created_at;
  const char *model;
  const char *training_file;
  const char *validation_file;   /* NULL: none */
  const char *fine_tuned_model;  /* the name it has once it succeeded */
  const char *spec;              /* JSON text of job_spec_json; read by db_job_spec */
  const char *metadata;          /* JSON text; NULL: none */
  int64_t priority;
  const char *idempotency_key;   /* NULL: none */
  const char *body_sha256;
  enum job_state state;
  int64_t lease_token;
  int64_t restarts;
  const char *worker;            /* who runs it, or ran it last; NULL: nobody yet */
  int64_t cancel_requested_at;   /* 0: not */
  int64_t started_at;            /* 0: not yet */
  int64_t finished_at;           /* 0: not yet */
  int64_t trained_tokens;        /* -1: not known */
  const char *progress;          /* JSON text; NULL: none */
  const char *error_code, *error_param, *error_message;  /* NULL: none */
  bool model_deleted;
  int64_t seq;                   /* its place in order of age */
  int64_t needs_free;            /* queued: it waits until the disk has so many bytes free; 0: it does not */
  const char *device_wanted;     /* scheduling.device */
  const char *device;            /* that it runs on, or ran on last; NULL: none yet */
  int64_t attempts;              /* claims since training last got further, without those that were given back */
  int64_t interruptions;         /* deaths of the daemon while it ran, since then */
  int64_t furthest_step;         /* of a state that was ever stored (db_state.h); 0: none */
  int64_t pause_requested_at;    /* running: 0: not */
  const char *estimate;          /* JSON text: what it was expected to take; NULL: nobody said */
  const char *request_id;        /* of the request that made it; NULL: not known */
  const char *peft_type;         /* of its adapter; "": not known */
  int64_t place;                 /* of two queued ones of a tenant and priority, that of the lesser is next */
  const char *cloned_from;       /* id of the job that it is a copy of; NULL: none */
  const char *from_checkpoint;   /* of its spec; NULL: none */
  const char *sweep;             /* id of the sweep that it was made in; NULL: none */
  const char *sweep_values;      /* JSON object: its values of what differs there; NULL: none */
  int64_t needs_memory;          /* MiB that it takes at most; 0: nobody could say; -1: nobody was asked */
  const char *waiting_for;       /* queued and next to start: "memory" or "cores"; NULL: neither */
};

/* The columns above from `id` to `state` are written, device_wanted, request_id, peft_type, cloned_from,
   from_checkpoint, sweep and sweep_values; the others begin empty. */
NODISCARD enum status db_job_insert(struct db *db, const struct job_row *row, struct error *err);
/* STATUS_JOB_NOT_FOUND, param "job_id". */
NODISCARD enum status db_job_get(struct job_row *out, struct db *db, const char *tenant, const char *id,
                                 struct arena *arena, struct error *err);
/* Whoever it belongs to: for what the daemon does by itself. */
NODISCARD enum status db_job_of_any(struct job_row *out, struct db *db, const char *id, struct arena *arena,
                                    struct error *err);

/* What the job asks for, restored from its row (job_spec_restore): *document is a new reference, kept as long as the
   metadata of *out are used; `out` NULL: it alone is wanted. STATUS_DAMAGED names the job. */
NODISCARD enum status db_job_spec(struct job_spec *out, json_t **document, const struct job_row *job,
                                  struct arena *arena, struct error *err);

struct job_filter {
  const char *metadata;  /* JSON object of strings, not empty, that the job's metadata must contain; NULL: any */
  bool metadata_null;    /* only jobs without metadata */
  const char *sweep;     /* only jobs of that sweep; NULL: any. Not together with metadata */
};
NODISCARD enum status db_job_list(struct job_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                                  const struct page *page, const struct job_filter *filter, struct arena *arena,
                                  struct error *err);
/* Jobs in a state one by one, oldest first: the first whose seq is above `after`. *found false: no more. */
NODISCARD enum status db_job_next(struct job_row *out, bool *found, struct db *db, enum job_state state, int64_t after,
                                  struct arena *arena, struct error *err);
/* The models of jobs that succeeded and whose model is there, newest first. */
struct job_model {
  const char *name;
  int64_t finished_at;
};
NODISCARD enum status db_job_models(struct job_model **out, size_t *count, bool *more, struct db *db,
                                    const char *tenant, struct arena *arena, struct error *err);
/* The one with that fine_tuned_model, or STATUS_MODEL_NOT_FOUND, param "model". */
NODISCARD enum status db_job_of_model(struct job_row *out, struct db *db, const char *tenant, const char *name,
                                      struct arena *arena, struct error *err);
NODISCARD enum status db_job_delete_model(struct db *db, const char *id, struct error *err);

/* The tenant's newest job made since `since` with that key, or with that body when key is NULL (jobs that came with a
   key are then left out). *found false: none. */
NODISCARD enum status db_job_same(struct job_row *out, bool *found, struct db *db, const char *tenant, const char *key,
                                  const char *body_sha256, int64_t since, struct arena *arena, struct error *err);

/* Takes the first queued job that the place suits and makes it running with a new token, which is an attempt: that of
   the highest priority, then that of the tenant whose turn lies longest ago, then the oldest. *found false: none. */
struct job_place {
  int64_t free_bytes;  /* of the disk */
  const char *devices; /* JSON array of device_wanted: the job's is one of these, */
  bool others;         /* or it is none of them */
  int64_t running_max; /* jobs of one tenant that run at the same time, where it has no limit of its own; 0: any */
  int64_t now_ms;      /* boot clock */
};
NODISCARD enum status db_job_claim(struct job_row *out, bool *found, struct db *db, const struct job_place *place,
                                   int64_t now, struct arena *arena, struct error *err);
/* The one that it would take now. */
NODISCARD enum status db_job_first(struct job_row *out, bool *found, struct db *db, const struct job_place *place,
                                   struct arena *arena, struct error *err);

/* Guarded writes: *held false: the lease is lost and nothing was written. */
struct lease {
  const char *job_id;
  int64_t token;
};
NODISCARD enum status db_job_set_worker(struct db *db, const struct lease *lease, const char *worker, bool *held,
                                        struct error *err);
NODISCARD enum status db_job_set_device(struct db *db, const struct lease *lease, const char *device, bool *held,
                                        struct error *err);
NODISCARD enum status db_job_set_progress(struct db *db, const struct lease *lease, const char *progress,
                                          int64_t trained_tokens, bool *held, struct error *err);
/* What it is expected to take, where nobody has said so before. */
NODISCARD enum status db_job_set_estimate(struct db *db, const char *id, const char *estimate, struct error *err);
/* MiB that it takes at most; 0: nobody could say. */
NODISCARD enum status db_job_set_needs(struct db *db, const char *id, int64_t memory_mib, struct error *err);
/* What the job that is next waits for; none of the others does. `id` NULL: none waits. */
NODISCARD enum status db_job_set_waiting(struct db *db, const char *id, const char *waiting_for, struct error *err);
NODISCARD enum status db_job_held(bool *held, struct db *db, const struct lease *lease, struct error *err);
/* Ends the lease: running -> `to`. `why` fills the error columns when `to` is FAILED, else NULL. A move to
   QUEUED counts a restart. A pause that was requested is no longer. */
NODISCARD enum status db_job_release(struct db *db, const struct lease *lease, enum job_state to,
                                     const struct error *why, int64_t now, bool *held, struct error *err);

/* Gives a claim back as if it had not been made: no restart and no attempt is counted. The token stays used. The job is
   queued, or paused where that was requested meanwhile. */
NODISCARD enum status db_job_unclaim(struct db *db, const struct lease *lease, bool *held, struct error *err);
/* The attempt that a claim counted does not count: nothing that the job did ended it. */
NODISCARD enum status db_job_refund(struct db *db, const char *id, struct error *err);
/* The daemon died while it ran. */
NODISCARD enum status db_job_interrupted(struct db *db, const char *id, struct error *err);
/* A queued job waits until the boot clock shows `run_after`; and none waits for what that clock showed before. */
NODISCARD enum status db_job_wait_until(struct db *db, const char *id, int64_t run_after, struct error *err);
NODISCARD enum status db_job_forget_waits(struct db *db, struct error *err);
/* A queued job waits until the disk has so many bytes free. */
NODISCARD enum status db_job_wait_for_room(struct db *db, const char *id, int64_t needs_free, struct error *err);
/* Those that do wait no longer for it: once in a while each may find out by itself. */
NODISCARD enum status db_job_room_for_all(struct db *db, struct error *err);

/* A move of a job that no worker has: `from` must be its state now; *moved false: it was not. */
NODISCARD enum status db_job_move(struct db *db, const char *id, enum job_state from, enum job_state to,
                                  const struct error *why, int64_t now, bool *moved, struct error *err);
/* Notes that a running job shall be paused, or shall not. */
NODISCARD enum status db_job_request_pause(struct db *db, const char *id, int64_t now, struct error *err);
NODISCARD enum status db_job_withdraw_pause(struct db *db, const char *id, struct error *err);
/* Notes that a running job shall be cancelled. */
NODISCARD enum status db_job_request_cancel(struct db *db, const char *id, int64_t now, struct error *err);

#endif
