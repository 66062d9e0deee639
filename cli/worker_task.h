/* A task of reflect-worker, run from here: files that others made are read by a worker that can do no harm. */
#ifndef CLI_WORKER_TASK_H
#define CLI_WORKER_TASK_H

#include "api/task.h"

enum { WORKER_TASK_READS_MAX = 8 };

/* Runs it as the daemon does, in the sandbox that this machine has, where it sees the task's model_dir and the files or
   folders `reads`: absolute paths, without links. *report is what it reports: a new reference. What the worker refuses
   has its status, below 500 (status_http), and its words; what this machine lacks is a status from 500. */
NODISCARD enum status worker_task_run(json_t **report, const struct task *task, const char *const *reads, size_t count,
                                      int seconds, struct error *err);

#endif
