/* The messages and tools of a chat that a model is to answer, in OpenAI's format: what is wrong with them is a fault
   with its place, as "messages[2].tool_calls[0].function". What passes a worker can render
   (worker/chat/conversation.h). */
#ifndef API_CHAT_MESSAGE_H
#define API_CHAT_MESSAGE_H

#include <jansson.h>

#include "base/field.h"

#define CHAT_TEXT_ALONE "this server's models read and write text alone"

/* `messages` is an array. */
void chat_messages_check(const json_t *messages, struct fault_list *faults);
/* NULL and null are none. */
void chat_tools_check(const json_t *tools, struct fault_list *faults);

#endif
