#include "worker/text/tokenizer_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/file.h"
#include "base/json.h"
#include "worker/file/directory.h"

enum { TOKENIZER_JSON_BYTES_MAX = 64 << 20 };

static const struct json_limits limits = {.bytes_max = 16 << 20, .values_max = 1 << 20};

/* The names of special tokens, in the order in which Transformers adds them. */
const char *const tokenizer_special_names[TOKENIZER_SPECIAL_NAMES] = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

/* A class with the special tokens that it has where no file says otherwise. */
static const struct class {
  const char *name;
  enum tokenizer_class class;
  const char *tokens[TOKENIZER_SPECIAL_NAMES]; /* as named above */
} classes[] = {
    {"BertTokenizer", TOKENIZER_CLASS_BERT, {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}},
    {"GPT2Tokenizer", TOKENIZER_CLASS_GPT2, {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>"}},
    {"LlamaTokenizer", TOKENIZER_CLASS_LLAMA, {"<s>", "</s>", "<unk>"}},
    {"Qwen2Tokenizer", TOKENIZER_CLASS_QWEN2, {NULL, "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>"}},
    {"CLIPTokenizer",
     TOKENIZER_CLASS_CLIP,
     {"<|startoftext|>", "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>"}},
};

/* "BertTokenizerFast" is BertTokenizer; NULL: a class that takes the file's pipeline. */
static const struct class *find_class(const char *name) {
  size_t length = name ? strlen(name) : 0;
  if (length > 4 && strcmp(name + length - 4, "Fast") == 0)
    length -= 4;
  for (size_t i = 0; i < COUNT_OF(classes); i++)
    if (length == strlen(classes[i].name) && memcmp(name, classes[i].name, length) == 0)
      return &classes[i];
  return NULL;
}

/* What Transformers has for a model's type: it goes before a name that is missing, and the two of Mistral and
   Qwen2, whose files are known to name a wrong one, before any. */
static const char *class_name(const json_t *settings, const json_t *model) {
  static const struct {
    const char *type, *name;
    bool wins;
  } types[] = {{"bert", "BertTokenizer", false},
               {"gpt2", "GPT2Tokenizer", false},
               {"mistral", "TokenizersBackend", true},
               {"qwen2", "Qwen2Tokenizer", true},
               {"qwen3", "Qwen2Tokenizer", false}};
  const char *type = json_string_value(json_object_get(model, "model_type"));
  const char *name = json_string_value(json_object_get(settings, "tokenizer_class"));
  if (!name)
    name = json_string_value(json_object_get(model, "tokenizer_class"));
  for (size_t i = 0; type && i < COUNT_OF(types); i++)
    if (strcmp(type, types[i].type) == 0 && (!name || types[i].wins))
      return types[i].name;
  return name;
}

/* A byte-level tokenizer.json is never LLaMA's, whatever its class is said to be. */
static enum status is_byte_level(bool *out, const char *dir, struct error *err) {
  char path[DIRECTORY_PATH_BYTES], *text;
  size_t length;
  *out = false;
  if (!directory_find(path, dir, "tokenizer.json"))
    return STATUS_OK;
  enum status status = file_read(&text, &length, path, TOKENIZER_JSON_BYTES_MAX, err);
  if (status)
    return status;
  *out = memmem(text, length, "\"ByteLevel\"", 11) != NULL;
  free(text);
  return STATUS_OK;
}

static enum status choose_class(struct tokenizer_config *config, const char *dir, struct error *err) {
  const char *name = class_name(config->settings, config->model);
  const struct class *class = find_class(name);
  bool byte_level = false;
  enum status status = STATUS_OK;
  if (class && class->class == TOKENIZER_CLASS_LLAMA)
    status = is_byte_level(&byte_level, dir, err);
  return status || !class || byte_level ? status : tokenizer_config_set_class(config, name, err);
}

enum status tokenizer_config_set_class(struct tokenizer_config *config, const char *name, struct error *err) {
  const struct class *class = find_class(name);
  if (!class)
    return STATUS_OK;
  config->class = class->class;
  for (size_t i = 0; i < TOKENIZER_SPECIAL_NAMES; i++) {
    const char *token = tokenizer_special_names[i];
    if (class->tokens[i] && !json_object_get(config->settings, token) &&
        json_object_set_new(config->settings, token, json_string(class->tokens[i])) != 0)
      return error_no_memory(err, "the tokenizer's configuration");
  }
  return STATUS_OK;
}

/* special_tokens_map.json is of older versions: it is not read where there is added_tokens_decoder, and wins where
   there is none. */
static enum status add_legacy(struct tokenizer_config *config, const char *dir, struct error *err) {
  AUTO(json_release) json_t *map = NULL;
  config->decoder = json_object_get(config->settings, "added_tokens_decoder");
  if (config->decoder && !json_is_object(config->decoder))
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens_decoder",
                     "tokenizer_config.json: added_tokens_decoder is %s, not an object", json_kind(config->decoder));
  if (config->decoder)
    return STATUS_OK;
  enum status status = directory_json(&map, dir, "special_tokens_map.json", &limits, err);
  if (!status && map && json_object_update(config->settings, map) != 0)
    return error_no_memory(err, "the tokenizer's configuration");
  return status ? status : directory_json(&config->numbered, dir, "added_tokens.json", &limits, err);
}

enum status tokenizer_config_read(struct tokenizer_config *out, const char *dir, struct error *err) {
  *out = (struct tokenizer_config){0};
  enum status status = directory_json(&out->settings, dir, "tokenizer_config.json", &limits, err);
  if (!status)
    status = directory_json(&out->model, dir, "config.json", &limits, err);
  if (!status && !out->settings)
    out->settings = json_object();
  if (!status && !out->model)
    out->model = json_object();
  if (!status && (!out->settings || !out->model))
    status = error_no_memory(err, "the tokenizer's configuration");
  if (!status)
    status = add_legacy(out, dir, err);
  if (!status)
    status = choose_class(out, dir, err);
  if (status)
    tokenizer_config_done(out);
  return status;
}

void tokenizer_config_done(struct tokenizer_config *config) {
  json_decref(config->settings);
  json_decref(config->model);
  json_decref(config->numbered);
  *config = (struct tokenizer_config){0};
}

const char *tokenizer_config_token(const struct tokenizer_config *config, const char *name) {
  const json_t *value = json_object_get(config->settings, name);
  return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}
