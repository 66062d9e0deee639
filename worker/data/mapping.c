#include "worker/data/mapping.h"

#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

enum { TEXT_MAX = 2 << 20 };

static bool is_text(const json_t *object, const char *name) {
  return json_string_length(json_object_get(object, name)) > 0;
}

static bool is_given(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return value && !json_is_null(value) && !(json_is_string(value) && json_string_length(value) == 0) &&
         !(json_is_array(value) && json_array_size(value) == 0);
}

static bool has_any(const json_t *object, const char *const *names) {
  for (; *names; names++)
    if (json_object_get(object, *names))
      return true;
  return false;
}

enum mapping mapping_of(const json_t *object) {
  static const char *const ours[] = {"messages", "prompt", "completion", "label", "labels", "chosen", "rejected", NULL};
  const json_t *turn = json_array_get(json_object_get(object, "conversations"), 0);
  if (has_any(object, ours))
    return MAPPING_NONE;
  if (json_object_get(turn, "from") && json_object_get(turn, "value"))
    return MAPPING_SHAREGPT;
  /* A system's words and turns before this one have no place in Alpaca's prompt. */
  if (json_is_string(json_object_get(object, "instruction")) && json_object_get(object, "output") &&
      !is_given(object, "system") && !is_given(object, "history"))
    return MAPPING_ALPACA;
  return MAPPING_NONE;
}

static const struct {
  const char *name, *says;
  struct record_alias aliases[3];
} mappings[MAPPING_COUNT] = {
    [MAPPING_NONE] = {"of another form", NULL, {{NULL, NULL}}},
    [MAPPING_ALPACA] = {"Alpaca's (instruction, input, output)",
                        "the lines are Alpaca's (instruction, input, output): instruction and input are taken as the"
                        " prompt, in Alpaca's words, and output as the completion, which alone is learnt",
                        {{"prompt", "instruction"}, {"completion", "output"}, {NULL, NULL}}},
    [MAPPING_SHAREGPT] = {"ShareGPT's (conversations with from and value)",
                          "the lines are ShareGPT's (conversations with from and value): they are taken as messages,"
                          " human as user and gpt as assistant, whose words alone are learnt",
                          {{"messages", "conversations"}, {NULL, NULL}}},
};

const char *mapping_says(enum mapping mapping) {
  return mappings[mapping].says;
}

const char *mapping_name(enum mapping mapping) {
  return mappings[mapping].name;
}

const struct record_alias *mapping_aliases(enum mapping mapping) {
  return mappings[mapping].aliases;
}

static enum status add(json_t *object, const char *name, json_t *value, struct error *err) {
  return json_object_set_new(object, name, value) ? error_no_memory(err, "a line of the data") : STATUS_OK;
}

/* --- Alpaca --------------------------------------------------------------------------------------- */

static enum status map_alpaca(json_t *object, const struct record *record, struct error *err) {
  static const char *const members[] = {"instruction", "input", "output"};
  AUTO(str_done) struct str prompt;
  for (size_t i = 0; i < COUNT_OF(members); i++) {
    const json_t *value = json_object_get(object, members[i]);
    if (value && !json_is_string(value) && !(i == 1 && json_is_null(value)))
      return record_fault(err, record, -1, members[i], "%s must be a string, not %s", members[i], json_kind(value));
  }
  if (!is_text(object, "output"))
    return record_fault(err, record, -1, "output", "output is empty: there is nothing to learn");
  if (!is_text(object, "instruction") && !is_text(object, "input"))
    return record_fault(err, record, -1, "instruction", "instruction and input are empty");
  str_init(&prompt, TEXT_MAX);
  str_puts(&prompt, is_text(object, "input")
                        ? "Below is an instruction that describes a task, paired with an input that provides further"
                          " context. Write a response that appropriately completes the request."
                        : "Below is an instruction that describes a task. Write a response that appropriately completes"
                          " the request.");
  str_puts(&prompt, "\n\n### Instruction:\n");
  str_puts(&prompt, json_string_value(json_object_get(object, "instruction")));
  if (is_text(object, "input")) {
    str_puts(&prompt, "\n\n### Input:\n");
    str_puts(&prompt, json_string_value(json_object_get(object, "input")));
  }
  str_puts(&prompt, "\n\n### Response:\n");
  if (prompt.failed)
    return error_no_memory(err, "a line of the data");
  enum status status = add(object, "prompt", json_stringn(prompt.text, prompt.length), err);
  return status ? status : add(object, "completion", json_incref(json_object_get(object, "output")), err);
}

/* --- ShareGPT ------------------------------------------------------------------------------------- */

static const struct {
  const char *from, *role;
} roles[] = {{"human", "user"},          {"user", "user"},         {"gpt", "assistant"},
             {"assistant", "assistant"}, {"chatgpt", "assistant"}, {"system", "system"},
             {"tool", "tool"},           {"observation", "tool"},  {"function_response", "tool"}};

/* The calls that a turn's value holds: {"name": ..., "arguments": ...}, or a list of such; NULL: it holds none. */
static json_t *calls_of(const json_t *value) {
  json_t *parsed = NULL, *calls = json_array();
  if (json_parse(&parsed, json_string_value(value), json_string_length(value), NULL, NULL)) {
    json_decref(calls);
    return NULL;
  }
  size_t count = json_is_array(parsed) ? json_array_size(parsed) : 1;
  for (size_t i = 0; calls && i < count; i++) {
    json_t *call = json_is_array(parsed) ? json_array_get(parsed, i) : parsed;
    const json_t *arguments = json_object_get(call, "arguments");
    bool good = is_text(call, "name") && (!arguments || json_is_object(arguments) || json_is_string(arguments));
    json_t *item = good ? json_pack("{s:s, s:O}", "type", "function", "function", call) : NULL;
    if (!item || json_array_append_new(calls, item)) {
      json_decref(calls);
      calls = NULL;
    }
  }
  json_decref(parsed);
  if (json_array_size(calls) == 0) {
    json_decref(calls);
    return NULL;
  }
  return calls;
}

static enum status map_turn(json_t *messages, const json_t *turn, size_t number, const struct record *record,
                            struct error *err) {
  const char *from = json_string_value(json_object_get(turn, "from")), *role = NULL;
  json_t *value = json_object_get(turn, "value"), *message = NULL;
  const json_t *weight = json_object_get(turn, "weight");
  const json_t *wrong = !from ? json_object_get(turn, "from") : !json_is_string(value) ? value : NULL;
  if (!from || !json_is_string(value))
    return record_fault(err, record, -1, "conversations", "turn %zu: %s must be a string, not %s", number,
                        from ? "value" : "from", wrong ? json_kind(wrong) : "absent");
  for (size_t i = 0; i < COUNT_OF(roles); i++)
    if (strcmp(roles[i].from, from) == 0)
      role = roles[i].role;
  if (role) {
    message = json_pack("{s:s, s:O}", "role", role, "content", value);
  } else if (strcmp(from, "function_call") == 0) {
    json_t *calls = calls_of(value);
    if (!calls)
      return record_fault(err, record, -1, "conversations",
                          "turn %zu: a function_call is {\"name\": ..., \"arguments\": ...}, or a list of such",
                          number);
    message = json_pack("{s:s, s:n, s:o}", "role", "assistant", "content", "tool_calls", calls);
  } else {
    return record_fault(err, record, -1, "conversations",
                        "turn %zu: nobody here is called %.40s (human, user, gpt, assistant, chatgpt, system, tool,"
                        " observation, function_response, function_call)",
                        number, from);
  }
  if (!message || (weight && json_object_set_new(message, "weight", json_incref((json_t *)(uintptr_t)weight))) ||
      json_array_append_new(messages, message))
    return error_no_memory(err, "a line of the data");
  return STATUS_OK;
}

/* Functions as {name, description, parameters}, or as OpenAI wraps them; also as a JSON text. */
static enum status map_tools(json_t *object, const struct record *record, struct error *err) {
  json_t *given = json_object_get(object, "tools"), *parsed = NULL, *tools = json_array(), *item;
  size_t index;
  if (!is_given(object, "tools")) {
    json_decref(tools);
    json_object_del(object, "tools");
    return STATUS_OK;
  }
  if (json_is_string(given) && !json_parse(&parsed, json_string_value(given), json_string_length(given), NULL, NULL))
    given = parsed;
  enum status status = STATUS_OK;
  if (!json_is_array(given))
    status = record_fault(err, record, -1, "tools", "tools must be a list of functions, or the JSON text of one");
  json_array_foreach(given, index, item) {
    bool bare = json_is_object(item) && !json_object_get(item, "function");
    if (json_array_append_new(tools,
                              bare ? json_pack("{s:s, s:O}", "type", "function", "function", item) : json_incref(item)))
      status = error_no_memory(err, "a line of the data");
  }
  json_decref(parsed);
  if (!status)
    return add(object, "tools", tools, err);
  json_decref(tools);
  return status;
}

static enum status map_sharegpt(json_t *object, const struct record *record, struct error *err) {
  const json_t *turns = json_object_get(object, "conversations"), *turn;
  const json_t *system = json_object_get(object, "system");
  json_t *messages = json_array();
  size_t index;
  enum status status = STATUS_OK;
  if (is_text(object, "system") &&
      json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "system", "content", system)))
    status = error_no_memory(err, "a line of the data");
  json_array_foreach(turns, index, turn) {
    status = status ? status : map_turn(messages, turn, index + 1, record, err);
  }
  if (!status)
    status = map_tools(object, record, err);
  if (!status)
    return add(object, "messages", messages, err);
  json_decref(messages);
  return status;
}

enum status mapping_apply(json_t *object, enum mapping mapping, const struct record *record, struct error *err) {
  switch (mapping) {
  case MAPPING_NONE: return STATUS_OK;
  case MAPPING_ALPACA: return map_alpaca(object, record, err);
  case MAPPING_SHAREGPT: return map_sharegpt(object, record, err);
  case MAPPING_COUNT: break;
  }
  CHECK(!"a mapping");
}
