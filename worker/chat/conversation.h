/* A line's conversation in the one form that chat templates are written for, that of Transformers: whatever OpenAI's
   format leaves open reads alike in every template. */
#ifndef WORKER_CHAT_CONVERSATION_H
#define WORKER_CHAT_CONVERSATION_H

#include <jansson.h>
#include <stdbool.h>

#include "base/attr.h"

/* Owned. */
struct conversation {
  json_t *messages;
  json_t *tools; /* NULL: none */
};

/* Reads the member `field` of `line`, and its tools. Both have passed messages_check. What is made alike:
     content         a list of parts becomes one text; null or absent beside calls becomes null, which templates read as
                     empty text; a refusal is what the assistant says
     null members    are left out: templates ask whether a member is there
     tool_calls      wrapped as {"type": "function", "function": {...}}; `arguments` that are the text of a JSON object
                     become that object; an empty list is left out
     function_call   becomes tool_calls of one call, `functions` become tools, and the role function the role tool, all
                     with ids of nine letters and digits, as Mistral's templates ask for
   False when memory runs out; there is nothing to release then. */
NODISCARD bool conversation_read(struct conversation *out, const json_t *line, const char *field);
void conversation_done(struct conversation *conversation);

#endif
