/* Field tables from and to JSON, and the one place that checks kinds and bounds. */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/field.h"
#include "base/json.h"

static enum status wrong_kind(struct error *err, const char *param, const char *want, const json_t *got) {
  return error_set(err, STATUS_INVALID_VALUE, param, "%s must be %s, not %s", param, want, json_kind(got));
}

/* Is `value` (of the field, its length or its count) within bounds? `what` is "", " bytes" or " items". */
static enum status check_bounds(const struct field *field, double value, const char *what, const char *param,
                                struct error *err) {
  bool exclusive = field->flags & FIELD_EXCLUSIVE;
  if (field->min == 0 && field->max == 0)
    return STATUS_OK;
  if ((exclusive ? value > field->min : value >= field->min) && value <= field->max)
    return STATUS_OK;
  const char *verb = *what ? "has" : "is", *must = *what ? "have" : "be";
  const char *least = exclusive ? "more than" : "at least";
  int digits = field->kind == FIELD_NUMBER ? 15 : 19; /* whole numbers have all theirs */
  if (isinf(field->max))
    return error_set(err, STATUS_INVALID_VALUE, param, "%s %s %.*g%s; it must %s %s %.*g%s", param, verb, digits, value,
                     what, must, least, digits, field->min, what);
  return error_set(err, STATUS_INVALID_VALUE, param, "%s %s %.*g%s; it must %s %s %.*g and at most %.*g%s", param, verb,
                   digits, value, what, must, least, digits, field->min, digits, field->max, what);
}

static enum status no_memory(struct error *err, const char *param) {
  return error_set(err, STATUS_OUT_OF_MEMORY, param, "%s does not fit into memory", param);
}

/* JSON knows one kind of number: 3.0 is an integer too. */
static bool integer_of(int64_t *out, const json_t *value) {
  if (json_is_integer(value)) {
    *out = json_integer_value(value);
    return true;
  }
  double real = json_number_value(value);
  if (!json_is_real(value) || real != floor(real) || fabs(real) > 0x1p53)
    return false;
  *out = (int64_t)real;
  return true;
}

static enum status set_choice(const struct field *field, int *at, const json_t *value, const char *param,
                              struct error *err) {
  char names[700] = ""; /* the longest list, of metrics, has 560 bytes */
  bool words = field->flags & FIELD_BOOL_WORDS;
  const char *text =
      words && json_is_boolean(value) ? json_is_true(value) ? "true" : "false" : json_string_value(value);
  if (!text)
    return wrong_kind(err, param, words ? "a string, true or false" : "a string", value);
  for (int i = 0; field->choices[i]; i++) {
    if (strcmp(field->choices[i], text) == 0) {
      *at = i;
      return STATUS_OK;
    }
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", field->choices[i]);
  }
  return error_set(err, STATUS_UNSUPPORTED_VALUE, param, "%s must be one of: %s", param, names);
}

static enum status set_string(const struct field *field, const char **at, const json_t *value, const char *param,
                              struct arena *arena, struct error *err) {
  if (!json_is_string(value))
    return wrong_kind(err, param, "a string", value);
  enum status status = check_bounds(field, (double)json_string_length(value), " bytes", param, err);
  if (status)
    return status;
  char *copy = arena_copy(arena, json_string_value(value), json_string_length(value));
  if (!copy)
    return no_memory(err, param);
  *at = copy;
  return STATUS_OK;
}

static enum status set_string_list(const struct field *field, struct string_list *at, const json_t *value,
                                   const char *param, struct arena *arena, struct error *err) {
  bool one = json_is_string(value);
  if (!one && !json_is_array(value))
    return wrong_kind(err, param, "an array of strings", value);
  size_t count = one ? 1 : json_array_size(value);
  enum status status = check_bounds(field, (double)count, " items", param, err);
  if (status)
    return status;
  struct string_list list = {.count = count, .item = count ? arena_array(arena, count, sizeof *list.item) : NULL};
  if (count && !list.item)
    return no_memory(err, param);
  for (size_t i = 0; i < count; i++) {
    const json_t *item = one ? value : json_array_get(value, i);
    if (!json_is_string(item) || json_string_length(item) == 0)
      return error_set(err, STATUS_INVALID_VALUE, param, "item %zu of %s must be a string that is not empty", i, param);
    list.item[i] = arena_copy(arena, json_string_value(item), json_string_length(item));
    if (!list.item[i])
      return no_memory(err, param);
  }
  *at = list;
  return STATUS_OK;
}

static enum status set_int_list(const struct field *field, struct int_list *at, const json_t *value, const char *param,
                                struct arena *arena, struct error *err) {
  bool one = json_is_number(value);
  if (!one && !json_is_array(value))
    return wrong_kind(err, param, "an array of integers", value);
  size_t count = one ? 1 : json_array_size(value);
  enum status status = check_bounds(field, (double)count, " items", param, err);
  if (status)
    return status;
  struct int_list list = {.count = count, .item = count ? arena_array(arena, count, sizeof *list.item) : NULL};
  if (count && !list.item)
    return no_memory(err, param);
  for (size_t i = 0; i < count; i++)
    if (!integer_of(&list.item[i], one ? value : json_array_get(value, i)))
      return error_set(err, STATUS_INVALID_VALUE, param, "item %zu of %s must be an integer", i, param);
  *at = list;
  return STATUS_OK;
}

static enum status set_number_map(const struct field *field, struct number_map *at, const json_t *value,
                                  const char *param, struct arena *arena, struct error *err) {
  if (!json_is_object(value))
    return wrong_kind(err, param, "an object of numbers", value);
  struct number_map map = {.count = 0, .item = NULL};
  size_t size = json_object_size(value);
  if (size && !(map.item = arena_array(arena, size, sizeof *map.item)))
    return no_memory(err, param);
  const char *key;
  json_t *number;
  json_object_foreach((json_t *)(uintptr_t)value, key, number) {
    char name[160];
    snprintf(name, sizeof name, "%s[\"%.80s\"]", param, key);
    if (!json_is_number(number))
      return wrong_kind(err, name, "a number", number);
    enum status status = check_bounds(field, json_number_value(number), "", name, err);
    if (status)
      return status;
    map.item[map.count] = (struct number_entry){arena_string(arena, key), json_number_value(number)};
    if (!map.item[map.count++].key)
      return no_memory(err, param);
  }
  *at = map;
  return STATUS_OK;
}

static enum status set_int(const struct field *field, int64_t *at, const json_t *value, const char *param,
                           struct error *err) {
  int64_t integer;
  if (!integer_of(&integer, value))
    return wrong_kind(err, param, "an integer", value);
  enum status status = check_bounds(field, (double)integer, "", param, err);
  if (!status)
    *at = integer;
  return status;
}

static enum status set_number(const struct field *field, double *at, const json_t *value, const char *param,
                              struct error *err) {
  if (!json_is_number(value))
    return wrong_kind(err, param, "a number", value);
  enum status status = check_bounds(field, json_number_value(value), "", param, err);
  if (!status)
    *at = json_number_value(value);
  return status;
}

enum status field_set_json(const struct field *field, void *out, const json_t *value, const char *param,
                           struct arena *arena, struct error *err) {
  void *at = (char *)out + field->offset;
  switch (field->kind) {
  case FIELD_BOOL:
    if (!json_is_boolean(value))
      return wrong_kind(err, param, "true or false", value);
    *(bool *)at = json_is_true(value);
    return STATUS_OK;
  case FIELD_INT: return set_int(field, at, value, param, err);
  case FIELD_NUMBER: return set_number(field, at, value, param, err);
  case FIELD_STRING: return set_string(field, at, value, param, arena, err);
  case FIELD_CHOICE: return set_choice(field, at, value, param, err);
  case FIELD_STRING_LIST: return set_string_list(field, at, value, param, arena, err);
  case FIELD_INT_LIST: return set_int_list(field, at, value, param, arena, err);
  case FIELD_NUMBER_MAP: return set_number_map(field, at, value, param, arena, err);
  }
  CHECK(!"a field kind");
}

enum { PARAM_SIZE = sizeof((struct error *)0)->param };

/* "path.name"; a name that does not fit (it is a stranger's) is left out. */
static void param_of(char out[PARAM_SIZE], const char *path, const char *name) {
  bool fits = strlen(path) + strlen(name) + 2 <= PARAM_SIZE;
  snprintf(out, PARAM_SIZE, "%s%s%s", path, *path ? "." : "", fits ? name : "(a long name)");
}

static bool listed(const char *const *names, const char *name) {
  for (; names && *names; names++)
    if (strcmp(*names, name) == 0)
      return true;
  return false;
}

/* A null says nothing. */
static const json_t *given(const json_t *object, const char *name) {
  const json_t *value = name ? json_object_get(object, name) : NULL;
  return json_is_null(value) ? NULL : value;
}

static void read_one(const struct field *field, void *out, const json_t *object, const char *path, struct arena *arena,
                     struct fault_list *faults) {
  char param[PARAM_SIZE];
  struct error err;
  const json_t *value = given(object, field->name), *other = given(object, field->alias);
  param_of(param, path, value || !other ? field->name : field->alias);
  if (value && other)
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s and its other name %s are both given", param, field->alias);
  if (!value)
    value = other;
  if (!value) {
    if (field->flags & FIELD_REQUIRED)
      fault_add(faults, STATUS_MISSING_PARAMETER, param, "%s is required", param);
    return;
  }
  if (field->flags & FIELD_AUTO && json_is_string(value) && strcmp(json_string_value(value), "auto") == 0)
    return;
  if (field_set_json(field, out, value, param, arena, &err))
    fault_add(faults, err.status, err.param, "%s", err.text);
}

void field_read(const struct field_table *table, void *out, const json_t *object, const char *path,
                const char *const *elsewhere, struct arena *arena, struct fault_list *faults) {
  field_defaults(table, out);
  if (!json_is_object(object)) {
    fault_add(faults, STATUS_INVALID_VALUE, path, "%s must be an object, not %s", *path ? path : "the document",
              json_kind(object));
    return;
  }
  for (size_t i = 0; i < table->count; i++)
    read_one(&table->fields[i], out, object, path, arena, faults);
  for (void *at = json_object_iter((json_t *)(uintptr_t)object); at;
       at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
    const char *name = json_object_iter_key(at);
    if (field_find(table, name) || listed(elsewhere, name))
      continue;
    char param[PARAM_SIZE], near[96] = "";
    param_of(param, path, name);
    if (faults->count < COUNT_OF(faults->item)) /* a full list only counts: thousands of strange names cost little */
      field_suggest(near, sizeof near, table, elsewhere, name);
    fault_add(faults, STATUS_UNKNOWN_PARAMETER, param, "%s is not a known parameter%s", param, near);
  }
}

static json_t *list_json(const char *const *strings, const int64_t *integers, size_t count) {
  if (count == 0)
    return json_null();
  json_t *list = json_array();
  for (size_t i = 0; i < count; i++)
    if (json_array_append_new(list, strings ? json_string(strings[i]) : json_integer(integers[i])) != 0) {
      json_decref(list);
      return NULL;
    }
  return list;
}

/* Whole numbers are written as integers: a map of ranks reads as one. */
static json_t *map_json(const struct number_map *map) {
  json_t *object = json_object();
  for (size_t i = 0; object && i < map->count; i++) {
    double value = map->item[i].value;
    bool whole = value == floor(value) && fabs(value) < 0x1p53;
    if (json_object_set_new(object, map->item[i].key, whole ? json_integer((json_int_t)value) : json_real(value)) !=
        0) {
      json_decref(object);
      return NULL;
    }
  }
  return object;
}

static json_t *choice_json(const struct field *field, int choice) {
  const char *text = field->choices[choice];
  bool truth = strcmp(text, "true") == 0;
  if (field->flags & FIELD_BOOL_WORDS && (truth || strcmp(text, "false") == 0))
    return json_boolean(truth);
  return json_string(text);
}

/* A new reference, or NULL when memory runs out. */
static json_t *value_json(const struct field *field, const void *from) {
  const void *at = (const char *)from + field->offset;
  switch (field->kind) {
  case FIELD_BOOL: return json_boolean(*(const bool *)at);
  case FIELD_INT: return json_integer(*(const int64_t *)at);
  case FIELD_NUMBER: return json_real(*(const double *)at);
  case FIELD_STRING: return *(const char *const *)at ? json_string(*(const char *const *)at) : json_null();
  case FIELD_CHOICE: return choice_json(field, *(const int *)at);
  case FIELD_STRING_LIST: {
    const struct string_list *list = at;
    return list_json(list->item, NULL, list->count);
  }
  case FIELD_INT_LIST: {
    const struct int_list *list = at;
    return list_json(NULL, list->item, list->count);
  }
  case FIELD_NUMBER_MAP: return map_json(at);
  }
  CHECK(!"a field kind");
}

/* Nullable members are integers and numbers whose default says "not set". */
static bool at_default(const struct field *field, const void *from) {
  struct field moved = *field;
  moved.offset = 0;
  struct field_table one = {.fields = &moved, .count = 1};
  const void *at = (const char *)from + field->offset;
  int64_t integer;
  double number;
  if (field->kind == FIELD_INT) {
    field_defaults(&one, &integer);
    return integer == *(const int64_t *)at;
  }
  if (field->kind != FIELD_NUMBER)
    return false;
  field_defaults(&one, &number);
  return number == *(const double *)at;
}

json_t *field_write(const struct field_table *table, const void *from) {
  json_t *object = json_object();
  for (size_t i = 0; object && i < table->count; i++) {
    const struct field *field = &table->fields[i];
    bool null = field->flags & FIELD_NULLABLE && at_default(field, from);
    if (json_object_set_new(object, field->name, null ? json_null() : value_json(field, from)) != 0) {
      json_decref(object);
      return NULL;
    }
  }
  return object;
}

json_t *field_default_json(const struct field *field) {
  union {
    bool boolean;
    int64_t integer;
    double number;
    const char *string;
    int choice;
    struct string_list strings;
    struct int_list integers;
    struct number_map numbers;
  } value;
  struct field moved = *field;
  moved.offset = 0;
  const struct field_table table = {.fields = &moved, .count = 1};
  field_defaults(&table, &value);
  return field->flags & FIELD_NULLABLE ? json_null() : value_json(&moved, &value);
}
