/* What a job will take: its steps, tokens and memory as its own trainer plans them, its time as its first batches ran.
 */
#ifndef WORKER_ESTIMATE_H
#define WORKER_ESTIMATE_H

#include <jansson.h>

#include "base/error.h"

struct trainer;

/* {steps, examples, tokens, evaluations, trainable_parameters, adapted_modules, peak_memory_bytes, disk_bytes, device,
   threads, recomputes_activations, truncated_examples, duration_seconds {low, high}, measured {batches, tokens,
   seconds}} of a trainer that is prepared, after a few of its batches have run and nothing was learnt from them. A new
   object in *out. */
NODISCARD enum status estimate_measure(json_t **out, struct trainer *trainer, struct error *err);
/* The same of one that trains, when enough steps have run to say how long it takes: a new reference, or NULL. */
NODISCARD json_t *estimate_of_run(const struct trainer *trainer);

#endif
