/* WordPiece: the longest entry that begins the word, then the longest that continues it, and so on; one
   unknown token for the whole word when that fails. */
#ifndef WORKER_TEXT_WORDPIECE_H
#define WORKER_TEXT_WORDPIECE_H

#include "worker/text/normalized_string.h"
#include "worker/text/token_list.h"
#include "worker/text/vocab.h"

struct wordpiece {
  size_t max_input_chars_per_word; /* longer words are unknown */
  int32_t unk_id;
};

/* The text's bytes start .. end are a word. */
void wordpiece_encode(const struct wordpiece *wordpiece, const struct vocab *vocab, struct token_list *out,
                      const struct normalized_string *text, size_t start, size_t end);

#endif
