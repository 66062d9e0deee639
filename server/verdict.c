#include "server/verdict.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "server/host.h"
#include "server/process.h"

enum { RETRY_MS = 2000, RETRY_MS_MAX = 60 * 1000 };

static void add_tail(struct error *why, const char *tail) {
  if (!tail[0])
    return;
  struct error old = *why;
  error_set(why, old.status, old.param, "%s; its log ends: %s", old.text, tail);
}

/* What the dynamic loader exits with when a library is missing, and a shell when a program is. */
enum { EXIT_NOT_EXECUTED = 127 };
/* What reflect-sandbox exits with when a layer that was there when the daemon started cannot be set. */
enum { EXIT_NO_SANDBOX = 126 };

/* " at step 12", or nothing. */
static const char *at_step(char out[32], const struct evidence *evidence) {
  out[0] = '\0';
  if (evidence->step > 0)
    snprintf(out, 32, " at step %" PRId64, evidence->step);
  return out;
}

/* The faults that training and checking share; STATUS_OK: it exited with 0 and complained of nothing. */
static enum status judge(struct error *why, const struct evidence *evidence) {
  const struct death *death = &evidence->death;
  char buffer[32], step[32];
  switch (death->fault) {
  case WORKER_FAULT_SILENT:
    return error_set(why, STATUS_WORKER_UNRESPONSIVE, NULL, "%s%s", death->fault_text, at_step(step, evidence));
  case WORKER_FAULT_UNHEARD: return error_set(why, STATUS_UNAVAILABLE, NULL, "%s", death->fault_text);
  case WORKER_FAULT_PROTOCOL: return error_set(why, STATUS_WORKER_CRASHED, NULL, "%s", death->fault_text);
  case WORKER_FAULT_NONE: break;
  }
  if (death->signal == SIGKILL && death->short_of_memory)
    return error_set(why, STATUS_OUT_OF_MEMORY, NULL,
                     "the worker was killed when this machine had no memory left; scheduling.memory_limit bounds it");
  if (death->signal) {
    error_set(why, STATUS_WORKER_CRASHED, NULL, "the worker was killed by %s%s",
              process_signal_name(death->signal, buffer), at_step(step, evidence));
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
  if (death->exit_status == EXIT_NO_SANDBOX && !death->heard) {
    error_set(why, STATUS_UNAVAILABLE, "sandbox", "the worker's sandbox could not be made (status 126)");
    add_tail(why, evidence->log_tail);
    return why->status;
  }
  if (death->exit_status != 0) {
    error_set(why, STATUS_WORKER_CRASHED, NULL, "the worker exited with status %" PRId64 "%s and gave no reason",
              death->exit_status, at_step(step, evidence));
    add_tail(why, evidence->log_tail);
    return why->status;
  }
  return STATUS_OK;
}

/* An artifact may be as announced: the machine could not read it. */
static bool unread(const struct evidence *evidence) {
  return evidence->broken && host_caused(evidence->broken->status);
}

/* As `judge`, and the artifacts must be there. */
static enum status judge_training(struct error *why, const struct evidence *evidence) {
  if (judge(why, evidence))
    return why->status;
  if (evidence->broken) {
    *why = *evidence->broken;
    return error_prefix(why, unread(evidence) ? "an artifact cannot be read back"
                                              : "an artifact is not what the worker announced");
  }
  if (evidence->artifact_count == 0) {
    error_set(why, STATUS_WORKER_CRASHED, NULL, "the worker ended without an artifact");
    add_tail(why, evidence->log_tail);
    return why->status;
  }
  return STATUS_OK;
}

/* It died, or what it made cannot be read, and nothing says that it would be so again. */
static bool crashed(const struct evidence *evidence) {
  const struct death *death = &evidence->death;
  return unread(evidence) || death->fault == WORKER_FAULT_SILENT ||
         (death->fault == WORKER_FAULT_NONE && (death->signal || (death->exit_status != 0 && !evidence->error_event)));
}

static struct verdict after_crash(const struct error *why, const struct evidence *evidence) {
  struct verdict verdict = {JOB_QUEUED, CAUSE_CRASH, *why};
  if (evidence->attempt < evidence->attempts_max)
    return verdict;
  verdict.to = JOB_FAILED;
  if (evidence->attempts_max > 1)
    error_set(&verdict.why, why->status, why->param,
              "%" PRId64 " attempts ended so without getting beyond step %" PRId64 ": %s", evidence->attempt,
              evidence->furthest, why->text);
  return verdict;
}

struct verdict verdict_of_training(const struct evidence *evidence) {
  struct error why = {0};
  if (evidence->stop == STOP_CANCEL)
    return (struct verdict){.to = JOB_CANCELLED};
  enum status status = judge_training(&why, evidence);
  if (status == STATUS_OK)
    return (struct verdict){JOB_SUCCEEDED, CAUSE_JOB, why};
  if (evidence->stop == STOP_PAUSE)
    return (struct verdict){.to = JOB_PAUSED};
  if (status == STATUS_NO_SPACE || (status == STATUS_UNAVAILABLE && (evidence->death.fault || !evidence->error_event)))
    return (struct verdict){JOB_QUEUED, CAUSE_HOST, why};
  if (evidence->stop != STOP_NONE) /* whatever it answered is no fault */
    return (struct verdict){.to = JOB_QUEUED};
  return crashed(evidence) ? after_crash(&why, evidence) : (struct verdict){JOB_FAILED, CAUSE_JOB, why};
}

int64_t verdict_retry_ms(int64_t attempt, uint32_t random) {
  int64_t wait = RETRY_MS;
  for (int64_t i = 1; i < attempt && wait < RETRY_MS_MAX; i++)
    wait *= 4;
  wait = wait < RETRY_MS_MAX ? wait : RETRY_MS_MAX;
  return wait / 2 + random % (uint32_t)(wait / 2);
}

enum status verdict_of_check(struct error *why, const struct evidence *evidence, bool has_report) {
  if (judge(why, evidence))
    return why->status;
  if (!has_report)
    return error_set(why, STATUS_WORKER_CRASHED, NULL, "the check ended without a report");
  return STATUS_OK;
}
