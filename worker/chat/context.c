#include "worker/chat/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "worker/chat/message.h"

static bool set_variable(struct jinja_run *run, struct jinja_scope *scope, const char *name, struct jinja_value value) {
  struct jinja_string key = jinja_literal(name);
  return jinja_assign(run, scope, &key, value);
}

static bool from_json(struct jinja_run *run, struct jinja_value *out, const json_t *json, uint32_t origin);

static bool dict_from_json(struct jinja_run *run, struct jinja_value *out, const json_t *json, uint32_t origin) {
  struct jinja_dict *dict = jinja_dict_new(run, json_object_size(json));
  const char *key;
  json_t *item;
  if (!dict)
    return false;
  *out = (struct jinja_value){.kind = VALUE_DICT, .dict = dict};
  /* The keys of a JSON object are unique, so they need not be looked for. */
  json_object_foreach((json_t *)(uintptr_t)json, key, item) {
    struct jinja_entry *entry = &dict->entries[dict->count++];
    uint32_t own = origin & ORIGIN_CALL || origin == ORIGIN_TOOLS || strcmp(key, "text") == 0 ? origin : 0;
    if (!jinja_string_value(run, &entry->key, jinja_literal(key)) || !from_json(run, &entry->value, item, own))
      return false;
    if (origin & ORIGIN_CALL && json_is_object(item) && strcmp(key, "arguments") == 0)
      entry->value.dict->prints_json = true; /* as OpenAI writes it, for templates that do not ask for JSON */
  }
  return true;
}

/* Strings get that origin. Of an object those of the member `text` do, as in lists of parts; of calls and tools all do.
 */
static bool from_json(struct jinja_run *run, struct jinja_value *out, const json_t *json, uint32_t origin) {
  if (!jinja_spend(run, 1) || !jinja_enter(run))
    return false;
  bool ok = true;
  struct jinja_list *list;
  switch (json_typeof(json)) {
  case JSON_NULL: *out = jinja_none(); break;
  case JSON_TRUE:
  case JSON_FALSE: *out = jinja_bool(json_is_true(json)); break;
  case JSON_INTEGER: *out = jinja_int(json_integer_value(json)); break;
  case JSON_REAL: *out = jinja_float(json_real_value(json)); break;
  case JSON_STRING:
    ok = jinja_string_value(
        run, out,
        (struct jinja_string){.bytes = json_string_value(json), .length = json_string_length(json), .origin = origin});
    break;
  case JSON_OBJECT: ok = dict_from_json(run, out, json, origin); break;
  case JSON_ARRAY:
    list = jinja_list_new(run, json_array_size(json));
    ok = list != NULL;
    for (size_t i = 0; ok && i < json_array_size(json); i++) {
      struct jinja_value item;
      ok = from_json(run, &item, json_array_get(json, i), origin) && jinja_list_add(run, list, item);
    }
    *out = (struct jinja_value){.kind = VALUE_LIST, .list = list};
    break;
  }
  jinja_leave(run);
  return ok;
}

/* As Transformers: reasoning goes by three names; templates read the first, or the second. */
static bool add_reasoning(struct jinja_run *run, struct jinja_dict **out, const struct jinja_dict *message) {
  struct jinja_value name, alias;
  struct jinja_entry *entry = NULL;
  *out = NULL;
  for (size_t i = 0; i < MESSAGE_REASONING_NAMES && (!entry || entry->value.kind == VALUE_NONE); i++) {
    struct jinja_string key = jinja_literal(message_reasoning_names[i]);
    if (!jinja_dict_find_text(run, &entry, message, &key))
      return false;
  }
  if (!entry || entry->value.kind == VALUE_NONE)
    return true;
  struct jinja_value given = entry->value;
  if (!(*out = jinja_dict_new(run, message->count + 2)) ||
      !jinja_string_value(run, &name, jinja_literal("reasoning_content")) ||
      !jinja_string_value(run, &alias, jinja_literal("thinking")) || !jinja_dict_set(run, *out, alias, given))
    return false;
  for (size_t i = 0; i < message->count; i++)
    if (!jinja_dict_set(run, *out, message->entries[i].key, message->entries[i].value))
      return false;
  return jinja_dict_set(run, *out, name, given);
}

/* Strings of the members that are the message's own have its number. */
static uint32_t origin_of(const char *key, uint32_t number) {
  if (strcmp(key, "content") == 0)
    return number;
  if (strcmp(key, "tool_calls") == 0 || strcmp(key, "function_call") == 0)
    return number | ORIGIN_CALL;
  for (size_t i = 0; i < MESSAGE_REASONING_NAMES; i++)
    if (strcmp(key, message_reasoning_names[i]) == 0)
      return number | ORIGIN_REASONING;
  return 0;
}

static bool message_from_json(struct jinja_run *run, struct jinja_value *out, const json_t *json, uint32_t number,
                              bool null_content) {
  struct jinja_dict *dict = jinja_dict_new(run, json_object_size(json)), *more;
  bool calls = json_array_size(json_object_get(json, "tool_calls")) > 0;
  const char *key;
  json_t *item;
  if (!dict)
    return false;
  json_object_foreach((json_t *)(uintptr_t)json, key, item) {
    struct jinja_entry *entry = &dict->entries[dict->count++];
    bool content = strcmp(key, "content") == 0;
    bool null = json_is_null(item) || (null_content && calls && json_is_string(item) && !json_string_length(item));
    bool ok = jinja_string_value(run, &entry->key, jinja_literal(key));
    if (content && null)
      ok = ok && jinja_string_value(run, &entry->value, (struct jinja_string){.bytes = "", .null = true});
    else
      ok = ok && from_json(run, &entry->value, item, origin_of(key, number));
    if (!ok)
      return false;
  }
  if (!add_reasoning(run, &more, dict))
    return false;
  dict = more ? more : dict;
  dict->origin = number;
  *out = (struct jinja_value){.kind = VALUE_DICT, .dict = dict};
  return true;
}

bool chat_context_fill(struct jinja_run *run, struct jinja_scope *scope, const struct chat *chat) {
  struct jinja_list *list = jinja_list_new(run, json_array_size(chat->messages));
  struct jinja_value value = jinja_none();
  const char *key;
  json_t *special;
  json_object_foreach((json_t *)(uintptr_t)chat->special_tokens, key, special) {
    if (!from_json(run, &value, special, 0) || !set_variable(run, scope, key, value))
      return false;
  }
  for (size_t i = 0; list && i < json_array_size(chat->messages); i++) {
    const json_t *message = json_array_get(chat->messages, i);
    if (!message_from_json(run, &value, message, (uint32_t)i + 1, chat->null_content) ||
        !jinja_list_add(run, list, value))
      return false;
  }
  if (!list || !set_variable(run, scope, "messages", (struct jinja_value){.kind = VALUE_LIST, .list = list}) ||
      !set_variable(run, scope, "documents", jinja_none()) ||
      !set_variable(run, scope, "add_generation_prompt", jinja_bool(chat->add_generation_prompt)))
    return false;
  value = jinja_none();
  if (chat->tools && !json_is_null(chat->tools) && !from_json(run, &value, chat->tools, ORIGIN_TOOLS))
    return false;
  return set_variable(run, scope, "tools", value);
}

enum status chat_context_check(const json_t *messages, const json_t *tools, struct error *err) {
  if (!json_is_array(messages))
    return error_set(err, STATUS_DATASET_INVALID, "messages", "the messages must be a list");
  if (json_array_size(messages) >= ORIGIN_TOOLS)
    return error_set(err, STATUS_DATASET_INVALID, "messages", "there are too many messages");
  for (size_t i = 0; i < json_array_size(messages); i++)
    if (!json_is_object(json_array_get(messages, i)))
      return error_set(err, STATUS_DATASET_INVALID, "messages", "message %zu must be an object, not %s", i + 1,
                       json_kind(json_array_get(messages, i)));
  if (tools && !json_is_array(tools) && !json_is_null(tools))
    return error_set(err, STATUS_DATASET_INVALID, "tools", "the tools must be a list, not %s", json_kind(tools));
  return STATUS_OK;
}

/* --- what reached the text ------------------------------------------------------------------------ */

static bool is_visible(const json_t *text) {
  const char *bytes = json_string_value(text);
  return bytes && bytes[strspn(bytes, " \t\r\n")] != '\0';
}

static bool has_content(const json_t *content) {
  bool some = is_visible(content);
  for (size_t i = 0; !some && i < json_array_size(content); i++) {
    const json_t *part = json_array_get(content, i);
    some = is_visible(part) || is_visible(json_object_get(part, "text"));
  }
  return some;
}

static bool has_calls(const json_t *message) {
  return json_array_size(json_object_get(message, "tool_calls")) > 0 ||
         json_is_object(json_object_get(message, "function_call"));
}

static bool has_reasoning(const json_t *message) {
  bool some = false;
  for (size_t i = 0; i < MESSAGE_REASONING_NAMES; i++)
    some = some || is_visible(json_object_get(message, message_reasoning_names[i]));
  return some;
}

enum { SEEN_CONTENT = 1, SEEN_CALL = 2, SEEN_REASONING = 4 };

static void note_origins(uint8_t *seen, size_t count, const struct jinja_string *text, bool *tools) {
  for (size_t i = 0; i < text->length; i++) {
    uint32_t origin = jinja_origin(text, i), number = origin & ORIGIN_MESSAGE;
    *tools = *tools || number == ORIGIN_TOOLS;
    if (number && number <= count)
      seen[number - 1] |= origin & ORIGIN_CALL ? SEEN_CALL : origin & ORIGIN_REASONING ? SEEN_REASONING : SEEN_CONTENT;
  }
}

static enum status check_trace(unsigned *lost, const json_t *message, size_t number, unsigned seen, struct error *err) {
  bool assistant = message_is_assistant(message), content = has_content(json_object_get(message, "content"));
  bool calls = assistant && has_calls(message) && !(seen & SEEN_CALL);
  *lost |= content && !(seen & SEEN_CONTENT) ? CHAT_LOST_CONTENT : 0;
  *lost |= calls ? CHAT_LOST_CALL : 0;
  *lost |= assistant && has_reasoning(message) && !(seen & SEEN_REASONING) ? CHAT_LOST_REASONING : 0;
  if (assistant && content && !(seen & (SEEN_CONTENT | SEEN_CALL)))
    return error_set(err, STATUS_DATASET_INVALID, "messages",
                     "nothing of message %zu, an assistant's, is in the text that the chat template makes", number);
  if (calls)
    return error_set(err, STATUS_DATASET_INVALID, "messages",
                     "nothing of the tool calls of message %zu is in the text that the chat template makes: it takes a "
                     "template that knows tools (dataset.chat_template: chatml, llama-3 and qwen do)",
                     number);
  return STATUS_OK;
}

enum status chat_context_traces(unsigned *lost, const struct chat *chat, const struct jinja_string *text,
                                struct error *err) {
  size_t count = json_array_size(chat->messages);
  uint8_t *seen = calloc(count + 1, sizeof *seen);
  bool tools = json_array_size(chat->tools) == 0;
  *lost = 0;
  if (!seen)
    return error_no_memory(err, "the conversation");
  note_origins(seen, count, text, &tools);
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < count; i++)
    status = check_trace(lost, json_array_get(chat->messages, i), i + 1, seen[i], err);
  *lost |= tools ? 0 : CHAT_LOST_TOOLS;
  free(seen);
  return status;
}
