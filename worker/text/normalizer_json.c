/* The normalizer of tokenizer.json. */
#include <string.h>

#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/normalizer.h"

static const char name[] = "normalizer";

static enum status add_step(struct normalizer *normalizer, struct normalizer_step step, struct error *err) {
  if (normalizer_add(normalizer, step))
    return STATUS_OK;
  return error_set(err, STATUS_MODEL_INVALID, name, "normalizer: more than %d steps", NORMALIZER_STEPS_MAX);
}

static enum status read_bert(struct normalizer *normalizer, const json_t *from, struct error *err) {
  bool clean, chinese, accents, lowercase;
  enum status status = component_bool(&clean, from, "clean_text", true, name, err);
  if (!status)
    status = component_bool(&chinese, from, "handle_chinese_chars", true, name, err);
  if (!status)
    status = component_bool(&lowercase, from, "lowercase", true, name, err);
  if (!status)
    status = component_bool(&accents, from, "strip_accents", lowercase, name, err);
  if (status)
    return status;
  if (normalizer_add_bert(normalizer, clean, chinese, accents, lowercase))
    return STATUS_OK;
  return error_set(err, STATUS_MODEL_INVALID, name, "normalizer: more than %d steps", NORMALIZER_STEPS_MAX);
}

static int digit_of(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base 64 into `out`, which has room for 3/4 of it: false when it is none. */
static bool decode64(unsigned char *out, size_t *count, const char *text, size_t length) {
  uint32_t bits = 0;
  *count = 0;
  if (length % 4 != 0)
    return false;
  for (size_t pad = 0; pad < 2 && length > 0 && text[length - 1] == '='; pad++)
    length--;
  for (size_t i = 0; i < length; i++) {
    int digit = digit_of(text[i]);
    if (digit < 0)
      return false;
    bits = bits << 6 | (uint32_t)digit;
    if (i % 4 != 0)
      out[(*count)++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
  }
  return true;
}

static enum status read_charsmap(struct normalizer *normalizer, struct arena *arena, const json_t *from,
                                 struct error *err) {
  const json_t *text = json_object_get(from, "precompiled_charsmap");
  struct normalizer_step step = {.kind = NORMALIZER_PRECOMPILED};
  size_t count;
  if (!json_is_string(text))
    return error_set(err, STATUS_MODEL_INVALID, name, "normalizer: precompiled_charsmap must be a string");
  unsigned char *bytes = arena_alloc(arena, json_string_length(text));
  if (!bytes)
    return error_no_memory(err, "the tokenizer");
  if (!decode64(bytes, &count, json_string_value(text), json_string_length(text)) ||
      !charsmap_open(&step.charsmap, bytes, count))
    return error_set(err, STATUS_MODEL_INVALID, name, "normalizer: precompiled_charsmap is damaged");
  return add_step(normalizer, step, err);
}

static enum status read_step(struct normalizer *normalizer, struct arena *arena, const json_t *from, const char *type,
                             struct error *err) {
  static const struct {
    const char *type;
    enum normalizer_kind kind;
  } kinds[] = {
      {"NFC", NORMALIZER_NFC},
      {"NFD", NORMALIZER_NFD},
      {"NFKC", NORMALIZER_NFKC},
      {"NFKD", NORMALIZER_NFKD},
      {"Strip", NORMALIZER_STRIP},
      {"StripAccents", NORMALIZER_STRIP_ACCENTS},
      {"Lowercase", NORMALIZER_LOWERCASE},
      {"Prepend", NORMALIZER_PREPEND},
      {"Replace", NORMALIZER_REPLACE},
  };
  struct normalizer_step step = {0};
  enum status status = STATUS_OK;
  size_t i = 0;
  while (i < COUNT_OF(kinds) && strcmp(type, kinds[i].type) != 0)
    i++;
  if (i == COUNT_OF(kinds))
    return component_unsupported(name, type, err);
  step.kind = kinds[i].kind;
  if (step.kind == NORMALIZER_STRIP) {
    status = component_bool(&step.left, from, "strip_left", true, name, err);
    if (!status)
      status = component_bool(&step.right, from, "strip_right", true, name, err);
  } else if (step.kind == NORMALIZER_PREPEND) {
    status = component_string(&step.content, arena, from, "prepend", NULL, name, err);
  } else if (step.kind == NORMALIZER_REPLACE) {
    status = component_pattern(&step.pattern, arena, from, "pattern", name, err);
    if (!status)
      status = component_string(&step.content, arena, from, "content", NULL, name, err);
    if (!status && pattern_matches_nothing(&step.pattern))
      status = error_set(err, STATUS_MODEL_INVALID, name, "normalizer: what Replace looks for can be nothing at all");
  }
  if (!status)
    status = add_step(normalizer, step, err);
  if (status)
    pattern_done(&step.pattern);
  return status;
}

enum status normalizer_read(struct normalizer *normalizer, struct arena *arena, const json_t *from, struct error *err) {
  const char *type;
  const json_t *list;
  if (!from || json_is_null(from))
    return STATUS_OK;
  enum status status = component_type(&type, from, name, err);
  if (status)
    return status;
  if (strcmp(type, "BertNormalizer") == 0)
    return read_bert(normalizer, from, err);
  if (strcmp(type, "Precompiled") == 0)
    return read_charsmap(normalizer, arena, from, err);
  if (strcmp(type, "Sequence") != 0)
    return read_step(normalizer, arena, from, type, err);
  status = component_list(&list, from, "normalizers", name, err);
  for (size_t i = 0; !status && i < json_array_size(list); i++)
    status = normalizer_read(normalizer, arena, json_array_get(list, i), err);
  return status;
}
