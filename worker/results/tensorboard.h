/* The curve as TensorBoard reads it: step_metrics.csv again, a scalar a column. */
#ifndef WORKER_RESULTS_TENSORBOARD_H
#define WORKER_RESULTS_TENSORBOARD_H

#include "base/error.h"
#include "base/str.h"

/* Publishes the rows of `csv`, whose first column is the step, as an event file at `path`. The same rows give the same
   bytes: of times there are none. train_loss becomes train/loss, valid_f1 eval/f1, adapter_angle adapter/angle, and a
   column without such a prefix train/<its name>. An empty cell is no scalar. */
NODISCARD enum status tensorboard_write(const char *path, const struct str *csv, struct error *err);

#endif
