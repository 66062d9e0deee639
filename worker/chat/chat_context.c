#include "worker/chat/chat_context.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static bool set(struct run *run, struct scope *scope, const char *name, struct value value) {
  struct marked key = jinja_literal(name);
  return jinja_assign(run, scope, &key, value);
}

static bool from_json(struct run *run, struct value *out, const json_t *json, uint32_t mark);

static bool dict_from_json(struct run *run, struct value *out, const json_t *json, uint32_t mark) {
  struct dict *dict = jinja_dict_new(run, json_object_size(json));
  const char *key;
  json_t *item;
  if (!dict)
    return false;
  *out = (struct value){.kind = VALUE_DICT, .dict = dict};
  /* The keys of a JSON object are unique, so they need not be looked for. */
  json_object_foreach((json_t *)(uintptr_t)json, key, item) {
    struct entry *entry = &dict->entries[dict->count++];
    uint32_t own = strcmp(key, "text") == 0 ? mark : 0;
    if (!jinja_string(run, &entry->key, jinja_literal(key)) || !from_json(run, &entry->value, item, own))
      return false;
  }
  return true;
}

/* Strings get `mark`: in a list, those of the members `text` of its objects too. */
static bool from_json(struct run *run, struct value *out, const json_t *json, uint32_t mark) {
  if (!jinja_spend(run, 1) || !jinja_enter(run))
    return false;
  bool ok = true;
  struct list *list;
  switch (json_typeof(json)) {
  case JSON_NULL: *out = jinja_none(); break;
  case JSON_TRUE:
  case JSON_FALSE: *out = jinja_bool(json_is_true(json)); break;
  case JSON_INTEGER: *out = jinja_int(json_integer_value(json)); break;
  case JSON_REAL: *out = jinja_float(json_real_value(json)); break;
  case JSON_STRING:
    ok = jinja_string(run, out, (struct marked){.bytes = json_string_value(json), .length = json_string_length(json),
                                                .mark = mark});
    break;
  case JSON_OBJECT: ok = dict_from_json(run, out, json, mark); break;
  case JSON_ARRAY:
    list = jinja_list_new(run, json_array_size(json));
    ok = list != NULL;
    for (size_t i = 0; ok && i < json_array_size(json); i++) {
      struct value item;
      ok = from_json(run, &item, json_array_get(json, i), mark) && jinja_list_add(run, list, item);
    }
    *out = (struct value){.kind = VALUE_LIST, .list = list};
    break;
  }
  jinja_leave(run);
  return ok;
}

static bool is_assistant(const json_t *message) {
  const char *role = json_string_value(json_object_get(message, "role"));
  return role && strcmp(role, "assistant") == 0;
}

/* As Transformers: reasoning goes by three names; templates read the first, or the second. */
static bool add_reasoning(struct run *run, struct dict **out, const struct dict *message) {
  static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
  struct value name, alias;
  struct entry *entry = NULL;
  *out = NULL;
  for (size_t i = 0; i < COUNT_OF(names) && (!entry || entry->value.kind == VALUE_NONE); i++) {
    struct marked key = jinja_literal(names[i]);
    if (!jinja_dict_find_text(run, &entry, message, &key))
      return false;
  }
  if (!entry || entry->value.kind == VALUE_NONE)
    return true;
  struct value reasoning = entry->value;
  if (!(*out = jinja_dict_new(run, message->count + 2)) ||
      !jinja_string(run, &name, jinja_literal("reasoning_content")) ||
      !jinja_string(run, &alias, jinja_literal("thinking")) || !jinja_dict_set(run, *out, alias, reasoning))
    return false;
  for (size_t i = 0; i < message->count; i++)
    if (!jinja_dict_set(run, *out, message->entries[i].key, message->entries[i].value))
      return false;
  return jinja_dict_set(run, *out, name, reasoning);
}

static bool message_from_json(struct run *run, struct value *out, const json_t *json, uint32_t mark) {
  struct marked content = jinja_literal("content");
  struct entry *entry;
  struct dict *dict;
  if (!dict_from_json(run, out, json, 0) || !jinja_dict_find_text(run, &entry, out->dict, &content))
    return false;
  if (entry && mark && !from_json(run, &entry->value, json_object_get(json, "content"), mark))
    return false;
  if (!add_reasoning(run, &dict, out->dict))
    return false;
  if (dict)
    out->dict = dict;
  return true;
}

bool chat_context_fill(struct run *run, struct scope *scope, const json_t *messages, const json_t *tools,
                       const json_t *specials, bool add_generation_prompt) {
  struct list *list = jinja_list_new(run, json_array_size(messages));
  struct value value = jinja_none();
  const char *key;
  json_t *special;
  json_object_foreach((json_t *)(uintptr_t)specials, key, special) {
    if (!from_json(run, &value, special, 0) || !set(run, scope, key, value))
      return false;
  }
  for (size_t i = 0; list && i < json_array_size(messages); i++) {
    const json_t *message = json_array_get(messages, i);
    if (!message_from_json(run, &value, message, is_assistant(message) ? (uint32_t)i + 1 : 0) ||
        !jinja_list_add(run, list, value))
      return false;
  }
  if (!list || !set(run, scope, "messages", (struct value){.kind = VALUE_LIST, .list = list}) ||
      !set(run, scope, "documents", jinja_none()) ||
      !set(run, scope, "add_generation_prompt", jinja_bool(add_generation_prompt)))
    return false;
  value = jinja_none();
  if (tools && !json_is_null(tools) && !from_json(run, &value, tools, 0))
    return false;
  return set(run, scope, "tools", value);
}

enum status chat_context_check(const json_t *messages, const json_t *tools, struct error *err) {
  if (!json_is_array(messages))
    return error_set(err, STATUS_DATASET_INVALID, "messages", "the messages must be a list");
  if (json_array_size(messages) >= MARK_GENERATED)
    return error_set(err, STATUS_DATASET_INVALID, "messages", "there are too many messages");
  for (size_t i = 0; i < json_array_size(messages); i++)
    if (!json_is_object(json_array_get(messages, i)))
      return error_set(err, STATUS_DATASET_INVALID, "messages", "message %zu must be an object, not %s", i + 1,
                       json_kind(json_array_get(messages, i)));
  if (tools && !json_is_array(tools) && !json_is_null(tools))
    return error_set(err, STATUS_DATASET_INVALID, "tools", "the tools must be a list, not %s", json_kind(tools));
  return STATUS_OK;
}

static bool has_content(const json_t *content) {
  bool some = json_string_length(content) > 0;
  for (size_t i = 0; !some && i < json_array_size(content); i++) {
    const json_t *part = json_array_get(content, i);
    some = json_string_length(part) > 0 || json_string_length(json_object_get(part, "text")) > 0;
  }
  return some;
}

enum status chat_context_traces(const json_t *messages, const struct marked *text, struct error *err) {
  size_t count = json_array_size(messages);
  bool *seen = calloc(count + 1, sizeof *seen);
  if (!seen)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the conversation");
  for (size_t i = 0; i < text->length; i++)
    seen[jinja_mark(text, i) & ~MARK_GENERATED] = true;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < count; i++) {
    const json_t *message = json_array_get(messages, i);
    if (!seen[i + 1] && is_assistant(message) && has_content(json_object_get(message, "content")))
      status = error_set(err, STATUS_DATASET_INVALID, "messages",
                         "nothing of message %zu, an assistant's, is in the text that the chat template makes", i + 1);
  }
  free(seen);
  return status;
}
