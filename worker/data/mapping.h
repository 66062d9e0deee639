/* Lines of other tools' data sets that say clearly what they mean become lines of ours as they are read, so that checks
   and trainings know one form alone. What they had stays beside what is added. */
#ifndef WORKER_DATA_MAPPING_H
#define WORKER_DATA_MAPPING_H

#include "worker/data/record.h"

enum mapping {
  MAPPING_NONE,
  MAPPING_ALPACA,   /* {instruction, input, output}: prompt, in Alpaca's words, and completion */
  MAPPING_SHAREGPT, /* {conversations: [{from, value}], system, tools}: messages and tools */
  MAPPING_COUNT
};

/* What the line is. One that has already what we learn from is none of these. */
enum mapping mapping_of(const json_t *object);
/* "the lines are Alpaca's (...)" and what is made of them, for a report. Not of MAPPING_NONE. */
const char *mapping_says(enum mapping mapping);
/* "Alpaca's (instruction, input, output)" */
const char *mapping_name(enum mapping mapping);
/* Where the members that are added come from, ended by a NULL member. */
const struct record_alias *mapping_aliases(enum mapping mapping);
/* Adds the members to the object of the record. STATUS_DATASET_INVALID names line, column and what cannot be mapped. */
NODISCARD enum status mapping_apply(json_t *object, enum mapping mapping, const struct record *record,
                                    struct error *err);

#endif
