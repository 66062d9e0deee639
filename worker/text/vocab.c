#include "worker/text/vocab.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/grow.h"
#include "worker/text/unicode.h"

enum { TEXTS_BYTES_MAX = 256 << 20 };

bool vocab_init(struct vocab *vocab) {
  *vocab = (struct vocab){0};
  trie_init(&vocab->trie);
  str_init(&vocab->texts, TEXTS_BYTES_MAX);
  return trie_root(&vocab->trie, &vocab->whole) && trie_root(&vocab->trie, &vocab->rest);
}

void vocab_done(struct vocab *vocab) {
  trie_done(&vocab->trie);
  str_done(&vocab->texts);
  free(vocab->entries);
}

/* Printable bytes of Latin-1 stand for themselves, the other 68 are numbered from U+0100 on. */
int vocab_byte(uint32_t c) {
  if ((c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255))
    return (int)c;
  if (c >= 0x100 && c <= 0x120)
    return (int)c - 0x100;
  if (c >= 0x121 && c <= 0x142)
    return (int)c - 0x121 + 127;
  return c == 0x143 ? 173 : -1;
}

uint32_t vocab_char(unsigned char byte) {
  if (byte < 33)
    return 0x100u + byte;
  if (byte >= 127 && byte <= 160)
    return 0x121u + byte - 127u;
  return byte == 173 ? 0x143u : byte;
}

/* The bytes that a token stands for; false when it has other characters than the alphabet's. */
static bool to_bytes(char *out, size_t *count, const char *token, size_t length) {
  *count = 0;
  for (size_t i = 0, n; i < length; i += n) {
    int byte = vocab_byte(utf8_decode(token + i, &n));
    if (byte < 0)
      return false;
    out[(*count)++] = (char)byte;
  }
  return true;
}

enum status vocab_name(struct vocab *vocab, const char *token, size_t length, int64_t id, bool special,
                       struct error *err) {
  if (id < 0 || id >= VOCAB_ID_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: \"%.*s\" has the id %" PRId64,
                     (int)(length < 60 ? length : 60), token, id);
  if (length > VOCAB_TOKEN_BYTES_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: the entry of id %" PRId64 " has %zu bytes", id,
                     length);
  size_t at = vocab->texts.length;
  struct vocab_entry *entries = grow(vocab->entries, &vocab->size, (size_t)id + 1, sizeof *entries);
  if (!entries || !str_add(&vocab->texts, token, length))
    return error_no_memory(err, "the tokenizer");
  vocab->entries = entries;
  for (; vocab->count <= (size_t)id; vocab->count++)
    entries[vocab->count] = (struct vocab_entry){0};
  entries[id] = (struct vocab_entry){(uint32_t)at, (uint32_t)length, true, special, false};
  return STATUS_OK;
}

enum status vocab_add(struct vocab *vocab, const char *token, size_t length, int64_t id, struct error *err) {
  char bytes[VOCAB_TOKEN_BYTES_MAX];
  size_t count;
  enum status status = vocab_name(vocab, token, length, id, false, err);
  if (status)
    return status;
  bool mapped = vocab->byte_level && to_bytes(bytes, &count, token, length);
  bool ok = mapped ? trie_set(&vocab->trie, vocab->whole, bytes, count, (int32_t)id)
                   : trie_set(&vocab->trie, vocab->byte_level ? vocab->rest : vocab->whole, token, length, (int32_t)id);
  return ok ? STATUS_OK : error_no_memory(err, "the tokenizer");
}

int32_t vocab_id(const struct vocab *vocab, const char *token, size_t length) {
  char bytes[VOCAB_TOKEN_BYTES_MAX];
  size_t count;
  if (!vocab->byte_level)
    return trie_get(&vocab->trie, vocab->whole, token, length);
  if (length <= VOCAB_TOKEN_BYTES_MAX && to_bytes(bytes, &count, token, length))
    return trie_get(&vocab->trie, vocab->whole, bytes, count);
  return trie_get(&vocab->trie, vocab->rest, token, length);
}

const char *vocab_text(const struct vocab *vocab, int32_t id, size_t *length) {
  if (id < 0 || (size_t)id >= vocab->count || !vocab->entries[id].used)
    return NULL;
  *length = vocab->entries[id].length;
  return vocab->texts.text + vocab->entries[id].at;
}
