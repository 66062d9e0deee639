/* What a training worker says: stored event by event, one transaction a read. While the store cannot take a batch
   (locked, full) its lines are kept and the worker waits. Every write carries the lease. */
#ifndef SERVER_REPORTS_H
#define SERVER_REPORTS_H

#include "base/str.h"
#include "server/artifacts.h"
#include "storage/db_job.h"

struct reports {
  struct run *run;
  struct artifacts *artifacts;  /* where announced ones are noted */
  struct db *db;
  struct lease lease;
  int64_t told;                 /* seq of the last event before this run: what it tells again is not stored again */
  bool told_otherwise;          /* it told metrics again with other values, which is logged once */
  int64_t last_step;            /* that it told of; 0: none yet */
  struct pace {
    int64_t step, tokens;       /* of the job, counted so far; -1: it goes on from where the first report says */
    double seconds;             /* that they took */
    char device[DEVICE_NAME_MAX];
  } pace;                       /* for the metrics */
  int64_t trained_tokens;       /* -1: not known */
  int64_t memory_mib;           /* that the worker has planned to take; BUDGET_UNKNOWN: it has not said */
  struct str progress;          /* JSON text that the end of the batch writes; empty: nothing new */
  bool in_transaction;          /* events of one read are one transaction */
  struct str kept;              /* their lines, until the store has them */
  size_t artifacts_stored;      /* how many were noted before them */
  bool stalled;                 /* the store cannot take them now: the worker's output waits */
  unsigned tries;
  int64_t forgotten;            /* checkpoints and previews whose bytes can go once their transaction is stored */
  bool muted;                   /* what the worker says is no longer stored */
};

/* `artifacts` and `lease` outlive them; `device`: that the job was given. */
void reports_init(struct reports *reports, struct artifacts *artifacts, const struct lease *lease,
                  const char *device);
void reports_done(struct reports *reports);
/* For struct run_kind: event, batch, stopping. */
NODISCARD enum status reports_event(struct reports *reports, const struct event *event, const char *line,
                                    size_t length, struct error *err);
void reports_batch(struct reports *reports);
/* Lines that the store could not take no longer matter. */
void reports_stopping(struct reports *reports);

#endif
