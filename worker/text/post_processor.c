#include "worker/text/post_processor.h"

#include <string.h>

#include "base/attr.h"
#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/vocab.h"

static const char name[] = "post_processor";

void post_processor_init(struct post_processor *processor) {
  *processor =
      (struct post_processor){.single = {1, {{POST_PROCESSOR_SEQUENCE_A, 0, 0}}},
                              .pair = {2, {{POST_PROCESSOR_SEQUENCE_A, 0, 0}, {POST_PROCESSOR_SEQUENCE_B, 0, 1}}}};
}

static void put_piece(struct post_processor_template *template, enum post_processor_piece_kind kind, int32_t id,
                      int32_t type_id) {
  if (kind != POST_PROCESSOR_SPECIAL_TOKEN || id >= 0)
    template->pieces[template->count++] = (struct post_processor_piece){kind, id, type_id};
}

void post_processor_set(struct post_processor *processor, int32_t before, int32_t after, int32_t middle,
                        int32_t second_type_id) {
  struct post_processor_template *single = &processor->single, *pair = &processor->pair;
  single->count = 0;
  put_piece(single, POST_PROCESSOR_SPECIAL_TOKEN, before, 0);
  put_piece(single, POST_PROCESSOR_SEQUENCE_A, 0, 0);
  put_piece(single, POST_PROCESSOR_SPECIAL_TOKEN, after, 0);
  *pair = *single;
  put_piece(pair, POST_PROCESSOR_SPECIAL_TOKEN, middle, second_type_id);
  put_piece(pair, POST_PROCESSOR_SEQUENCE_B, 0, second_type_id);
  put_piece(pair, POST_PROCESSOR_SPECIAL_TOKEN, after, second_type_id);
  processor->set = true;
}

size_t post_processor_special_tokens(const struct post_processor_template *template) {
  size_t count = 0;
  for (size_t i = 0; i < template->count; i++)
    count += template->pieces[i].kind == POST_PROCESSOR_SPECIAL_TOKEN;
  return count;
}

void post_processor_truncate(size_t keep[2], size_t room) {
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

static enum status add_piece(struct post_processor_template *out, const char *which, struct post_processor_piece piece,
                             struct error *err) {
  if (out->count >= POST_PROCESSOR_PIECES_MAX)
    return bad_template(err, which, "too many parts");
  if (piece.id < 0 || piece.type_id < 0)
    return bad_template(err, which, "an id is out of range");
  out->pieces[out->count++] = piece;
  return STATUS_OK;
}

static int32_t small_int(const json_t *value) {
  json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
  return n < 0 || n >= VOCAB_ID_MAX ? -1 : (int32_t)n;
}

static enum status read_piece(struct post_processor_template *out, const char *which, const json_t *piece,
                              const json_t *special_tokens, struct error *err) {
  const json_t *sequence = json_object_get(piece, "Sequence"), *special = json_object_get(piece, "SpecialToken");
  const json_t *body = sequence ? sequence : special;
  const char *id = json_string_value(json_object_get(body, "id"));
  int32_t type_id = small_int(json_object_get(body, "type_id"));
  if (!id || type_id < 0)
    return bad_template(err, which, "a part must be a Sequence or a SpecialToken with id and type_id");
  if (sequence) {
    if (strcmp(id, "A") != 0 && strcmp(id, "B") != 0)
      return bad_template(err, which, "a Sequence must be A or B");
    return add_piece(
        out, which,
        (struct post_processor_piece){*id == 'A' ? POST_PROCESSOR_SEQUENCE_A : POST_PROCESSOR_SEQUENCE_B, 0, type_id},
        err);
  }
  const json_t *ids = json_object_get(json_object_get(special_tokens, id), "ids");
  enum status status = STATUS_OK;
  if (json_array_size(ids) == 0)
    return bad_template(err, which, "a SpecialToken is not listed in special_tokens");
  for (size_t i = 0; !status && i < json_array_size(ids); i++)
    status = add_piece(
        out, which,
        (struct post_processor_piece){POST_PROCESSOR_SPECIAL_TOKEN, small_int(json_array_get(ids, i)), type_id}, err);
  return status;
}

static enum status read_template(struct post_processor_template *out, const json_t *from, const char *which,
                                 size_t texts, struct error *err) {
  const json_t *pieces = json_object_get(from, which), *special_tokens = json_object_get(from, "special_tokens");
  size_t firsts = 0, seconds = 0;
  enum status status = STATUS_OK;
  out->count = 0;
  for (size_t i = 0; !status && i < json_array_size(pieces); i++)
    status = read_piece(out, which, json_array_get(pieces, i), special_tokens, err);
  for (size_t i = 0; i < out->count; i++) {
    firsts += out->pieces[i].kind == POST_PROCESSOR_SEQUENCE_A;
    seconds += out->pieces[i].kind == POST_PROCESSOR_SEQUENCE_B;
  }
  if (!status && (firsts != 1 || seconds != texts - 1))
    status = bad_template(err, which, "each text must occur exactly once");
  return status;
}

/* BertProcessing and RobertaProcessing: ["[SEP]", 102] of `sep` and `cls`. */
static enum status read_classic(struct post_processor *processor, const json_t *from, bool roberta, struct error *err) {
  int32_t sep = small_int(json_array_get(json_object_get(from, "sep"), 1));
  int32_t cls = small_int(json_array_get(json_object_get(from, "cls"), 1));
  if (sep < 0 || cls < 0)
    return bad_template(err, roberta ? "RobertaProcessing" : "BertProcessing", "sep and cls need a token and its id");
  post_processor_set(processor, cls, sep, roberta ? sep : -1, roberta ? 0 : 1);
  return STATUS_OK;
}

static enum status read_processor(struct post_processor *processor, const json_t *from, struct error *err) {
  const char *type;
  const json_t *list;
  enum status status = component_type(&type, from, name, err);
  if (status)
    return status;
  if (strcmp(type, "ByteLevel") == 0)
    return STATUS_OK; /* it only trims offsets */
  if (strcmp(type, "Sequence") == 0) {
    status = component_list(&list, from, "processors", name, err);
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
      const char *inner;
      const json_t *item = json_array_get(list, i);
      status = component_type(&inner, item, name, err);
      if (!status && strcmp(inner, "Sequence") == 0)
        status = component_unsupported(name, "Sequence within a Sequence", err);
      if (!status)
        status = read_processor(processor, item, err);
    }
    return status;
  }
  if (processor->set)
    return error_set(err, STATUS_MODEL_INVALID, name, "post_processor: %.60s comes after another template", type);
  processor->set = true;
  if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
    return read_classic(processor, from, *type == 'R', err);
  if (strcmp(type, "TemplateProcessing") != 0)
    return component_unsupported(name, type, err);
  status = read_template(&processor->single, from, "single", 1, err);
  return status ? status : read_template(&processor->pair, from, "pair", 2, err);
}

/* Ids of special tokens must exist in the model. */
static enum status check_ids(const struct post_processor_template *template, const char *which, size_t vocab_size,
                             struct error *err) {
  if (post_processor_special_tokens(template) > POST_PROCESSOR_SPECIAL_TOKENS_MAX)
    return bad_template(err, which, "too many special tokens");
  for (size_t i = 0; i < template->count; i++)
    if (template->pieces[i].kind == POST_PROCESSOR_SPECIAL_TOKEN && (size_t)template->pieces[i].id >= vocab_size)
      return bad_template(err, which, "a special token has an id beyond the vocabulary");
  return STATUS_OK;
}

enum status post_processor_read(struct post_processor *processor, const json_t *from, size_t vocab_size,
                                struct error *err) {
  if (!from || json_is_null(from))
    return STATUS_OK;
  enum status status = read_processor(processor, from, err);
  if (!status)
    status = check_ids(&processor->single, "single", vocab_size, err);
  return status ? status : check_ids(&processor->pair, "pair", vocab_size, err);
}
