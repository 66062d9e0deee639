#include "worker/data/questions.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "worker/chat/chat_template.h"
#include "worker/chat/conversation.h"
#include "worker/chat/message.h"
#include "worker/data/messages.h"
#include "worker/data/records.h"

enum { TEXTS_BYTES_MAX = 1 << 30, PROMPT_BYTES_MAX = 4 << 20 };

struct reader {
  struct questions *out;
  const struct questions_source *source;
  const struct generate_spec *generate;
  struct extract *extract;
  struct records *records;
  bool chats;                 /* the file has chats */
  struct chat_template *chat; /* of these; else NULL */
  struct tokenizer_template around;
  struct chat_text rendered;
  struct str prompt, expected;
  struct encoding encoding;
};

/* --- a record's texts ----------------------------------------------------------------------------- */

/* A string, or a number as JSON writes it: answers of reckoning are often such. */
static enum status column_text(struct str *out, const struct reader *r, const struct record *record, const char *name,
                               struct error *err) {
  int column = record->object ? -1 : records_column(r->records, name);
  const json_t *value = record->object ? json_object_get(record->object, name) : NULL;
  size_t length;
  if (!record_given(record, column, name))
    return record_missing(err, record, column, name);
  if (json_is_number(value) && json_append(out, value))
    return STATUS_OK;
  if (value && !json_is_string(value))
    return record_fault(err, record, column, name, "%.60s must be a string or a number, not %s", name,
                        json_kind(value));
  const char *text = record_text(&length, record, column, name);
  return str_add(out, text, length) ? STATUS_OK : error_no_memory(err, "the prompts");
}

/* The prompt of a column within its template. */
static enum status asked_text(struct str *out, const struct reader *r, const struct record *record, const char *name,
                              struct error *err) {
  const char *template = r->generate->prompt_template, *at = template ? strstr(template, GENERATE_PLACEHOLDER) : NULL;
  str_clear(out);
  if (at)
    str_add(out, template, (size_t)(at - template));
  enum status status = column_text(out, r, record, name, err);
  if (at)
    str_puts(out, at + strlen(GENERATE_PLACEHOLDER));
  return !status && out->failed ? error_no_memory(err, "the prompts") : status;
}

static enum status render(struct reader *r, const struct record *record, const json_t *messages, const json_t *tools,
                          struct error *err) {
  struct error found = {0};
  struct location place = record_location(record, -1, r->source->spec->columns.messages);
  str_clear(&r->prompt);
  enum status status = chat_template_render(r->chat, &r->rendered, messages, tools, true, &found);
  if (status)
    return error_set(err, status, found.param[0] ? found.param : "messages", "line %zu, column %zu: chat template: %s",
                     place.line, place.column, found.text);
  return str_add(&r->prompt, r->rendered.text.text, r->rendered.text.length) ? STATUS_OK
                                                                             : error_no_memory(err, "the prompts");
}

/* The chat up to its last answer, and that, as far as no column is named in its place. */
static enum status read_messages(struct reader *r, const struct record *record, struct error *err) {
  const char *name = r->source->spec->columns.messages;
  struct messages_facts facts;
  struct conversation chat;
  enum status status = messages_check(&facts, record, name, err);
  if (status)
    return status;
  if (!conversation_read(&chat, record->object, name))
    return error_no_memory(err, "the prompts");
  size_t last = json_array_size(chat.messages);
  while (last && !message_is_assistant(json_array_get(chat.messages, last - 1)))
    last--;
  const json_t *answer = last ? json_object_get(json_array_get(chat.messages, last - 1), "content") : NULL;
  if (!json_string_length(answer) || last < 2)
    status = record_fault(err, record, -1, name,
                          "evaluation.generate expects what the assistant says last, and there is none");
  else
    str_add(&r->expected, json_string_value(answer), json_string_length(answer));
  while (!status && json_array_size(chat.messages) >= last)
    json_array_remove(chat.messages, json_array_size(chat.messages) - 1);
  status = status ? status : render(r, record, chat.messages, chat.tools, err);
  conversation_done(&chat);
  return status;
}

/* A user's message of the column's text. */
static enum status read_message(struct reader *r, const struct record *record, struct error *err) {
  AUTO(str_done) struct str text;
  str_init(&text, PROMPT_BYTES_MAX);
  enum status status = asked_text(&text, r, record, r->generate->prompt, err);
  if (status)
    return status;
  AUTO(json_release)
  json_t *messages = json_pack("[{s:s, s:s%}]", "role", "user", "content", text.text, text.length);
  return messages ? render(r, record, messages, NULL, err) : error_no_memory(err, "the prompts");
}

static enum status read_texts(struct reader *r, const struct record *record, struct error *err) {
  const struct job_columns *columns = &r->source->spec->columns;
  const struct generate_spec *g = r->generate;
  enum status status;
  str_clear(&r->expected);
  if (r->chats && !g->prompt)
    status = read_messages(r, record, err);
  else if (r->chats)
    status = read_message(r, record, err);
  else
    status = asked_text(&r->prompt, r, record, g->prompt ? g->prompt : columns->prompt, err);
  if (status || (r->chats && !g->prompt && !g->answer))
    return status;
  str_clear(&r->expected);
  return column_text(&r->expected, r, record, g->answer ? g->answer : columns->completion, err);
}

/* --- tokens --------------------------------------------------------------------------------------- */

/* The prompt and what stands behind it, as training makes them of a chat or a completion. */
static enum status append_tokens(struct reader *r, size_t line, const char *behind, struct error *err) {
  struct encoding *e = &r->encoding;
  size_t before = r->chats ? 0 : r->around.before_count, length = r->prompt.length;
  AUTO(str_done) struct str whole;
  str_init(&whole, PROMPT_BYTES_MAX);
  str_add(&whole, r->prompt.text, length);
  if (!str_puts(&whole, behind))
    return error_no_memory(err, "the prompts");
  enum status status = tokenizer_encode_plain(r->source->tokenizer, e, whole.text, whole.length, err);
  if (status)
    return error_prefix(err, "line %zu", line);
  size_t count = before + e->count;
  if (count == 0 || count > r->source->longest)
    return error_set(err, STATUS_DATASET_INVALID, "validation_file",
                     "line %zu: the prompt has %zu tokens, and evaluation.generate has room for 1 to %zu", line, count,
                     r->source->longest);
  int32_t *ids = calloc(count, sizeof *ids);
  uint8_t *mask = calloc(count, 1);
  status = ids && mask ? STATUS_OK : error_no_memory(err, "the prompts");
  for (size_t i = 0; !status && i < count; i++) {
    ids[i] = i < before ? r->around.before[i] : e->ids[i - before];
    mask[i] = i >= before && e->ends[i - before] > length;
  }
  if (!status)
    status = corpus_append(&r->out->corpus, ids, NULL, mask, count, r->source->vocabulary, err);
  free(ids);
  free(mask);
  return status;
}

static enum status append_choices(struct reader *r, const struct record *record, struct error *err) {
  const struct string_list *choices = &r->generate->choices;
  bool known = false;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < choices->count; i++) {
    AUTO(str_done) struct str choice;
    str_init(&choice, PROMPT_BYTES_MAX);
    known |= extract_expected(r->extract, &choice, choices->item[i]) && strcmp(choice.text, r->expected.text) == 0;
    status = append_tokens(r, record->line, choices->item[i], err);
  }
  return status || known ? status
                         : error_set(err, STATUS_DATASET_INVALID, "validation_file",
                                     "line %zu: the expected answer \"%.60s\" is none of evaluation.generate.choices",
                                     record->line, r->expected.text);
}

static enum status read_question(struct reader *r, const struct record *record, struct error *err) {
  struct questions *out = r->out;
  AUTO(str_done) struct str expected;
  str_init(&expected, PROMPT_BYTES_MAX);
  enum status status = read_texts(r, record, err);
  if (status)
    return status;
  if (!extract_expected(r->extract, &expected, r->expected.text))
    return error_set(err, STATUS_DATASET_INVALID, "validation_file",
                     "line %zu: the extractor %s of evaluation.generate finds nothing in the expected answer \"%.60s\"",
                     record->line, job_extractor_names[r->generate->extractor], r->expected.text);
  if (out->count == out->size) {
    size_t want = out->size * 2 + 64;
    struct question *item = realloc(out->item, want * sizeof *item);
    if (!item)
      return error_no_memory(err, "the prompts");
    out->item = item;
    out->size = want;
  }
  struct question *q = &out->item[out->count];
  *q = (struct question){record->line, arena_copy(&out->arena, r->prompt.text, r->prompt.length),
                         arena_copy(&out->arena, expected.text, expected.length)};
  if (!q->prompt || !q->expected)
    return error_no_memory(err, "the prompts");
  out->count++;
  str_clear(&r->expected);
  str_puts(&r->expected, q->expected);
  return r->generate->choices.count ? append_choices(r, record, err) : append_tokens(r, record->line, "", err);
}

/* --- the file ------------------------------------------------------------------------------------- */

/* The first record says whether the file has chats. */
static enum status begin(struct reader *r, const struct record *record, struct error *err) {
  const struct questions_source *s = r->source;
  r->chats = record->object && record_given(record, -1, s->spec->columns.messages);
  tokenizer_get_template(s->tokenizer, &r->around);
  if (!r->chats)
    return STATUS_OK;
  enum status status = chat_template_open(&r->chat, s->spec->columns.chat_template, s->model_path, s->gguf, err);
  return status ? error_prefix(err, "chat template") : STATUS_OK;
}

static enum status read_all(struct reader *r, struct error *err) {
  const struct record *record;
  size_t most = (size_t)r->generate->max_examples;
  enum status status = records_open(&r->records, r->source->path, r->source->filename, err);
  status = status ? status : records_next(r->records, &record, err);
  status = status ? status : begin(r, record, err);
  while (!status && record && (!most || r->out->count < most)) {
    status = read_question(r, record, err);
    status = status ? status : records_next(r->records, &record, err);
  }
  return status ? error_prefix(err, "validation file %s", r->source->filename) : STATUS_OK;
}

enum status questions_read(struct questions *out, const struct questions_source *source, struct extract *extract,
                           struct error *err) {
  struct reader r = {.out = out, .source = source, .generate = &source->spec->generate, .extract = extract};
  *out = (struct questions){0};
  arena_init(&out->arena, TEXTS_BYTES_MAX);
  str_init(&r.prompt, PROMPT_BYTES_MAX);
  str_init(&r.expected, PROMPT_BYTES_MAX);
  chat_text_init(&r.rendered);
  encoding_init(&r.encoding);
  enum status status = read_all(&r, err);
  records_close(r.records);
  chat_template_free(r.chat);
  encoding_done(&r.encoding);
  chat_text_done(&r.rendered);
  str_done(&r.prompt);
  str_done(&r.expected);
  return status;
}

void questions_done(struct questions *q) {
  corpus_done(&q->corpus);
  free(q->item);
  arena_done(&q->arena);
  *q = (struct questions){0};
}
