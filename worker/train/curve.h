/* step_metrics.csv: a row a step, and one before the first where there is an evaluation. */
#ifndef WORKER_TRAIN_CURVE_H
#define WORKER_TRAIN_CURVE_H

#include <stdbool.h>

struct training;

/* The names of the columns. Those of preference tuning are in its curves alone. */
void curve_start(struct training *training);
/* The newest step: `evaluated` and its telemetry `measured` where that was done. */
void curve_row(struct training *training, bool evaluated, bool measured);

#endif
