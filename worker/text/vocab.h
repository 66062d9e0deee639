/* The tokens of a model by id and by text. A byte-level model writes its tokens in an alphabet of 256
   printable characters, one for each byte; here its words are looked up by the bytes themselves. */
#ifndef WORKER_TEXT_VOCAB_H
#define WORKER_TEXT_VOCAB_H

#include "base/error.h"
#include "base/str.h"
#include "worker/text/trie.h"

enum { VOCAB_ID_MAX = 1 << 24, VOCAB_TOKEN_BYTES_MAX = 4096 };

struct vocab_entry {
  uint32_t at, length; /* in the texts */
  bool used, special, added;
};

struct vocab {
  bool byte_level;
  struct trie trie;
  uint32_t whole; /* root: every token of the model; bytes in place of characters when byte_level */
  uint32_t rest;  /* root: WordPiece's entries that continue a word, without their prefix; byte-level: tokens
                     that have other characters than the alphabet's */
  struct str texts;
  struct vocab_entry *entries;
  size_t count, size; /* the largest id + 1 */
};

NODISCARD bool vocab_init(struct vocab *vocab);
void vocab_done(struct vocab *vocab);
/* A token of the model. */
NODISCARD enum status vocab_add(struct vocab *vocab, const char *token, size_t length, int64_t id, struct error *err);
/* Names an id without making it the model's: for added tokens. */
NODISCARD enum status vocab_name(struct vocab *vocab, const char *token, size_t length, int64_t id, bool special,
                                 struct error *err);
/* -1: not a token of the model. */
int32_t vocab_id(const struct vocab *vocab, const char *token, size_t length);
/* NULL: no such id. */
const char *vocab_text(const struct vocab *vocab, int32_t id, size_t *length);

/* The byte that a character of the alphabet stands for, or -1; the character of a byte. */
int vocab_byte(uint32_t c);
uint32_t vocab_char(unsigned char byte);

#endif
