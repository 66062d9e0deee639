/* tokenizer.json: its components one after the other. What this engine would do otherwise than the
   library is refused by name. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/tokenizer_class.h"
#include "worker/text/tokenizer_model.h"

static const struct json_limits limits = {
    .bytes_max = TOKENIZER_FILE_BYTES_MAX, .depth_max = 16, .values_max = 8 << 20};

/* One object with content, the options, and its id where a file says it (else -1). The library numbers tokens that are
   not in the vocabulary itself, upwards from its end; any other id would be read differently here and there. */
static enum status read_added(struct tokenizer *t, const json_t *from, int64_t id, struct error *err) {
  static const char name[] = "added_tokens";
  const char *content = json_string_value(json_object_get(from, "content"));
  struct added_token token = {0};
  enum status status = component_bool(&token.lstrip, from, "lstrip", false, name, err);
  if (!status)
    status = component_bool(&token.rstrip, from, "rstrip", false, name, err);
  if (!status)
    status = component_bool(&token.single_word, from, "single_word", false, name, err);
  if (!status)
    status = component_bool(&token.normalized, from, "normalized", false, name, err);
  if (!status)
    status = component_bool(&token.special, from, "special", false, name, err);
  if (status)
    return status;
  if (!content)
    return error_set(err, STATUS_MODEL_INVALID, name, "added_tokens: a token has no content");
  token.id = tokenizer_id(t, content);
  if (token.id < 0)
    token.id = tokenizer_vocab_size(t);
  if (id >= 0 && id != token.id)
    return error_set(err, STATUS_MODEL_INVALID, name,
                     "added_tokens: \"%.60s\" has the id %" PRId64 "; the vocabulary makes it %d", content, id,
                     token.id);
  return added_add(&t->added, &t->vocab, &t->normalizer, content, strlen(content), &token, err);
}

enum status tokenizer_read_added(struct tokenizer *t, const json_t *list, bool numbered, struct error *err) {
  enum status status = STATUS_OK;
  if (list && !json_is_null(list) && !json_is_array(list))
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens must be an array");
  for (size_t i = 0; !status && i < json_array_size(list); i++) {
    const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
    if (!json_is_integer(id) && (id || numbered))
      return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: item %zu has no integer id", i);
    status = read_added(t, token, id ? json_integer_value(id) : -1, err);
  }
  return status;
}

/* The frame that a class puts around texts: BERT's [CLS] A [SEP] B [SEP], CLIP's <|startoftext|> A <|endoftext|>
   <|endoftext|> B <|endoftext|>. */
static enum status post_process(struct tokenizer *t, const struct tokenizer_config *config, struct error *err) {
  static const char *const of_bert[] = {"cls_token", "sep_token"}, *const of_clip[] = {"bos_token", "eos_token"};
  bool bert = config->class == TOKENIZER_CLASS_BERT;
  const char *const *names = bert ? of_bert : of_clip;
  int32_t ids[COUNT_OF(of_bert)];
  if (!bert && config->class != TOKENIZER_CLASS_CLIP)
    return STATUS_OK;
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    const char *text = tokenizer_config_token(config, names[i]);
    ids[i] = text ? tokenizer_id(t, text) : -1;
    if (ids[i] < 0)
      return error_set(err, STATUS_MODEL_INVALID, names[i], "tokenizer_config.json: %s needs a %s",
                       bert ? "BertTokenizer" : "CLIPTokenizer", names[i]);
  }
  post_processor_set(&t->post_processor, ids[0], ids[1], bert ? -1 : ids[1], bert);
  return STATUS_OK;
}

/* The file as the library reads it; `added` are its added tokens. */
static enum status read_json(struct tokenizer *t, const json_t *file, const json_t *added, bool numbered,
                             struct error *err) {
  if (!json_is_object(file))
    return error_set(err, STATUS_MODEL_INVALID, NULL, "a tokenizer must be a JSON object, not %s", json_kind(file));
  enum status status = pre_tokenizer_read(&t->pre_tokenizer, &t->arena, json_object_get(file, "pre_tokenizer"), err);
  if (!status)
    status = tokenizer_read_model(t, json_object_get(file, "model"), err);
  if (!status)
    status = normalizer_read(&t->normalizer, &t->arena, json_object_get(file, "normalizer"), err);
  if (!status)
    status = tokenizer_read_added(t, added, numbered, err);
  if (!status)
    status = post_processor_read(&t->post_processor, json_object_get(file, "post_processor"), t->vocab.count, err);
  if (!status)
    status = decoder_read(&t->decoder, &t->arena, json_object_get(file, "decoder"), err);
  if (!status)
    tokenizer_find_pad(t);
  return status;
}

enum status tokenizer_read_file(struct tokenizer *t, json_t *file, const struct tokenizer_config *config,
                                struct error *err) {
  json_t *added = NULL;
  if (!json_is_object(file))
    return error_set(err, STATUS_MODEL_INVALID, NULL, "a tokenizer must be a JSON object, not %s", json_kind(file));
  enum status status = tokenizer_class_apply(file, config, err);
  if (!status)
    status = tokenizer_class_added(&added, file, config, err);
  if (!status)
    status = read_json(t, file, added, false, err);
  if (!status)
    status = post_process(t, config, err);
  json_decref(added);
  return status;
}

enum status tokenizer_read_text(json_t **out, const char *json, size_t length, struct error *err) {
  return component_blame(err, json_parse(out, json, length, &limits, err), "not a tokenizer");
}

enum status tokenizer_parse(struct tokenizer **out, const char *json, size_t length, struct error *err) {
  AUTO(json_release) json_t *file = NULL;
  *out = NULL;
  struct tokenizer *t = tokenizer_new();
  if (!t)
    return error_no_memory(err, "the tokenizer");
  enum status status = tokenizer_read_text(&file, json, length, err);
  if (!status)
    status = read_json(t, file, json_object_get(file, "added_tokens"), true, err);
  return tokenizer_finish(out, t, status);
}
