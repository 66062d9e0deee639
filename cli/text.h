/* Numbers, times and foreign text for people. Everything appends to a string; nothing prints. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Text that others wrote as one line that cannot drive the terminal: controls (C0, C1), marks of direction and other
   characters that are not seen become \n, \u202e, ..., bytes that are no UTF-8 \xff. All foreign text for people
   passes here. */
void text_clean(struct str *out, const char *text);
/* A value as JSON, exact, with those characters escaped in its strings. Reals have 15 digits, as the
   server writes them. `indent` 0: on one line. */
void text_json(struct str *out, const json_t *value, size_t indent);
/* "512 B", "1.5 MB" (powers of 1000). */
void text_bytes(struct str *out, uint64_t bytes);
/* "0:05", "12:34", "1:02:03"; a negative duration is "-". */
void text_duration(struct str *out, double seconds);
/* Local time, "2026-01-31 15:04:05"; 0 or less is "-". */
void text_time(struct str *out, int64_t unix_seconds);
/* "1,234,567". */
void text_count(struct str *out, uint64_t count);

/* A column of a list: its title, and how a cell is written, of that member of the item or of the item itself. */
struct text_column {
  const char *title;
  void (*cell)(struct str *out, const json_t *value);
  const char *member; /* NULL: the item */
};
/* A string or a number as it is; "-" for anything else. */
void text_cell(struct str *out, const json_t *value);
/* As text_time. */
void text_cell_time(struct str *out, const json_t *value);
/* The items of an array as aligned columns under a line of titles. */
void text_table(struct str *out, const struct text_column *columns, size_t column_count, const json_t *items);

/* A string member, or `fallback` when it is absent, null or no string. */
const char *text_member(const json_t *object, const char *key, const char *fallback);

#endif
