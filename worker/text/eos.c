#include "worker/text/eos.h"


#include "base/json.h"
#include "worker/file/directory.h"
#include "worker/text/tokenizer_config.h"

enum { CONFIG_BYTES_MAX = 64 << 20 };

static const struct json_limits limits = {.bytes_max = CONFIG_BYTES_MAX, .depth_max = 32, .values_max = 8 << 20};

struct search {
  struct eos stops, tokens; /* what the model stops at, and what its tokenizer calls the end */
  const struct tokenizer *tokenizer;
  size_t vocabulary;
};

bool eos_has(const struct eos *eos, int32_t id) {
  bool found = false;
  for (size_t i = 0; i < eos->count; i++)
    found = found || eos->ids[i] == id;
  return found;
}

static void add_eos(struct eos *eos, const struct search *s, json_int_t id) {
  bool is_id = id >= 0 && (uint64_t)id < s->vocabulary;
  if (is_id && eos->count < EOS_MAX && !eos_has(eos, (int32_t)id))
    eos->ids[eos->count++] = (int32_t)id;
}

static void add_ids(struct search *s, const json_t *value) {
  if (json_is_integer(value))
    add_eos(&s->stops, s, json_integer_value(value));
  for (size_t i = 0; i < json_array_size(value); i++)
    if (json_is_integer(json_array_get(value, i)))
      add_eos(&s->stops, s, json_integer_value(json_array_get(value, i)));
}

static enum status search_directory(struct search *s, const char *directory, struct error *err) {
  AUTO(json_release) json_t *generation = NULL;
  struct tokenizer_config config;
  enum status status = directory_json(&generation, directory, "generation_config.json", &limits, err);
  status = status ? status : tokenizer_config_read(&config, directory, err);
  if (status)
    return status;
  const char *token = tokenizer_config_token(&config, "eos_token");
  if (token)
    add_eos(&s->tokens, s, tokenizer_id(s->tokenizer, token));
  tokenizer_config_done(&config);
  add_ids(s, json_object_get(generation, "eos_token_id"));
  return STATUS_OK;
}

static enum status search_gguf(struct search *s, const struct gguf *gguf, struct error *err) {
  static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(keys); i++) {
    uint64_t id;
    status = gguf_get_u64(&id, gguf, keys[i], UINT64_MAX, err);
    if (!status && id < s->vocabulary)
      add_eos(&s->stops, s, (json_int_t)id);
  }
  return status;
}

/* The tokenizer's if the model stops there. */
static int32_t choose(const struct search *s) {
  for (size_t i = 0; i < s->tokens.count; i++)
    if (!s->stops.count || eos_has(&s->stops, s->tokens.ids[i]))
      return s->tokens.ids[i];
  return s->stops.count ? s->stops.ids[0] : -1;
}

enum status eos_find(struct eos *out, const char *model_path, const struct gguf *gguf, const json_t *config,
                     const struct tokenizer *tokenizer, size_t vocabulary, struct error *err) {
  struct search s = {.tokenizer = tokenizer, .vocabulary = vocabulary};
  add_ids(&s, json_object_get(config, "eos_token_id"));
  add_ids(&s, json_object_get(json_object_get(config, "text_config"), "eos_token_id"));
  enum status status = gguf ? search_gguf(&s, gguf, err) : search_directory(&s, model_path, err);
  *out = s.stops;
  out->id = choose(&s);
  for (size_t i = 0; i < s.tokens.count; i++)
    add_eos(out, &s, s.tokens.ids[i]);
  return status;
}
