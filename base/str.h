/* A growing byte string with a mandatory maximum. Always NUL-terminated; may hold NUL bytes. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct str {
  char *text;     /* never NULL after str_init: points at "" while empty */
  size_t length;  /* bytes, without the NUL */
  size_t size;    /* allocated bytes */
  size_t max;     /* length never exceeds this */
  bool failed;    /* an append did not fit or memory ran out; later appends do nothing */
};

void str_init(struct str *s, size_t length_max);
void str_done(struct str *s);
void str_clear(struct str *s);  /* keeps the memory, clears `failed` */

/* Appends. False, and `failed` set, when the maximum or memory is exceeded: a caller that builds a
   long text may ignore each result and look at `failed` once. */
bool str_add(struct str *s, const char *bytes, size_t length);
bool str_puts(struct str *s, const char *text);
bool str_putc(struct str *s, char c);
/* Text that becomes a string of JSON, which has no NUL here: U+FFFD in the place of each. */
bool str_add_json_text(struct str *s, const char *text, size_t length);
bool str_printf(struct str *s, const char *format, ...) PRINTF(2, 3);
/* A field of CSV (RFC 4180): what has a comma, a quote or a line end is quoted. */
bool str_csv(struct str *s, const char *text);

/* Gives the text away: the caller frees it; the string is empty again. NULL if it failed. */
NODISCARD char *str_take(struct str *s, size_t *length);

/* Is `text` (length bytes) well-formed UTF-8 (no surrogates, no overlong forms)? When not,
   *bad is the offset of the first byte that is wrong. `bad` may be NULL. */
bool utf8_valid(const char *text, size_t length, size_t *bad);

static inline bool ascii_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Where `name` stands among the names; -1: nowhere, or it is NULL. */
int str_index(const char *const *names, size_t count, const char *name);

/* Levenshtein distance, for "did you mean": at most `limit` + 1 is returned. */
size_t str_distance(const char *a, const char *b, size_t limit);
/* Takes `candidate` as the best so far where it is nearer to `name` than *distance, which is then its own. */
void str_nearer(const char **best, size_t *distance, const char *candidate, const char *name);

#endif
