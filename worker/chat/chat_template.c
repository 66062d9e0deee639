/* A template from its source, and conversations rendered with it. */
#include "worker/chat/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "worker/chat/chat_context.h"

struct chat_template {
  struct arena arena; /* of the tree */
  struct source source;
  struct tree tree;
  json_t *specials;
};

void chat_template_free(struct chat_template *chat) {
  if (!chat)
    return;
  arena_done(&chat->arena);
  json_decref(chat->specials);
  free(chat);
}

/* A copy with \n for every kind of line end, and without the last of them, as Jinja reads it. */
static bool normalize(struct chat_template *chat, const char *text, size_t length) {
  char *out = arena_alloc(&chat->arena, length + 1);
  size_t used = 0;
  if (!out)
    return false;
  for (size_t i = 0; i < length; i++) {
    bool pair = text[i] == '\r' && i + 1 < length && text[i + 1] == '\n';
    if (!pair)
      out[used++] = text[i] == '\r' ? '\n' : text[i];
  }
  if (used && out[used - 1] == '\n')
    used--;
  out[used] = '\0';
  chat->source = (struct source){out, used};
  return true;
}

enum status chat_template_parse(struct chat_template **out, const char *source, size_t length, const json_t *specials,
                                struct error *err) {
  *out = NULL;
  if (length > JINJA_SOURCE_MAX)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, NULL, "the chat template has %zu bytes; at most %d are supported",
                     length, JINJA_SOURCE_MAX);
  struct chat_template *chat = calloc(1, sizeof *chat);
  if (!chat)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the chat template");
  arena_init(&chat->arena, JINJA_TREE_BYTES_MAX);
  chat->specials = specials ? json_deep_copy(specials) : json_object();
  enum status status = STATUS_OK;
  if (!chat->specials || !normalize(chat, source, length))
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the chat template");
  if (!status)
    status = jinja_parse(&chat->tree, &chat->arena, &chat->source, err);
  if (status) {
    chat_template_free(chat);
    return status;
  }
  *out = chat;
  return STATUS_OK;
}

/* --- rendering ------------------------------------------------------------------------------------ */

void chat_text_init(struct chat_text *text) {
  *text = (struct chat_text){0};
  str_init(&text->text, RUN_TEXT_MAX);
}

void chat_text_done(struct chat_text *text) {
  str_done(&text->text);
  free(text->spans);
  chat_text_init(text);
}

static bool add_span(struct chat_text *out, size_t begin, size_t end) {
  if (out->span_count == out->span_size) {
    size_t size = out->span_size ? out->span_size * 2 : 16;
    struct chat_span *spans = realloc(out->spans, size * sizeof *spans);
    if (!spans)
      return false;
    out->spans = spans;
    out->span_size = size;
  }
  out->spans[out->span_count++] = (struct chat_span){begin, end};
  return true;
}

/* OpenAI's way to leave an assistant's message out of what is learnt. */
static bool weighs_nothing(const json_t *messages, uint32_t number) {
  const json_t *weight = json_object_get(json_array_get(messages, number - 1), "weight");
  return json_is_number(weight) && json_number_value(weight) == 0;
}

static bool is_learnt(const struct marked *text, size_t i, const json_t *messages, bool generated) {
  uint32_t mark = jinja_mark(text, i), number = mark & ~MARK_GENERATED;
  if (generated ? !(mark & MARK_GENERATED) : !number)
    return false;
  return !number || !weighs_nothing(messages, number);
}

static bool find_spans(struct chat_text *out, const struct marked *text, const json_t *messages, bool generated) {
  for (size_t i = 0, begin = 0; i < text->length; begin = i) {
    bool learnt = is_learnt(text, i, messages, generated);
    while (i < text->length && is_learnt(text, i, messages, generated) == learnt)
      i++;
    if (learnt && !add_span(out, begin, i))
      return false;
  }
  return true;
}

static enum status run_template(const struct chat_template *chat, struct run *run, struct chat_text *out,
                                const json_t *messages, const json_t *tools, bool add_generation_prompt) {
  struct build build = {0};
  struct scope *context = jinja_scope_new(run, NULL), *top = context ? jinja_scope_new(run, context) : NULL;
  run->out = &build;
  run->scope = top;
  if (!top || !chat_context_fill(run, context, messages, tools, chat->specials, add_generation_prompt) ||
      !jinja_execute(run, &chat->tree.body))
    return run->status;
  struct marked text = jinja_built(&build);
  enum status status = chat_context_traces(messages, &text, run->err);
  if (status)
    return status;
  if (!str_add(&out->text, text.bytes, text.length) || !find_spans(out, &text, messages, chat->tree.has_generation))
    return error_set(run->err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the conversation's text");
  return STATUS_OK;
}

enum status chat_template_render(const struct chat_template *chat, struct chat_text *out, const json_t *messages,
                                 const json_t *tools, bool add_generation_prompt, struct error *err) {
  struct run run = {.source = &chat->source, .err = err};
  str_clear(&out->text);
  out->span_count = 0;
  out->exact = chat->tree.has_generation;
  enum status status = chat_context_check(messages, tools, err);
  if (status)
    return status;
  arena_init(&run.arena, RUN_BYTES_MAX);
  status = run_template(chat, &run, out, messages, tools, add_generation_prompt);
  arena_done(&run.arena);
  return status;
}
