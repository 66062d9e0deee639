#include "api/chat_message.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

enum { PATH_MAX_BYTES = 128 }; /* "messages[N].tool_calls[N].function.arguments" has fewer than 90 */

static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};

/* null is as good as absent. */
static const json_t *member(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return json_is_null(value) ? NULL : value;
}

static bool is(const json_t *message, const char *role) {
  const char *own = json_string_value(json_object_get(message, "role"));
  return own && strcmp(own, role) == 0;
}

static void wrong(struct fault_list *faults, const char *path, const char *want, const json_t *got) {
  fault_add(faults, got ? STATUS_INVALID_VALUE : STATUS_MISSING_PARAMETER, path, "%s must be %s, not %s", path, want,
            got ? json_kind(got) : "absent");
}

/* --- content -------------------------------------------------------------------------------------- */

static void check_part(const json_t *part, const char *path, struct fault_list *faults) {
  const char *type = json_string_value(json_object_get(part, "type"));
  const char *name = type && strcmp(type, "refusal") == 0 ? "refusal" : "text";
  if (!type)
    fault_add(faults, STATUS_INVALID_VALUE, path, "%s must be an object with a type", path);
  else if (strcmp(type, name) != 0)
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, path, "%s is of type \"%.32s\": %s", path, type, CHAT_TEXT_ALONE);
  else if (!json_is_string(json_object_get(part, name)))
    fault_add(faults, STATUS_INVALID_VALUE, path, "%s needs a string as %s", path, name);
}

/* An assistant that calls, refuses or reasons need not say anything else. */
static bool may_be_silent(const json_t *message) {
  static const char *const instead[] = {"function_call", "refusal", "reasoning_content", "reasoning", "thinking"};
  bool other = json_array_size(json_object_get(message, "tool_calls")) > 0;
  for (size_t i = 0; i < COUNT_OF(instead); i++)
    other = other || member(message, instead[i]);
  return is(message, "function") || (is(message, "assistant") && other);
}

static void check_content(const json_t *message, const char *path, struct fault_list *faults) {
  const json_t *content = member(message, "content"), *part;
  char name[PATH_MAX_BYTES];
  size_t i;
  if (json_is_string(content) || (!content && may_be_silent(message)))
    return;
  if (!json_is_array(content)) {
    wrong(faults, path, "a string or a list of parts", content);
    return;
  }
  json_array_foreach(content, i, part) {
    snprintf(name, sizeof name, "%.90s[%zu]", path, i);
    check_part(part, name, faults);
  }
}

/* --- calls ---------------------------------------------------------------------------------------- */

/* {"name": ..., "arguments": ...} */
static void check_function(const json_t *function, const char *path, struct fault_list *faults) {
  const json_t *name = member(function, "name"), *arguments = member(function, "arguments");
  char place[PATH_MAX_BYTES];
  if (!json_is_object(function)) {
    wrong(faults, path, "an object", function);
    return;
  }
  snprintf(place, sizeof place, "%.90s.name", path);
  if (!json_is_string(name))
    wrong(faults, place, "a string", name);
  else if (json_string_length(name) == 0)
    fault_add(faults, STATUS_INVALID_VALUE, place, "%s must not be empty", place);
  snprintf(place, sizeof place, "%.90s.arguments", path);
  if (arguments && !json_is_string(arguments) && !json_is_object(arguments))
    wrong(faults, place, "a JSON text or an object", arguments);
}

/* What has a type and its function: a tool, or a call of one. */
static void check_typed(const json_t *item, const char *path, struct fault_list *faults) {
  const json_t *type = member(item, "type");
  char place[PATH_MAX_BYTES];
  if (!json_is_object(item)) {
    wrong(faults, path, "an object", item);
    return;
  }
  snprintf(place, sizeof place, "%.90s.type", path);
  if (type && !json_is_string(type))
    wrong(faults, place, "a string", type);
  else if (type && strcmp(json_string_value(type), "function") != 0)
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, place, "%s is \"%.32s\"; functions alone can be called", place,
              json_string_value(type));
  else {
    snprintf(place, sizeof place, "%.90s.function", path);
    check_function(member(item, "function"), place, faults);
  }
}

static void check_list(const json_t *list, const char *path, struct fault_list *faults) {
  const json_t *item;
  char place[PATH_MAX_BYTES];
  size_t i;
  if (list && !json_is_array(list))
    wrong(faults, path, "an array", list);
  json_array_foreach(list, i, item) {
    snprintf(place, sizeof place, "%.90s[%zu]", path, i);
    check_typed(item, place, faults);
  }
}

static void check_calls(const json_t *message, const char *path, struct fault_list *faults) {
  const json_t *call = member(message, "function_call");
  char place[PATH_MAX_BYTES];
  snprintf(place, sizeof place, "%.90s.tool_calls", path);
  check_list(member(message, "tool_calls"), place, faults);
  snprintf(place, sizeof place, "%.90s.function_call", path);
  if (call && json_array_size(json_object_get(message, "tool_calls")) > 0)
    fault_add(faults, STATUS_INVALID_VALUE, place, "%s stands beside tool_calls, which it is the older form of", place);
  else if (call)
    check_function(call, place, faults);
}

/* --- messages ------------------------------------------------------------------------------------- */

static void check_strings(const json_t *message, const char *path, struct fault_list *faults) {
  static const char *const names[] = {"name", "tool_call_id", "refusal"};
  char place[PATH_MAX_BYTES];
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const json_t *value = member(message, names[i]);
    snprintf(place, sizeof place, "%.90s.%s", path, names[i]);
    if (value && !json_is_string(value))
      wrong(faults, place, "a string", value);
  }
}

static void check_message(const json_t *message, const char *path, struct fault_list *faults) {
  char place[PATH_MAX_BYTES];
  bool known = false;
  if (!json_is_object(message)) {
    wrong(faults, path, "an object", message);
    return;
  }
  for (size_t i = 0; i < COUNT_OF(roles); i++)
    known = known || is(message, roles[i]);
  snprintf(place, sizeof place, "%.90s.role", path);
  if (!known)
    fault_add(faults, STATUS_INVALID_VALUE, place, "%s must be system, developer, user, assistant or tool", place);
  snprintf(place, sizeof place, "%.90s.content", path);
  check_content(message, place, faults);
  check_strings(message, path, faults);
  check_calls(message, path, faults);
  snprintf(place, sizeof place, "%.90s.audio", path);
  if (member(message, "audio"))
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, place, "%s: %s", place, CHAT_TEXT_ALONE);
}

void chat_messages_check(const json_t *messages, struct fault_list *faults) {
  const json_t *message;
  char path[PATH_MAX_BYTES];
  size_t i;
  json_array_foreach(messages, i, message) {
    snprintf(path, sizeof path, "messages[%zu]", i);
    check_message(message, path, faults);
  }
}

void chat_tools_check(const json_t *tools, struct fault_list *faults) {
  check_list(json_is_null(tools) ? NULL : tools, "tools", faults);
}
