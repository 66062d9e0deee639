/* What a job says of its data once they are tokens: nothing is cut or left out silently. */
#ifndef WORKER_NOTES_H
#define WORKER_NOTES_H

#include "worker/data/corpus.h"
#include "worker/report.h"

/* `what` file it is, "training"; `max`: tokens that an example was cut to. */
void notes_tell(const struct corpus *corpus, const char *what, size_t max, struct report *report);

#endif
