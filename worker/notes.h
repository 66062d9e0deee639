/* What a job says of its data and of the adapter that it starts from: nothing is cut, left out or assumed silently. */
#ifndef WORKER_NOTES_H
#define WORKER_NOTES_H

#include "api/task.h"
#include "worker/data/corpus.h"
#include "worker/report.h"

/* `what` file it is, "training"; `max`: tokens that an example was cut to. */
void notes_tell(const struct corpus *corpus, const char *what, size_t max, struct report *report);
/* An adapter fits the weights that it was trained beside, and another base of the same shapes takes it without a word:
   says so where the adapter's base has another name than the job's. */
void notes_tell_start(const struct task *task, struct report *report);

#endif
