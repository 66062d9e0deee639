/* Data files of other tools, known by the members or columns of their lines. */
#ifndef WORKER_DATA_FOREIGN_H
#define WORKER_DATA_FOREIGN_H

#include "worker/data/records.h"

/* What a line of another tool's data set is, and how it becomes one of ours: a sentence, for the warnings of a report.
   NULL: it is nothing that is known here, or it has a text and needs no advice. */
const char *foreign_advice(const struct records *records, const struct record *record);

#endif
