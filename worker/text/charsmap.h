/* SentencePiece's precompiled table of replacements: a double-array trie in 32-bit units, then the texts,
   each with a NUL. Read as hostile: every step is checked against the table's size. */
#ifndef WORKER_TEXT_CHARSMAP_H
#define WORKER_TEXT_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct charsmap {
  const unsigned char *units; /* little-endian, not aligned */
  size_t unit_count;
  const char *texts;
  size_t texts_length;
};

/* Borrows the bytes. False when they are no such table. */
NODISCARD bool charsmap_open(struct charsmap *map, const unsigned char *bytes, size_t length);
/* What stands for `chunk`: the text of the shortest key that it begins with. */
bool charsmap_find(const struct charsmap *map, const char *chunk, size_t length, const char **text,
                   size_t *text_length);
/* What stands for the longest key that `chunk` begins with, and the length of that key; 0: there is none. */
size_t charsmap_longest(const struct charsmap *map, const char *chunk, size_t length, const char **text,
                        size_t *text_length);

#endif
