#include "worker/data/completions.h"

#include <string.h>

#include "base/json.h"
#include "worker/data/messages.h"

/* Members of a pair: where the prompt is, and the two answers. */
struct names {
  const char *prompt, *answers[2];
};
static const struct names openai = {"input", {"preferred_output", "non_preferred_output"}};
static const struct names trl = {"prompt", {"chosen", "rejected"}};
static const struct names rated = {"prompt", {"completion", NULL}};
static const char label_name[] = "label";

static bool has(const struct records *records, const struct record *record, const char *name) {
  return record->object ? json_object_get(record->object, name) != NULL : records_column(records, name) >= 0;
}

/* True, false, and what stands for them where there are no other types. */
static bool read_label(bool *out, const struct records *records, const struct record *record) {
  static const char *const words[2][4] = {{"false", "False", "FALSE", "0"}, {"true", "True", "TRUE", "1"}};
  const json_t *value = record->object ? json_object_get(record->object, label_name) : NULL;
  size_t length;
  if (json_is_boolean(value) || (json_is_integer(value) && (json_integer_value(value) | 1) == 1)) {
    *out = json_is_true(value) || json_integer_value(value) == 1;
    return true;
  }
  const char *text = record_text(&length, record, records_column(records, label_name), label_name);
  for (size_t i = 0; text && i < 2 * COUNT_OF(words[0]); i++)
    if (strcmp(words[i % 2][i / 2], text) == 0) {
      *out = i % 2;
      return true;
    }
  return false;
}

enum completions_kind completions_kind_of(const struct records *records, const struct record *record) {
  bool desirable;
  const struct names *const pairs[] = {&openai, &trl};
  for (size_t i = 0; i < COUNT_OF(pairs); i++)
    if (has(records, record, pairs[i]->answers[0]) && has(records, record, pairs[i]->answers[1]))
      return COMPLETIONS_PAIR;
  return has(records, record, rated.prompt) && has(records, record, rated.answers[0]) &&
                 read_label(&desirable, records, record)
             ? COMPLETIONS_RATED
             : COMPLETIONS_NONE;
}

const char *completions_kind_words(enum completions_kind kind) {
  return kind == COMPLETIONS_PAIR    ? "a pair of answers"
         : kind == COMPLETIONS_RATED ? "a completion with a label"
                                     : "neither a pair of answers nor a completion with a label";
}

/* --- messages ------------------------------------------------------------------------------------- */

/* A list of messages under that name, with the tools beside them, checked as a chat's. */
static enum status check_messages(const struct record *record, const char *name, json_t *messages, const json_t *tools,
                                  bool learnt, struct error *err) {
  AUTO(json_release) json_t *object = json_object();
  struct record part = *record;
  struct messages_facts facts;
  bool ok = object && json_object_set(object, name, messages) == 0;
  ok = ok && (!tools || json_object_set(object, "tools", (json_t *)(uintptr_t)tools) == 0);
  if (!ok)
    return error_no_memory(err, "a line of the data");
  part.object = object;
  enum status status = messages_check(&facts, &part, name, err);
  return status || !learnt ? status : messages_check_learnt(&facts, &part, name, err);
}

/* prompt[..] with the weight 0, then answer[from..]. */
static json_t *join_messages(const json_t *prompt, size_t prompt_count, const json_t *answer, size_t from) {
  json_t *out = json_array();
  bool ok = out != NULL;
  for (size_t i = 0; ok && i < prompt_count; i++) {
    json_t *message = json_copy(json_array_get(prompt, i));
    ok = message && json_object_set_new(message, "weight", json_integer(0)) == 0;
    ok = json_array_append_new(out, message) == 0 && ok;
  }
  for (size_t i = from; ok && i < json_array_size(answer); i++)
    ok = json_array_append(out, json_array_get(answer, i)) == 0;
  if (ok)
    return out;
  json_decref(out);
  return NULL;
}

static enum status put_chat(struct completions_record *out, size_t index, json_t *messages, const json_t *tools,
                            const char *source, struct error *err) {
  json_t *chat = messages ? json_pack("{s:o}", "messages", messages) : NULL;
  out->chats[index] = chat;
  out->aliases[index][0] = (struct record_alias){"messages", source};
  if (!chat || (tools && json_object_set(chat, "tools", (json_t *)(uintptr_t)tools)))
    return error_no_memory(err, "a line of the data");
  return STATUS_OK;
}

/* How many messages both begin with; each keeps one of its own. */
static size_t common_messages(const json_t *a, const json_t *b) {
  size_t n = 0, least = json_array_size(a) < json_array_size(b) ? json_array_size(a) : json_array_size(b);
  while (n + 1 < least && json_equal(json_array_get(a, n), json_array_get(b, n)))
    n++;
  return n;
}

static enum status read_chats(struct completions_record *out, const struct record *record, const struct names *names,
                              json_t *prompt, const json_t *tools, struct error *err) {
  enum status status = STATUS_OK;
  json_t *answers[2] = {NULL, NULL};
  if (prompt)
    status = check_messages(record, names->prompt, prompt, tools, false, err);
  for (size_t i = 0; !status && i < out->count; i++) {
    answers[i] = json_object_get(record->object, names->answers[i]);
    status = check_messages(record, names->answers[i], answers[i], tools, true, err);
  }
  if (status)
    return status;
  size_t common = prompt || out->count < 2 ? 0 : common_messages(answers[0], answers[1]);
  for (size_t i = 0; !status && i < out->count; i++) {
    json_t *messages = prompt ? join_messages(prompt, json_array_size(prompt), answers[i], 0)
                              : join_messages(answers[i], common, answers[i], common);
    status = put_chat(out, i, messages, tools, names->answers[i], err);
    if (!status && !prompt) /* what both begin with may have been all that the assistant says */
      status = check_messages(record, names->answers[i], json_object_get(out->chats[i], "messages"), tools, true, err);
  }
  return status;
}

/* --- texts ---------------------------------------------------------------------------------------- */

static enum status read_text(const char **out, size_t *length, const struct records *records,
                             const struct record *record, const char *name, bool may_be_empty, struct error *err) {
  int column = records_column(records, name);
  const json_t *value = record->object ? json_object_get(record->object, name) : NULL;
  if (value && !json_is_null(value) && !json_is_string(value))
    return record_fault(err, record, column, name, "%s must be a string as the rest of the line, not %s", name,
                        json_kind(value));
  *out = record_text(length, record, column, name);
  if (*out || (may_be_empty && has(records, record, name)))
    return STATUS_OK;
  return record_missing(err, record, column, name);
}

/* Bytes that both begin with, as TRL takes them: not the last one of either, nor a space before the first difference.
 */
static size_t common_bytes(const char *a, size_t a_length, const char *b, size_t b_length) {
  size_t n = 0, least = a_length < b_length ? a_length : b_length;
  while (n + 1 < least && a[n] == b[n])
    n++;
  if (n > 0 && a[n - 1] == ' ')
    n--;
  while (n > 0 && ((unsigned char)a[n] & 0xC0) == 0x80) /* whole characters */
    n--;
  return n;
}

static enum status read_texts(struct completions_record *out, const struct records *records,
                              const struct record *record, const struct names *names, bool implicit,
                              struct error *err) {
  enum status status = STATUS_OK;
  if (!implicit)
    status = read_text(&out->prompt, &out->prompt_length, records, record, names->prompt, true, err);
  for (size_t i = 0; !status && i < out->count; i++)
    status = read_text(&out->texts[i], &out->lengths[i], records, record, names->answers[i], false, err);
  if (status || !implicit)
    return status;
  out->prompt = out->texts[0];
  out->prompt_length = common_bytes(out->texts[0], out->lengths[0], out->texts[1], out->lengths[1]);
  for (size_t i = 0; i < out->count; i++) {
    out->texts[i] += out->prompt_length;
    out->lengths[i] -= out->prompt_length;
  }
  return STATUS_OK;
}

/* --- a record ------------------------------------------------------------------------------------- */

static enum status wrong_type(const struct record *record, const char *name, const char *want, struct error *err) {
  const json_t *value = json_object_get(record->object, name);
  if (!value || json_is_null(value))
    return record_missing(err, record, -1, name);
  return record_fault(err, record, -1, name, "%s must be %s, not %s", name, want, json_kind(value));
}

/* OpenAI's input is an object around the prompt's messages and its tools. */
static enum status read_openai(struct completions_record *out, const struct record *record, struct error *err) {
  const json_t *input = json_object_get(record->object, openai.prompt);
  json_t *messages = json_object_get(input, "messages"), *tools = json_object_get(input, "tools");
  if (!json_is_object(input))
    return wrong_type(record, openai.prompt, "an object with messages", err);
  if (!json_is_array(messages) || json_array_size(messages) == 0)
    return record_fault(err, record, -1, openai.prompt, "input.messages must be a list of at least one message, not %s",
                        !messages                 ? "absent"
                        : json_is_array(messages) ? "empty"
                                                  : json_kind(messages));
  for (size_t i = 0; i < 2; i++)
    if (!json_is_array(json_object_get(record->object, openai.answers[i])))
      return wrong_type(record, openai.answers[i], "a list of messages", err);
  out->chat = true;
  return read_chats(out, record, &openai, messages, json_is_null(tools) ? NULL : tools, err);
}

static enum status read_trl(struct completions_record *out, const struct records *records, const struct record *record,
                            const struct names *names, struct error *err) {
  json_t *prompt = record->object ? json_object_get(record->object, names->prompt) : NULL;
  const json_t *tools = record->object ? json_object_get(record->object, "tools") : NULL;
  bool absent = record->object ? !prompt || json_is_null(prompt) : records_column(records, names->prompt) < 0;
  bool implicit = absent && out->count == 2;
  out->chat = record->object && json_is_array(json_object_get(record->object, names->answers[0]));
  if (!out->chat)
    return read_texts(out, records, record, names, implicit, err);
  for (size_t i = 1; i < out->count; i++)
    if (!json_is_array(json_object_get(record->object, names->answers[i])))
      return wrong_type(record, names->answers[i], "a list of messages, as the other answer", err);
  if (!implicit && !json_is_array(prompt))
    return wrong_type(record, names->prompt, "a list of messages, as the answer", err);
  return read_chats(out, record, names, implicit ? NULL : prompt, json_is_null(tools) ? NULL : tools, err);
}

static bool equal(const struct completions_record *c) {
  return c->chat ? json_equal(c->chats[0], c->chats[1])
                 : c->lengths[0] == c->lengths[1] && memcmp(c->texts[0], c->texts[1], c->lengths[0]) == 0;
}

static enum status read_kind(struct completions_record *out, const struct records *records, const struct record *record,
                             enum completions_kind kind, struct error *err) {
  if (kind == COMPLETIONS_RATED) {
    if (!read_label(&out->desirable, records, record))
      return record_fault(err, record, records_column(records, label_name), label_name,
                          "label must be true or false: whether the completion is wanted");
    return read_trl(out, records, record, &rated, err);
  }
  bool ours = has(records, record, openai.answers[0]) || has(records, record, openai.answers[1]);
  const struct names *names = ours ? &openai : &trl;
  enum status status =
      ours && record->object ? read_openai(out, record, err) : read_trl(out, records, record, names, err);
  if (!status && equal(out))
    return record_fault(err, record, records_column(records, names->answers[1]), names->answers[1],
                        "%s and %s are equal: such a pair teaches nothing", names->answers[0], names->answers[1]);
  return status;
}

enum status completions_read(struct completions_record *out, const struct records *records, const struct record *record,
                             enum completions_kind kind, struct error *err) {
  *out = (struct completions_record){.count = kind == COMPLETIONS_PAIR ? 2 : 1};
  enum status status = read_kind(out, records, record, kind, err);
  if (status)
    completions_done(out);
  return status;
}

void completions_done(struct completions_record *c) {
  json_decref(c->chats[0]);
  json_decref(c->chats[1]);
  *c = (struct completions_record){0};
}
