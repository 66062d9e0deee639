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
  WORKER_FAULT_SILENT,    /* it said nothing for too long */
  WORKER_FAULT_PROTOCOL,  /* it said something that is no event, or none that it may send */
};

struct death {
  bool heard;                 /* it said something */
  int64_t exit_status;        /* meaningful when signal is 0 */
  int signal;                 /* that killed it; 0: it exited */
  enum worker_fault fault;
  char fault_text[200];       /* says what was wrong */
};

/* What we had requested of it. */
enum stop { STOP_NONE, STOP_CANCEL, STOP_DRAIN };

struct evidence {
  struct death death;
  enum stop stop;
  const struct error *error_event;  /* its own; NULL: none */
  size_t artifact_count;         /* that it announced */
  const struct error *broken;    /* the first announced artifact that is not as announced; NULL: none */
  const char *log_tail;          /* the last lines of its log; "" when empty */
};

/* The state a training job goes to, and for JOB_FAILED the reason in *why. JOB_QUEUED with *why set: the host was at
   fault (STATUS_UNAVAILABLE: the worker could not be executed; STATUS_NO_SPACE: the disk was full). */
enum job_state verdict_of_training(struct error *why, const struct evidence *evidence);

/* Did a check end well? Else *why: STATUS_DATASET_INVALID and so on when the file is at fault, STATUS_UNAVAILABLE when
   the worker could not be executed. `has_report`: it has sent its report. */
enum status verdict_of_check(struct error *why, const struct evidence *evidence, bool has_report);

#endif
