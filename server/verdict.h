/* What a worker's death means: the one place that decides it, as a pure function of what was seen. */
#ifndef SERVER_VERDICT_H
#define SERVER_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/job_state.h"
#include "base/error.h"

/* Why we ended it ourselves, if we did. */
enum worker_fault {
  WORKER_FAULT_NONE,
  WORKER_FAULT_SILENT,   /* it said nothing for too long */
  WORKER_FAULT_PROTOCOL, /* it said something that is no event, or none that it may send */
  WORKER_FAULT_UNHEARD,  /* the daemon had no memory for what it said */
};

struct death {
  bool heard;           /* it said something */
  int64_t exit_status;  /* meaningful when signal is 0 */
  int signal;           /* that killed it; 0: it exited */
  bool short_of_memory; /* the kernel ended processes for want of memory while it ran */
  enum worker_fault fault;
  char fault_text[200]; /* says what was wrong */
};

/* What we had requested of it; what was promised later in this list outweighs what stands before it. */
enum stop {
  STOP_NONE,
  STOP_RESUME,  /* to pause, and then that the job goes on after all */
  STOP_PREEMPT, /* to leave for a job of higher priority */
  STOP_DRAIN,   /* to leave, so that the job can go on later */
  STOP_PAUSE,
  STOP_CANCEL,
};

struct evidence {
  struct death death;
  int64_t step;                  /* the last one that it told of; 0: none */
  int64_t attempt, attempts_max; /* of a job: its claims since training got to `furthest`, and how many it may have */
  int64_t furthest;              /* the step that a run of it has come to for good; 0: none */
  enum stop stop;
  const struct error *error_event; /* its own; NULL: none */
  size_t artifact_count;           /* that it announced */
  const struct error *broken;      /* the first artifact that is not as announced, or cannot be read; NULL: none */
  const char *log_tail;            /* the last lines of its log; "" when empty */
};

/* Whose doing the end of a run was. */
enum cause {
  CAUSE_NOBODY, /* it was told to leave */
  CAUSE_JOB,    /* it succeeded, or failed as it would again */
  CAUSE_HOST,   /* STATUS_UNAVAILABLE: the worker could not be executed; STATUS_NO_SPACE: the disk was full */
  CAUSE_CRASH,  /* the worker died without a reason of its own, or the disk does not give its artifacts back: it can be
                   the job's fault or not */
};
struct verdict {
  enum job_state to;
  enum cause cause;
  struct error why; /* not of CAUSE_NOBODY or JOB_SUCCEEDED */
};
/* A crash is tried again, attempts_max times without getting further; then the job has failed. */
struct verdict verdict_of_training(const struct evidence *evidence);

/* How long to wait after a crash, in ms: longer after each attempt, and never twice the same. `random`: any number. */
int64_t verdict_retry_ms(int64_t attempt, uint32_t random);

/* Did a check end well? Else *why: STATUS_DATASET_INVALID and so on when the file is at fault, STATUS_UNAVAILABLE when
   the worker could not be executed. `has_report`: it has sent its report. */
enum status verdict_of_check(struct error *why, const struct evidence *evidence, bool has_report);

#endif
