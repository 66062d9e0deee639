/* The decoder: steps from the texts of tokens to the text that they make, each a list of strings made
   into another. */
#ifndef WORKER_TEXT_DECODER_H
#define WORKER_TEXT_DECODER_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "worker/text/pattern.h"

enum decoder_kind {
  DECODER_BYTE_LEVEL,
  DECODER_WORDPIECE,
  DECODER_METASPACE,
  DECODER_BPE,
  DECODER_REPLACE,
  DECODER_BYTE_FALLBACK,
  DECODER_FUSE,
  DECODER_STRIP,
};

struct decoder_step {
  enum decoder_kind kind;
  struct pattern pattern; /* REPLACE */
  const char *content;    /* REPLACE; STRIP: the character; WORDPIECE: the prefix; BPE: the suffix; METASPACE */
  size_t left, right;     /* STRIP: how many at most */
  bool cleanup;           /* WORDPIECE: no space before punctuation */
  bool drops_first;       /* METASPACE: the first token's replacement is no space */
};

enum { DECODER_STEPS_MAX = 24 };

struct decoder {
  size_t count;
  bool joins; /* there is a decoder: strings are joined as they are, not with a space between them */
  struct decoder_step steps[DECODER_STEPS_MAX];
};

void decoder_done(struct decoder *decoder);
/* False when there is no room for one more. */
NODISCARD bool decoder_add(struct decoder *decoder, struct decoder_step step);
/* Replace "▁" by a space, ByteFallback, Fuse, and Strip of one leading space when `strip`. */
NODISCARD bool decoder_add_sentencepiece(struct decoder *decoder, bool strip);
/* Reads the member "decoder" of tokenizer.json (null: none). Texts live in the arena. */
NODISCARD enum status decoder_read(struct decoder *decoder, struct arena *arena, const json_t *from,
                                   struct error *err);

/* Strings end to end. */
struct decoder_list {
  struct str text;
  size_t *ends;
  size_t count, size;
};
void decoder_list_init(struct decoder_list *list);
void decoder_list_done(struct decoder_list *list);
/* Ends the string that was appended to `text`. */
void decoder_list_end(struct decoder_list *list);

/* Appends the text of the strings to `out`. False when memory runs out. */
NODISCARD bool decoder_apply(const struct decoder *decoder, struct str *out, struct decoder_list *tokens);

#endif
