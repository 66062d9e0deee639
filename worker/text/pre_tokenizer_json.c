/* The pre-tokenizer of tokenizer.json. */
#include <string.h>

#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/pre_tokenizer.h"
#include "worker/text/unicode.h"

static const char name[] = "pre_tokenizer";

static enum status added(bool ok, struct error *err) {
  if (ok)
    return STATUS_OK;
  return error_set(err, STATUS_MODEL_INVALID, name, "pre_tokenizer: more than %d steps", PRE_TOKENIZER_STEPS_MAX);
}

/* Names are written "MergedWithNext" here and "merged_with_next" there. */
static enum status read_behavior(enum split_behavior *out, struct arena *arena, const json_t *from,
                                 const char *fallback, struct error *err) {
  static const struct {
    const char *name;
    enum split_behavior behavior;
  } known[] = {{"Removed", SPLIT_REMOVED},
               {"Isolated", SPLIT_ISOLATED},
               {"MergedWithPrevious", SPLIT_MERGED_WITH_PREVIOUS},
               {"MergedWithNext", SPLIT_MERGED_WITH_NEXT},
               {"Contiguous", SPLIT_CONTIGUOUS}};
  const char *text;
  enum status status = component_string(&text, arena, from, "behavior", fallback, name, err);
  if (status)
    return status;
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (strcmp(text, known[i].name) == 0) {
      *out = known[i].behavior;
      return STATUS_OK;
    }
  return error_set(err, STATUS_MODEL_INVALID, name, "pre_tokenizer: the behavior %.60s is not supported", text);
}

static enum status read_split(struct pre_tokenizer *out, struct arena *arena, const json_t *from, struct error *err) {
  struct pre_tokenizer_step step = {.kind = PRE_TOKENIZER_SPLIT};
  enum status status = component_pattern(&step.pattern, arena, from, "pattern", name, err);
  if (!status)
    status = component_bool(&step.invert, from, "invert", false, name, err);
  if (!status)
    status = read_behavior(&step.behavior, arena, from, NULL, err);
  if (!status)
    status = added(pre_tokenizer_add(out, step), err);
  if (status)
    pattern_done(&step.pattern);
  return status;
}

static enum status read_byte_level(struct pre_tokenizer *out, const json_t *from, struct error *err) {
  bool space, regex;
  enum status status = component_bool(&space, from, "add_prefix_space", true, name, err);
  if (!status)
    status = component_bool(&regex, from, "use_regex", true, name, err);
  if (status)
    return status;
  bool ok = (!space || pre_tokenizer_add(out, (struct pre_tokenizer_step){.kind = PRE_TOKENIZER_ADD_PREFIX_SPACE})) &&
            (!regex || pre_tokenizer_add_split(out, pattern_gpt2, SPLIT_ISOLATED));
  out->byte_level = true;
  return added(ok, err);
}

/* Older files say add_prefix_space for the scheme, and mean to split. */
static enum status read_metaspace(struct pre_tokenizer *out, struct arena *arena, const json_t *from,
                                  struct error *err) {
  static const char *const schemes[] = {"always", "first", "never"};
  const char *replacement, *scheme;
  bool split, prefix;
  size_t i = 0, n;
  enum status status = component_string(&replacement, arena, from, "replacement", "\xE2\x96\x81", name, err);
  if (!status)
    status = component_bool(&split, from, "split", true, name, err);
  if (!status)
    status = component_bool(&prefix, from, "add_prefix_space", true, name, err);
  if (!status)
    status = component_string(&scheme, arena, from, "prepend_scheme", prefix ? "always" : "never", name, err);
  if (status)
    return status;
  while (i < COUNT_OF(schemes) && strcmp(scheme, schemes[i]) != 0)
    i++;
  if (i == COUNT_OF(schemes))
    return error_set(err, STATUS_MODEL_INVALID, name, "pre_tokenizer: the prepend_scheme %.60s is not supported",
                     scheme);
  if (!*replacement || (utf8_decode(replacement, &n), replacement[n]))
    return error_set(err, STATUS_MODEL_INVALID, name, "pre_tokenizer: replacement must be one character");
  return added(pre_tokenizer_add_metaspace(out, replacement, (enum prepend_scheme)i, split), err);
}

static enum status read_step(struct pre_tokenizer *out, struct arena *arena, const json_t *from, const char *type,
                             struct error *err) {
  struct pre_tokenizer_step step = {.kind = PRE_TOKENIZER_SPLIT, .behavior = SPLIT_ISOLATED};
  enum status status = STATUS_OK;
  bool individual;
  if (strcmp(type, "Split") == 0)
    return read_split(out, arena, from, err);
  if (strcmp(type, "ByteLevel") == 0)
    return read_byte_level(out, from, err);
  if (strcmp(type, "Metaspace") == 0)
    return read_metaspace(out, arena, from, err);
  if (strcmp(type, "BertPreTokenizer") == 0)
    return added(pre_tokenizer_add_bert(out), err);
  if (strcmp(type, "Digits") == 0) {
    status = component_bool(&individual, from, "individual_digits", false, name, err);
    step.pattern.match = individual ? pattern_digit : pattern_digits;
  } else if (strcmp(type, "Punctuation") == 0) {
    step.pattern.match = pattern_punctuation;
    status = read_behavior(&step.behavior, arena, from, "Isolated", err);
  } else if (strcmp(type, "WhitespaceSplit") == 0) {
    step.pattern.match = pattern_space;
    step.behavior = SPLIT_REMOVED;
  } else if (strcmp(type, "Whitespace") == 0) {
    step.pattern.match = pattern_word;
    step.behavior = SPLIT_REMOVED;
    step.invert = true;
  } else {
    return component_unsupported(name, type, err);
  }
  return status ? status : added(pre_tokenizer_add(out, step), err);
}

enum status pre_tokenizer_read(struct pre_tokenizer *out, struct arena *arena, const json_t *from, struct error *err) {
  const char *type;
  const json_t *list;
  if (!from || json_is_null(from))
    return STATUS_OK;
  enum status status = component_type(&type, from, name, err);
  bool rewrites = !status && (strcmp(type, "ByteLevel") == 0 || strcmp(type, "Metaspace") == 0);
  if (out->byte_level && rewrites)
    return error_set(err, STATUS_MODEL_INVALID, name, "pre_tokenizer: %.60s after ByteLevel is not supported", type);
  if (status)
    return status;
  if (strcmp(type, "Sequence") != 0)
    return read_step(out, arena, from, type, err);
  status = component_list(&list, from, "pretokenizers", name, err);
  for (size_t i = 0; !status && i < json_array_size(list); i++)
    status = pre_tokenizer_read(out, arena, json_array_get(list, i), err);
  return status;
}
