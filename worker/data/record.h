/* One record of a data file, and where its fields are. Faults are STATUS_DATASET_INVALID with the text "line L,
   column C: what" (both from 1, columns count characters) and the field as param. */
#ifndef WORKER_DATA_RECORD_H
#define WORKER_DATA_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Both from 1; the column counts characters. */
struct location {
  size_t line, column;
};

/* How often something occurs, and where first. */
struct location_count {
  size_t count;
  struct location first;
};

/* A field of a CSV or TSV record. */
struct record_value {
  const char *text; /* unquoted, NUL-terminated */
  size_t length;
  size_t line; /* where it begins */
  size_t column;
};

/* A member that is not in the line, and the one that it was made of. */
struct record_alias {
  const char *member, *source;
};

/* Valid until the next call of records_next. */
struct record {
  size_t line;          /* where it begins, from 1 */
  const json_t *object; /* JSONL; NULL otherwise */
  size_t count;         /* CSV, TSV: as many as columns */
  const struct record_value *values;
  const char *raw; /* JSONL: the line */
  size_t raw_length;
  const struct record_alias *aliases; /* JSONL: ended by a NULL member; NULL: there are none */
};

/* Where a field is: `column` is its index for CSV and TSV (-1: the record's start) and unused for JSONL,
   where the member `field` is looked up in the line. */
struct location record_location(const struct record *record, int column, const char *field);

/* Counts an occurrence there. Places cost a look through the line, so only the first is asked for. */
void record_count(struct location_count *of, const struct record *record, int column, const char *field);

/* Is a value given? null, an empty string or cell, and a member or column that is not there are not: the rule of every
   reader of data. `column` is the index of CSV and TSV, -1 where there is no such column; `name` is JSONL's member. */
bool record_given(const struct record *record, int column, const char *name);
/* A given string; NULL, of length 0, where there is none. */
const char *record_text(size_t *length, const struct record *record, int column, const char *name);
/* The fault of a value that is not given: it is absent, null or empty. */
enum status record_missing(struct error *err, const struct record *record, int column, const char *name) COLD;

/* Of a byte of text that begins in that line. */
struct location location_of_byte(const char *text, size_t offset, size_t line);

/* Sets a fault about a field: "line L, column C: ...". Returns STATUS_DATASET_INVALID. */
enum status location_fault(struct error *err, struct location place, const char *field, const char *format, ...)
    PRINTF(4, 5) COLD;
enum status record_fault(struct error *err, const struct record *record, int column, const char *field,
                         const char *format, ...) PRINTF(5, 6) COLD;

/* Characters of UTF-8 text, for columns. */
size_t record_characters(const char *text, size_t length);

#endif
