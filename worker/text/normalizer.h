/* BertNormalizer: cleans text, isolates ideographs, strips accents, lowers case. */
#ifndef WORKER_TEXT_NORMALIZER_H
#define WORKER_TEXT_NORMALIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct normalizer {
  bool clean_text;     /* drop control characters, make every space ' ' */
  bool chinese_chars;  /* put spaces around ideographs */
  bool strip_accents;  /* NFD, then drop non-spacing marks */
  bool lowercase;
};

/* Combining marks that wait to be put in order; reused from call to call. */
struct mark_run {
  uint64_t *marks;  /* class << 53 | arrival << 21 | code point */
  size_t count, size;
};

/* Appends the normal form of `text`, which must be valid UTF-8, to `out`. Time is linear in `length`
   but for sorting each run of marks. False when memory (or out's maximum) runs out. */
NODISCARD bool normalize(const struct normalizer *how, struct str *out, struct mark_run *run, const char *text,
                         size_t length);

#endif
