/* What a training worker says: stored line by line, one transaction a read. While the store cannot take a batch
   (locked, full) it is kept and the worker waits. Every write carries the lease. */
#ifndef SERVER_REPORTS_H
#define SERVER_REPORTS_H

#include "server/run.h"

/* For struct worker_calls; the context is the run. */
bool reports_line(void *context, const char *text, size_t length, struct error *err);
void reports_batch(void *context);
/* For `stopping` of the run: lines that the store could not take no longer matter. */
void reports_stopping(struct run *run);

#endif
