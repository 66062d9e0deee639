/* What a job will take: its steps, tokens and memory as its own training plans them, its time as its first batches ran.
 */
#ifndef WORKER_TRAIN_ESTIMATE_H
#define WORKER_TRAIN_ESTIMATE_H

#include <jansson.h>

#include "base/error.h"

struct report;
struct task;
struct training;

/* Of a training that is prepared, on a backend whose memory is the host's; on others nothing.
   Tells the daemon what memory is planned, which it counts beside what else runs: EVENT_REPORT {peak_memory_bytes}. */
void estimate_tell_plan(const struct training *training, struct report *report);
/* What the machine, the server's budget or the job's memory_limit has for this process. 0: nobody knows. */
size_t estimate_room(const struct task *task);
/* Does the plan fit the task's memory_bytes_max? STATUS_OUT_OF_MEMORY says what to lower. */
NODISCARD enum status estimate_check(const struct training *training, struct error *err);

/* {steps, examples, tokens, evaluations, trainable_parameters, adapted_modules, peak_memory_bytes, disk_bytes, device,
   threads, recomputes_activations, truncated_examples, duration_seconds {low, high}, measured {batches, tokens,
   seconds}} of a training that is prepared, after a few of its batches have run and nothing was learnt from them. A new
   object in *out. */
NODISCARD enum status estimate_measure(json_t **out, struct training *training, struct error *err);
/* The same of one that trains, when enough steps have run to say how long it takes: a new reference, or NULL. */
NODISCARD json_t *estimate_of_run(const struct training *training);

#endif
