/* POST /v1/chat/completions. */
#include "server/http/answering.h"

static json_t *reason(const struct answer_part *part) {
  return part->ended ? json_string(generation_finish_names[part->finish_reason]) : json_null();
}

/* The worker writes them as they are here. */
static json_t *logprobs(const struct answer_part *part) {
  if (!part->whole->body.request.logprobs)
    return json_null();
  json_t *content = part->logprobs ? json_incref(part->logprobs) : json_array();
  return json_pack("{s:o, s:n}", "content", content, "refusal");
}

/* A message that only calls functions has no content; its calls have no index, which is for streams. */
static json_t *message(const struct answer_part *part) {
  bool silent = part->tool_calls && part->text.length == 0;
  json_t *out = json_pack("{s:s, s:s?, s:n, s:O*}", "role", "assistant", "content", silent ? NULL : part->text.text,
                          "refusal", "tool_calls", part->tool_calls);
  json_t *call;
  size_t i;
  json_array_foreach(part->tool_calls, i, call) json_object_del(call, "index");
  return out;
}

static enum status whole(json_t **out, const struct answering *answering, struct error *err) {
  json_t *choices = json_array();
  int bad = 0;
  for (size_t i = 0; i < answering->part_count; i++) {
    const struct answer_part *part = &answering->part[i];
    bad |= json_array_append_new(choices,
                                 json_pack("{s:I, s:o, s:o, s:o}", "index", (json_int_t)part->index, "message",
                                           message(part), "logprobs", logprobs(part), "finish_reason", reason(part)));
  }
  *out = answering_object(answering, "chat.completion", choices);
  bad |= json_object_set_new(*out, "usage", answering_usage(answering));
  if (!bad)
    return STATUS_OK;
  json_decref(*out);
  return error_no_memory(err, "the answer");
}

static json_t *choice(struct answer_part *part, bool first, bool last) {
  json_t *delta = json_object();
  if (first)
    json_object_set_new(delta, "role", json_string("assistant"));
  if (part->tool_calls)
    json_object_set(delta, "tool_calls", part->tool_calls);
  if (first && part->calls && !part->text.length)
    json_object_set_new(delta, "content", json_null());
  else if (first || part->text.length || !(last || part->tool_calls))
    json_object_set_new(delta, "content", json_string(part->text.text));
  return json_pack("{s:I, s:o, s:o, s:o}", "index", (json_int_t)part->index, "delta", delta, "logprobs", logprobs(part),
                   "finish_reason", reason(part));
}

static const struct answer_kind chat = {
    .id = "chatcmpl-", .whole = whole, .choice = choice, .chunk_object = "chat.completion.chunk"};

void http_chat_create(struct request *request) {
  answering_reply(request, &chat);
}
