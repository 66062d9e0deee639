/* Data of pairs: what embeddings and rerankers learn from. */
#ifndef WORKER_DATA_PAIRS_H
#define WORKER_DATA_PAIRS_H

#include "api/job_task.h"
#include "worker/data/dataset.h"

/* Reads a whole file. The columns are api/pair_columns.h's of the first record, and all records have what it has.
     OUTPUT_EMBEDDING   texts apart: an anchor, its positive and, where there is one, a negative (texts 2 or 3); or two
                        sentences and a score from -1 to 1 (scored)
     OUTPUT_RELEVANCE   a query and a passage in one sequence, with a target from 0 to 1; grouped by queries
   `like`: the training set, whose kind a validation set must be of; NULL: this is one. Faults as dataset_load's. */
NODISCARD enum status pairs_load(struct dataset *out, const char *path, const char *filename,
                                 const struct job_spec *spec, enum job_output output, const struct dataset *like,
                                 struct error *err);

#endif
