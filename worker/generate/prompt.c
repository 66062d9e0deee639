#include "worker/generate/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "worker/chat/conversation.h"

enum status prompts_open(struct prompts *p, const char *path, struct checkpoint *checkpoint,
                         const struct tokenizer *tokenizer, size_t vocabulary, struct error *err) {
  *p = (struct prompts){.path = path, .checkpoint = checkpoint, .vocabulary = vocabulary};
  encoding_init(&p->encoding);
  const struct gguf *gguf = checkpoint->is_gguf ? &checkpoint->gguf : NULL;
  enum status status = tokenizer ? STATUS_OK
                       : gguf    ? tokenizer_from_gguf(&p->own, gguf, err)
                                 : tokenizer_open(&p->own, path, err);
  p->tokenizer = tokenizer ? tokenizer : p->own;
  return status ? status : eos_find(&p->eos, path, gguf, checkpoint->config, p->tokenizer, vocabulary, err);
}

void prompts_done(struct prompts *p) {
  chat_template_free(p->chat);
  free(p->chat_name);
  encoding_done(&p->encoding);
  tokenizer_free(p->own);
}

/* --- chats ---------------------------------------------------------------------------------------- */

static enum status find_template(struct prompts *p, const char *asked, struct error *err) {
  const struct gguf *gguf = p->checkpoint->is_gguf ? &p->checkpoint->gguf : NULL;
  bool same = asked ? p->chat_name && strcmp(p->chat_name, asked) == 0 : !p->chat_name;
  if (p->chat && same)
    return STATUS_OK;
  chat_template_free(p->chat);
  free(p->chat_name);
  p->chat = NULL;
  p->chat_name = asked ? strdup(asked) : NULL;
  if (asked && !p->chat_name)
    return error_no_memory(err, "a chat template");
  enum status status = chat_template_open(&p->chat, asked, p->path, gguf, err);
  if (status == STATUS_MODEL_INVALID) /* the model serves texts all the same: it is the request that cannot be */
    status = err->status = STATUS_UNSUPPORTED_VALUE;
  return status;
}

static enum status encode_chat(struct prompts *p, const struct generation_request *request, struct error *err) {
  struct conversation chat;
  struct chat_text text;
  AUTO(json_release) json_t *line = json_pack("{sO sO*}", "messages", request->messages, "tools", request->tools);
  enum status status = find_template(p, request->chat_template, err);
  if (status)
    return status;
  if (!line || !conversation_read(&chat, line, "messages"))
    return error_no_memory(err, "a chat");
  chat_text_init(&text);
  status = chat_template_render(p->chat, &text, chat.messages, chat.tools, true, err);
  if (!status && text.lost & CHAT_LOST_TOOLS)
    status = error_set(err, STATUS_UNSUPPORTED_VALUE, "tools",
                       "tools: the model's chat template does not write them, so the model would not know of them");
  if (!status)
    status = tokenizer_encode_plain(p->tokenizer, &p->encoding, text.text.text, text.text.length, err);
  chat_text_done(&text);
  conversation_done(&chat);
  if (status == STATUS_DATASET_INVALID) /* what the template refuses is the caller's */
    return error_set(err, STATUS_INVALID_VALUE, "messages", "%s", err->text);
  return status;
}

/* --- texts ---------------------------------------------------------------------------------------- */

static enum status encode_text(struct prompts *p, const struct generation_request *request, struct error *err) {
  const char *pair = request->prompt_pair;
  enum status status = tokenizer_encode(p->tokenizer, &p->encoding, request->prompt, strlen(request->prompt), pair,
                                        pair ? strlen(pair) : 0, 0, err);
  return status == STATUS_DATASET_INVALID
             ? error_set(err, STATUS_INVALID_VALUE, generation_prompt_names[request->kind], "%s", err->text)
             : status;
}

/* The tokens are the model's, and few enough. */
static enum status check(const struct prompts *p, const struct active *a, const int32_t *ids, size_t count,
                         const struct prompt_room *room, struct error *err) {
  const char *param = generation_prompt_names[a->request.kind];
  if (count == 0)
    return error_set(err, STATUS_INVALID_VALUE, param, "%s has no tokens", param);
  if (count > room->most)
    return error_set(err, STATUS_CONTEXT_LENGTH, param, "%s has %zu tokens, and there is room for %zu: %s", param,
                     count, room->most, room->bound);
  for (size_t i = 0; i < count; i++)
    if (ids[i] < 0 || (size_t)ids[i] >= p->vocabulary)
      return error_set(err, STATUS_INVALID_VALUE, param, "%s: %d is no token of the model, which has %zu", param,
                       ids[i], p->vocabulary);
  return STATUS_OK;
}

static enum status take(struct active *a, size_t count, size_t room, bool types, struct error *err) {
  a->ids = arena_array(&a->arena, count + room, sizeof *a->ids);
  a->type_ids = types ? arena_array(&a->arena, count, sizeof *a->type_ids) : NULL;
  a->prompt = a->count = count;
  return a->ids && (a->type_ids || !types) ? STATUS_OK : error_no_memory(err, "a request");
}

static enum status take_ids(struct active *a, const struct prompts *p, const struct prompt_room *room,
                            struct error *err) {
  const struct int_list *given = &a->request.prompt_ids;
  if (given->count > room->most)
    return check(p, a, NULL, given->count, room, err);
  enum status status = take(a, given->count, room->beside, false, err);
  for (size_t i = 0; !status && i < given->count; i++)
    a->ids[i] = given->item[i] < 0 || given->item[i] > INT32_MAX ? -1 : (int32_t)given->item[i];
  return status ? status : check(p, a, a->ids, given->count, room, err);
}

enum status prompts_read(struct active *a, struct prompts *p, const struct prompt_room *room, struct error *err) {
  const struct generation_request *request = &a->request;
  bool chat = request->kind == GENERATION_CHAT;
  bool types = request->kind == GENERATION_CLASSIFICATION || request->kind == GENERATION_EMBEDDING;
  const struct encoding *e = &p->encoding;
  if (request->prompt_ids.count)
    return take_ids(a, p, room, err);
  enum status status = chat ? encode_chat(p, request, err) : encode_text(p, request, err);
  status = status ? status : check(p, a, e->ids, e->count, room, err);
  status = status ? status : take(a, e->count, room->beside, types, err);
  if (status)
    return status;
  memcpy(a->ids, e->ids, e->count * sizeof *a->ids);
  for (size_t i = 0; types && i < e->count; i++)
    a->type_ids[i] = (uint8_t)(e->type_ids[i] != 0);
  return STATUS_OK;
}
