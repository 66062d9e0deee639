/* What a job that waits takes of the budget: threads by its specification, memory by what a worker has planned for it,
   which is asked for once and kept in its row. */
#ifndef SERVER_NEEDS_H
#define SERVER_NEEDS_H

#include "server/budget.h"
#include "server/devices.h"
#include "server/models.h"
#include "server/questions.h"
#include "server/server.h"
#include "storage/db_job.h"

/* On that device; NULL: the CPU. On a GPU, whose memory is its own, it takes its base's weights, which pass through the
   host's, and no cores. memory_mib BUDGET_UNKNOWN: needs_ask. One of which nobody could say what it takes needs all. */
struct budget_need needs_of(const struct server *server, const struct job_row *job, const struct device_info *device);

/* The question for a job's plan, new or asked before: can it be carried out, and what memory does it take? model:
   the spec's; NULL: it is gone. Which seed it has changes nothing. STATUS_OVERLOADED: too many wait. */
NODISCARD enum status needs_plan(struct question **out, struct server *server, const char *tenant,
                                 const struct job_spec *spec, const struct base_model *model, struct error *err);
/* Asks a worker. *known: the row of the job has an answer now, also where there is none: then the job's events say why,
   and it will run alone. Else ask again when something has changed. Fails only when the store does. */
NODISCARD enum status needs_ask(bool *known, struct server *server, const struct job_row *job, struct error *err);

#endif
