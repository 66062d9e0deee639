/* The way of a job that learns from pictures, from its files to its adapter: what pipeline.h is for texts. */
#ifndef WORKER_IMAGE_PIPELINE_H
#define WORKER_IMAGE_PIPELINE_H

#include "api/task.h"
#include "worker/report.h"

/* Does the task's job learn from pictures? */
bool image_pipeline_is(const struct task *task);
/* TASK_TRAIN, TASK_ESTIMATE and TASK_PLAN of such a job. */
NODISCARD enum status image_pipeline_run(const struct task *task, struct report *report, struct error *err);

#endif
