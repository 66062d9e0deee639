/* A text on its way through a tokenizer: the normalized bytes, each aligned with the bytes of the original that it
   stands for; and the splits that it is cut into. Both grow; a failed append makes the later ones do nothing, so that a
   caller may look at `failed` once. */
#ifndef WORKER_TEXT_NORMALIZED_STRING_H
#define WORKER_TEXT_NORMALIZED_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Longer texts cannot be encoded: offsets have 32 bits, and normal forms must fit, too. */
enum { NORMALIZED_BYTES_MAX = 1 << 30 };

/* Bytes start .. end of the original. */
struct alignment {
  uint32_t start, end;
};

struct normalized_string {
  char *bytes;                  /* valid UTF-8 */
  struct alignment *alignments; /* [length] all bytes of a character have the same */
  size_t length, size;
  size_t max;  /* of the length; 0: NORMALIZED_BYTES_MAX */
  bool failed; /* memory or the maximum exceeded */
  bool full;   /* it was the maximum */
};

void normalized_done(struct normalized_string *text);
/* Keeps the memory. */
void normalized_clear(struct normalized_string *text);
void normalized_add(struct normalized_string *text, const char *bytes, size_t length, struct alignment alignment);
void normalized_add_char(struct normalized_string *text, uint32_t c, struct alignment alignment);
/* `length` bytes of the original, which lie there at `offset`. */
void normalized_add_raw(struct normalized_string *text, const char *bytes, size_t length, size_t offset);
/* Bytes `start` .. `end` of another text with their alignments. */
void normalized_add_part(struct normalized_string *text, const struct normalized_string *from, size_t start,
                         size_t end);

/* NormalizedString.transform of the library, character by character: what is put is aligned as the
   character that it replaces, what is inserted as the character before. */
struct transform {
  struct normalized_string *out;
  const struct normalized_string *from;
  size_t at; /* the next byte of `from` to be replaced */
};
/* change 0: `c` replaces the next character; n > 0: it is inserted; n < 0: it replaces the next one,
   and -n further ones are dropped. */
void transform_put(struct transform *transform, uint32_t c, int change);
void transform_skip(struct transform *transform, int characters);

struct split {
  size_t start, end; /* of a text */
  int32_t id;        /* of the token it is, or -1: text yet to be encoded */
};

struct split_list {
  struct split *items;
  size_t count, size;
  bool failed; /* memory ran out */
};

void split_list_done(struct split_list *list);
void split_list_clear(struct split_list *list);
/* Empty splits that are text are left out. */
void split_list_add(struct split_list *list, size_t start, size_t end, int32_t id);

#endif
