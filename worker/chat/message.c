#include "worker/chat/message.h"

#include <string.h>

const char *const message_reasoning_names[MESSAGE_REASONING_NAMES] = {"reasoning_content", "thinking", "reasoning"};

bool message_is_assistant(const json_t *message) {
  const char *role = json_string_value(json_object_get(message, "role"));
  return role && strcmp(role, "assistant") == 0;
}

bool message_has(const json_t *message, const char *name) {
  const json_t *value = json_object_get(message, name);
  return value && !json_is_null(value);
}

bool message_has_text(const json_t *message, const char *name) {
  const json_t *content = json_object_get(message, name);
  bool some = json_string_length(content) > 0;
  for (size_t i = 0; !some && i < json_array_size(content); i++) {
    const json_t *part = json_array_get(content, i);
    some = json_string_length(json_object_get(part, "text")) > 0 ||
           json_string_length(json_object_get(part, "refusal")) > 0;
  }
  return some;
}

bool message_has_calls(const json_t *message) {
  return json_array_size(json_object_get(message, "tool_calls")) > 0 || message_has(message, "function_call");
}

bool message_has_reasoning(const json_t *message) {
  bool some = false;
  for (size_t i = 0; i < MESSAGE_REASONING_NAMES; i++)
    some = some || json_string_length(json_object_get(message, message_reasoning_names[i])) > 0;
  return some;
}

bool message_speaks(const json_t *message) {
  return message_has_text(message, "content") || message_has_text(message, "refusal") ||
         message_has_reasoning(message) || message_has_calls(message);
}

bool message_weighs(const json_t *message) {
  const json_t *weight = json_object_get(message, "weight");
  return !json_is_number(weight) || json_number_value(weight) != 0;
}
