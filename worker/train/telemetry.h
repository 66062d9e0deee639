/* How far the adapters turn, and how far what they are made of is from orthogonal: of each adapted module, and over all
   of them. Methods whose change is no orthogonal map have none. */
#ifndef WORKER_TRAIN_TELEMETRY_H
#define WORKER_TRAIN_TELEMETRY_H

#include "base/json.h"
#include "worker/train/learner.h"

struct telemetry {
  const struct model *model;        /* borrowed */
  struct adapter_telemetry *module; /* [count], in the order of the model's adapters; owned */
  size_t count;                     /* 0: the method has none */
  struct adapter_telemetry mean;    /* but for defect_max, the greatest */
  double angle_max;
};

/* Nothing is measured yet. */
NODISCARD enum status telemetry_init(struct telemetry *telemetry, const struct model *model, struct error *err);
void telemetry_done(struct telemetry *telemetry);

/* Measures the adapters as the learner's parameters are now. */
NODISCARD enum status telemetry_measure(struct telemetry *telemetry, struct learner *learner, struct error *err);

/* What was measured over all modules: members "adapter_angle", ... of `data`. */
void telemetry_set(const struct telemetry *telemetry, json_t *data);
/* The same as columns of a CSV, each with a comma before it: their names, and the values, empty ones unless
   `measured`. */
void telemetry_csv_names(struct str *csv);
void telemetry_csv(const struct telemetry *telemetry, bool measured, struct str *csv);
/* {"step", "modules": [name], "angle": [], "defect": []} for EVENT_TELEMETRY. NULL: there is none, or it has more bytes
   than an event's line. */
json_t *telemetry_by_module(const struct telemetry *telemetry, int64_t step);

#endif
