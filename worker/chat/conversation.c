#include "worker/chat/conversation.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

/* A line of data has no more bytes. */
enum { TEXT_BYTES_MAX = 1 << 20, DEPTH_MAX = 64 };

/* The ids that calls of the older format get: their answers name the function only. */
struct ids {
  json_t *last; /* name of a function -> id of its last call */
  unsigned count;
};

static bool set_member(json_t *object, const char *name, json_t *value) {
  return json_object_set_new(object, name, value) == 0;
}

/* --- content -------------------------------------------------------------------------------------- */

static json_t *join_parts(const json_t *parts) {
  struct str text;
  json_t *joined = NULL;
  str_init(&text, TEXT_BYTES_MAX);
  for (size_t i = 0; i < json_array_size(parts); i++) {
    const json_t *part = json_array_get(parts, i), *own = json_object_get(part, "text");
    own = own ? own : json_object_get(part, "refusal");
    str_add(&text, json_string_value(own), json_string_length(own));
  }
  if (!text.failed)
    joined = json_stringn(text.text, text.length);
  str_done(&text);
  return joined;
}

static bool set_content(json_t *message) {
  json_t *content = json_object_get(message, "content"), *refusal = json_object_get(message, "refusal");
  bool ok = true;
  if (json_is_array(content))
    ok = set_member(message, "content", join_parts(content));
  else if (json_string_length(content) == 0 && json_string_length(refusal) > 0)
    ok = json_object_set(message, "content", refusal) == 0;
  else if (!content)
    ok = set_member(message, "content", json_null());
  json_object_del(message, "refusal");
  return ok;
}

/* --- calls ---------------------------------------------------------------------------------------- */

/* What is no JSON object stays the text that it is. */
static json_t *read_arguments(json_t *arguments) {
  static const struct json_limits limits = {TEXT_BYTES_MAX, DEPTH_MAX, TEXT_BYTES_MAX};
  const char *text = json_string_value(arguments);
  struct error err;
  json_t *read;
  if (!arguments || json_is_null(arguments))
    return json_object();
  if (!text)
    return json_incref(arguments);
  if (text[strspn(text, " \t\r\n")] == '\0')
    return json_object();
  if (!json_parse(&read, text, json_string_length(arguments), &limits, &err) && json_is_object(read))
    return read;
  json_decref(read);
  return json_incref(arguments);
}

/* `call` as it is, around its function; NULL when memory runs out. */
static json_t *read_call(const json_t *call) {
  bool bare = !json_is_object(json_object_get(call, "function"));
  AUTO(json_release) json_t *function = json_copy(bare ? (json_t *)(uintptr_t)call : json_object_get(call, "function"));
  AUTO(json_release) json_t *out = bare ? json_object() : json_copy((json_t *)(uintptr_t)call);
  json_t *id = bare ? json_object_get(call, "id") : NULL;
  if (bare) {
    json_object_del(function, "id");
    json_object_del(function, "type");
  }
  bool ok = function && out &&
            set_member(function, "arguments", read_arguments(json_object_get(function, "arguments"))) &&
            (!id || json_object_set(out, "id", id) == 0) && set_member(out, "type", json_string("function")) &&
            json_object_set(out, "function", function) == 0;
  return ok ? json_incref(out) : NULL;
}

static bool set_calls(json_t *message) {
  const json_t *calls = json_object_get(message, "tool_calls");
  AUTO(json_release) json_t *list = json_array();
  for (size_t i = 0; i < json_array_size(calls); i++)
    if (!list || json_array_append_new(list, read_call(json_array_get(calls, i))) != 0)
      return false;
  if (json_array_size(calls) == 0) {
    json_object_del(message, "tool_calls");
    return true;
  }
  return json_object_set(message, "tool_calls", list) == 0;
}

/* `function_call` of the older format. */
static bool set_function_call(json_t *message, struct ids *ids) {
  json_t *function = json_object_get(message, "function_call");
  char id[16];
  if (!function)
    return true;
  snprintf(id, sizeof id, "call%05u", ++ids->count % 100000);
  json_t *call = json_pack("{s:s, s:s, s:O}", "id", id, "type", "function", "function", function);
  json_t *calls = call ? json_pack("[o]", read_call(call)) : NULL;
  json_decref(call);
  bool ok = calls && set_member(message, "tool_calls", calls) &&
            set_member(ids->last, json_string_value(json_object_get(function, "name")), json_string(id));
  json_object_del(message, "function_call");
  return ok;
}

/* Role `function`: the answer to the last call of the function that it names. */
static bool set_function_answer(json_t *message, const struct ids *ids) {
  const char *role = json_string_value(json_object_get(message, "role"));
  if (strcmp(role, "function") != 0)
    return true;
  json_t *id = json_object_get(ids->last, json_string_value(json_object_get(message, "name")));
  return set_member(message, "role", json_string("tool")) && (!id || json_object_set(message, "tool_call_id", id) == 0);
}

/* --- the conversation ----------------------------------------------------------------------------- */

static json_t *read_message(const json_t *given, struct ids *ids) {
  json_t *message = json_object(), *value;
  const char *name;
  bool ok = message != NULL;
  json_object_foreach((json_t *)(uintptr_t)given, name, value) {
    if (ok && (!json_is_null(value) || strcmp(name, "content") == 0))
      ok = json_object_set(message, name, value) == 0;
  }
  ok = ok && set_content(message);
  if (ok && strcmp(json_string_value(json_object_get(message, "role")), "assistant") == 0)
    ok = set_calls(message) && set_function_call(message, ids);
  if (ok && set_function_answer(message, ids))
    return message;
  json_decref(message);
  return NULL;
}

/* `tools`, or the `functions` of the older format as such. */
static bool read_tools(json_t **out, const json_t *line) {
  json_t *tools = json_object_get(line, "tools"), *functions = json_object_get(line, "functions");
  *out = NULL;
  if (json_array_size(tools) > 0) {
    *out = json_incref(tools);
    return true;
  }
  if (json_array_size(functions) == 0)
    return true;
  *out = json_array();
  for (size_t i = 0; *out && i < json_array_size(functions); i++) {
    json_t *tool = json_pack("{s:s, s:O}", "type", "function", "function", json_array_get(functions, i));
    if (json_array_append_new(*out, tool) != 0) {
      json_decref(*out);
      *out = NULL;
    }
  }
  return *out != NULL;
}

bool conversation_read(struct conversation *out, const json_t *line, const char *field) {
  const json_t *messages = json_object_get(line, field);
  struct ids ids = {.last = json_object()};
  *out = (struct conversation){.messages = json_array()};
  bool ok = ids.last && out->messages && read_tools(&out->tools, line);
  for (size_t i = 0; ok && i < json_array_size(messages); i++)
    ok = json_array_append_new(out->messages, read_message(json_array_get(messages, i), &ids)) == 0;
  json_decref(ids.last);
  if (!ok)
    conversation_done(out);
  return ok;
}

void conversation_done(struct conversation *c) {
  json_decref(c->messages);
  json_decref(c->tools);
  *c = (struct conversation){0};
}
