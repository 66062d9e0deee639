/* What a message of a conversation says, in OpenAI's format. */
#ifndef WORKER_CHAT_MESSAGE_H
#define WORKER_CHAT_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>

bool message_is_assistant(const json_t *message);
/* Is there a member of that name? null is as good as absent. */
bool message_has(const json_t *message, const char *name);
/* Is that member a text that is not empty, or a list of parts with one such text? */
bool message_has_text(const json_t *message, const char *name);
bool message_has_calls(const json_t *message);
bool message_has_reasoning(const json_t *message);
/* Is there anything that an assistant's message says: content, a refusal, reasoning, a call? */
bool message_speaks(const json_t *message);
/* OpenAI's way to leave an assistant's message out of what is learnt: "weight": 0. */
bool message_weighs(const json_t *message);

/* The names under which an assistant's reasoning goes; Transformers takes the first that is given. */
enum { MESSAGE_REASONING_NAMES = 3 };
extern const char *const message_reasoning_names[MESSAGE_REASONING_NAMES];

#endif
