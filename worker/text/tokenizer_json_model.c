/* The model of tokenizer.json: WordPiece, BPE or Unigram with its vocabulary. */
#include <string.h>

#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/tokenizer_model.h"

enum { WORD_CHARS_MAX = 1000 };

static const char name[] = "model";

/* The vocabulary {"token": id, ...}. */
static enum status read_vocab(struct tokenizer *t, const json_t *model, struct error *err) {
  json_t *vocab = json_object_get(model, "vocab"), *id;
  const char *token;
  if (!json_is_object(vocab) || json_object_size(vocab) == 0)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "model: vocab must be an object of tokens");
  json_object_foreach(vocab, token, id) {
    if (!json_is_integer(id))
      return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: \"%.60s\" has %s for an id", token, json_kind(id));
    enum status status = vocab_add(&t->vocab, token, strlen(token), json_integer_value(id), err);
    if (status)
      return status;
  }
  return STATUS_OK;
}

static enum status find_unknown(int32_t *out, const struct vocab *vocab, const char *unknown, struct error *err) {
  *out = vocab_id(vocab, unknown, strlen(unknown));
  if (*out < 0)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: the unknown token \"%.60s\" is not in it", unknown);
  return STATUS_OK;
}

/* --- WordPiece ------------------------------------------------------------------------------------ */

/* Entries with the prefix continue a word. */
static enum status add_rest(struct vocab *vocab, const char *prefix, struct error *err) {
  size_t skip = strlen(prefix), length;
  for (size_t id = 0; id < vocab->count; id++) {
    const char *token = vocab_text(vocab, (int32_t)id, &length);
    if (token && length > skip && memcmp(token, prefix, skip) == 0 &&
        !trie_set(&vocab->trie, vocab->rest, token + skip, length - skip, (int32_t)id))
      return error_no_memory(err, "the tokenizer");
  }
  return STATUS_OK;
}

static enum status read_wordpiece(struct tokenizer *t, const json_t *model, struct error *err) {
  const char *prefix, *unknown;
  int64_t chars;
  enum status status = component_string(&prefix, &t->arena, model, "continuing_subword_prefix", "##", name, err);
  if (!status)
    status = component_string(&unknown, &t->arena, model, "unk_token", "[UNK]", name, err);
  if (!status)
    status = component_blame(err, json_get_int(&chars, model, "max_input_chars_per_word", 100, 1, WORD_CHARS_MAX, err),
                             name);
  if (status)
    return status;
  t->kind = TOKENIZER_WORDPIECE;
  t->wordpiece.max_input_chars_per_word = (size_t)chars;
  status = read_vocab(t, model, err);
  if (!status)
    status = add_rest(&t->vocab, prefix, err);
  return status ? status : find_unknown(&t->wordpiece.unk_id, &t->vocab, unknown, err);
}

/* --- BPE ------------------------------------------------------------------------------------------ */

static enum status bad_merge(struct error *err, size_t i, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, "merges", "merges: item %zu %s", i, what);
}

/* "a b" or ["a", "b"]. */
static bool split_merge(const json_t *merge, const char *parts[2], size_t lengths[2]) {
  if (json_is_array(merge) && json_array_size(merge) == 2) {
    for (size_t k = 0; k < 2; k++) {
      parts[k] = json_string_value(json_array_get(merge, k));
      lengths[k] = json_string_length(json_array_get(merge, k));
    }
    return parts[0] && parts[1];
  }
  const char *text = json_string_value(merge), *space = text ? strchr(text, ' ') : NULL;
  if (!space || strchr(space + 1, ' '))
    return false;
  parts[0] = text;
  lengths[0] = (size_t)(space - text);
  parts[1] = space + 1;
  lengths[1] = strlen(space + 1);
  return true;
}

static enum status add_merge(struct tokenizer *t, size_t rank, const json_t *merge, struct error *err) {
  char made[2 * VOCAB_TOKEN_BYTES_MAX];
  const char *parts[2];
  size_t lengths[2], skip = strlen(t->bpe.continuing_subword_prefix);
  if (!split_merge(merge, parts, lengths))
    return bad_merge(err, rank, "must be two tokens with one space between them");
  int32_t left = vocab_id(&t->vocab, parts[0], lengths[0]), right = vocab_id(&t->vocab, parts[1], lengths[1]);
  if (left < 0 || right < 0)
    return bad_merge(err, rank,
                     left < 0 ? "begins with a token that is not in the vocabulary"
                              : "ends with a token that is not in the vocabulary");
  if (lengths[1] < skip)
    return bad_merge(err, rank, "does not continue with the prefix");
  memcpy(made, parts[0], lengths[0]);
  memcpy(made + lengths[0], parts[1] + skip, lengths[1] - skip);
  int32_t id = vocab_id(&t->vocab, made, lengths[0] + lengths[1] - skip);
  if (id < 0)
    return bad_merge(err, rank, "makes a token that is not in the vocabulary");
  return bpe_add_merge(&t->bpe, left, right, (uint32_t)rank, id) ? STATUS_OK : error_no_memory(err, "the tokenizer");
}

static enum status read_bpe_options(struct tokenizer *t, const json_t *model, struct error *err) {
  struct bpe *bpe = &t->bpe;
  double dropout;
  enum status status = component_blame(err, json_get_number(&dropout, model, "dropout", 0, err), name);
  if (!status && dropout != 0)
    return error_set(err, STATUS_MODEL_INVALID, name, "model: dropout is not supported");
  if (!status)
    status = component_bool(&bpe->fuse_unk, model, "fuse_unk", false, name, err);
  if (!status)
    status = component_bool(&bpe->byte_fallback, model, "byte_fallback", false, name, err);
  if (!status)
    status = component_bool(&bpe->ignore_merges, model, "ignore_merges", false, name, err);
  if (!status)
    status =
        component_string(&bpe->continuing_subword_prefix, &t->arena, model, "continuing_subword_prefix", "", name, err);
  if (!status)
    status = component_string(&bpe->end_of_word_suffix, &t->arena, model, "end_of_word_suffix", "", name, err);
  if (!status &&
      (strlen(bpe->continuing_subword_prefix) > BPE_AFFIX_MAX || strlen(bpe->end_of_word_suffix) > BPE_AFFIX_MAX))
    return error_set(err, STATUS_MODEL_INVALID, name, "model: the prefix or suffix is longer than %d bytes",
                     BPE_AFFIX_MAX);
  return status;
}

static enum status read_bpe(struct tokenizer *t, const json_t *model, struct error *err) {
  const json_t *merges = json_object_get(model, "merges");
  const char *unknown;
  enum status status = read_bpe_options(t, model, err);
  if (!status)
    status = component_string(&unknown, &t->arena, model, "unk_token", "", name, err);
  if (!status)
    status = read_vocab(t, model, err);
  if (status)
    return status;
  t->kind = TOKENIZER_BPE;
  if (*unknown)
    status = find_unknown(&t->bpe.unk_id, &t->vocab, unknown, err);
  if (!status && !json_is_array(merges))
    return error_set(err, STATUS_MODEL_INVALID, "merges", "model: merges must be an array");
  for (size_t i = 0; !status && i < json_array_size(merges); i++) {
    const json_t *merge = json_array_get(merges, i);
    const char *text = json_string_value(merge);
    if (!text || strncmp(text, "#version", 8) != 0)
      status = add_merge(t, i, merge, err);
  }
  bpe_find_bytes(t->bpe.byte_ids, &t->vocab);
  return status;
}

/* --- Unigram -------------------------------------------------------------------------------------- */

static enum status add_piece(struct tokenizer *t, size_t id, const json_t *piece, struct error *err) {
  const json_t *token = json_array_get(piece, 0), *score = json_array_get(piece, 1);
  if (json_array_size(piece) != 2 || !json_is_string(token) || !json_is_number(score))
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: item %zu must be a token and its score", id);
  enum status status = vocab_add(&t->vocab, json_string_value(token), json_string_length(token), (int64_t)id, err);
  if (!status && !unigram_add(&t->unigram, json_number_value(score)))
    status = error_no_memory(err, "the tokenizer");
  return status;
}

static enum status read_unigram(struct tokenizer *t, const json_t *model, struct error *err) {
  const json_t *vocab = json_object_get(model, "vocab");
  int64_t unknown = -1;
  if (!json_is_array(vocab) || json_array_size(vocab) == 0)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "model: vocab must be an array of tokens with scores");
  enum status status = component_bool(&t->unigram.byte_fallback, model, "byte_fallback", false, name, err);
  if (!status)
    status = component_blame(
        err, json_get_int(&unknown, model, "unk_id", -1, 0, (int64_t)json_array_size(vocab) - 1, err), name);
  for (size_t i = 0; !status && i < json_array_size(vocab); i++)
    status = add_piece(t, i, json_array_get(vocab, i), err);
  t->kind = TOKENIZER_UNIGRAM;
  t->unigram.unk_id = (int32_t)unknown;
  bpe_find_bytes(t->unigram.byte_ids, &t->vocab);
  return status;
}

enum status tokenizer_read_model(struct tokenizer *t, const json_t *model, struct error *err) {
  const char *type;
  enum status status = component_type(&type, model, name, err);
  if (status)
    return status;
  t->vocab.byte_level = t->pre_tokenizer.byte_level;
  if (t->vocab.byte_level && strcmp(type, "BPE") != 0)
    return error_set(err, STATUS_MODEL_INVALID, name, "model: %.60s cannot follow the pre-tokenizer ByteLevel", type);
  if (strcmp(type, "WordPiece") == 0)
    return read_wordpiece(t, model, err);
  if (strcmp(type, "BPE") == 0)
    return read_bpe(t, model, err);
  if (strcmp(type, "Unigram") == 0)
    return read_unigram(t, model, err);
  return component_unsupported(name, type, err);
}
