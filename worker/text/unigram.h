/* Unigram: the way through a word whose tokens' scores add up to the most. A character that is no token
   costs more than any token; neighbours that are unknown become one. */
#ifndef WORKER_TEXT_UNIGRAM_H
#define WORKER_TEXT_UNIGRAM_H

#include "worker/text/normalized_string.h"
#include "worker/text/token_list.h"
#include "worker/text/vocab.h"

struct unigram {
  double *scores; /* [count] by id */
  size_t count, size;
  double min_score; /* the lowest score */
  int32_t unk_id;   /* -1: text that needs it cannot be encoded */
  bool byte_fallback;
  int32_t byte_ids[256]; /* of <0x00> .. <0xFF>; -1: there is none */
};

void unigram_init(struct unigram *unigram);
void unigram_done(struct unigram *unigram);
/* The score of the next id. False when memory runs out. */
NODISCARD bool unigram_add(struct unigram *unigram, double score);

struct unigram_node { /* the best way to here */
  double score;
  size_t starts_at; /* SIZE_MAX: none yet */
  int32_t id;
};

struct unigram_scratch {
  struct unigram_node *nodes;
  size_t size;
};

/* The text's bytes start .. end are a word. False when a character is unknown and there is no unknown token. */
NODISCARD bool unigram_encode(const struct unigram *unigram, const struct vocab *vocab, struct unigram_scratch *scratch,
                              struct token_list *out, const struct normalized_string *text, size_t start, size_t end);

#endif
