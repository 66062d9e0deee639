/* Data of words with tags: what token classification learns from. JSON Lines only: {"tokens": [...], "tags": [...]}. */
#ifndef WORKER_DATA_TAGS_H
#define WORKER_DATA_TAGS_H

#include "worker/data/dataset.h"

/* The words of a JSON line: a list of at least one string, none of them empty. */
NODISCARD enum status tags_read_words(const json_t **out, const struct record *record, int column, const char *name,
                                      struct error *err);
/* Has the list `tags` of a line as many entries as the list `tokens`? Lists that are not there fit. */
NODISCARD enum status tags_fit(const struct record *record, const char *tags, const char *tokens, struct error *err);

/* Reads a whole file: words and the class of each in `marks`. Tags are names (labels.h), the classes in bytewise order.
   `like`: the training set, whose tags a validation set's must be; NULL: this is one. Faults as dataset_load's. */
NODISCARD enum status tags_load(struct dataset *out, const char *path, const char *filename,
                                const struct job_spec *spec, const struct dataset *like, struct error *err);

#endif
