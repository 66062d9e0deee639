/* The post-processor: the template of special tokens around one text or two, and what truncation leaves of them. */
#ifndef WORKER_TEXT_POST_PROCESSOR_H
#define WORKER_TEXT_POST_PROCESSOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { POST_PROCESSOR_PIECES_MAX = 16, POST_PROCESSOR_SPECIAL_TOKENS_MAX = 8 };

enum post_processor_piece_kind { POST_PROCESSOR_SEQUENCE_A, POST_PROCESSOR_SEQUENCE_B, POST_PROCESSOR_SPECIAL_TOKEN };

struct post_processor_piece {
  enum post_processor_piece_kind kind;
  int32_t id; /* SPECIAL_TOKEN */
  int32_t type_id;
};

struct post_processor_template {
  size_t count;
  struct post_processor_piece pieces[POST_PROCESSOR_PIECES_MAX];
};

struct post_processor {
  struct post_processor_template single, pair;
  bool set; /* a template was read or set: not the bare texts */
};

/* The bare texts. */
void post_processor_init(struct post_processor *processor);
/* before A after; before A after middle B after. An id of -1: no token there. The second text's tokens, and
   the special tokens after it, have the type id `second_type_id`. */
void post_processor_set(struct post_processor *processor, int32_t before, int32_t after, int32_t middle,
                        int32_t second_type_id);
/* Reads the member "post_processor" of tokenizer.json (null: bare texts). Ids must be below vocab_size. */
NODISCARD enum status post_processor_read(struct post_processor *processor, const json_t *from, size_t vocab_size,
                                          struct error *err);

/* How many the template adds. */
size_t post_processor_special_tokens(const struct post_processor_template *t);
/* "longest_first" as the library does it: how many tokens of each text stay in `room`. */
void post_processor_truncate(size_t keep[2], size_t room);

#endif
