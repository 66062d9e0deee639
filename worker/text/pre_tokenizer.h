/* The pre-tokenizer: steps that cut the splits of a text into smaller ones. Most of the library's
   components are a split by a pattern. */
#ifndef WORKER_TEXT_PRE_TOKENIZER_H
#define WORKER_TEXT_PRE_TOKENIZER_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "worker/text/normalized_string.h"
#include "worker/text/pattern.h"

enum pre_tokenizer_kind {
  PRE_TOKENIZER_SPLIT,
  PRE_TOKENIZER_ADD_PREFIX_SPACE, /* ByteLevel's add_prefix_space */
  PRE_TOKENIZER_METASPACE,        /* ' ' becomes the replacement, which is also put before a text */
};

enum split_behavior {
  SPLIT_REMOVED,
  SPLIT_ISOLATED,
  SPLIT_MERGED_WITH_PREVIOUS,
  SPLIT_MERGED_WITH_NEXT,
  SPLIT_CONTIGUOUS
};
enum prepend_scheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct pre_tokenizer_step {
  enum pre_tokenizer_kind kind;
  struct pattern pattern; /* SPLIT */
  enum split_behavior behavior;
  bool invert;             /* what lies between the matches is the match */
  bool in_alphabet;        /* it comes after ByteLevel: it sees a character of the alphabet for each byte */
  const char *replacement; /* METASPACE */
  enum prepend_scheme scheme;
};

enum { PRE_TOKENIZER_STEPS_MAX = 24 };

struct pre_tokenizer {
  size_t count;
  struct pre_tokenizer_step steps[PRE_TOKENIZER_STEPS_MAX];
  bool byte_level; /* one of the steps is ByteLevel: the model sees bytes */
};

/* False when there is no room for one more. */
NODISCARD bool pre_tokenizer_add(struct pre_tokenizer *pre_tokenizer, struct pre_tokenizer_step step);
void pre_tokenizer_done(struct pre_tokenizer *pre_tokenizer);
NODISCARD bool pre_tokenizer_add_split(struct pre_tokenizer *pre_tokenizer, pattern_match *match,
                                       enum split_behavior behavior);
NODISCARD bool pre_tokenizer_add_bert(struct pre_tokenizer *pre_tokenizer);
/* `replacement` must live as long as the pre-tokenizer. */
NODISCARD bool pre_tokenizer_add_metaspace(struct pre_tokenizer *pre_tokenizer, const char *replacement,
                                           enum prepend_scheme scheme, bool split);
/* Reads the member "pre_tokenizer" of tokenizer.json (null: none). Texts live in the arena. */
NODISCARD enum status pre_tokenizer_read(struct pre_tokenizer *pre_tokenizer, struct arena *arena, const json_t *from,
                                         struct error *err);

/* A text with its splits; steps go from one to the other. */
struct pre_tokenizer_scratch {
  struct normalized_string text[2];
  struct split_list splits[2];
  struct split_list cuts;            /* of one split: id 1 marks a match */
  struct normalized_string alphabet; /* of one split, its alignments the bytes of the split */
  int text_now, splits_now;
  struct pattern_scratch pattern;
};
void pre_tokenizer_scratch_done(struct pre_tokenizer_scratch *scratch);

/* Puts a space before each split that begins with none and is no added token: what ByteLevel's add_prefix_space does,
   whatever the file says. */
NODISCARD bool pre_tokenizer_add_space(struct pre_tokenizer_scratch *scratch);
/* Applies the steps to the splits of text[text_now]. False when memory runs out. */
NODISCARD bool pre_tokenizer_apply(const struct pre_tokenizer *pre_tokenizer, struct pre_tokenizer_scratch *scratch);

#endif
