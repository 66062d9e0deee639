/* SentencePiece models (spm.model and its other names): a protocol buffer with the pieces, and the
   pipeline that the library builds for the architecture named by config.json. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/protobuf.h"
#include "worker/text/tokenizer_class.h"
#include "worker/text/tokenizer_model.h"

enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };

/* A model file, read. */
struct spm {
  struct protobuf_field charsmap; /* bytes NULL: none */
  uint64_t model_type;
  bool byte_fallback;
  bool adds_prefix, removes_spaces; /* add_dummy_prefix, remove_extra_whitespaces of the normalizer */
  int32_t unknown; /* the first piece of that kind, or -1 */
  float *scores;
  unsigned char *kinds;
  size_t count, score_size, kind_size;
};

static enum status broken(struct error *err, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, NULL, "the SentencePiece model is damaged: %s", what);
}

static enum status read_piece(struct spm *spm, struct vocab *vocab, const struct protobuf_field *piece,
                              struct error *err) {
  struct protobuf message = {piece->bytes, piece->bytes + piece->length, false};
  struct protobuf_field field, text = {0};
  uint64_t kind = PIECE_NORMAL;
  float score = 0;
  while (protobuf_next(&message, &field)) {
    if (field.number == 1 && field.is_bytes)
      text = field;
    else if (field.number == 2 && !field.is_bytes)
      memcpy(&score, &(uint32_t){(uint32_t)field.value}, sizeof score);
    else if (field.number == 3 && !field.is_bytes)
      kind = field.value;
  }
  if (message.broken || !text.bytes || !utf8_valid((const char *)text.bytes, text.length, NULL))
    return broken(err, "a piece has no text");
  if (kind < PIECE_NORMAL || kind > PIECE_BYTE || !isfinite(score))
    return broken(err, "a piece has an unknown type or no finite score");
  float *scores = grow(spm->scores, &spm->score_size, spm->count + 1, sizeof *scores);
  unsigned char *kinds = scores ? grow(spm->kinds, &spm->kind_size, spm->count + 1, sizeof *kinds) : NULL;
  if (scores)
    spm->scores = scores;
  if (!kinds)
    return error_no_memory(err, "the tokenizer");
  spm->kinds = kinds;
  scores[spm->count] = score;
  kinds[spm->count] = (unsigned char)kind;
  if (kind == PIECE_UNKNOWN && spm->unknown < 0)
    spm->unknown = (int32_t)spm->count;
  return vocab_add(vocab, (const char *)text.bytes, text.length, (int64_t)spm->count++, err);
}

static void read_trainer(struct spm *spm, struct protobuf message) {
  struct protobuf_field field;
  while (protobuf_next(&message, &field)) {
    if (field.number == 3 && !field.is_bytes)
      spm->model_type = field.value;
    else if (field.number == 35 && !field.is_bytes)
      spm->byte_fallback = field.value != 0;
  }
}

static void read_normalizer(struct spm *spm, struct protobuf message) {
  struct protobuf_field field;
  while (protobuf_next(&message, &field)) {
    if (field.number == 2 && field.is_bytes && field.length)
      spm->charsmap = field;
    else if (field.number == 3 && !field.is_bytes)
      spm->adds_prefix = field.value != 0;
    else if (field.number == 4 && !field.is_bytes)
      spm->removes_spaces = field.value != 0;
  }
}

static enum status read_spm(struct spm *spm, struct vocab *vocab, const char *bytes, size_t length, struct error *err) {
  struct protobuf message = {(const unsigned char *)bytes, (const unsigned char *)bytes + length, false};
  struct protobuf_field field;
  enum status status = STATUS_OK;
  while (!status && protobuf_next(&message, &field)) {
    const struct protobuf inner = {field.bytes, field.bytes ? field.bytes + field.length : NULL, false};
    if (!field.is_bytes)
      continue;
    if (field.number == 1)
      status = read_piece(spm, vocab, &field, err);
    else if (field.number == 2)
      read_trainer(spm, inner);
    else if (field.number == 3)
      read_normalizer(spm, inner);
  }
  if (!status && (message.broken || spm->count == 0))
    return broken(err, spm->count ? "a field is cut short" : "there are no pieces");
  if (!status && spm->unknown < 0)
    return broken(err, "there is no unknown piece");
  return status;
}

static enum status build_model(struct tokenizer *t, const struct spm *spm, struct error *err) {
  enum status status = STATUS_OK;
  if (spm->model_type == MODEL_BPE) {
    t->kind = TOKENIZER_BPE;
    t->bpe.unk_id = spm->unknown;
    t->bpe.fuse_unk = true;
    t->bpe.byte_fallback = spm->byte_fallback;
    bpe_find_bytes(t->bpe.byte_ids, &t->vocab);
    return tokenizer_merges_from_scores(t, spm->scores, spm->kinds, err);
  }
  if (spm->model_type != MODEL_UNIGRAM)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "the SentencePiece model type %llu is not supported",
                     (unsigned long long)spm->model_type);
  t->kind = TOKENIZER_UNIGRAM;
  t->unigram.unk_id = spm->unknown;
  t->unigram.byte_fallback = spm->byte_fallback;
  bpe_find_bytes(t->unigram.byte_ids, &t->vocab);
  for (size_t i = 0; !status && i < spm->count; i++)
    if (!unigram_add(&t->unigram, (double)spm->scores[i]))
      status = error_no_memory(err, "the tokenizer");
  return status;
}

/* --- pipelines ------------------------------------------------------------------------------------ */

static int32_t need(const struct tokenizer *t, const char *token, enum status *status, struct error *err) {
  int32_t id = tokenizer_id(t, token);
  if (id < 0 && !*status)
    *status = error_set(err, STATUS_MODEL_INVALID, NULL, "the SentencePiece model has no piece %s", token);
  return id;
}

static enum status add_special(struct tokenizer *t, const char *text, struct error *err) {
  struct added_token token = {.id = tokenizer_id(t, text), .special = true};
  if (token.id < 0)
    token.id = tokenizer_vocab_size(t);
  return added_add(&t->added, &t->vocab, &t->normalizer, text, strlen(text), &token, err);
}

/* The model's table of characters, applied by a step of `kind`. */
static enum status add_charsmap(struct tokenizer *t, const struct spm *spm, enum normalizer_kind kind,
                                struct error *err) {
  struct normalizer_step map = {.kind = kind};
  if (!spm->charsmap.bytes)
    return STATUS_OK;
  unsigned char *bytes = arena_alloc(&t->arena, spm->charsmap.length);
  if (!bytes)
    return error_no_memory(err, "the tokenizer");
  memcpy(bytes, spm->charsmap.bytes, spm->charsmap.length);
  if (!charsmap_open(&map.charsmap, bytes, spm->charsmap.length))
    return broken(err, "the table of characters");
  CHECK(normalizer_add(&t->normalizer, map));
  return STATUS_OK;
}

/* Puts `content` for each match of an expression. */
static enum status add_replace(struct tokenizer *t, const char *expression, const char *content, struct error *err) {
  struct normalizer_step step = {.kind = NORMALIZER_REPLACE, .content = content};
  enum status status = pattern_regex(&step.pattern, expression, err);
  CHECK(status || normalizer_add(&t->normalizer, step));
  return status;
}

/* sentencepiece's own normalizer, which the published models were trained behind. Tokenizers of Transformers 5 leave
   the table of characters out and take characters that are rare for unknown ones. */
static enum status build_deberta(struct tokenizer *t, const struct spm *spm, const json_t *config, struct error *err) {
  static const char *const specials[] = {"[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"};
  bool lowercase, punctuation;
  enum status status = component_bool(&lowercase, config, "do_lower_case", false, "tokenizer_config.json", err);
  if (!status)
    status = component_bool(&punctuation, config, "split_by_punct", false, "tokenizer_config.json", err);
  CHECK(status || !lowercase || normalizer_add(&t->normalizer, (struct normalizer_step){.kind = NORMALIZER_LOWERCASE}));
  status = status ? status : add_charsmap(t, spm, NORMALIZER_SENTENCEPIECE, err);
  if (!status && spm->removes_spaces)
    status = add_replace(t, "\\A +| +\\z", "", err);
  if (!status && spm->removes_spaces)
    status = add_replace(t, " {2,}", " ", err);
  if (!status && punctuation && spm->removes_spaces) /* what is between is a text of its own, without spaces behind */
    status = add_replace(t, " +(?=[!-/:-@\\[-`{-~]|\\p{P})", "", err);
  if (status)
    return status;
  CHECK((!punctuation || pre_tokenizer_add_split(&t->pre_tokenizer, pattern_punctuation, SPLIT_ISOLATED)) &&
        pre_tokenizer_add_metaspace(&t->pre_tokenizer, METASPACE,
                                    spm->adds_prefix ? PREPEND_ALWAYS : PREPEND_NEVER, true) &&
        decoder_add(&t->decoder, (struct decoder_step){.kind = DECODER_METASPACE,
                                                       .content = METASPACE,
                                                       .drops_first = spm->adds_prefix}));
  status = tokenizer_add_kinds(t, spm->kinds, false, err);
  for (size_t i = 0; !status && i < COUNT_OF(specials); i++)
    status = add_special(t, specials[i], err);
  int32_t cls = need(t, "[CLS]", &status, err), sep = need(t, "[SEP]", &status, err);
  post_processor_set(&t->post_processor, cls, sep, -1, 1);
  return status;
}

/* T5: the table of characters, words at white space, and 100 sentinels behind the pieces. */
static enum status build_t5(struct tokenizer *t, const struct spm *spm, const json_t *config, struct error *err) {
  enum { SENTINELS = 100 };
  (void)config;
  enum status status = add_charsmap(t, spm, NORMALIZER_PRECOMPILED, err);
  if (status)
    return status;
  CHECK(pre_tokenizer_add_split(&t->pre_tokenizer, pattern_space, SPLIT_REMOVED) &&
        pre_tokenizer_add_metaspace(&t->pre_tokenizer, METASPACE, PREPEND_ALWAYS, true) &&
        decoder_add(&t->decoder,
                    (struct decoder_step){.kind = DECODER_METASPACE, .content = METASPACE, .drops_first = true}));
  t->unigram.byte_fallback = false;
  status = tokenizer_add_kinds(t, spm->kinds, true, err);
  for (int i = SENTINELS - 1; !status && i >= 0; i--) {
    char name[24];
    snprintf(name, sizeof name, "<extra_id_%d>", i);
    status = add_special(t, name, err);
  }
  int32_t end = need(t, "</s>", &status, err);
  post_processor_set(&t->post_processor, -1, end, -1, 0);
  return status;
}

/* LlamaTokenizer of transformers 5: one space before the text, bytes for what is no piece. */
static enum status build_llama(struct tokenizer *t, const struct spm *spm, const json_t *config, struct error *err) {
  bool prefix, bos, eos;
  enum status status = component_bool(&prefix, config, "add_prefix_space", true, "tokenizer_config.json", err);
  if (!status)
    status = component_bool(&bos, config, "add_bos_token", false, "tokenizer_config.json", err);
  if (!status)
    status = component_bool(&eos, config, "add_eos_token", false, "tokenizer_config.json", err);
  if (!status)
    status = tokenizer_add_kinds(t, spm->kinds, true, err);
  if (status)
    return status;
  CHECK(pre_tokenizer_add_metaspace(&t->pre_tokenizer, METASPACE, prefix ? PREPEND_FIRST : PREPEND_NEVER, false) &&
        decoder_add_sentencepiece(&t->decoder, prefix));
  int32_t before = bos ? need(t, "<s>", &status, err) : -1, after = eos ? need(t, "</s>", &status, err) : -1;
  post_processor_set(&t->post_processor, before, after, before, 1);
  return status;
}

static enum status build(struct tokenizer *t, const struct spm *spm, const char *architecture, const json_t *config,
                         struct error *err) {
  static const struct {
    const char *architecture;
    uint64_t model_type;
    enum status (*build)(struct tokenizer *t, const struct spm *spm, const json_t *config, struct error *err);
  } known[] = {
      {"deberta-v2", MODEL_UNIGRAM, build_deberta},
      {"t5", MODEL_UNIGRAM, build_t5},
      {"mt5", MODEL_UNIGRAM, build_t5},
      {"umt5", MODEL_UNIGRAM, build_t5},
      {"llama", MODEL_BPE, build_llama},
  };
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (strcmp(architecture, known[i].architecture) == 0 && spm->model_type == known[i].model_type)
      return known[i].build(t, spm, config, err);
  return error_set(err, STATUS_MODEL_INVALID, NULL,
                   "a SentencePiece model of type %llu for the model_type \"%.60s\" is not supported without a "
                   "tokenizer.json",
                   (unsigned long long)spm->model_type, architecture);
}

enum status tokenizer_build_spm(struct tokenizer *t, const char *bytes, size_t length, const char *architecture,
                                const json_t *config, struct error *err) {
  struct spm spm = {.model_type = MODEL_UNIGRAM, .unknown = -1, .adds_prefix = true, .removes_spaces = true};
  enum status status = read_spm(&spm, &t->vocab, bytes, length, err);
  if (!status)
    status = build_model(t, &spm, err);
  if (!status)
    status = build(t, &spm, architecture, config, err);
  if (!status)
    tokenizer_find_pad(t);
  free(spm.scores);
  free(spm.kinds);
  return status;
}

enum status tokenizer_read_spm(struct tokenizer *t, const char *path, const struct tokenizer_config *config,
                               struct error *err) {
  json_t *added = NULL;
  char *bytes = NULL;
  size_t length;
  const char *architecture = json_string_value(json_object_get(config->model, "model_type"));
  if (config->class == TOKENIZER_CLASS_LLAMA)
    architecture = "llama";
  else if (architecture && strcmp(architecture, "llama") == 0)
    return error_set(err, STATUS_MODEL_INVALID, "tokenizer_class",
                     "%s: without a tokenizer.json it needs the tokenizer_class LlamaTokenizer", path);
  enum status status = file_read(&bytes, &length, path, TOKENIZER_FILE_BYTES_MAX, err);
  if (status)
    return status;
  status = tokenizer_build_spm(t, bytes, length, architecture ? architecture : "", config->settings, err);
  free(bytes);
  if (!status)
    status = tokenizer_class_added(&added, NULL, config, err);
  if (!status)
    status = tokenizer_read_added(t, added, false, err);
  json_decref(added);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}
