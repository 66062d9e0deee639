/* Properties of code points as the `tokenizers` library sees them: utf8proc's tables, corrected where
   that library's own (older or newer) Unicode tables differ (unicode_tables.inc). */
#ifndef WORKER_TEXT_UNICODE_H
#define WORKER_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNICODE_DECOMPOSED_MAX = 18, UNICODE_LOWER_MAX = 2, UTF8_MAX = 4 };

/* The code point at `text`, which must be valid UTF-8; *length is its bytes. */
static inline uint32_t utf8_decode(const char *text, size_t *length) {
  const unsigned char *p = (const unsigned char *)text;
  if (p[0] < 0x80) {
    *length = 1;
    return p[0];
  }
  if (p[0] < 0xE0) {
    *length = 2;
    return (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
  }
  if (p[0] < 0xF0) {
    *length = 3;
    return (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
  }
  *length = 4;
  return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
}

/* Writes `c` and returns its bytes. */
size_t utf8_encode(char out[UTF8_MAX], uint32_t c);

bool unicode_is_space(uint32_t c);        /* White_Space */
bool unicode_is_removed(uint32_t c);      /* what BERT's clean_text drops: controls, formats, NUL, U+FFFD */
bool unicode_is_ideograph(uint32_t c);    /* BERT's "Chinese characters" */
bool unicode_is_punctuation(uint32_t c);  /* category P, and all ASCII symbols */
bool unicode_is_mark(uint32_t c);         /* category Mn */
bool unicode_is_accent(uint32_t c);       /* category M */
bool unicode_is_letter(uint32_t c);       /* \p{L} of a pre-tokenizer's regular expression */
bool unicode_is_number(uint32_t c);       /* \p{N} of one */
bool unicode_is_numeric(uint32_t c);      /* category N of the pre-tokenizer Digits */
bool unicode_is_word(uint32_t c);         /* \w of the pre-tokenizer Whitespace and of single_word */
unsigned unicode_class(uint32_t c);       /* canonical combining class; 0: a starter */

/* Full canonical (or compatibility) decomposition, not yet reordered; the count. */
size_t unicode_decompose(uint32_t out[UNICODE_DECOMPOSED_MAX], uint32_t c, bool compatible);
/* The primary composite of two code points, or 0. */
uint32_t unicode_compose(uint32_t a, uint32_t b);
/* Lower case without context; the count. */
size_t unicode_lower(uint32_t out[UNICODE_LOWER_MAX], uint32_t c);

#endif
