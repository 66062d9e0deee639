/* Values given as text. Text is turned into a JSON value first: everything that checks a value is in field_json.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/field.h"

/* "true", "yes", "on", "1" and their opposites; NULL for other words. */
static json_t *bool_of(const char *text) {
  static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
  for (size_t i = 0; i < COUNT_OF(words); i++)
    if (strcmp(words[i], text) == 0)
      return json_boolean(i % 2);
  return NULL;
}

static json_t *int_of(const char *text) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  return end == text || *end || errno ? NULL : json_integer(value);
}

static json_t *number_of(const char *text) {
  char *end;
  errno = 0;
  double value = strtod(text, &end);
  return end == text || *end || errno ? NULL : json_real(value); /* json_real refuses NaN and infinity */
}

/* "a,b" as an array; each item by `item_of`. NULL when an item is not valid. */
static json_t *list_of(const char *text, json_t *(*item_of)(const char *)) {
  json_t *list = json_array();
  while (list && *text) {
    size_t length = strcspn(text, ",");
    char *item = strndup(text, length);
    json_t *value = item ? item_of(item) : NULL;
    free(item);
    if (json_array_append_new(list, value) != 0) {
      json_decref(list);
      return NULL;
    }
    text += length + (text[length] == ',');
  }
  return list;
}

static json_t *value_of(enum field_kind kind, const char *text) {
  switch (kind) {
  case FIELD_BOOL: return bool_of(text);
  case FIELD_INT: return int_of(text);
  case FIELD_NUMBER: return number_of(text);
  case FIELD_STRING: return json_string(text);
  case FIELD_CHOICE: return json_string(text);
  case FIELD_STRING_LIST: return list_of(text, json_string);
  case FIELD_INT_LIST: return list_of(text, int_of);
  case FIELD_NUMBER_MAP: return json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  }
  CHECK(!"a field kind");
}

static const char *wanted(enum field_kind kind) {
  switch (kind) {
  case FIELD_BOOL: return "true or false";
  case FIELD_INT: return "an integer";
  case FIELD_NUMBER: return "a number";
  case FIELD_STRING: return "text in UTF-8";
  case FIELD_CHOICE: return "text in UTF-8";
  case FIELD_STRING_LIST: return "words separated by commas";
  case FIELD_INT_LIST: return "integers separated by commas";
  case FIELD_NUMBER_MAP: return "a JSON object of numbers";
  }
  CHECK(!"a field kind");
}

enum status field_set_text(const struct field *field, void *out, const char *text, struct arena *arena,
                           struct error *err) {
  if (field->flags & FIELD_AUTO && strcmp(text, "auto") == 0) {
    field_defaults(&(struct field_table){.fields = field, .count = 1}, out);
    return STATUS_OK;
  }
  json_t *value = value_of(field->kind, text);
  if (!value)
    return error_set(err, STATUS_INVALID_VALUE, field->name, "%s must be %s", field->name, wanted(field->kind));
  enum status status = field_set_json(field, out, value, field->name, arena, err);
  json_decref(value);
  return status;
}
