/* Encoding: raw text -> added tokens cut out -> normal form -> added tokens cut out of that -> words ->
   tokens -> truncation -> post-processor. Decoding: ids -> texts of the tokens -> decoder. */
#include "worker/text/tokenizer.h"

#include <string.h>

#include "base/grow.h"
#include "worker/text/tokenizer_model.h"
#include "worker/text/unicode.h"

enum { COMPONENT_BYTES_MAX = 64 << 20 };

struct tokenizer_scratch {
  struct split_list raw;
  struct normalizer_scratch normalizer;
  struct pre_tokenizer_scratch pre_tokenizer;
  struct bpe_scratch bpe;
  struct unigram_scratch unigram;
  struct token_list list[2]; /* of the first and the second text */
};

void encoding_init(struct encoding *encoding) {
  *encoding = (struct encoding){0};
}

void encoding_done(struct encoding *encoding) {
  struct tokenizer_scratch *scratch = encoding->scratch;
  if (scratch) {
    split_list_done(&scratch->raw);
    normalizer_scratch_done(&scratch->normalizer);
    pre_tokenizer_scratch_done(&scratch->pre_tokenizer);
    bpe_scratch_done(&scratch->bpe);
    free(scratch->unigram.nodes);
    free(scratch->list[0].items);
    free(scratch->list[1].items);
    free(scratch);
  }
  free(encoding->ids);
  encoding_init(encoding);
}

struct tokenizer *tokenizer_new(void) {
  struct tokenizer *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  arena_init(&t->arena, COMPONENT_BYTES_MAX);
  bpe_init(&t->bpe);
  unigram_init(&t->unigram);
  post_processor_init(&t->post_processor);
  bool ok = vocab_init(&t->vocab);
  ok = added_init(&t->added) && ok;
  if (ok)
    return t;
  tokenizer_free(t);
  return NULL;
}

void tokenizer_free(struct tokenizer *t) {
  if (!t)
    return;
  arena_done(&t->arena);
  vocab_done(&t->vocab);
  added_done(&t->added);
  bpe_done(&t->bpe);
  unigram_done(&t->unigram);
  normalizer_done(&t->normalizer);
  pre_tokenizer_done(&t->pre_tokenizer);
  decoder_done(&t->decoder);
  free(t);
}

enum status tokenizer_finish(struct tokenizer **out, struct tokenizer *t, enum status status) {
  *out = status ? NULL : t;
  if (status)
    tokenizer_free(t);
  return status;
}

/* --- encoding ------------------------------------------------------------------------------------- */

/* The text's normal form with the added tokens cut out, as splits. */
static bool normalize(const struct tokenizer *t, struct tokenizer_scratch *scratch, const char *bytes, size_t length) {
  struct normalized_string *text = &scratch->pre_tokenizer.text[0];
  struct split_list *splits = &scratch->pre_tokenizer.splits[0];
  scratch->pre_tokenizer.text_now = scratch->pre_tokenizer.splits_now = 0;
  normalized_clear(text);
  split_list_clear(splits);
  split_list_clear(&scratch->raw);
  added_split(&t->added, t->added.raw, &scratch->raw, bytes, length, 0);
  for (size_t i = 0; i < scratch->raw.count && !text->failed; i++) {
    const struct split *split = &scratch->raw.items[i];
    size_t before = text->length;
    if (split->id >= 0) {
      normalized_add_raw(text, bytes + split->start, split->end - split->start, split->start);
      split_list_add(splits, before, text->length, split->id);
      continue;
    }
    const struct normalized_string *normal = normalizer_apply(
        &t->normalizer, &scratch->normalizer, bytes + split->start, split->end - split->start, split->start);
    text->failed = text->failed || normal->failed;
    text->full = text->full || normal->full;
    normalized_add_part(text, normal, 0, normal->length);
    if (!text->failed && normal->length)
      added_split(&t->added, t->added.normalized, splits, text->bytes + before, text->length - before, before);
  }
  return !scratch->raw.failed && !text->failed && !splits->failed;
}

static bool encode_word(const struct tokenizer *t, struct tokenizer_scratch *scratch, struct token_list *list,
                        const struct normalized_string *text, const struct split *split) {
  switch (t->kind) {
  case TOKENIZER_WORDPIECE: wordpiece_encode(&t->wordpiece, &t->vocab, list, text, split->start, split->end); break;
  case TOKENIZER_BPE: bpe_encode(&t->bpe, &t->vocab, &scratch->bpe, list, text, split->start, split->end); break;
  case TOKENIZER_UNIGRAM:
    return unigram_encode(&t->unigram, &t->vocab, &scratch->unigram, list, text, split->start, split->end);
  }
  return true;
}

static bool pre_tokenize(const struct tokenizer *t, struct tokenizer_scratch *scratch, bool word) {
  if (word && t->pre_tokenizer.byte_level && !pre_tokenizer_add_space(&scratch->pre_tokenizer))
    return false;
  return pre_tokenizer_apply(&t->pre_tokenizer, &scratch->pre_tokenizer);
}

/* `word`: one of a text that is cut into words. */
static enum status encode_text(const struct tokenizer *t, struct tokenizer_scratch *scratch, struct token_list *list,
                               const char *param, const char *bytes, size_t length, bool word, struct error *err) {
  size_t bad;
  if (!utf8_valid(bytes, length, &bad))
    return error_set(err, STATUS_DATASET_INVALID, param, "byte %zu (0x%02X) is not UTF-8", bad + 1,
                     (unsigned char)bytes[bad]);
  list->count = 0;
  pattern_scratch_start(&scratch->normalizer.pattern, length);
  pattern_scratch_start(&scratch->pre_tokenizer.pattern, length);
  list->failed = !normalize(t, scratch, bytes, length) || !pre_tokenize(t, scratch, word);
  const struct normalized_string *text = &scratch->pre_tokenizer.text[scratch->pre_tokenizer.text_now];
  const struct split_list *splits = &scratch->pre_tokenizer.splits[scratch->pre_tokenizer.splits_now];
  for (size_t i = 0; !list->failed && i < splits->count; i++) {
    const struct split *split = &splits->items[i];
    if (split->id >= 0)
      token_list_add(list, split->id, text->alignments[split->end - 1].end);
    else if (!encode_word(t, scratch, list, text, split))
      return error_set(err, STATUS_DATASET_INVALID, param,
                       "a character is not in the tokenizer's vocabulary, which has no unknown token");
  }
  if (scratch->normalizer.pattern.failed || scratch->pre_tokenizer.pattern.failed)
    return error_set(err, STATUS_MODEL_INVALID, param,
                     "a regular expression of the tokenizer's %s takes too many steps on a text of %zu bytes",
                     scratch->normalizer.pattern.failed ? "normalizer" : "pre_tokenizer", length);
  if (scratch->pre_tokenizer.text[0].full)
    return error_set(err, STATUS_MODEL_INVALID, param,
                     "the tokenizer's normalizer makes more than %d times as much of a text of %zu bytes",
                     NORMALIZER_GROWTH_MAX, length);
  if (list->failed)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to tokenise %zu bytes", length);
  return STATUS_OK;
}

static enum status prepare(struct encoding *out, struct error *err) {
  out->count = 0;
  out->truncated = false;
  out->ends = out->words = NULL;
  if (!out->scratch)
    out->scratch = calloc(1, sizeof *out->scratch);
  if (!out->scratch)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to tokenise with");
  out->scratch->list[0].count = out->scratch->list[1].count = 0;
  return STATUS_OK;
}

/* Room for `total` tokens with `arrays` numbers each. */
static enum status reserve(struct encoding *out, size_t total, size_t arrays, struct error *err) {
  int32_t *ids = grow(out->ids, &out->size, arrays * total + 1, sizeof *ids);
  if (!ids)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for %zu tokens", total);
  out->ids = ids;
  out->type_ids = ids + total;
  return STATUS_OK;
}

static void append(struct encoding *out, const struct token *tokens, size_t count, int32_t type) {
  for (size_t i = 0; i < count; i++) {
    if (out->words)
      out->words[out->count] = tokens[i].end;
    out->ids[out->count] = tokens[i].id;
    out->type_ids[out->count++] = type;
  }
}

/* Puts what is kept of the texts into the post-processor's template. */
static enum status compose(const struct tokenizer *t, struct encoding *out, bool pair, bool words, size_t max_length,
                           struct error *err) {
  const struct post_processor_template *template = pair ? &t->post_processor.pair : &t->post_processor.single;
  const struct token_list *list = out->scratch->list;
  size_t keep[2] = {list[0].count, list[1].count}, special = post_processor_special_tokens(template);
  if (max_length) {
    if (max_length < special)
      return error_set(err, STATUS_INVALID_VALUE, "max_seq_length",
                       "%zu tokens have no room for the tokenizer's %zu special tokens", max_length, special);
    if (pair)
      post_processor_truncate(keep, max_length - special);
    else if (keep[0] > max_length - special)
      keep[0] = max_length - special;
    out->truncated = keep[0] < list[0].count || keep[1] < list[1].count;
  }
  size_t total = keep[0] + keep[1] + special;
  enum status status = reserve(out, total, words ? 3 : 2, err);
  if (!status && words)
    out->words = (uint32_t *)(out->type_ids + total);
  for (size_t i = 0; !status && i < template->count; i++) {
    const struct post_processor_piece *piece = &template->pieces[i];
    const struct token token = {piece->id, WORD_NONE};
    switch (piece->kind) {
    case POST_PROCESSOR_SEQUENCE_A: append(out, list[0].items, keep[0], piece->type_id); break;
    case POST_PROCESSOR_SEQUENCE_B: append(out, list[1].items, keep[1], piece->type_id); break;
    case POST_PROCESSOR_SPECIAL_TOKEN: append(out, &token, 1, piece->type_id); break;
    }
  }
  return status;
}

enum status tokenizer_encode(const struct tokenizer *t, struct encoding *out, const char *text, size_t length,
                             const char *pair, size_t pair_length, size_t max_length, struct error *err) {
  enum status status = prepare(out, err);
  if (!status)
    status = encode_text(t, out->scratch, &out->scratch->list[0], "text", text, length, false, err);
  if (!status && pair)
    status = encode_text(t, out->scratch, &out->scratch->list[1], "text_pair", pair, pair_length, false, err);
  return status ? status : compose(t, out, pair != NULL, false, max_length, err);
}

enum status tokenizer_encode_words(const struct tokenizer *t, struct encoding *out, const struct word_text *words,
                                   size_t count, size_t max_length, struct error *err) {
  enum status status = prepare(out, err);
  if (status)
    return status;
  struct token_list *all = &out->scratch->list[0], *own = &out->scratch->list[1];
  all->failed = false;
  for (size_t w = 0; !status && w < count; w++) {
    status = encode_text(t, out->scratch, own, "tokens", words[w].text, words[w].length, true, err);
    for (size_t i = 0; !status && i < own->count; i++)
      token_list_add(all, own->items[i].id, i ? WORD_NONE : (uint32_t)w);
  }
  own->count = 0;
  if (!status && all->failed)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to tokenise %zu words", count);
  return status ? status : compose(t, out, false, true, max_length, err);
}

enum status tokenizer_encode_plain(const struct tokenizer *t, struct encoding *out, const char *text, size_t length,
                                   struct error *err) {
  enum status status = prepare(out, err);
  if (!status)
    status = encode_text(t, out->scratch, &out->scratch->list[0], "text", text, length, false, err);
  if (status)
    return status;
  const struct token_list *list = &out->scratch->list[0];
  status = reserve(out, list->count, 3, err);
  if (status)
    return status;
  append(out, list->items, list->count, 0);
  out->ends = (uint32_t *)(out->type_ids + list->count);
  for (size_t i = 0; i < list->count; i++)
    out->ends[i] = list->items[i].end;
  return STATUS_OK;
}

/* --- decoding ------------------------------------------------------------------------------------- */

bool tokenizer_decode(const struct tokenizer *t, struct str *out, const int32_t *ids, size_t count, bool skip_special) {
  struct decoder_list tokens;
  decoder_list_init(&tokens);
  for (size_t i = 0; i < count; i++) {
    size_t length;
    const char *text = vocab_text(&t->vocab, ids[i], &length);
    if (!text || (skip_special && tokenizer_is_special(t, ids[i])))
      continue;
    str_add(&tokens.text, text, length);
    decoder_list_end(&tokens);
  }
  bool ok = !tokens.text.failed && decoder_apply(&t->decoder, out, &tokens);
  decoder_list_done(&tokens);
  return ok;
}

/* --- questions ------------------------------------------------------------------------------------ */

void tokenizer_get_template(const struct tokenizer *t, struct tokenizer_template *out) {
  const struct post_processor_template *template = &t->post_processor.single;
  bool after = false;
  *out = (struct tokenizer_template){0};
  for (size_t i = 0; i < template->count; i++) {
    const struct post_processor_piece *piece = &template->pieces[i];
    if (piece->kind != POST_PROCESSOR_SPECIAL_TOKEN)
      after = true;
    else if (after)
      out->after[out->after_count++] = piece->id;
    else
      out->before[out->before_count++] = piece->id;
  }
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id) {
  return id >= 0 && (size_t)id < t->vocab.count && t->vocab.entries[id].special;
}

bool tokenizer_is_added(const struct tokenizer *t, int32_t id) {
  return id >= 0 && (size_t)id < t->vocab.count && t->vocab.entries[id].added;
}

int32_t tokenizer_vocab_size(const struct tokenizer *t) {
  return (int32_t)t->vocab.count;
}

int32_t tokenizer_pad_id(const struct tokenizer *t) {
  return t->pad;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token) {
  int32_t id = vocab_id(&t->vocab, token, strlen(token));
  return id >= 0 ? id : trie_get(&t->added.trie, t->added.names, token, strlen(token));
}

void tokenizer_find_pad(struct tokenizer *t) {
  int32_t pad = tokenizer_id(t, "[PAD]");
  if (pad < 0)
    pad = tokenizer_id(t, "<pad>");
  t->pad = pad < 0 ? 0 : pad;
}
