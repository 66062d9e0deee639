/* The normalizer of a tokenizer: steps, each a text rewritten into another. BertNormalizer is several. */
#ifndef WORKER_TEXT_NORMALIZER_H
#define WORKER_TEXT_NORMALIZER_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "worker/text/charsmap.h"
#include "worker/text/normal_form.h"
#include "worker/text/normalized_string.h"
#include "worker/text/pattern.h"

enum normalizer_kind {
  NORMALIZER_CLEAN_TEXT,    /* drop control characters, make every space ' ' */
  NORMALIZER_CHINESE_CHARS, /* put spaces around ideographs */
  NORMALIZER_NFC,
  NORMALIZER_NFD,
  NORMALIZER_NFKC,
  NORMALIZER_NFKD,
  NORMALIZER_BERT_STRIP_ACCENTS, /* category Mn: BertNormalizer's strip_accents */
  NORMALIZER_STRIP_ACCENTS,      /* category M: StripAccents */
  NORMALIZER_LOWERCASE,
  NORMALIZER_STRIP,
  NORMALIZER_PREPEND,
  NORMALIZER_REPLACE,
  NORMALIZER_PRECOMPILED,   /* the table of characters as the library tokenizers applies it: by grapheme clusters */
  NORMALIZER_SENTENCEPIECE, /* the same table as sentencepiece applies it: at each place the longest key */
};

struct normalizer_step {
  enum normalizer_kind kind;
  bool left, right;        /* STRIP */
  struct pattern pattern;  /* REPLACE */
  const char *content;     /* REPLACE, PREPEND */
  struct charsmap charsmap; /* PRECOMPILED, SENTENCEPIECE */
};

/* A normal form has at most so many times the bytes of its text, and so many more: what Unicode and real files need is
   far less. */
enum { NORMALIZER_STEPS_MAX = 24, NORMALIZER_GROWTH_MAX = 64, NORMALIZER_GROWTH_FREE = 8192 };

struct normalizer {
  size_t count;
  struct normalizer_step steps[NORMALIZER_STEPS_MAX];
};

/* False when there is no room for one more; the pattern of a step is then still the caller's. */
NODISCARD bool normalizer_add(struct normalizer *normalizer, struct normalizer_step step);
/* The steps of BertNormalizer. */
NODISCARD bool normalizer_add_bert(struct normalizer *normalizer, bool clean_text, bool chinese_chars,
                                   bool strip_accents, bool lowercase);
void normalizer_done(struct normalizer *normalizer);
/* Reads the member "normalizer" of tokenizer.json (null: none). Texts live in the arena. */
NODISCARD enum status normalizer_read(struct normalizer *normalizer, struct arena *arena, const json_t *from,
                                      struct error *err);

/* Buffers, reused from call to call. */
struct normalizer_scratch {
  struct normalized_string text[2];
  struct mark_run run[2];
  struct pattern_scratch pattern;
};
void normalizer_scratch_done(struct normalizer_scratch *scratch);

/* The normal form of `length` bytes of valid UTF-8 that lie at `offset` of the original: the result
   belongs to the scratch; its `failed` says that memory ran out, or with `full` that it grew too long. Time is linear
   but for sorting each run of combining marks. */
const struct normalized_string *normalizer_apply(const struct normalizer *normalizer,
                                                 struct normalizer_scratch *scratch, const char *bytes, size_t length,
                                                 size_t offset);

#endif
