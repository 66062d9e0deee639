#include "worker/text/frame.h"

#include <string.h>

#include "base/attr.h"
#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/vocab.h"

static const char name[] = "post_processor";

void frames_init(struct frames *frames) {
  *frames = (struct frames){.single = {1, {{FRAME_FIRST, 0, 0}}},
                            .pair = {2, {{FRAME_FIRST, 0, 0}, {FRAME_SECOND, 0, 1}}}};
}

static void put(struct frame *frame, enum frame_kind kind, int32_t id, int32_t type) {
  if (kind != FRAME_SPECIAL || id >= 0)
    frame->parts[frame->count++] = (struct frame_part){kind, id, type};
}

void frames_set(struct frames *frames, int32_t before, int32_t after, int32_t middle, int32_t second_type) {
  struct frame *single = &frames->single, *pair = &frames->pair;
  single->count = 0;
  put(single, FRAME_SPECIAL, before, 0);
  put(single, FRAME_FIRST, 0, 0);
  put(single, FRAME_SPECIAL, after, 0);
  *pair = *single;
  put(pair, FRAME_SPECIAL, middle, second_type);
  put(pair, FRAME_SECOND, 0, second_type);
  put(pair, FRAME_SPECIAL, after, second_type);
  frames->set = true;
}

size_t frame_special_count(const struct frame *frame) {
  size_t count = 0;
  for (size_t i = 0; i < frame->count; i++)
    count += frame->parts[i].kind == FRAME_SPECIAL;
  return count;
}

void frame_truncate(size_t keep[2], size_t room) {
  size_t shorter = keep[0] <= keep[1] ? 0 : 1, longer = 1 - shorter;
  if (keep[0] + keep[1] <= room)
    return;
  if (keep[shorter] <= room && room - keep[shorter] >= keep[shorter]) {
    keep[longer] = room - keep[shorter];
  } else {
    keep[shorter] = room / 2;
    keep[longer] = room / 2 + room % 2;
  }
}

/* --- reading -------------------------------------------------------------------------------------- */

static enum status bad_template(struct error *err, const char *which, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, name, "post_processor: %s: %s", which, what);
}

static enum status add_part(struct frame *out, const char *which, struct frame_part part, struct error *err) {
  if (out->count >= FRAME_PARTS_MAX)
    return bad_template(err, which, "too many parts");
  if (part.id < 0 || part.type < 0)
    return bad_template(err, which, "an id is out of range");
  out->parts[out->count++] = part;
  return STATUS_OK;
}

static int32_t small_int(const json_t *value) {
  json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
  return n < 0 || n >= VOCAB_ID_MAX ? -1 : (int32_t)n;
}

static enum status read_part(struct frame *out, const char *which, const json_t *part, const json_t *specials,
                             struct error *err) {
  const json_t *sequence = json_object_get(part, "Sequence"), *special = json_object_get(part, "SpecialToken");
  const json_t *body = sequence ? sequence : special;
  const char *id = json_string_value(json_object_get(body, "id"));
  int32_t type = small_int(json_object_get(body, "type_id"));
  if (!id || type < 0)
    return bad_template(err, which, "a part must be a Sequence or a SpecialToken with id and type_id");
  if (sequence) {
    if (strcmp(id, "A") != 0 && strcmp(id, "B") != 0)
      return bad_template(err, which, "a Sequence must be A or B");
    return add_part(out, which, (struct frame_part){*id == 'A' ? FRAME_FIRST : FRAME_SECOND, 0, type}, err);
  }
  const json_t *ids = json_object_get(json_object_get(specials, id), "ids");
  enum status status = STATUS_OK;
  if (json_array_size(ids) == 0)
    return bad_template(err, which, "a SpecialToken is not listed in special_tokens");
  for (size_t i = 0; !status && i < json_array_size(ids); i++)
    status = add_part(out, which, (struct frame_part){FRAME_SPECIAL, small_int(json_array_get(ids, i)), type}, err);
  return status;
}

static enum status read_template(struct frame *out, const json_t *from, const char *which, size_t texts,
                                 struct error *err) {
  const json_t *parts = json_object_get(from, which), *specials = json_object_get(from, "special_tokens");
  size_t firsts = 0, seconds = 0;
  enum status status = STATUS_OK;
  out->count = 0;
  for (size_t i = 0; !status && i < json_array_size(parts); i++)
    status = read_part(out, which, json_array_get(parts, i), specials, err);
  for (size_t i = 0; i < out->count; i++) {
    firsts += out->parts[i].kind == FRAME_FIRST;
    seconds += out->parts[i].kind == FRAME_SECOND;
  }
  if (!status && (firsts != 1 || seconds != texts - 1))
    status = bad_template(err, which, "each text must occur exactly once");
  return status;
}

/* BertProcessing and RobertaProcessing: ["[SEP]", 102] of `sep` and `cls`. */
static enum status read_classic(struct frames *frames, const json_t *from, bool roberta, struct error *err) {
  int32_t sep = small_int(json_array_get(json_object_get(from, "sep"), 1));
  int32_t cls = small_int(json_array_get(json_object_get(from, "cls"), 1));
  if (sep < 0 || cls < 0)
    return bad_template(err, roberta ? "RobertaProcessing" : "BertProcessing", "sep and cls need a token and its id");
  frames_set(frames, cls, sep, roberta ? sep : -1, roberta ? 0 : 1);
  return STATUS_OK;
}

static enum status read_processor(struct frames *frames, const json_t *from, struct error *err) {
  const char *type;
  const json_t *list;
  enum status status = component_type(&type, from, name, err);
  if (status)
    return status;
  if (strcmp(type, "ByteLevel") == 0)
    return STATUS_OK;  /* it only trims offsets */
  if (strcmp(type, "Sequence") == 0) {
    status = component_list(&list, from, "processors", name, err);
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
      const char *inner;
      const json_t *item = json_array_get(list, i);
      status = component_type(&inner, item, name, err);
      if (!status && strcmp(inner, "Sequence") == 0)
        status = component_unsupported(name, "Sequence within a Sequence", err);
      if (!status)
        status = read_processor(frames, item, err);
    }
    return status;
  }
  if (frames->set)
    return error_set(err, STATUS_MODEL_INVALID, name, "post_processor: %.60s comes after another template", type);
  frames->set = true;
  if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
    return read_classic(frames, from, *type == 'R', err);
  if (strcmp(type, "TemplateProcessing") != 0)
    return component_unsupported(name, type, err);
  status = read_template(&frames->single, from, "single", 1, err);
  return status ? status : read_template(&frames->pair, from, "pair", 2, err);
}

/* Ids of the frame must exist in the model. */
static enum status check_ids(const struct frame *frame, const char *which, size_t vocab_size, struct error *err) {
  if (frame_special_count(frame) > FRAME_SPECIALS_MAX)
    return bad_template(err, which, "too many special tokens");
  for (size_t i = 0; i < frame->count; i++)
    if (frame->parts[i].kind == FRAME_SPECIAL && (size_t)frame->parts[i].id >= vocab_size)
      return bad_template(err, which, "a special token has an id beyond the vocabulary");
  return STATUS_OK;
}

enum status frames_read(struct frames *frames, const json_t *from, size_t vocab_size, struct error *err) {
  if (!from || json_is_null(from))
    return STATUS_OK;
  enum status status = read_processor(frames, from, err);
  if (!status)
    status = check_ids(&frames->single, "single", vocab_size, err);
  return status ? status : check_ids(&frames->pair, "pair", vocab_size, err);
}
