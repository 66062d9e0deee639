/* How long the examples of a corpus are. */
#ifndef WORKER_LENGTHS_H
#define WORKER_LENGTHS_H

#include <jansson.h>

#include "worker/data/corpus.h"

/* {model, max_seq_length, total, min, mean, p50, p95, p99, max, longer (examples of more than max_seq_length tokens),
   histogram [{from, to (not in it), count}]}. A new reference. */
NODISCARD json_t *lengths_json(const struct corpus *corpus, const char *model, size_t max_seq_length);

#endif
