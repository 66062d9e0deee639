#include "worker/data/messages.h"

#include <string.h>

#include "base/json.h"
#include "worker/chat/message.h"

/* The message being checked. */
struct at {
  const struct record *record;
  const char *field;
  size_t number; /* from 1 */
};

static bool is_role(const char *role) {
  static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};
  for (size_t i = 0; role && i < COUNT_OF(roles); i++)
    if (strcmp(role, roles[i]) == 0)
      return true;
  return false;
}

/* --- content -------------------------------------------------------------------------------------- */

static enum status check_part(const struct at *at, size_t number, const json_t *part, bool assistant,
                              struct error *err) {
  const json_t *type = json_object_get(part, "type");
  if (!json_is_object(part))
    return record_fault(err, at->record, -1, at->field, "message %zu: content part %zu must be an object, not %s",
                        at->number, number, json_kind(part));
  if (!json_is_string(type))
    return record_fault(err, at->record, -1, at->field, "message %zu: the type of content part %zu must be a string, "
                        "not %s", at->number, number, type ? json_kind(type) : "absent");
  const char *name = json_string_value(type);
  if (strcmp(name, "text") != 0 && !(assistant && strcmp(name, "refusal") == 0))
    return record_fault(err, at->record, -1, at->field,
                        "message %zu: content part %zu is of type %.40s; only text "
                        "is supported",
                        at->number, number, name);
  const json_t *text = json_object_get(part, name);
  if (!json_is_string(text))
    return record_fault(err, at->record, -1, at->field,
                        "message %zu: the %s of content part %zu must be a string, "
                        "not %s",
                        at->number, name, number, text ? json_kind(text) : "absent");
  return STATUS_OK;
}

/* Of OpenAI's roles only an assistant that does something else, and a function, may say nothing. */
static bool may_be_silent(const json_t *message, const char *role) {
  return strcmp(role, "function") == 0 ||
         (strcmp(role, "assistant") == 0 &&
          (message_has_calls(message) || message_has_reasoning(message) || message_has(message, "refusal")));
}

static enum status check_content(const struct at *at, const json_t *message, const char *role, struct error *err) {
  const json_t *content = json_object_get(message, "content");
  enum status status = STATUS_OK;
  if (json_is_string(content) || ((!content || json_is_null(content)) && may_be_silent(message, role)))
    return STATUS_OK;
  if (!json_is_array(content))
    return record_fault(err, at->record, -1, at->field, "message %zu: content must be a string or a list of parts, "
                        "not %s", at->number, content ? json_kind(content) : "absent");
  for (size_t i = 0; !status && i < json_array_size(content); i++)
    status = check_part(at, i + 1, json_array_get(content, i), strcmp(role, "assistant") == 0, err);
  return status;
}

/* Members that are texts where they are given. */
static enum status check_strings(const struct at *at, const json_t *message, const char *role, struct error *err) {
  static const char *const names[] = {"name", "tool_call_id", "refusal"};
  const char *wrong = NULL;
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (message_has(message, names[i]) && !json_is_string(json_object_get(message, names[i])))
      wrong = names[i];
  for (size_t i = 0; i < MESSAGE_REASONING_NAMES; i++)
    if (message_has(message, message_reasoning_names[i]) &&
        !json_is_string(json_object_get(message, message_reasoning_names[i])))
      wrong = message_reasoning_names[i];
  if (wrong)
    return record_fault(err, at->record, -1, at->field, "message %zu: %s must be a string, not %s", at->number, wrong,
                        json_kind(json_object_get(message, wrong)));
  if (strcmp(role, "assistant") == 0 && message_has_text(message, "refusal") && message_has_text(message, "content"))
    return record_fault(err, at->record, -1, at->field,
                        "message %zu has both content and refusal: the assistant can "
                        "say only one of them",
                        at->number);
  if (strcmp(role, "function") == 0 && json_string_length(json_object_get(message, "name")) == 0)
    return record_fault(err, at->record, -1, at->field,
                        "message %zu: a message of the role function needs the name of "
                        "the function",
                        at->number);
  return STATUS_OK;
}

/* --- calls ---------------------------------------------------------------------------------------- */

/* {"name": ..., "arguments": ...}; OpenAI has the arguments as a JSON text, Transformers as an object. */
static enum status check_function(const struct at *at, size_t number, const json_t *function, struct error *err) {
  const json_t *name = json_object_get(function, "name"), *arguments = json_object_get(function, "arguments");
  if (!json_is_object(function))
    return record_fault(err, at->record, -1, at->field,
                        "message %zu: the function of call %zu must be an object, not "
                        "%s",
                        at->number, number, function ? json_kind(function) : "absent");
  if (json_string_length(name) == 0)
    return record_fault(err, at->record, -1, at->field, "message %zu: the function of call %zu has no name", at->number,
                        number);
  if (arguments && !json_is_null(arguments) && !json_is_string(arguments) && !json_is_object(arguments))
    return record_fault(err, at->record, -1, at->field,
                        "message %zu: the arguments of call %zu must be a JSON text or "
                        "an object, not %s",
                        at->number, number, json_kind(arguments));
  return STATUS_OK;
}

static enum status check_calls(const struct at *at, const json_t *message, const char *role, struct error *err) {
  const json_t *calls = json_object_get(message, "tool_calls"), *call = json_object_get(message, "function_call");
  enum status status = STATUS_OK;
  if (strcmp(role, "assistant") != 0)
    return STATUS_OK;
  if (message_has(message, "tool_calls") && !json_is_array(calls))
    return record_fault(err, at->record, -1, at->field, "message %zu: tool_calls must be a list, not %s", at->number,
                        json_kind(calls));
  if (message_has(message, "function_call") && json_array_size(calls) > 0)
    return record_fault(err, at->record, -1, at->field, "message %zu has both tool_calls and function_call",
                        at->number);
  if (message_has(message, "function_call"))
    return check_function(at, 1, call, err);
  for (size_t i = 0; !status && i < json_array_size(calls); i++) {
    const json_t *item = json_array_get(calls, i), *type = json_object_get(item, "type");
    if (!json_is_object(item))
      return record_fault(err, at->record, -1, at->field, "message %zu: call %zu must be an object, not %s", at->number,
                          i + 1, json_kind(item));
    if (json_is_string(type) && strcmp(json_string_value(type), "function") != 0)
      return record_fault(err, at->record, -1, at->field,
                          "message %zu: call %zu is of type %.40s; only function is "
                          "supported",
                          at->number, i + 1, json_string_value(type));
    /* Some data sets leave the wrapper out: {"name": ..., "arguments": ...}. */
    bool bare = !message_has(item, "function") && message_has(item, "name");
    status = check_function(at, i + 1, bare ? item : json_object_get(item, "function"), err);
  }
  return status;
}

/* --- messages ------------------------------------------------------------------------------------- */

static enum status check_weight(const struct at *at, const json_t *message, struct error *err) {
  const json_t *weight = json_object_get(message, "weight");
  double value = json_number_value(weight);
  if (!message_has(message, "weight") || (json_is_number(weight) && (value == 0 || value == 1)))
    return STATUS_OK;
  return record_fault(err, at->record, -1, at->field, "message %zu: weight must be 0 or 1", at->number);
}

static bool is(const char *role, const char *name) {
  return role && strcmp(role, name) == 0;
}

/* What a chat template may refuse of a message; `last` is the role of the one before, NULL: it is the first that is no
   system's. */
static unsigned features_of(const json_t *message, const char *role, const char *last) {
  unsigned out = 0;
  bool assistant = is(role, "assistant");
  if (is(role, "system") || is(role, "developer"))
    return 1u << CHAT_SYSTEM;
  if (assistant && !last)
    out |= 1u << CHAT_ASSISTANT_FIRST;
  if (assistant && is(last, "assistant"))
    out |= 1u << CHAT_REPEATED_ASSISTANT;
  if (is(role, "user") && is(last, "user"))
    out |= 1u << CHAT_REPEATED_USER;
  if (is(role, "tool") || is(role, "function"))
    out |= 1u << CHAT_TOOL_RESULTS;
  if (assistant &&
      (json_array_size(json_object_get(message, "tool_calls")) > 0 || message_has(message, "function_call")))
    out |= 1u << CHAT_TOOL_CALLS;
  return out;
}

static enum status check_message(struct messages_facts *out, bool *user_seen, const struct at *at,
                                 const json_t *message, struct error *err) {
  const char *role = json_string_value(json_object_get(message, "role"));
  if (!json_is_object(message))
    return record_fault(err, at->record, -1, at->field, "message %zu must be an object, not %s", at->number,
                        json_kind(message));
  if (!is_role(role))
    return record_fault(err, at->record, -1, at->field, "message %zu: the role %.40s is none of system, developer, "
                        "user, assistant, tool, function", at->number, role ? role : "(not a string)");
  enum status status = check_content(at, message, role, err);
  status = status ? status : check_strings(at, message, role, err);
  status = status ? status : check_calls(at, message, role, err);
  status = status ? status : check_weight(at, message, err);
  bool assistant = strcmp(role, "assistant") == 0;
  *user_seen = *user_seen || strcmp(role, "user") == 0;
  out->turns += strcmp(role, "system") != 0 && strcmp(role, "developer") != 0;
  out->assistant += assistant;
  out->learnt += assistant && message_weighs(message) && message_speaks(message);
  out->assistant_first = out->assistant_first || (assistant && !*user_seen);
  return status;
}

/* Some data sets keep one set of members in every line: null is as good as absent. */
static enum status check_tools(const struct record *record, const char *name, struct error *err) {
  const json_t *tools = json_object_get(record->object, name);
  if (!tools || json_is_null(tools))
    return STATUS_OK;
  if (!json_is_array(tools))
    return record_fault(err, record, -1, name, "%s must be a list, not %s", name, json_kind(tools));
  for (size_t i = 0; i < json_array_size(tools); i++)
    if (!json_is_object(json_array_get(tools, i)))
      return record_fault(err, record, -1, name, "item %zu of %s must be an object, not %s", i + 1, name,
                          json_kind(json_array_get(tools, i)));
  return STATUS_OK;
}

/* What stands beside the messages. `parallel_tool_calls` says how a model may answer; no template asks for it. */
static enum status check_line(const struct record *record, struct error *err) {
  enum status status = check_tools(record, "tools", err);
  status = status ? status : check_tools(record, "functions", err);
  if (status)
    return status;
  if (json_array_size(json_object_get(record->object, "tools")) > 0 &&
      json_array_size(json_object_get(record->object, "functions")) > 0)
    return record_fault(err, record, -1, "functions", "the line has both tools and functions");
  const json_t *parallel = json_object_get(record->object, "parallel_tool_calls");
  if (parallel && !json_is_null(parallel) && !json_is_boolean(parallel))
    return record_fault(err, record, -1, "parallel_tool_calls", "parallel_tool_calls must be true or false, not %s",
                        json_kind(parallel));
  return STATUS_OK;
}

enum status messages_check(struct messages_facts *out, const struct record *record, const char *field,
                           struct error *err) {
  const json_t *messages = json_object_get(record->object, field);
  const char *last = NULL;
  bool user_seen = false;
  *out = (struct messages_facts){0};
  if (!json_is_array(messages) || json_array_size(messages) == 0)
    return record_fault(err, record, -1, field, "%.60s must be an array of at least one message", field);
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < json_array_size(messages); i++) {
    struct at at = {record, field, i + 1};
    const json_t *message = json_array_get(messages, i);
    status = check_message(out, &user_seen, &at, message, err);
    if (status)
      return status;
    const char *role = json_string_value(json_object_get(message, "role"));
    unsigned features = features_of(message, role, last);
    out->features |= features;
    last = features == 1u << CHAT_SYSTEM ? last : role;
  }
  if (json_array_size(json_object_get(record->object, "tools")) > 0 ||
      json_array_size(json_object_get(record->object, "functions")) > 0)
    out->features |= 1u << CHAT_TOOLS;
  return status ? status : check_line(record, err);
}

enum status messages_check_learnt(const struct messages_facts *facts, const struct record *record, const char *field,
                                  struct error *err) {
  if (facts->assistant == 0)
    return record_fault(err, record, -1, field, "no message has the role assistant: there is nothing to learn");
  if (facts->learnt == 0)
    return record_fault(err, record, -1, field,
                        "every message of the assistant is empty or has the weight 0: there is "
                        "nothing to learn");
  return STATUS_OK;
}
