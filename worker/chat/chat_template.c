/* A template from its source, and conversations rendered with it. */
#include "worker/chat/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "worker/chat/rendering.h"

void chat_template_free(struct chat_template *chat) {
  if (!chat)
    return;
  chat_template_free(chat->tool_use);
  jinja_template_done(&chat->template);
  json_decref(chat->special_tokens);
  free(chat);
}

enum status chat_template_parse(struct chat_template **out, const char *source, size_t length,
                                const json_t *special_tokens, struct error *err) {
  *out = NULL;
  struct chat_template *chat = calloc(1, sizeof *chat);
  if (!chat)
    return error_no_memory(err, "the chat template");
  enum status status = jinja_template_parse(&chat->template, source, length, err);
  chat->special_tokens = special_tokens ? json_deep_copy(special_tokens) : json_object();
  if (!status && !chat->special_tokens)
    status = error_no_memory(err, "the chat template");
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
  str_init(&text->text, JINJA_STRING_MAX);
}

void chat_text_done(struct chat_text *text) {
  str_done(&text->text);
  free(text->spans);
  chat_text_init(text);
}

/* The text of a conversation, and what the assistant says in it. */
static enum status render_chat(const struct chat_template *chat, struct chat_text *out, const struct chat *input,
                               struct error *err) {
  struct rendering rendering;
  str_clear(&out->text);
  out->span_count = 0;
  out->lost = 0;
  enum status status = rendering_make(&rendering, chat, input, err);
  status = status ? status : chat_context_traces(&out->lost, input, &rendering.text, err);
  if (!status && !str_add(&out->text, rendering.text.bytes, rendering.text.length))
    status = error_no_memory(err, "the conversation's text");
  status = status ? status : chat_find_turns(out, chat, input, &rendering, err);
  rendering_done(&rendering);
  return status;
}

enum status chat_template_render(const struct chat_template *chat, struct chat_text *out, const json_t *messages,
                                 const json_t *tools, bool add_generation_prompt, struct error *err) {
  if (chat->tool_use && json_array_size(tools) > 0)
    chat = chat->tool_use;
  struct chat input = {messages, tools, chat->special_tokens, add_generation_prompt, false};
  out->has_generation = chat->template.tree.has_generation;
  enum status status = chat_context_check(messages, tools, err);
  status = status ? status : render_chat(chat, out, &input, err);
  if (!status || !(out->lost & CHAT_LOST_CALL))
    return status;
  /* Some templates look for calls only where content is null. */
  struct error again = {0};
  input.null_content = true;
  if (render_chat(chat, out, &input, &again))
    return status;
  return STATUS_OK;
}
