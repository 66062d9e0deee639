/* Memory that is freed all at once: an arena has the lifetime of a request, a job or a step, and
   what is taken from it lives exactly as long. Not thread-safe. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct arena_block;

struct arena {
  struct arena_block *head;
  size_t used;  /* bytes handed out */
  size_t max;   /* bytes it may hand out */
};

/* An arena that may hand out `bytes_max` bytes. Allocates nothing yet. */
void arena_init(struct arena *arena, size_t bytes_max);
void arena_done(struct arena *arena);
/* Empties it but keeps the memory, as one block: an arena that is filled alike each time stops
   allocating after its second round. */
void arena_reset(struct arena *arena);

/* Takes memory for the next `bytes` bytes at once; until then nothing else is asked of the machine. False when it has
   none. */
NODISCARD bool arena_reserve(struct arena *arena, size_t bytes);
/* Zeroed memory aligned to 16 bytes; NULL when the maximum or the machine's memory is reached.
   A size of 0 gives a unique pointer. */
NODISCARD void *arena_alloc(struct arena *arena, size_t bytes);
/* The same for `count` elements, checked against overflow. */
NODISCARD void *arena_array(struct arena *arena, size_t count, size_t bytes_each);
/* Copies; the result ends with a NUL that is not counted in `length`. */
NODISCARD char *arena_copy(struct arena *arena, const char *text, size_t length);
NODISCARD char *arena_string(struct arena *arena, const char *text);
NODISCARD char *arena_format(struct arena *arena, const char *format, ...) PRINTF(2, 3);

#endif
