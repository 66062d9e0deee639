/* The frame of special tokens around one text or two, and what is cut off so that all fits in. */
#ifndef WORKER_TEXT_FRAME_H
#define WORKER_TEXT_FRAME_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { FRAME_PARTS_MAX = 16, FRAME_SPECIALS_MAX = 8 };

enum frame_kind { FRAME_FIRST, FRAME_SECOND, FRAME_SPECIAL };

struct frame_part {
  enum frame_kind kind;
  int32_t id; /* SPECIAL */
  int32_t type;
};

struct frame {
  size_t count;
  struct frame_part parts[FRAME_PARTS_MAX];
};

/* Of one text and of two. */
struct frames {
  struct frame single, pair;
  bool set; /* not the bare texts */
};

/* The bare texts. */
void frames_init(struct frames *frames);
/* before A after; before A after middle B after. An id of -1: no token there. The second text's tokens, and
   the frame's after it, have the type `second_type`. */
void frames_set(struct frames *frames, int32_t before, int32_t after, int32_t middle, int32_t second_type);
/* Reads the member "post_processor" of tokenizer.json (null: bare texts). Ids must be below vocab_size. */
NODISCARD enum status frames_read(struct frames *frames, const json_t *from, size_t vocab_size, struct error *err);

size_t frame_special_count(const struct frame *frame);
/* "longest_first" as the library does it: how many tokens of each text stay in `room`. */
void frame_truncate(size_t keep[2], size_t room);

#endif
