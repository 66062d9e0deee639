/* What KTO measures the distance from the reference by. */
#ifndef WORKER_DATA_MISMATCHED_H
#define WORKER_DATA_MISMATCHED_H

#include "worker/data/corpus.h"

/* Gives each example of a language model's corpus a second sequence: its prompt with the completion of the example
   before it, the first of `group` examples that of the last, as TRL does. A completion begins with the first token of
   the loss mask. Sequences are cut at max_length. */
NODISCARD enum status mismatched_add(struct corpus *corpus, size_t group, size_t max_length, size_t vocabulary,
                                     struct error *err);

#endif
