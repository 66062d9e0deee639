/* What every run of a worker shares: its start, its events, its log, and that the store learns how it ends. What is run
   and what an end means is the kinds' (training.h, exporting.h, checking.h, inspecting.h). */
#ifndef SERVER_RUN_H
#define SERVER_RUN_H

#include <uv.h>

#include "api/event.h"
#include "api/task.h"
#include "base/arena.h"
#include "base/log.h"
#include "server/paths.h"
#include "server/server.h"
#include "server/verdict.h"
#include "server/worker.h"

struct run;

/* What is a kind's own. Its struct begins with the struct run. */
struct run_kind {
  enum task_kind task;
  size_t bytes;  /* of its struct */
  bool has_log;  /* what the worker writes on standard error joins the job's log */
  /* An event that the worker has sent, and the line that it was: STATUS_OK, or the worker is killed for it. */
  enum status (*event)(struct run *run, const struct event *event, const char *line, size_t length, struct error *err);
  void (*batch)(struct run *run);    /* after the events of one read; NULL: nothing */
  void (*exited)(struct run *run);   /* it was just reaped; some of what it wrote may still come; NULL: nothing */
  void (*ended)(struct run *run);    /* all was handed over: run->death says how it ended */
  void (*stopping)(struct run *run); /* run_stop; NULL: nothing */
  void (*done)(struct run *run);     /* frees what is the kind's own; NULL: nothing */
  bool reads_lines;                  /* more than orders: the end of its input is what stops it */
  bool resumes;                      /* told to pause, its worker leaves what a later run goes on from */
};

typedef enum status run_store(struct run *run, struct error *err);
/* For the owner of a run: it is over, and is freed afterwards. */
typedef void run_ended(void *context, struct run *run);

struct run {
  struct run *next;            /* its owner's list */
  run_ended *ended;
  void *context;
  struct server *server;
  const struct run_kind *kind;
  struct worker *worker;       /* NULL once it has ended */
  char id[64];                 /* of the job, the file or the model (its beginning) */
  struct arena arena;          /* lives as long as the run */
  int64_t attempt;             /* of a job; 0: it has none */
  const char *output;          /* its worker's output folder; NULL: none */
  char cgroup[PATH_BYTES];     /* its worker's; "": none */
  enum stop stop;
  char known[64];              /* what its end has made known, as requests wait for it (an upload's id, inspected_key);
                                  empty: nothing */
  bool has_error_event;
  struct error error_event;    /* why the worker will exit, in its own words */
  struct error refusal;        /* why there is no worker */
  struct death death;          /* once it has ended */
  uv_timer_t timer;            /* for what is to be tried again */
  void (*again)(void *context);
  void *again_context;
  run_store *settle;           /* see run_settle */
  unsigned tries;
};

/* A run with its owner's call. NULL: no memory. */
struct run *run_new(struct server *server, const struct run_kind *kind, const char *id, run_ended *ended,
                    void *context);
/* Lines of the log are about it from here to there. */
void run_log_begin(const struct run *run);
void run_log_end(const struct run *run);
/* Calls the owner, then frees it. */
void run_end(struct run *run);
/* Starts the run's worker with its task. */
NODISCARD enum status run_start_worker(struct run *run, const struct task *task, struct error *err);
/* Keeps the worker's error event. */
void run_note_error(struct run *run, const struct event *event);
/* Calls `again` in a moment. One call at a time. */
void run_again(struct run *run, void (*again)(void *context), void *context);
/* How a run ends, written to the store: `settle` is called until it succeeds (a full disk may have room again, a lock
   is let go), then the run is gone. A daemon that stops leaves the rest to the recovery of the next one. */
void run_settle(struct run *run, run_store *settle);
/* Stops the worker, with the grace that is the reason's or at once. */
void run_stop(struct run *run, enum stop stop, bool at_once);
/* A run that is to pause will be queued again instead. */
void run_resume(struct run *run);
/* What verdict.h judges by; the kind adds what it knows besides. */
struct evidence run_evidence(const struct run *run);

/* A line in the events of the run's job. */
NODISCARD enum status run_add_event(struct run *run, enum log_level level, const char *message, struct error *err);
/* The last lines of its job's log as one line of printable text; "" when there are none. */
enum { LOG_TAIL_BYTES = 240 };
void run_log_tail(char out[LOG_TAIL_BYTES], const struct run *run);

#endif
