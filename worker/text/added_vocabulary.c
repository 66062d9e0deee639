#include "worker/text/added_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "worker/text/unicode.h"

bool added_init(struct added_vocabulary *added) {
  *added = (struct added_vocabulary){0};
  trie_init(&added->trie);
  return trie_root(&added->trie, &added->raw) && trie_root(&added->trie, &added->normalized) &&
         trie_root(&added->trie, &added->names);
}

void added_done(struct added_vocabulary *added) {
  trie_done(&added->trie);
  free(added->tokens);
}

static enum status add_text(struct added_vocabulary *added, const struct added_token *token, const char *name,
                            size_t name_length, const char *text, size_t length, struct error *err) {
  if (length == 0)
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: \"%.*s\" is empty once normalized",
                     (int)(name_length < 60 ? name_length : 60), name);
  struct added_token *tokens = grow(added->tokens, &added->size, added->count + 1, sizeof *tokens);
  if (tokens)
    added->tokens = tokens;
  if (!tokens ||
      !trie_set(&added->trie, token->normalized ? added->normalized : added->raw, text, length,
                (int32_t)added->count) ||
      !trie_set(&added->trie, added->names, name, name_length, token->id))
    return error_no_memory(err, "the tokenizer");
  added->begins[(unsigned char)text[0]] = true;
  tokens[added->count++] = *token;
  return STATUS_OK;
}

/* A token that is listed again has the flags of the later list. */
static enum status replace(struct added_vocabulary *added, struct vocab *vocab, const char *text, size_t length,
                           const struct added_token *token, struct error *err) {
  for (size_t i = 0; i < added->count; i++) {
    if (added->tokens[i].id != token->id)
      continue;
    if (added->tokens[i].normalized != token->normalized)
      return error_set(err, STATUS_MODEL_INVALID, "added_tokens",
                       "added_tokens: \"%.*s\" is listed twice, normalized and not", (int)(length < 60 ? length : 60),
                       text);
    added->tokens[i] = *token;
  }
  vocab->entries[token->id].special = token->special;
  return STATUS_OK;
}

enum status added_add(struct added_vocabulary *added, struct vocab *vocab, const struct normalizer *normalizer,
                      const char *text, size_t length, const struct added_token *token, struct error *err) {
  struct normalizer_scratch scratch = {0};
  if (length == 0 || length > VOCAB_TOKEN_BYTES_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: the token of id %d has %zu bytes",
                     token->id, length);
  if ((size_t)token->id < vocab->count && vocab->entries[token->id].added)
    return replace(added, vocab, text, length, token, err);
  if (added->count >= ADDED_TOKENS_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: more than %d", ADDED_TOKENS_MAX);
  enum status status = vocab_name(vocab, text, length, token->id, token->special, err);
  if (!status)
    vocab->entries[token->id].added = true;
  if (!status && token->normalized) {
    pattern_scratch_start(&scratch.pattern, length);
    const struct normalized_string *normal = normalizer_apply(normalizer, &scratch, text, length, 0);
    if (normal->full || scratch.pattern.failed)
      status = error_set(err, STATUS_MODEL_INVALID, "added_tokens",
                         "added_tokens: \"%.*s\" is beyond the normalizer: it grows, or takes too many steps",
                         (int)(length < 60 ? length : 60), text);
    else if (normal->failed)
      status = error_no_memory(err, "the tokenizer");
    else
      status = add_text(added, token, text, length, normal->bytes, normal->length, err);
  } else if (!status) {
    status = add_text(added, token, text, length, text, length, err);
  }
  normalizer_scratch_done(&scratch);
  return status;
}

/* Where the character before text[at] begins. */
static size_t previous(const char *text, size_t at) {
  do
    at--;
  while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
  return at;
}

/* Where the white space at the end of text[0..length) begins, not before `low`. */
static size_t space_before(const char *text, size_t low, size_t length) {
  for (size_t at, n; length > low; length = at) {
    at = previous(text, length);
    if (!unicode_is_space(utf8_decode(text + at, &n)))
      break;
  }
  return length;
}

static size_t space_after(const char *text, size_t at, size_t length) {
  for (size_t n; at < length && unicode_is_space(utf8_decode(text + at, &n)); at += n)
    ;
  return at;
}

static bool within_word(const char *text, size_t start, size_t end, size_t length) {
  size_t n;
  return (start > 0 && unicode_is_word(utf8_decode(text + previous(text, start), &n))) ||
         (end < length && unicode_is_word(utf8_decode(text + end, &n)));
}

void added_split(const struct added_vocabulary *added, uint32_t root, struct split_list *out, const char *text,
                 size_t length, size_t base) {
  size_t start = 0, n = 0;
  for (size_t i = 0; i < length;) {
    bool begins = added->begins[(unsigned char)text[i]];
    int32_t found = begins ? trie_longest(&added->trie, root, text + i, length - i, &n) : -1;
    if (found < 0) {
      i++;
      continue;
    }
    const struct added_token *token = &added->tokens[found];
    size_t from = i, end = i + n;
    i = end;
    if (token->single_word && within_word(text, from, end, length))
      continue;
    if (token->lstrip)
      from = space_before(text, start, from);
    if (token->rstrip)
      end = space_after(text, end, length);
    if (from > start)
      split_list_add(out, base + start, base + from, -1);
    split_list_add(out, base + from, base + end, token->id);
    start = end;
    i = end;
  }
  split_list_add(out, base + start, base + length, -1);
}
