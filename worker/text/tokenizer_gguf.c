/* The keys tokenizer.ggml.* of a GGUF file. Every array is checked for its type, its number of items and
   the ids in it before it is used. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/text/component.h"
#include "worker/text/gguf_pre.h"
#include "worker/text/tokenizer_model.h"

#define KEY(name) "tokenizer.ggml." name

struct source {
  const struct gguf *gguf;
  const struct gguf_value *tokens;
  float *scores;        /* [vocab.count] */
  unsigned char *kinds; /* [vocab.count] */
  size_t count;
};

static bool is(struct gguf_string text, const char *name) {
  return text.length == strlen(name) && memcmp(text.text, name, text.length) == 0;
}

static enum status bad(struct error *err, const char *key, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, key, "%s %s", key, what);
}

/* An array with as many items as there are tokens; *out NULL when it is absent. */
static enum status get_column(const struct gguf_value **out, const struct source *from, const char *key,
                              enum gguf_type type, struct error *err) {
  enum status status = gguf_get_array(out, from->gguf, key, type, err);
  if (!status && *out && (*out)->count != from->count)
    return error_set(err, STATUS_MODEL_INVALID, key, "%s has %llu items for %zu tokens", key,
                     (unsigned long long)(*out)->count, from->count);
  return status;
}

static enum status read_columns(struct source *from, bool needs_scores, struct error *err) {
  const struct gguf_value *scores, *kinds;
  enum status status = get_column(&scores, from, KEY("scores"), GGUF_F32, err);
  if (!status)
    status = get_column(&kinds, from, KEY("token_type"), GGUF_I32, err);
  if (!status && needs_scores && !scores)
    return bad(err, KEY("scores"), "is missing");
  if (status)
    return status;
  from->scores = calloc(from->count + 1, sizeof *from->scores);
  from->kinds = calloc(from->count + 1, sizeof *from->kinds);
  if (!from->scores || !from->kinds)
    return error_no_memory(err, "the tokenizer");
  for (size_t i = 0; i < from->count; i++) {
    double score = scores ? gguf_item_number(scores, i) : 0, kind = kinds ? gguf_item_number(kinds, i) : PIECE_NORMAL;
    if (!isfinite(score))
      return error_set(err, STATUS_MODEL_INVALID, KEY("scores"), KEY("scores") ": item %zu is not finite", i);
    if (!(kind >= 0 && kind <= PIECE_BYTE))
      return error_set(err, STATUS_MODEL_INVALID, KEY("token_type"), KEY("token_type") ": item %zu is not a type", i);
    from->scores[i] = (float)score;
    from->kinds[i] = kind < PIECE_NORMAL ? PIECE_NORMAL : (unsigned char)kind;
  }
  return STATUS_OK;
}

/* Adds the tokens; `rename` (may be NULL) writes the name that one has in the model into `name`. */
static enum status read_tokens(struct tokenizer *t, const struct source *from,
                               size_t (*rename)(char *name, const char *token, size_t length), struct error *err) {
  char name[VOCAB_TOKEN_BYTES_MAX];
  enum status status = STATUS_OK;
  size_t at = 0;
  for (size_t id = 0; !status && id < from->count; id++) {
    struct gguf_string token = gguf_next_string(from->tokens, &at);
    const char *text = token.text;
    size_t length = token.length;
    if (!utf8_valid(text, length, NULL))
      return error_set(err, STATUS_MODEL_INVALID, KEY("tokens"), KEY("tokens") ": item %zu is not UTF-8", id);
    if (rename && length < VOCAB_TOKEN_BYTES_MAX - 2) {
      length = rename(name, text, length);
      text = name;
    }
    status = vocab_add(&t->vocab, text, length, (int64_t)id, err);
  }
  return status;
}

/* The id under `key`, which must be one of a token; -1 when there is neither it nor a fallback. */
static enum status get_id(int32_t *out, const struct source *from, const char *key, int32_t fallback,
                          struct error *err) {
  uint64_t id;
  enum status status = gguf_get_u64(&id, from->gguf, key, UINT64_MAX, err);
  *out = fallback;
  if (status)
    return status;
  /* 2^32 - 1 is how writers say -1: none. */
  if (id != UINT64_MAX && id != UINT32_MAX) {
    if (id >= from->count)
      return bad(err, key, "is beyond the vocabulary");
    *out = (int32_t)id;
  }
  if (*out >= 0 && (size_t)*out >= from->count)
    return bad(err, key, "is missing");
  return STATUS_OK;
}

/* BOS before, EOS after, as the flags say. */
static enum status read_frame(struct tokenizer *t, const struct source *from, bool bos_default, bool eos_default,
                              int32_t second_type, struct error *err) {
  bool bos, eos;
  int32_t before, after;
  enum status status = gguf_get_bool(&bos, from->gguf, KEY("add_bos_token"), bos_default, err);
  if (!status)
    status = gguf_get_bool(&eos, from->gguf, KEY("add_eos_token"), eos_default, err);
  if (!status)
    status = get_id(&before, from, KEY("bos_token_id"), -1, err);
  if (!status)
    status = get_id(&after, from, KEY("eos_token_id"), -1, err);
  if (!status && bos && before < 0)
    return bad(err, KEY("bos_token_id"), "is missing");
  if (!status && eos && after < 0)
    return bad(err, KEY("eos_token_id"), "is missing");
  if (!status && (bos || eos))
    post_processor_set(&t->post_processor, bos ? before : -1, eos ? after : -1, bos ? before : -1, second_type);
  return status;
}

/* --- gpt2: byte-level BPE ------------------------------------------------------------------------- */

static enum status add_merge(struct tokenizer *t, size_t rank, struct gguf_string merge, struct error *err) {
  char made[2 * VOCAB_TOKEN_BYTES_MAX];
  const char *space = merge.length ? memchr(merge.text, ' ', merge.length) : NULL;
  size_t left = space ? (size_t)(space - merge.text) : 0, right = space ? merge.length - left - 1 : 0;
  int32_t ids[3] = {-1, -1, -1};
  if (left && right && left + right <= VOCAB_TOKEN_BYTES_MAX && utf8_valid(merge.text, merge.length, NULL)) {
    memcpy(made, merge.text, left);
    memcpy(made + left, space + 1, right);
    ids[0] = vocab_id(&t->vocab, merge.text, left);
    ids[1] = vocab_id(&t->vocab, space + 1, right);
    ids[2] = vocab_id(&t->vocab, made, left + right);
  }
  if (ids[0] < 0 || ids[1] < 0 || ids[2] < 0)
    return error_set(err, STATUS_MODEL_INVALID, KEY("merges"),
                     KEY("merges") ": item %zu is not two tokens that make a third", rank);
  return bpe_add_merge(&t->bpe, ids[0], ids[1], (uint32_t)rank, ids[2]) ? STATUS_OK
                                                                        : error_no_memory(err, "the tokenizer");
}

static enum status read_gpt2(struct tokenizer *t, struct source *from, struct error *err) {
  const struct gguf_value *merges;
  struct gguf_string name;
  enum status status = gguf_get_string(&name, from->gguf, KEY("pre"), "default", err);
  if (status)
    return status;
  const struct gguf_pre *pre = gguf_pre_find(name);
  if (!pre)
    return error_set(err, STATUS_MODEL_INVALID, KEY("pre"), KEY("pre") ": the pre-tokenizer %.*s is not supported",
                     (int)(name.length < 60 ? name.length : 60), name.text);
  status = gguf_pre_apply(t, pre, err);
  if (status)
    return error_prefix(err, KEY("pre"));
  CHECK(decoder_add(&t->decoder, (struct decoder_step){.kind = DECODER_BYTE_LEVEL}));
  t->kind = TOKENIZER_BPE;
  t->pre_tokenizer.byte_level = t->vocab.byte_level = true;
  t->bpe.ignore_merges = pre->ignore_merges;
  status = read_tokens(t, from, NULL, err);
  if (!status)
    status = gguf_get_array(&merges, from->gguf, KEY("merges"), GGUF_STRING, err);
  if (!status && !merges)
    return bad(err, KEY("merges"), "is missing");
  if (!status && merges->count > UINT32_MAX)
    return bad(err, KEY("merges"), "has too many items");
  size_t at = 0;
  for (size_t i = 0; !status && i < merges->count; i++)
    status = add_merge(t, i, gguf_next_string(merges, &at), err);
  if (!status)
    status = tokenizer_add_kinds(t, from->kinds, true, err);
  return status ? status : read_frame(t, from, pre->bos, false, 1, err);
}

/* --- llama and t5: SentencePiece ------------------------------------------------------------------ */

static enum status read_llama(struct tokenizer *t, struct source *from, struct error *err) {
  bool prefix;
  struct normalizer_step prepend = {.kind = NORMALIZER_PREPEND, .content = METASPACE};
  struct normalizer_step space = {
      .kind = NORMALIZER_REPLACE, .pattern = {.literal = " ", .length = 1}, .content = METASPACE};
  enum status status = gguf_get_bool(&prefix, from->gguf, KEY("add_space_prefix"), true, err);
  if (status)
    return status;
  CHECK((!prefix || normalizer_add(&t->normalizer, prepend)) && normalizer_add(&t->normalizer, space) &&
        decoder_add_sentencepiece(&t->decoder, prefix));
  t->kind = TOKENIZER_BPE;
  t->bpe.fuse_unk = t->bpe.byte_fallback = true;
  status = read_tokens(t, from, NULL, err);
  if (!status)
    status = get_id(&t->bpe.unk_id, from, KEY("unknown_token_id"), 0, err);
  bpe_find_bytes(t->bpe.byte_ids, &t->vocab);
  if (!status)
    status = tokenizer_merges_from_scores(t, from->scores, from->kinds, err);
  if (!status)
    status = tokenizer_add_kinds(t, from->kinds, true, err);
  return status ? status : read_frame(t, from, true, false, 1, err);
}

static enum status read_charsmap(struct tokenizer *t, const struct source *from, struct error *err) {
  const struct gguf_value *value = gguf_find(from->gguf, KEY("precompiled_charsmap"));
  struct normalizer_step map = {.kind = NORMALIZER_PRECOMPILED};
  if (!value)
    return STATUS_OK;
  if (value->type != GGUF_ARRAY || (value->item_type != GGUF_U8 && value->item_type != GGUF_I8) ||
      value->count != value->length)
    return bad(err, KEY("precompiled_charsmap"), "must be an array of bytes");
  unsigned char *bytes = arena_alloc(&t->arena, (size_t)value->length);
  if (!bytes)
    return error_no_memory(err, "the tokenizer");
  memcpy(bytes, value->bytes, (size_t)value->length);
  if (!charsmap_open(&map.charsmap, bytes, (size_t)value->length))
    return bad(err, KEY("precompiled_charsmap"), "is damaged");
  CHECK(normalizer_add(&t->normalizer, map));
  return STATUS_OK;
}

static enum status read_t5(struct tokenizer *t, struct source *from, struct error *err) {
  bool prefix;
  enum status status = gguf_get_bool(&prefix, from->gguf, KEY("add_space_prefix"), true, err);
  if (!status)
    status = read_charsmap(t, from, err);
  if (status)
    return status;
  CHECK(pre_tokenizer_add_split(&t->pre_tokenizer, pattern_space, SPLIT_REMOVED) &&
        pre_tokenizer_add_metaspace(&t->pre_tokenizer, METASPACE, prefix ? PREPEND_ALWAYS : PREPEND_NEVER, true) &&
        decoder_add(&t->decoder,
                    (struct decoder_step){.kind = DECODER_METASPACE, .content = METASPACE, .drops_first = prefix}));
  t->kind = TOKENIZER_UNIGRAM;
  status = read_tokens(t, from, NULL, err);
  if (!status)
    status = get_id(&t->unigram.unk_id, from, KEY("unknown_token_id"), 2, err);
  for (size_t i = 0; !status && i < from->count; i++)
    if (!unigram_add(&t->unigram, (double)from->scores[i]))
      status = error_no_memory(err, "the tokenizer");
  if (!status)
    status = tokenizer_add_kinds(t, from->kinds, true, err);
  return status ? status : read_frame(t, from, false, true, 0, err);
}

/* --- bert: WordPiece ------------------------------------------------------------------------------ */

/* GGUF marks what begins a word by a leading space, the model what continues one by "##". */
static size_t bert_name(char *name, const char *token, size_t length) {
  bool bracket = length >= 2 && token[0] == '[' && token[length - 1] == ']';
  bool word = length >= 3 && memcmp(token, METASPACE, 3) == 0;
  size_t skip = word ? 3 : 0, prefix = word || bracket ? 0 : 2;
  memcpy(name, "##", prefix);
  memcpy(name + prefix, token + skip, length - skip);
  return length - skip + prefix;
}

static enum status read_bert(struct tokenizer *t, struct source *from, struct error *err) {
  enum { UNKNOWN, SEPARATOR, BOS, PADDING, MASK, CLS, COUNT };
  int32_t ids[COUNT];
  static const struct {
    const char *key;
    int32_t fallback; /* of bert-base-uncased; -1: none */
  } specials[COUNT] = {
      [UNKNOWN] = {KEY("unknown_token_id"), 100}, [SEPARATOR] = {KEY("seperator_token_id"), 102},
      [BOS] = {KEY("bos_token_id"), 101},         [PADDING] = {KEY("padding_token_id"), -1},
      [MASK] = {KEY("mask_token_id"), -1},        [CLS] = {KEY("cls_token_id"), -1},
  };
  size_t length;
  enum status status = read_tokens(t, from, bert_name, err);
  CHECK(normalizer_add_bert(&t->normalizer, true, true, true, true) && pre_tokenizer_add_bert(&t->pre_tokenizer) &&
        decoder_add(&t->decoder, (struct decoder_step){.kind = DECODER_WORDPIECE, .content = "##", .cleanup = true}));
  t->kind = TOKENIZER_WORDPIECE;
  t->wordpiece.max_input_chars_per_word = 100;
  for (size_t id = 0; !status && id < t->vocab.count; id++) {
    const char *token = vocab_text(&t->vocab, (int32_t)id, &length);
    if (length > 2 && memcmp(token, "##", 2) == 0 &&
        !trie_set(&t->vocab.trie, t->vocab.rest, token + 2, length - 2, (int32_t)id))
      status = error_no_memory(err, "the tokenizer");
  }
  for (size_t i = 0; !status && i < COUNT; i++) {
    status = get_id(&ids[i], from, specials[i].key, specials[i].fallback, err);
    if (!status && ids[i] >= 0)
      from->kinds[ids[i]] = PIECE_CONTROL;
  }
  if (!status)
    status = tokenizer_add_kinds(t, from->kinds, true, err);
  if (status)
    return status;
  t->wordpiece.unk_id = ids[UNKNOWN];
  post_processor_set(&t->post_processor, ids[CLS] < 0 ? ids[BOS] : ids[CLS], ids[SEPARATOR], -1, 1);
  return STATUS_OK;
}

/* --- opening -------------------------------------------------------------------------------------- */

static enum status read_gguf(struct tokenizer *t, struct source *from, struct error *err) {
  static const struct {
    const char *name;
    bool scores;
    enum status (*read)(struct tokenizer *t, struct source *from, struct error *err);
  } models[] = {
      {"gpt2", false, read_gpt2}, {"llama", true, read_llama}, {"bert", false, read_bert}, {"t5", true, read_t5}};
  struct gguf_string model;
  size_t i = 0;
  enum status status = gguf_get_string(&model, from->gguf, KEY("model"), "", err);
  while (!status && i < COUNT_OF(models) && !is(model, models[i].name))
    i++;
  if (!status && i == COUNT_OF(models))
    return error_set(err, STATUS_MODEL_INVALID, KEY("model"), KEY("model") ": the tokenizer \"%.*s\" is not supported",
                     (int)(model.length < 60 ? model.length : 60), model.text);
  if (!status)
    status = gguf_get_array(&from->tokens, from->gguf, KEY("tokens"), GGUF_STRING, err);
  if (!status && (!from->tokens || from->tokens->count == 0))
    return bad(err, KEY("tokens"), "is missing");
  if (!status && from->tokens->count > VOCAB_ID_MAX)
    return bad(err, KEY("tokens"), "has too many items");
  if (status)
    return status;
  from->count = (size_t)from->tokens->count;
  status = read_columns(from, models[i].scores, err);
  if (!status)
    status = models[i].read(t, from, err);
  if (!status) {
    tokenizer_find_pad(t);
    status = get_id(&t->pad, from, KEY("padding_token_id"), t->pad, err);
  }
  return status;
}

enum status tokenizer_from_gguf(struct tokenizer **out, const struct gguf *gguf, struct error *err) {
  struct source from = {.gguf = gguf};
  *out = NULL;
  struct tokenizer *t = tokenizer_new();
  if (!t)
    return error_no_memory(err, "the tokenizer");
  enum status status = read_gguf(t, &from, err);
  free(from.scores);
  free(from.kinds);
  return tokenizer_finish(out, t, status);
}
