/* Conversations of data files, in OpenAI's format: `messages` with role and content, `tools` beside them. */
#ifndef WORKER_DATA_MESSAGES_H
#define WORKER_DATA_MESSAGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "worker/data/records.h"

struct messages_facts {
  size_t turns;           /* messages other than those of system and developer */
  size_t assistant;       /* of the assistant */
  size_t learnt;          /* of these: not empty, and their weight is not 0 */
  bool assistant_first;   /* the assistant speaks before any user */
};

/* Checks the member `field` of a JSONL record, and its `tools`. A message has one of OpenAI's roles; its content is a
   string or a list of parts {"type": "text", "text": ...}, and null or absent only where the assistant calls a
   function; `weight` is 0 or 1. Members that this does not know pass. STATUS_DATASET_INVALID names line, column,
   field and message. */
NODISCARD enum status messages_check(struct messages_facts *out, const struct record *record, const char *field,
                                     struct error *err);
/* A new reference: the same messages with every list of parts joined to one string, which all chat templates
   understand. NULL when memory runs out. The messages have passed the check. */
NODISCARD json_t *messages_join_parts(json_t *messages);

#endif
