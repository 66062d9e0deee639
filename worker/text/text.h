/* Text on its way through a tokenizer: bytes, and for each the bytes of the original that it stands for;
   and the pieces it is cut into. Both grow; a failed append makes the later ones do nothing, so that a
   caller may look at `failed` once. */
#ifndef WORKER_TEXT_TEXT_H
#define WORKER_TEXT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Longer texts cannot be encoded: offsets have 32 bits, and normal forms must fit, too. */
enum { TEXT_BYTES_MAX = 1 << 30 };

struct span {
  uint32_t start, end;
};

struct text {
  char *bytes; /* valid UTF-8 */
  struct span *spans; /* [length] all bytes of a character have the same */
  size_t length, size;
  size_t max;  /* of the length; 0: TEXT_BYTES_MAX */
  bool failed; /* memory or the maximum exceeded */
  bool full;   /* it was the maximum */
};

void text_done(struct text *text);
/* Keeps the memory. */
void text_clear(struct text *text);
void text_add(struct text *text, const char *bytes, size_t length, struct span span);
void text_add_char(struct text *text, uint32_t c, struct span span);
/* `length` bytes of the original, which lie there at `offset`. */
void text_add_raw(struct text *text, const char *bytes, size_t length, size_t offset);
/* Bytes `start` .. `end` of another text with their spans. */
void text_add_part(struct text *text, const struct text *from, size_t start, size_t end);

/* Rewriting a text character by character, as the library does it: what is put takes the span of the
   character that it replaces, what is inserted that of the character before. */
struct rewrite {
  struct text *out;
  const struct text *from;
  size_t at; /* the next byte of `from` to be replaced */
};
/* change 0: `c` replaces the next character; n > 0: it is inserted; n < 0: it replaces the next one,
   and -n further ones are dropped. */
void rewrite_put(struct rewrite *rewrite, uint32_t c, int change);
void rewrite_skip(struct rewrite *rewrite, int characters);

struct piece {
  size_t start, end; /* of a text */
  int32_t id;        /* of the token it is, or -1: text yet to be encoded */
};

struct piece_list {
  struct piece *items;
  size_t count, size;
  bool failed; /* memory ran out */
};

void piece_list_done(struct piece_list *list);
void piece_list_clear(struct piece_list *list);
/* Empty pieces of text are left out. */
void piece_list_add(struct piece_list *list, size_t start, size_t end, int32_t id);

#endif
