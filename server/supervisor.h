/* The list of runs: training, exports, checks of uploads and looks at models. Starts them and stops them; what one says
   and how it ends is its kind's (training.h, exporting.h, checking.h, inspecting.h). */
#ifndef SERVER_SUPERVISOR_H
#define SERVER_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "server/inspected.h"
#include "server/questions.h"
#include "server/server.h"
#include "server/servings.h"
#include "storage/db_export.h"
#include "storage/db_file.h"
#include "storage/db_job.h"

/* `ended` is called when a run has ended and left the list. `known` (may be NULL): what jobs and requests that wait for
   it (http/wait.h) know from then on. */
typedef void supervisor_ended(void *context, const char *known);
NODISCARD enum status supervisor_new(struct supervisor **out, struct server *server, supervisor_ended *ended,
                                     void *context, struct error *err);
/* Only when supervisor_idle. NULL is fine. */
void supervisor_free(struct supervisor *supervisor);

/* Each of these starts a worker. The status says what of the host kept it from starting: the job or export then waits
   again as if nothing had been, and nothing else should be started for now. What fails by its own fault has failed,
   and the status is STATUS_OK.
   A job that was claimed just now. */
NODISCARD enum status supervisor_start_job(struct supervisor *supervisor, const struct job_row *job,
                                           const char *device, const struct budget_need *need, struct error *err);
NODISCARD enum status supervisor_start_check(struct supervisor *supervisor, const struct file_row *file,
                                             struct error *err);
NODISCARD enum status supervisor_start_inspection(struct supervisor *supervisor, struct inspected *inspected,
                                                  struct error *err);

NODISCARD enum status supervisor_start_asking(struct supervisor *supervisor, struct question *question,
                                              struct error *err);

/* A base model that is asked for. */
NODISCARD enum status supervisor_start_serving(struct supervisor *supervisor, struct serving *serving,
                                               struct error *err);
/* Lets one of those go that nobody asks, so that another one or a job can start. */
void supervisor_retire_serving(struct supervisor *supervisor);

/* An export that was claimed just now. */
NODISCARD enum status supervisor_start_export(struct supervisor *supervisor, const struct export_row *export,
                                              struct error *err);

/* A job that trains. */
struct running_job {
  const char *id;
  const char *device; /* that it was given */
  int64_t priority;
  double began; /* clock_seconds */
  bool leaves;  /* it was told to, or its worker has ended */
};
/* At most `max` of them; the strings live until the loop turns. */
size_t supervisor_running(struct running_job *out, size_t max, const struct supervisor *supervisor);
bool supervisor_is_checking(const struct supervisor *supervisor, const char *file_id);
/* What all that runs has of the budget. */
struct budget_use supervisor_use(const struct supervisor *supervisor);
/* Jobs that were given to that device ("cpu"). */
size_t supervisor_jobs(const struct supervisor *supervisor, const char *device);
size_t supervisor_exports(const struct supervisor *supervisor);
size_t supervisor_checks(const struct supervisor *supervisor);
size_t supervisor_inspections(const struct supervisor *supervisor);
size_t supervisor_servings(const struct supervisor *supervisor);
size_t supervisor_askings(const struct supervisor *supervisor);
bool supervisor_idle(const struct supervisor *supervisor);

/* Tells the worker of that job to stop for good. Nothing happens when none runs it. */
void supervisor_cancel(struct supervisor *supervisor, const char *job_id);
/* Tells it to pause; and that the job goes on after all. */
void supervisor_pause(struct supervisor *supervisor, const char *job_id);
void supervisor_resume(struct supervisor *supervisor, const char *job_id);
/* Tells it to save its state and to leave its place to a job of higher priority: it is queued again. */
void supervisor_preempt(struct supervisor *supervisor, const char *job_id);
/* Tells it to publish a checkpoint. False: it does not listen, or no worker runs the job. */
bool supervisor_checkpoint(struct supervisor *supervisor, const char *job_id);
/* Stops every worker; running jobs go back to the queue, and what models are asked is answered in the time that
   workers have. `at_once`: without grace. */
void supervisor_drain(struct supervisor *supervisor, bool at_once);

#endif
