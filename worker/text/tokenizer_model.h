/* What a tokenizer is made of: filled by tokenizer_file.c, used by tokenizer.c. */
#ifndef WORKER_TEXT_TOKENIZER_MODEL_H
#define WORKER_TEXT_TOKENIZER_MODEL_H

#include "worker/text/normalizer.h"
#include "worker/text/tokenizer.h"
#include "worker/text/trie.h"

enum {
  TOKENIZER_ID_MAX = 1 << 24,
  TOKENIZER_ADDED_MAX = 4096,
  TEMPLATE_PIECES_MAX = 16,
};

/* A token that is found in the text itself before anything else happens to it. */
struct added_token {
  int32_t id;
  bool lstrip, rstrip;  /* it swallows the white space on that side */
};

enum piece_kind { PIECE_FIRST, PIECE_SECOND, PIECE_SPECIAL };

/* One part of the frame around the texts. */
struct template_piece {
  enum piece_kind kind;
  int32_t id;    /* SPECIAL */
  int32_t type;
};

struct template {
  size_t count;
  struct template_piece pieces[TEMPLATE_PIECES_MAX];
};

struct tokenizer {
  struct normalizer normalizer;
  struct trie trie;
  uint32_t whole;       /* root: every entry of the vocabulary */
  uint32_t rest;        /* root: entries that continue a word, without their prefix */
  uint32_t raw;         /* root: added tokens matched in the raw text; values index `added` */
  uint32_t normalized;  /* root: added tokens matched in the normal form */
  size_t added_count, added_size;
  struct added_token *added;
  int32_t unknown, pad;
  size_t word_chars_max;  /* longer words are unknown */
  int32_t vocab_size;     /* largest id + 1 */
  struct template single, pair;
};

#endif
