/* Exports of a job that has ended: its adapter is loaded again and written in other formats. */
#ifndef WORKER_EXPORT_FINISHED_H
#define WORKER_EXPORT_FINISHED_H

#include "api/task.h"
#include "worker/report.h"

/* TASK_EXPORT. The adapter is the folder task->start; the names of its classes are with it
   (peft_source_head). */
NODISCARD enum status finished_export(const struct task *task, struct report *report, struct error *err);

#endif
