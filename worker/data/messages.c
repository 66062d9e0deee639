#include "worker/data/messages.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"

enum { CONTENT_BYTES_MAX = RECORD_BYTES_MAX };

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

static enum status check_part(size_t *length, const struct at *at, size_t number, const json_t *part,
                              struct error *err) {
  const json_t *type = json_object_get(part, "type"), *text = json_object_get(part, "text");
  if (!json_is_object(part))
    return record_fault(err, at->record, -1, at->field, "message %zu: content part %zu must be an object, not %s",
                        at->number, number, json_kind(part));
  if (!json_is_string(type))
    return record_fault(err, at->record, -1, at->field, "message %zu: the type of content part %zu must be a string, "
                        "not %s", at->number, number, type ? json_kind(type) : "absent");
  if (strcmp(json_string_value(type), "text") != 0)
    return record_fault(err, at->record, -1, at->field, "message %zu: content part %zu is of type %.40s; only text "
                        "is supported", at->number, number, json_string_value(type));
  if (!json_is_string(text))
    return record_fault(err, at->record, -1, at->field, "message %zu: the text of content part %zu must be a string, "
                        "not %s", at->number, number, text ? json_kind(text) : "absent");
  *length += json_string_length(text);
  return STATUS_OK;
}

static bool is_given(const json_t *message, const char *name) {
  const json_t *value = json_object_get(message, name);
  return value && !json_is_null(value);
}

static enum status check_content(size_t *length, const struct at *at, const json_t *message, bool assistant,
                                 struct error *err) {
  const json_t *content = json_object_get(message, "content");
  bool calls = assistant && (is_given(message, "tool_calls") || is_given(message, "function_call"));
  enum status status = STATUS_OK;
  *length = json_string_length(content);
  if (json_is_string(content) || (calls && (!content || json_is_null(content))))
    return STATUS_OK;
  if (!json_is_array(content))
    return record_fault(err, at->record, -1, at->field, "message %zu: content must be a string or a list of parts, "
                        "not %s", at->number, content ? json_kind(content) : "absent");
  for (size_t i = 0; !status && i < json_array_size(content); i++)
    status = check_part(length, at, i + 1, json_array_get(content, i), err);
  return status;
}

static enum status check_weight(bool *weighs, const struct at *at, const json_t *message, struct error *err) {
  const json_t *weight = json_object_get(message, "weight");
  double value = is_given(message, "weight") ? json_number_value(weight) : 1;
  *weighs = value > 0;
  if (!is_given(message, "weight") || (json_is_number(weight) && (value == 0 || value == 1)))
    return STATUS_OK;
  return record_fault(err, at->record, -1, at->field, "message %zu: weight must be 0 or 1", at->number);
}

static enum status check_message(struct messages_facts *out, bool *user_seen, const struct at *at,
                                 const json_t *message, struct error *err) {
  const char *role = json_string_value(json_object_get(message, "role"));
  bool weighs = true;
  size_t length = 0;
  if (!json_is_object(message))
    return record_fault(err, at->record, -1, at->field, "message %zu must be an object, not %s", at->number,
                        json_kind(message));
  if (!is_role(role))
    return record_fault(err, at->record, -1, at->field, "message %zu: the role %.40s is none of system, developer, "
                        "user, assistant, tool, function", at->number, role ? role : "(not a string)");
  bool assistant = strcmp(role, "assistant") == 0;
  enum status status = check_content(&length, at, message, assistant, err);
  if (!status)
    status = check_weight(&weighs, at, message, err);
  bool speaks = length > 0 || is_given(message, "tool_calls") || is_given(message, "function_call");
  *user_seen = *user_seen || strcmp(role, "user") == 0;
  out->turns += strcmp(role, "system") != 0 && strcmp(role, "developer") != 0;
  out->assistant += assistant;
  out->learnt += assistant && weighs && speaks;
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

enum status messages_check(struct messages_facts *out, const struct record *record, const char *field,
                           struct error *err) {
  const json_t *messages = json_object_get(record->object, field);
  bool user_seen = false;
  *out = (struct messages_facts){0};
  if (!json_is_array(messages) || json_array_size(messages) == 0)
    return record_fault(err, record, -1, field, "%.60s must be an array of at least one message", field);
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < json_array_size(messages); i++) {
    struct at at = {record, field, i + 1};
    status = check_message(out, &user_seen, &at, json_array_get(messages, i), err);
  }
  status = status ? status : check_tools(record, "tools", err);
  return status ? status : check_tools(record, "functions", err);
}

static json_t *join(const json_t *parts) {
  struct str text;
  json_t *joined = NULL;
  str_init(&text, CONTENT_BYTES_MAX);
  for (size_t i = 0; i < json_array_size(parts); i++) {
    const json_t *part = json_object_get(json_array_get(parts, i), "text");
    str_add(&text, json_string_value(part), json_string_length(part));
  }
  if (!text.failed)
    joined = json_stringn(text.text, text.length);
  str_done(&text);
  return joined;
}

json_t *messages_join_parts(json_t *messages) {
  json_t *out = NULL;
  for (size_t i = 0; i < json_array_size(messages); i++) {
    const json_t *content = json_object_get(json_array_get(messages, i), "content");
    if (!json_is_array(content))
      continue;
    if (!out && !(out = json_copy(messages)))
      return NULL;
    json_t *message = json_copy(json_array_get(messages, i));
    if (!message || json_object_set_new(message, "content", join(content)) != 0 ||
        json_array_set(out, i, message) != 0) {
      json_decref(message);
      json_decref(out);
      return NULL;
    }
    json_decref(message);
  }
  return out ? out : json_incref(messages);
}
