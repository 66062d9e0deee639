/* A task from end to end: load -> tokenise -> train -> export; the check of an upload; a look at a base model. */
#ifndef WORKER_PIPELINE_H
#define WORKER_PIPELINE_H

#include "api/task.h"
#include "worker/report.h"

NODISCARD enum status pipeline_run(const struct task *task, struct report *report, struct error *err);

#endif
