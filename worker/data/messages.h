/* Conversations of data files, in OpenAI's format: `messages` with role and content, `tools` beside them. */
#ifndef WORKER_DATA_MESSAGES_H
#define WORKER_DATA_MESSAGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "api/chat_feature.h"
#include "base/error.h"
#include "worker/data/records.h"

struct messages_facts {
  size_t turns;           /* messages other than those of system and developer */
  size_t assistant;       /* of the assistant */
  size_t learnt;          /* of these: they say something (message_speaks), and their weight is not 0 */
  bool assistant_first;   /* the assistant speaks before any user */
  unsigned features;      /* a bit for each enum chat_feature that the conversation has */
};

/* Checks the member `field` of a JSONL record, and its `tools`, `functions` and `parallel_tool_calls`. A message has
   one of OpenAI's roles. Its content is a string or a list of parts {"type": "text", "text": ...}; the assistant may
   refuse instead ({"type": "refusal"}, or the member `refusal`), and has null or no content only where it refuses,
   reasons or calls a function. `tool_calls` hold functions with a name; `weight` is 0 or 1. Members that this does not
   know pass, and null is as good as absent. STATUS_DATASET_INVALID names line, column, field and message. */
NODISCARD enum status messages_check(struct messages_facts *out, const struct record *record, const char *field,
                                     struct error *err);
/* STATUS_DATASET_INVALID when there is nothing to learn from the assistant: the rule of uploads and of training. */
NODISCARD enum status messages_check_learnt(const struct messages_facts *facts, const struct record *record,
                                            const char *field, struct error *err);

#endif
