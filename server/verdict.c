#include "server/verdict.h"

#include <inttypes.h>

#include "server/process.h"

static void add_tail(struct error *why, const char *tail) {
  if (!tail[0])
    return;
  struct error old = *why;
  error_set(why, old.status, old.param, "%s; its log ends: %s", old.text, tail);
}

/* What the dynamic loader exits with when a library is missing, and a shell when a program is. */
enum { EXIT_NOT_EXECUTED = 127 };

/* The faults that training and checking share; STATUS_OK: it exited with 0 and complained of nothing. */
static enum status judge(struct error *why, const struct evidence *evidence) {
  const struct death *death = &evidence->death;
  char buffer[32];
  switch (death->fault) {
  case WORKER_FAULT_SILENT:
    return error_set(why, STATUS_WORKER_UNRESPONSIVE, NULL, "%s", death->fault_text);
  case WORKER_FAULT_PROTOCOL:
    return error_set(why, STATUS_WORKER_CRASHED, NULL, "%s", death->fault_text);
  case WORKER_FAULT_NONE: break;
  }
  if (death->signal) {
    error_set(why, STATUS_WORKER_CRASHED, NULL, "the worker was killed by %s",
              process_signal_name(death->signal, buffer));
    add_tail(why, evidence->log_tail);
    return why->status;
  }
  if (evidence->error_event) {
    *why = *evidence->error_event;
    return why->status;
  }
  if (death->exit_status == EXIT_NOT_EXECUTED && !death->heard) {
    error_set(why, STATUS_UNAVAILABLE, "worker_path", "the worker could not be executed (status 127)");
    add_tail(why, evidence->log_tail);
    return why->status;
  }
  if (death->exit_status != 0) {
    error_set(why, STATUS_WORKER_CRASHED, NULL, "the worker exited with status %" PRId64 " and gave no reason",
              death->exit_status);
    add_tail(why, evidence->log_tail);
    return why->status;
  }
  return STATUS_OK;
}

/* As `judge`, and the artifacts must be there. */
static enum status judge_training(struct error *why, const struct evidence *evidence) {
  if (judge(why, evidence))
    return why->status;
  if (evidence->broken) {
    *why = *evidence->broken;
    return error_prefix(why, "an artifact is not what the worker announced");
  }
  if (evidence->artifact_count == 0) {
    error_set(why, STATUS_WORKER_CRASHED, NULL, "the worker ended without an artifact");
    add_tail(why, evidence->log_tail);
    return why->status;
  }
  return STATUS_OK;
}

enum job_state verdict_of_training(struct error *why, const struct evidence *evidence) {
  if (evidence->stop == STOP_CANCEL)
    return JOB_CANCELLED;
  enum status status = judge_training(why, evidence);
  if (status == STATUS_OK)
    return JOB_SUCCEEDED;
  if (status == STATUS_NO_SPACE || (status == STATUS_UNAVAILABLE && !evidence->error_event))
    return JOB_QUEUED;
  if (evidence->stop == STOP_NONE)
    return JOB_FAILED;
  *why = (struct error){0}; /* it was to stop: whatever it answered is no fault */
  return JOB_QUEUED;
}

enum status verdict_of_check(struct error *why, const struct evidence *evidence, bool has_report) {
  if (judge(why, evidence))
    return why->status;
  if (!has_report)
    return error_set(why, STATUS_WORKER_CRASHED, NULL, "the check ended without a report");
  return STATUS_OK;
}
