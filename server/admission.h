/* May a job run with the model and the files it names? Asked when it is submitted, and again when a look at its model
   or the check of one of its files ends. */
#ifndef SERVER_ADMISSION_H
#define SERVER_ADMISSION_H

#include <jansson.h>

#include "api/data_use.h"
#include "api/job.h"
#include "base/arena.h"
#include "base/error.h"
#include "server/server.h"
#include "storage/db_file.h"

/* A job's files against the job: adds faults (wrong purpose, failed check, data that the job cannot use). Either is
   NULL where there is none. `tasks` are what the base model can learn. *pending is set when a check has not ended; data
   are judged when both have. Pure. */
void admission_judge(const struct job_spec *spec, const struct file_row *training, const struct file_row *validation,
                     struct data_tasks tasks, bool *pending, struct fault_list *faults);

/* A job's adapter and images against what a look at its base model reported (worker/inspect.h): adds faults. Pure. */
void admission_judge_model(const struct job_spec *spec, const json_t *report, struct fault_list *faults);

/* The base model and both files of `spec`, a job of `tenant`: faults for what is wrong, *pending when the job must wait
   in validating_files for what is still looked at. Fails only when the store does. */
NODISCARD enum status admission_check(bool *pending, struct fault_list *faults, struct server *server,
                                      const char *tenant, const struct job_spec *spec, struct arena *arena,
                                      struct error *err);

/* Moves on every validating job: to queued, to failed, or not yet. The scheduler is to be woken afterwards. */
NODISCARD enum status admission_resume(struct server *server, struct error *err);

#endif
