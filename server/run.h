/* What the supervisor and its kinds of runs share: private to supervisor.c, run.c, training.c, reports.c,
   checking.c, inspecting.c, exporting.c and artifacts.c. */
#ifndef SERVER_RUN_H
#define SERVER_RUN_H

#include <uv.h>

#include "api/event.h"
#include "api/task.h"
#include "base/arena.h"
#include "server/inspection.h"
#include "server/paths.h"
#include "server/server.h"
#include "server/verdict.h"
#include "server/worker.h"
#include "storage/db_export.h"
#include "storage/db_file.h"
#include "storage/db_job.h"

struct announced {
  const char *name;
  const char *path;  /* relative to the output folder */
  int64_t bytes;
  const char *sha256;
  bool result_file;
};
enum { ANNOUNCED_MAX = 256, LOG_TAIL_BYTES = 240 };

struct supervisor {
  struct server *server;
  struct run *runs;
};

struct run;
typedef enum status run_store(struct run *run, struct error *err);

/* One worker and what it said so far. */
struct run {
  struct run *next;
  struct supervisor *supervisor;
  struct server *server;
  struct worker *worker;           /* NULL once it has ended */
  enum task_kind kind;
  char id[64];                     /* of the job, the file or the model (its beginning) */
  struct arena arena;              /* lives as long as the run */
  enum stop stop;
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

/* A run is in its supervisor's list from run_new to run_end, which frees it and wakes the scheduler. */
struct run *run_new(struct supervisor *supervisor, struct server *server, enum task_kind kind, const char *id);
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

/* What a training worker says: stored line by line, one transaction a read. While the store cannot take a batch
   (locked, full) it is kept and the worker waits. reports_drop: the run is to end, its unstored lines no longer
   matter. */
bool reports_line(void *context, const char *text, size_t length, struct error *err);
void reports_batch(void *context);
void reports_drop(struct run *run);
/* A line in the job's events. */
NODISCARD enum status reports_event(struct run *run, enum log_level level, const char *message, struct error *err);

/* An artifact event: noted. Then, once the worker has ended well, every announced file is read and compared
   with what was said of it, beside the loop; `verified` follows. At last, inside a transaction: rows. */
NODISCARD enum status artifacts_note(struct run *run, const struct event *event, struct error *err);
void artifacts_verify(struct run *run, void (*verified)(struct run *run));
NODISCARD enum status artifacts_store(struct run *run, struct error *err);

/* The log file of the run's job, in full. */
NODISCARD enum status run_log_path(char out[PATH_BYTES], const struct run *run, struct error *err);
/* The last lines of a log file as one line of printable text; "" when there are none. */
void run_log_tail(char out[LOG_TAIL_BYTES], const char *path);

/* A run starts, or it ends itself. The status says whether the host let it start: a fault of the job's or file's own is
   stored with it and is none here. */
NODISCARD enum status training_start(struct run *run, const struct job_row *job, struct error *err);
NODISCARD enum status exporting_start(struct run *run, const struct export_row *export, struct error *err);
NODISCARD enum status inspecting_start(struct run *run, struct inspected *inspected, struct error *err);
NODISCARD enum status checking_start(struct run *run, const struct file_row *file, struct error *err);

#endif
