#include "worker/data/record.h"

#include <stdio.h>
#include <string.h>

size_t record_characters(const char *text, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++)
    count += ((unsigned char)text[i] & 0xC0) != 0x80;
  return count;
}

static enum status fault_at(struct error *err, size_t line, size_t column, const char *field, const char *format,
                            va_list args) {
  char what[400];
  vsnprintf(what, sizeof what, format, args);
  return error_set(err, STATUS_DATASET_INVALID, field, "line %zu, column %zu: %s", line, column, what);
}

/* The column at which the value of `field` begins in a line that holds a JSON object, or 1. Jansson
   has parsed the line, so brackets and quotes are known to match. */
static size_t json_column(const char *text, size_t length, const char *field) {
  size_t depth = 0, name_length = field ? strlen(field) : 0;
  for (size_t i = 0; field && i < length; i++) {
    char c = text[i];
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
    if (c != '"')
      continue;
    size_t open = i + 1;
    for (i = open; i < length && text[i] != '"'; i++)
      i += text[i] == '\\';
    size_t after = i + 1;
    while (after < length && strchr(" \t\r", text[after]))
      after++;
    if (depth == 1 && after < length && text[after] == ':' && i - open == name_length &&
        memcmp(text + open, field, name_length) == 0) {
      for (after++; after < length && strchr(" \t\r", text[after]);)
        after++;
      return record_characters(text, after) + 1;
    }
  }
  return 1;
}

struct location record_location(const struct record *record, int column, const char *field) {
  for (const struct record_alias *alias = record->aliases; field && alias && alias->member; alias++)
    if (strcmp(alias->member, field) == 0) {
      field = alias->source;
      break;
    }
  if (record->object)
    return (struct location){record->line, json_column(record->raw, record->raw_length, field)};
  if (column >= 0)
    return (struct location){record->values[column].line, record->values[column].column};
  return (struct location){record->line, 1};
}

bool record_given(const struct record *record, int column, const char *name) {
  if (!record->object)
    return column >= 0 && record->values[column].length > 0;
  const json_t *value = json_object_get(record->object, name);
  return value && !json_is_null(value) && !(json_is_string(value) && json_string_length(value) == 0);
}

const char *record_text(size_t *length, const struct record *record, int column, const char *name) {
  const json_t *value = record->object ? json_object_get(record->object, name) : NULL;
  *length = 0;
  if (!record_given(record, column, name) || (record->object && !json_is_string(value)))
    return NULL;
  *length = record->object ? json_string_length(value) : record->values[column].length;
  return record->object ? json_string_value(value) : record->values[column].text;
}

void record_count(struct location_count *of, const struct record *record, int column, const char *field) {
  if (of->count++ == 0)
    of->first = record_location(record, column, field);
}

enum status record_missing(struct error *err, const struct record *record, int column, const char *name) {
  const json_t *value = record->object ? json_object_get(record->object, name) : NULL;
  if (record->object && !value)
    return record_fault(err, record, -1, name, "no member %.60s", name);
  return record_fault(err, record, column, name, "%.60s is %s", name, json_is_null(value) ? "null" : "empty");
}

enum status location_fault(struct error *err, struct location place, const char *field, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fault_at(err, place.line, place.column, field, format, args);
  va_end(args);
  return STATUS_DATASET_INVALID;
}

enum status record_fault(struct error *err, const struct record *record, int column, const char *field,
                         const char *format, ...) {
  struct location place = record_location(record, column, field);
  va_list args;
  va_start(args, format);
  fault_at(err, place.line, place.column, field, format, args);
  va_end(args);
  return STATUS_DATASET_INVALID;
}

struct location location_of_byte(const char *text, size_t offset, size_t line) {
  size_t begin = 0;
  for (size_t i = 0; i < offset; i++)
    if (text[i] == '\n') {
      line++;
      begin = i + 1;
    }
  return (struct location){line, record_characters(text + begin, offset - begin) + 1};
}
