/* Text of a completion as its tokens come: whole characters, and never the beginning of a text that ends it. */
#ifndef WORKER_GENERATE_DETOKENIZER_H
#define WORKER_GENERATE_DETOKENIZER_H

#include <stdint.h>

#include "base/field.h"
#include "worker/text/tokenizer.h"

struct detokenizer {
  const struct tokenizer *tokenizer;
  const struct string_list *stops; /* texts that end the completion; borrowed */
  size_t from, read;               /* tokens: text is decoded from `from`; up to `read` it was told or is pending */
  struct str pending;              /* decoded, not told yet */
  bool stopped;                    /* one of `stops` was found: it and what follows are cut off */
};

/* ids[0 .. prompt) are the prompt's: the text of a token may depend on those before it. */
void detokenizer_init(struct detokenizer *out, const struct tokenizer *tokenizer, const struct string_list *stops,
                      size_t prompt);
void detokenizer_done(struct detokenizer *detokenizer);

/* There are `count` ids now, the prompt's among them: appends to `out` what can be told; all of it with `last`. A
   character whose bytes are not complete waits for them. False when memory runs out. */
NODISCARD bool detokenizer_next(struct detokenizer *detokenizer, struct str *out, const int32_t *ids, size_t count,
                                bool last);

#endif
