/* The pre-tokenizer: steps that cut the pieces of a text into smaller ones. Most of the library's
   components are a split by a pattern. */
#ifndef WORKER_TEXT_PRETOKENIZER_H
#define WORKER_TEXT_PRETOKENIZER_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "worker/text/pattern.h"
#include "worker/text/text.h"

enum pretokenizer_kind {
  PRETOKENIZER_SPLIT,
  PRETOKENIZER_SPACE,     /* ByteLevel's add_prefix_space */
  PRETOKENIZER_METASPACE, /* ' ' becomes the replacement, which is also put before a text */
};

enum split_behavior { SPLIT_REMOVED, SPLIT_ISOLATED, SPLIT_WITH_PREVIOUS, SPLIT_WITH_NEXT, SPLIT_CONTIGUOUS };
enum prepend_scheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct pretokenizer_step {
  enum pretokenizer_kind kind;
  struct pattern pattern; /* SPLIT */
  enum split_behavior behavior;
  bool invert;            /* what lies between the matches is the match */
  bool in_alphabet;       /* it comes after ByteLevel: it sees a character of the alphabet for each byte */
  const char *replacement; /* METASPACE */
  enum prepend_scheme scheme;
};

enum { PRETOKENIZER_STEPS_MAX = 24 };

struct pretokenizer {
  size_t count;
  struct pretokenizer_step steps[PRETOKENIZER_STEPS_MAX];
  bool byte_level; /* one of the steps is ByteLevel: the model sees bytes */
};

/* False when there is no room for one more. */
NODISCARD bool pretokenizer_add(struct pretokenizer *pretokenizer, struct pretokenizer_step step);
void pretokenizer_done(struct pretokenizer *pretokenizer);
NODISCARD bool pretokenizer_add_split(struct pretokenizer *pretokenizer, pattern_match *match,
                                      enum split_behavior behavior);
NODISCARD bool pretokenizer_add_bert(struct pretokenizer *pretokenizer);
/* `replacement` must live as long as the pre-tokenizer. */
NODISCARD bool pretokenizer_add_metaspace(struct pretokenizer *pretokenizer, const char *replacement,
                                          enum prepend_scheme scheme, bool split);
/* Reads the member "pre_tokenizer" of tokenizer.json (null: none). Texts live in the arena. */
NODISCARD enum status pretokenizer_read(struct pretokenizer *pretokenizer, struct arena *arena, const json_t *from,
                                        struct error *err);

/* A text with its pieces; steps go from one to the other. */
struct pretokenizer_scratch {
  struct text text[2];
  struct piece_list pieces[2];
  struct piece_list cuts; /* of one piece: id 1 marks a match */
  struct text alphabet;   /* of one piece, its spans the bytes of the piece */
  int text_now, pieces_now;
  struct pattern_scratch pattern;
};
void pretokenizer_scratch_done(struct pretokenizer_scratch *scratch);

/* Applies the steps to the pieces of text[text_now]. False when memory runs out. */
NODISCARD bool pretokenizer_apply(const struct pretokenizer *pretokenizer, struct pretokenizer_scratch *scratch);

#endif
