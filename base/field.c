/* Field tables: defaults, values given as text, names and suggestions. Everything that checks a
   value is in field_json.c: text is turned into a JSON value first, so that there is one set of
   rules. */
#include "base/field.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static void set_default(const struct field *field, void *out) {
  void *at = (char *)out + field->offset;
  const char *text = field->initial;
  switch (field->kind) {
  case FIELD_BOOL: *(bool *)at = text && strcmp(text, "true") == 0; return;
  case FIELD_INT: *(int64_t *)at = text ? strtoll(text, NULL, 10) : 0; return;
  case FIELD_NUMBER: *(double *)at = text ? strtod(text, NULL) : 0; return;
  case FIELD_STRING: *(const char **)at = text; return;
  case FIELD_CHOICE:
    *(int *)at = 0;
    for (int i = 0; text && field->choices[i]; i++)
      if (strcmp(field->choices[i], text) == 0)
        *(int *)at = i;
    return;
  case FIELD_STRING_LIST: *(struct string_list *)at = (struct string_list){0}; return;
  case FIELD_INT_LIST: *(struct int_list *)at = (struct int_list){0}; return;
  case FIELD_NUMBER_MAP: *(struct number_map *)at = (struct number_map){0}; return;
  }
}

void field_defaults(const struct field_table *table, void *out) {
  for (size_t i = 0; i < table->count; i++)
    set_default(&table->fields[i], out);
}

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
    set_default(field, out);
    return STATUS_OK;
  }
  json_t *value = value_of(field->kind, text);
  if (!value)
    return error_set(err, STATUS_INVALID_VALUE, field->name, "%s must be %s", field->name, wanted(field->kind));
  enum status status = field_set_json(field, out, value, field->name, arena, err);
  json_decref(value);
  return status;
}

const struct field *field_find(const struct field_table *table, const char *name) {
  for (size_t i = 0; i < table->count; i++) {
    const struct field *field = &table->fields[i];
    if (strcmp(field->name, name) == 0 || (field->alias && strcmp(field->alias, name) == 0))
      return field;
  }
  return NULL;
}

/* Few letters differ, or the names begin alike ("hyperparams", "data_dir"). */
static void nearer(const char **best, size_t *distance, const char *candidate, const char *name) {
  enum { STEM = 4 };
  size_t stem = 0, length = strlen(name);
  while (name[stem] && name[stem] == candidate[stem])
    stem++;
  bool begins = stem >= STEM && (!candidate[stem] || 4 * stem >= 3 * length);
  if (!begins) {
    str_nearer(best, distance, candidate, name);
  } else if (*distance > 0) {
    *distance -= 1;
    *best = candidate;
  }
}

void field_suggest(char *out, size_t size, const struct field_table *table, const char *const *elsewhere,
                   const char *name) {
  /* Near: at most a third of the letters differ. */
  size_t distance = strlen(name) / 3 + 1;
  const char *best = NULL;
  for (size_t i = 0; i < table->count; i++) {
    nearer(&best, &distance, table->fields[i].name, name);
    if (table->fields[i].alias)
      nearer(&best, &distance, table->fields[i].alias, name);
  }
  for (; elsewhere && *elsewhere; elsewhere++)
    nearer(&best, &distance, *elsewhere, name);
  if (best)
    snprintf(out, size, "; did you mean %s?", best);
  else
    out[0] = '\0';
}
