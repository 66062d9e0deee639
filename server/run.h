/* What every run of a worker shares: its start, its log, and that the store learns how it ends. What is run, and what
   an end means, is the kinds' (training.h, exporting.h, checking.h, inspecting.h). */
#ifndef SERVER_RUN_H
#define SERVER_RUN_H

#include <uv.h>

#include "api/event.h"
#include "api/task.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "server/paths.h"
#include "server/server.h"
#include "server/verdict.h"
#include "server/worker.h"
#include "storage/db_job.h"

struct announced {
  const char *name;
  const char *path;  /* relative to the output folder */
  int64_t bytes;
  const char *sha256;
  bool result_file;
};
enum { ANNOUNCED_MAX = 256, LOG_TAIL_BYTES = 240 };

struct run;
typedef enum status run_store(struct run *run, struct error *err);
/* It is over; it is freed afterwards. */
typedef void run_ended(void *context, struct run *run);

/* One worker and what it said so far. */
struct run {
  struct run *next;                /* its owner's list */
  run_ended *ended;                /* its owner wants to know */
  void *context;
  struct server *server;
  struct worker *worker;           /* NULL once it has ended */
  enum task_kind kind;
  char id[64];                     /* of the job, the file or the model (its beginning) */
  struct arena arena;              /* lives as long as the run */
  enum stop stop;
  void (*stopping)(struct run *run); /* it was just asked to stop; NULL: the kind does not mind */
  char known[64];                  /* what its end has made known, as requests wait for it (an upload's id,
                                      inspection_key); empty: nothing */
  bool has_reported;
  struct error reported;           /* its error event */
  struct death death;              /* once it has ended */
  uv_timer_t timer;                /* for what is to be tried again */
  void (*again)(struct run *run);
  run_store *store_end;            /* see run_settle */
  unsigned tries;

  struct lease lease;              /* TRAIN */
  const char *fine_tuned_model;
  const char *output;              /* relative to the data folder */
  struct string_list exports;      /* TRAIN: formats that it leaves, normalised */
  bool deaf;                       /* what it says is no longer stored */
  bool in_transaction;             /* lines of one read are one transaction */
  struct str kept;                 /* those lines, until the store has them */
  bool stalled;                    /* the store cannot take them now: the worker's output waits */
  size_t announced_stored;         /* announced_count before those lines */
  struct str progress;             /* JSON text that the end of the batch writes; empty: nothing new */
  int64_t trained_tokens;
  int64_t free_at_exit;            /* bytes of the disk when its process had ended */
  size_t announced_count;
  struct announced announced[ANNOUNCED_MAX];
  uv_work_t verify;                /* reads the artifacts beside the loop */
  void (*verified)(struct run *run);
  bool is_broken;
  struct error broken;

  json_t *report;                  /* CHECK, INSPECT */
  struct inspected *inspected;     /* INSPECT */
  uint64_t inspected_version;      /* INSPECT: of its files when the run began */
  int64_t export_seq;              /* EXPORT */
  const char *format;              /* EXPORT */
};

/* A run with its owner's call. NULL: no memory. */
struct run *run_new(struct server *server, enum task_kind kind, const char *id, run_ended *ended, void *context);
/* Tells the owner, then frees it. */
void run_end(struct run *run);
/* Starts the run's worker with its task. What it writes on standard error joins the job's log; a check has none. */
NODISCARD enum status run_start_worker(struct run *run, const struct task *task, const struct worker_calls *calls,
                                       struct error *err);
/* The worker's error event: why it will exit, in its own words. */
void run_note_error(struct run *run, const struct event *event);
/* Calls `again` in a moment. One call at a time. */
void run_again(struct run *run, void (*again)(struct run *run));
/* How a run ends, told to the store: `store_end` is called until it succeeds (a full disk may have room again, a lock
   is let go), then the run is gone. A daemon that stops leaves the rest to the recovery of the next one. */
void run_settle(struct run *run, run_store *store_end);
/* Threads for a worker that asks for so many (0: for none in particular): never more than the operator allows. */
int run_threads(const struct run *run, int64_t asked);
/* Stops the worker, with the configured grace or at once. */
void run_stop(struct run *run, enum stop stop, bool at_once);

/* A line in the events of the run's job. */
NODISCARD enum status run_add_event(struct run *run, enum log_level level, const char *message, struct error *err);

/* The log file of the run's job, in full. */
NODISCARD enum status run_log_path(char out[PATH_BYTES], const struct run *run, struct error *err);
/* The last lines of a log file as one line of printable text; "" when there are none. */
void run_log_tail(char out[LOG_TAIL_BYTES], const char *path);

#endif
