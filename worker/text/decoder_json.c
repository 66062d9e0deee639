/* The decoder of tokenizer.json. */
#include <string.h>

#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/decoder.h"
#include "worker/text/unicode.h"

static const char name[] = "decoder";

static enum status read_strip(struct decoder_step *step, struct arena *arena, const json_t *from, struct error *err) {
  int64_t left = 0, right = 0;
  size_t n;
  enum status status = component_string(&step->content, arena, from, "content", NULL, name, err);
  if (!status)
    status = component_blame(err, json_get_int(&left, from, "start", 0, 0, 1 << 20, err), name);
  if (!status)
    status = component_blame(err, json_get_int(&right, from, "stop", 0, 0, 1 << 20, err), name);
  if (status)
    return status;
  if (!*step->content || (utf8_decode(step->content, &n), step->content[n]))
    return error_set(err, STATUS_MODEL_INVALID, name, "decoder: the content of Strip must be one character");
  step->left = (size_t)left;
  step->right = (size_t)right;
  return STATUS_OK;
}

static enum status read_metaspace(struct decoder_step *step, struct arena *arena, const json_t *from,
                                  struct error *err) {
  bool prefix;
  const char *scheme;
  enum status status = component_string(&step->content, arena, from, "replacement", "\xE2\x96\x81", name, err);
  if (!status)
    status = component_bool(&prefix, from, "add_prefix_space", true, name, err);
  if (!status)
    status = component_string(&scheme, arena, from, "prepend_scheme", prefix ? "always" : "never", name, err);
  if (!status && !*step->content)
    return error_set(err, STATUS_MODEL_INVALID, name, "decoder: replacement is empty");
  if (!status)
    step->drops_first = strcmp(scheme, "never") != 0;
  return status;
}

static enum status read_step(struct decoder_step *step, struct arena *arena, const json_t *from, const char *type,
                             struct error *err) {
  static const struct {
    const char *type;
    enum decoder_kind kind;
  } kinds[] = {{"ByteLevel", DECODER_BYTE_LEVEL}, {"WordPiece", DECODER_WORDPIECE},
               {"Metaspace", DECODER_METASPACE},  {"BPEDecoder", DECODER_BPE},
               {"Replace", DECODER_REPLACE},      {"ByteFallback", DECODER_BYTE_FALLBACK},
               {"Fuse", DECODER_FUSE},            {"Strip", DECODER_STRIP}};
  enum status status = STATUS_OK;
  size_t i = 0;
  while (i < COUNT_OF(kinds) && strcmp(type, kinds[i].type) != 0)
    i++;
  if (i == COUNT_OF(kinds))
    return component_unsupported(name, type, err);
  step->kind = kinds[i].kind;
  switch (step->kind) {
  case DECODER_STRIP: return read_strip(step, arena, from, err);
  case DECODER_METASPACE: return read_metaspace(step, arena, from, err);
  case DECODER_WORDPIECE:
    status = component_string(&step->content, arena, from, "prefix", "##", name, err);
    return status ? status : component_bool(&step->cleanup, from, "cleanup", true, name, err);
  case DECODER_BPE:
    status = component_string(&step->content, arena, from, "suffix", "</w>", name, err);
    if (!status && !*step->content)
      return error_set(err, STATUS_MODEL_INVALID, name, "decoder: the suffix of BPEDecoder is empty");
    return status;
  case DECODER_REPLACE:
    status = component_pattern(&step->pattern, arena, from, "pattern", name, err);
    return status ? status : component_string(&step->content, arena, from, "content", NULL, name, err);
  case DECODER_BYTE_LEVEL:
  case DECODER_BYTE_FALLBACK:
  case DECODER_FUSE: break;
  }
  return STATUS_OK;
}

enum status decoder_read(struct decoder *decoder, struct arena *arena, const json_t *from, struct error *err) {
  const char *type;
  const json_t *list;
  struct decoder_step step = {0};
  if (!from || json_is_null(from))
    return STATUS_OK;
  decoder->joins = true;
  enum status status = component_type(&type, from, name, err);
  if (status)
    return status;
  if (strcmp(type, "Sequence") != 0) {
    status = read_step(&step, arena, from, type, err);
    if (!status && !decoder_add(decoder, step))
      status = error_set(err, STATUS_MODEL_INVALID, name, "decoder: more than %d steps", DECODER_STEPS_MAX);
    if (status)
      pattern_done(&step.pattern);
    return status;
  }
  status = component_list(&list, from, "decoders", name, err);
  for (size_t i = 0; !status && i < json_array_size(list); i++)
    status = decoder_read(decoder, arena, json_array_get(list, i), err);
  return status;
}
