/* POST /v1/completions. */
#include <string.h>

#include "server/http/answering.h"

static size_t characters(const char *text) {
  size_t count = 0;
  for (; *text; text++)
    count += ((unsigned char)*text & 0xC0) != 0x80;
  return count;
}

/* {token: log-probability} of the likeliest. */
static json_t *likeliest(const json_t *token) {
  json_t *out = json_object(), *other;
  size_t i;
  json_array_foreach(json_object_get(token, "top_logprobs"), i, other) {
    const char *text = json_string_value(json_object_get(other, "token"));
    json_object_set(out, text ? text : "", json_object_get(other, "logprob"));
  }
  return out;
}

/* The older form of a chat's: four lists. */
static json_t *logprobs(struct answer_part *part) {
  json_t *tokens = json_array(), *values = json_array(), *top = json_array(), *offsets = json_array(), *token;
  size_t i;
  if (part->whole->body.request.logprobs) {
    json_array_foreach(part->logprobs, i, token) {
      const char *text = json_string_value(json_object_get(token, "token"));
      json_array_append(tokens, json_object_get(token, "token"));
      json_array_append(values, json_object_get(token, "logprob"));
      json_array_append_new(top, likeliest(token));
      json_array_append_new(offsets, json_integer((json_int_t)part->text_offset));
      part->text_offset += text ? characters(text) : 0;
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", values, "top_logprobs", top,
                     "text_offset", offsets);
  }
  json_decref(tokens);
  json_decref(values);
  json_decref(top);
  json_decref(offsets);
  return json_null();
}

static json_t *choice(struct answer_part *part, bool first, bool last) {
  (void)first;
  json_t *reason = last ? json_string(generation_finish_names[part->finish_reason]) : json_null();
  return json_pack("{s:I, s:s, s:o, s:o}", "index", (json_int_t)part->index, "text", part->text.text, "logprobs",
                   logprobs(part), "finish_reason", reason);
}

static enum status whole(json_t **out, const struct answering *answering, struct error *err) {
  json_t *choices = json_array();
  int bad = 0;
  for (size_t i = 0; i < answering->part_count; i++)
    bad |= json_array_append_new(choices, choice(&answering->part[i], true, true));
  *out = answering_object(answering, "text_completion", choices);
  bad |= json_object_set_new(*out, "usage", answering_usage(answering));
  if (!bad)
    return STATUS_OK;
  json_decref(*out);
  return error_no_memory(err, "the answer");
}

static const struct answer_kind completion = {
    .id = "cmpl-", .whole = whole, .choice = choice, .chunk_object = "text_completion"};

void http_completions_create(struct request *request) {
  answering_reply(request, &completion);
}
