/* TASK_GENERATE: answers the lines of api/generation.h until they end. */
#ifndef WORKER_GENERATE_SERVE_H
#define WORKER_GENERATE_SERVE_H

#include "api/task.h"
#include "worker/report.h"

NODISCARD enum status serve(const struct task *task, struct report *report, struct error *err);

#endif
