#include "worker/text/tokenizer_class.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/json.h"
#include "worker/text/component.h"

#define QWEN2_REGEX                                                                                                    \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"                  \
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define CLIP_REGEX                                                                                                     \
  "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"

static const char config_name[] = "tokenizer_config.json";

/* --- pipelines ------------------------------------------------------------------------------------ */

/* Gives the members away to the file; NULL stands for null. */
static enum status set_member(json_t *file, const char *key, json_t *value, struct error *err) {
  return json_object_set_new(file, key, value ? value : json_null()) == 0 ? STATUS_OK
                                                                          : error_no_memory(err, "the tokenizer");
}

/* The model keeps its type, vocabulary and merges. */
static enum status bare_model(json_t *file, const char *type, struct error *err) {
  json_t *model = json_object_get(file, "model");
  const char *given = json_string_value(json_object_get(model, "type"));
  if (!given || strcmp(given, type) != 0)
    return error_set(err, STATUS_MODEL_INVALID, "tokenizer_class",
                     "model: the type %.60s does not go with the tokenizer class, which is made of %s",
                     given ? given : "(none)", type);
  json_t *bare = json_pack("{s:s,s:O?,s:O?}", "type", type, "vocab", json_object_get(model, "vocab"), "merges",
                           json_object_get(model, "merges"));
  return bare ? set_member(file, "model", bare, err) : error_no_memory(err, "the tokenizer");
}

static enum status apply_bert(json_t *file, const struct tokenizer_config *config, struct error *err) {
  bool lowercase, chinese, accents;
  const char *unknown = tokenizer_config_token(config, "unk_token");
  enum status status = component_bool(&lowercase, config->settings, "do_lower_case", true, config_name, err);
  if (!status)
    status = component_bool(&chinese, config->settings, "tokenize_chinese_chars", true, config_name, err);
  if (!status)
    status = component_bool(&accents, config->settings, "strip_accents", lowercase, config_name, err);
  if (!status)
    status = bare_model(file, "WordPiece", err);
  if (!status && unknown)
    status = set_member(json_object_get(file, "model"), "unk_token", json_string(unknown), err);
  if (!status)
    status = set_member(file, "normalizer",
                        json_pack("{s:s,s:b,s:b,s:b,s:b}", "type", "BertNormalizer", "clean_text", 1,
                                  "handle_chinese_chars", chinese, "strip_accents", accents, "lowercase", lowercase),
                        err);
  if (!status)
    status = set_member(file, "pre_tokenizer", json_pack("{s:s}", "type", "BertPreTokenizer"), err);
  if (!status)
    status = set_member(file, "post_processor", NULL, err);
  return status ? status
                : set_member(file, "decoder", json_pack("{s:s,s:s}", "type", "WordPiece", "prefix", "##"), err);
}

/* GPT-2's and Qwen2's: bytes, split by GPT-2's expression, or by another before. */
static enum status apply_bytes(json_t *file, const struct tokenizer_config *config, struct error *err) {
  bool space, qwen = config->class == TOKENIZER_CLASS_QWEN2;
  enum status status = component_bool(&space, config->settings, "add_prefix_space", false, config_name, err);
  if (!status)
    status = bare_model(file, "BPE", err);
  if (!status)
    status = set_member(file, "normalizer", qwen ? json_pack("{s:s}", "type", "NFC") : NULL, err);
  json_t *bytes = json_pack("{s:s,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", space, "use_regex", !qwen);
  if (bytes && qwen)
    bytes = json_pack("{s:s,s:[{s:s,s:{s:s},s:s,s:b},o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                      "pattern", "Regex", QWEN2_REGEX, "behavior", "Isolated", "invert", 0, bytes);
  if (!bytes)
    return error_no_memory(err, "the tokenizer");
  if (status)
    json_decref(bytes);
  else
    status = set_member(file, "pre_tokenizer", bytes, err);
  return status ? status : set_member(file, "decoder", json_pack("{s:s}", "type", "ByteLevel"), err);
}

static enum status apply_llama(json_t *file, const struct tokenizer_config *config, struct error *err) {
  bool space, legacy;
  enum status status = component_bool(&space, config->settings, "add_prefix_space", true, config_name, err);
  if (!status)
    status = component_bool(&legacy, config->settings, "legacy", false, config_name, err);
  if (!status)
    status = bare_model(file, "BPE", err);
  json_t *model = json_object_get(file, "model");
  if (!status)
    status = set_member(model, "fuse_unk", json_true(), err);
  if (!status)
    status = set_member(model, "byte_fallback", json_true(), err);
  if (!status)
    status = set_member(file, "normalizer", NULL, err);
  if (!status)
    status =
        set_member(file, "pre_tokenizer",
                   json_pack("{s:s,s:s,s:s,s:b}", "type", "Metaspace", "replacement", "\xE2\x96\x81", "prepend_scheme",
                             !space   ? "never"
                             : legacy ? "always"
                                      : "first",
                             "split", 0),
                   err);
  json_t *decoders = json_pack("[{s:s,s:{s:s},s:s},{s:s},{s:s}]", "type", "Replace", "pattern", "String",
                               "\xE2\x96\x81", "content", " ", "type", "ByteFallback", "type", "Fuse");
  if (decoders && space)
    json_array_append_new(decoders,
                          json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
  json_t *decoder = json_pack("{s:s,s:o}", "type", "Sequence", "decoders", decoders);
  if (!decoder)
    return error_no_memory(err, "the tokenizer");
  if (status)
    json_decref(decoder);
  return status ? status : set_member(file, "decoder", decoder, err);
}

/* Lowercase words that a suffix ends; spaces part them and are gone. */
static enum status apply_clip(json_t *file, const struct tokenizer_config *config, struct error *err) {
  enum status status = bare_model(file, "BPE", err);
  json_t *model = json_object_get(file, "model");
  if (!status)
    status = set_member(model, "end_of_word_suffix", json_string("</w>"), err);
  if (!status)
    status = set_member(model, "unk_token", json_string(tokenizer_config_token(config, "unk_token")), err);
  if (!status)
    status =
        set_member(file, "normalizer",
                   json_pack("{s:s,s:[{s:s},{s:s,s:{s:s},s:s},{s:s}]}", "type", "Sequence", "normalizers", "type",
                             "NFC", "type", "Replace", "pattern", "Regex", "\\s+", "content", " ", "type", "Lowercase"),
                   err);
  if (!status)
    status = set_member(file, "pre_tokenizer",
                        json_pack("{s:s,s:[{s:s,s:{s:s},s:s,s:b},{s:s,s:b,s:b}]}", "type", "Sequence", "pretokenizers",
                                  "type", "Split", "pattern", "Regex", CLIP_REGEX, "behavior", "Removed", "invert", 1,
                                  "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 1),
                        err);
  if (!status)
    status = set_member(file, "post_processor", NULL, err);
  return status ? status : set_member(file, "decoder", json_pack("{s:s}", "type", "ByteLevel"), err);
}

enum status tokenizer_class_apply(json_t *file, const struct tokenizer_config *config, struct error *err) {
  switch (config->class) {
  case TOKENIZER_CLASS_BACKEND: break;
  case TOKENIZER_CLASS_BERT: return apply_bert(file, config, err);
  case TOKENIZER_CLASS_GPT2:
  case TOKENIZER_CLASS_QWEN2: return apply_bytes(file, config, err);
  case TOKENIZER_CLASS_LLAMA: return apply_llama(file, config, err);
  case TOKENIZER_CLASS_CLIP: return apply_clip(file, config, err);
  }
  return STATUS_OK;
}

/* --- added tokens --------------------------------------------------------------------------------- */

struct added_list {
  json_t *tokens; /* an array */
  json_t *places; /* by content: where in it */
};

/* Puts a token at the end, or in the place of the one with its content. Takes the reference. */
static enum status put_added(struct added_list *list, json_t *token, const char *from, struct error *err) {
  const char *content = json_string_value(json_object_get(token, "content"));
  if (!token)
    return error_no_memory(err, "the tokenizer");
  if (!content) {
    json_decref(token);
    return error_set(err, STATUS_MODEL_INVALID, from, "%s: a token has no content", from);
  }
  const json_t *place = json_object_get(list->places, content);
  if (place) {
    size_t at = (size_t)json_integer_value(place);
    const json_t *id = json_object_get(json_array_get(list->tokens, at), "id");
    if (id)
      json_object_set(token, "id", (json_t *)(uintptr_t)id);
    return json_array_set_new(list->tokens, at, token) == 0 ? STATUS_OK : error_no_memory(err, "the tokenizer");
  }
  json_t *at = json_integer((json_int_t)json_array_size(list->tokens));
  bool ok = json_object_set_new(list->places, content, at) == 0;
  return json_array_append_new(list->tokens, token) == 0 && ok ? STATUS_OK : error_no_memory(err, "the tokenizer");
}

/* A token as Transformers' AddedToken has it by default: a special one is looked for in the text as it is. */
static json_t *token_of(const json_t *from, bool special) {
  if (json_is_string(from))
    return json_pack("{s:O,s:b,s:b}", "content", from, "special", special, "normalized", !special);
  json_t *token = json_is_object(from) ? json_copy((json_t *)(uintptr_t)from) : json_object();
  if (!token)
    return NULL;
  if (!json_object_get(token, "normalized"))
    json_object_set_new(token, "normalized", json_boolean(!json_is_true(json_object_get(token, "special"))));
  if (special)
    json_object_set_new(token, "special", json_true());
  return token;
}

static bool is_named(const struct tokenizer_config *config, const char *content) {
  for (size_t i = 0; i < TOKENIZER_SPECIAL_NAMES; i++) {
    const char *name = tokenizer_config_token(config, tokenizer_special_names[i]);
    if (name && strcmp(name, content) == 0)
      return true;
  }
  const json_t *extra = json_object_get(config->settings, "extra_special_tokens");
  for (size_t i = 0; i < json_array_size(extra); i++) {
    const char *text = json_string_value(json_array_get(extra, i));
    if (text && strcmp(text, content) == 0)
      return true;
  }
  return false;
}

struct numbered {
  long id;
  json_t *token; /* owned */
};

static int by_id(const void *a, const void *b) {
  long x = ((const struct numbered *)a)->id, y = ((const struct numbered *)b)->id;
  return (x > y) - (x < y);
}

/* One of added_tokens_decoder ("7": {...}), or of added_tokens.json ("<x>": 7). */
static enum status read_numbered(struct numbered *out, const char *key, const json_t *value,
                                 const struct tokenizer_config *config, struct error *err) {
  const char *from = config->decoder ? "added_tokens_decoder" : "added_tokens.json";
  char *end = NULL;
  const char *content = config->decoder ? json_string_value(json_object_get(value, "content")) : key;
  out->id = config->decoder ? strtol(key, &end, 10) : (long)json_integer_value(value);
  bool number = config->decoder ? end > key && !*end : json_is_integer(value);
  if (!content || !number || out->id < 0)
    return error_set(err, STATUS_MODEL_INVALID, from, "%s: \"%.60s\" must be %s", from, key,
                     config->decoder ? "the number of a token with its content" : "a token with its number");
  bool named = is_named(config, content);
  json_t *text = config->decoder ? NULL : json_string(key);
  out->token = config->decoder ? token_of(value, named) : text ? token_of(text, named) : NULL;
  json_decref(text);
  if (!out->token || json_object_set_new(out->token, "id", json_integer(out->id)) != 0)
    return error_no_memory(err, "the tokenizer");
  return STATUS_OK;
}

/* The tokens that a file numbers, by their numbers. */
static enum status put_numbered(struct added_list *list, const struct tokenizer_config *config, struct error *err) {
  json_t *from = config->decoder ? config->decoder : config->numbered, *value;
  size_t count = 0, room = json_object_size(from);
  struct numbered *tokens = calloc(room + 1, sizeof *tokens);
  enum status status = tokens ? STATUS_OK : error_no_memory(err, "the tokenizer");
  const char *key;
  json_object_foreach(from, key, value) {
    if (!status)
      status = read_numbered(&tokens[count], key, value, config, err);
    count += !status;
  }
  if (!status && count)
    qsort(tokens, count, sizeof *tokens, by_id);
  for (size_t i = 0; tokens && i < room; i++) {
    if (status)
      json_decref(tokens[i].token);
    else
      status = put_added(list, tokens[i].token, "added_tokens", err);
  }
  free(tokens);
  return status;
}

/* A special token that no list has. */
static enum status put_special(struct added_list *list, const json_t *value, const char *from, struct error *err) {
  const char *content = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
  if (!value || json_is_null(value) || (content && json_object_get(list->places, content)))
    return STATUS_OK;
  if (!content || !*content)
    return error_set(err, STATUS_MODEL_INVALID, from, "%s: it must be a token, not %s", from, json_kind(value));
  return put_added(list, token_of(value, true), from, err);
}

/* The named ones in Transformers' order, then those with other names, then the list. */
static enum status put_specials(struct added_list *list, const struct tokenizer_config *config, struct error *err) {
  json_t *extra = json_object_get(config->settings, "extra_special_tokens"), *value;
  const char *key;
  enum status status = STATUS_OK;
  if (json_object_size(extra) + json_array_size(extra) == 0)
    extra = json_object_get(config->settings, "additional_special_tokens");
  for (size_t i = 0; !status && i < TOKENIZER_SPECIAL_NAMES; i++)
    status = put_special(list, json_object_get(config->settings, tokenizer_special_names[i]),
                         tokenizer_special_names[i], err);
  json_object_foreach(config->settings, key, value) {
    size_t length = strlen(key);
    bool token = json_is_string(value) || json_object_get(value, "content");
    if (!status && token && length > 6 && strcmp(key + length - 6, "_token") == 0)
      status = put_special(list, value, key, err);
  }
  if (json_is_object(extra))
    json_object_foreach(extra, key, value) status =
        status ? status : put_special(list, value, "extra_special_tokens", err);
  for (size_t i = 0; !status && i < json_array_size(extra); i++)
    status = put_special(list, json_array_get(extra, i), "extra_special_tokens", err);
  return status;
}

enum status tokenizer_class_added(json_t **out, const json_t *file, const struct tokenizer_config *config,
                                  struct error *err) {
  struct added_list list = {json_array(), json_object()};
  const json_t *own = json_object_get(file, "added_tokens");
  bool rebuilt = config->class != TOKENIZER_CLASS_BACKEND;
  enum status status = list.tokens && list.places ? STATUS_OK : error_no_memory(err, "the tokenizer");
  /* A class that builds its pipeline knows the file's tokens only where no other list has them. */
  for (size_t i = 0; !status && i < json_array_size(own) && !(rebuilt && config->decoder); i++)
    status = put_added(&list, json_copy(json_array_get(own, i)), "added_tokens", err);
  if (!status)
    status = put_numbered(&list, config, err);
  if (!status)
    status = put_specials(&list, config, err);
  json_decref(list.places);
  if (status)
    json_decref(list.tokens);
  *out = status ? NULL : list.tokens;
  return status;
}
