/* The added vocabulary: tokens that are found in the text itself before anything else happens to it, or in its normal
   form. */
#ifndef WORKER_TEXT_ADDED_VOCABULARY_H
#define WORKER_TEXT_ADDED_VOCABULARY_H

#include "worker/text/normalized_string.h"
#include "worker/text/normalizer.h"
#include "worker/text/trie.h"
#include "worker/text/vocab.h"

enum { ADDED_TOKENS_MAX = 16384 };

struct added_token {
  int32_t id;
  bool lstrip, rstrip; /* it swallows the white space on that side */
  bool single_word;    /* not within a word */
  bool normalized;     /* looked for in the normal form, in its normal form */
  bool special;        /* left out of decoded texts */
};

struct added_vocabulary {
  struct trie trie;
  uint32_t raw, normalized; /* roots: tokens found in the text, and in its normal form; values index `tokens` */
  uint32_t names;           /* root: by text; values are ids */
  bool begins[256];         /* a key of `raw` or `normalized` begins with the byte */
  struct added_token *tokens;
  size_t count, size;
};

NODISCARD bool added_init(struct added_vocabulary *added);
void added_done(struct added_vocabulary *added);
/* The token also gets its name in the vocabulary. */
NODISCARD enum status added_add(struct added_vocabulary *added, struct vocab *vocab,
                                const struct normalizer *normalizer, const char *text, size_t length,
                                const struct added_token *token, struct error *err);
/* Cuts the tokens under `root` out of text[0..length), leftmost first, longest first; offsets of the splits
   have `base` added. */
void added_split(const struct added_vocabulary *added, uint32_t root, struct split_list *out, const char *text,
                 size_t length, size_t base);

#endif
