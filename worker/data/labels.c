#include "worker/data/labels.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/json.h"

enum { ARENA_MAX = 64 << 20, DIGITS_MAX = 18 };

bool labels_init(struct labels *labels) {
  *labels = (struct labels){0};
  arena_init(&labels->arena, ARENA_MAX);
  trie_init(&labels->trie);
  return trie_root(&labels->trie, &labels->root);
}

void labels_done(struct labels *labels) {
  free(labels->items);
  trie_done(&labels->trie);
  arena_done(&labels->arena);
  *labels = (struct labels){0};
}

static size_t digits(const char *text) {
  size_t n = 0;
  while (text[n] >= '0' && text[n] <= '9')
    n++;
  return n;
}

/* The form of a text by JSON's grammar of numbers, so that "007", "1e", "nan" and " 1" stay strings. */
static enum label_form form_of(const char *text, size_t length) {
  const char *p = text + (*text == '-');
  size_t whole = digits(p), part;
  if (whole == 0 || (whole > 1 && *p == '0'))
    return FORM_STRING;
  p += whole;
  enum label_form form = whole <= DIGITS_MAX ? FORM_INTEGER : FORM_NUMBER;
  if (*p == '.') {
    if ((part = digits(++p)) == 0)
      return FORM_STRING;
    p += part;
    form = FORM_NUMBER;
  }
  if (*p == 'e' || *p == 'E') {
    p++;
    p += *p == '+' || *p == '-';
    if ((part = digits(p)) == 0)
      return FORM_STRING;
    p += part;
    form = FORM_NUMBER;
  }
  return (size_t)(p - text) == length ? form : FORM_STRING;
}

static void read_text(struct label_value *out, const char *text, size_t length, bool guess) {
  *out = (struct label_value){.form = FORM_STRING, .text = text, .length = length};
  if (!guess)
    return;
  out->form = form_of(text, length);
  if (out->form != FORM_STRING)
    out->number = strtod(text, NULL);
  if (out->form == FORM_INTEGER)
    out->integer = strtoll(text, NULL, 10);
  if (out->form == FORM_NUMBER && !(fabs(out->number) <= (double)FLT_MAX))
    out->form = FORM_STRING;
}

enum status label_read(struct label_value *out, const struct record *record, int column, const char *name,
                       struct error *err) {
  *out = (struct label_value){0};
  if (!record->object) {
    const struct record_value *value = &record->values[column];
    read_text(out, value->text, value->length, true);
  } else {
    const json_t *value = json_object_get(record->object, name);
    if (!value)
      return record_fault(err, record, -1, name, "no member %.60s", name);
    if (json_is_string(value))
      read_text(out, json_string_value(value), json_string_length(value), false);
    else if (json_is_integer(value))
      *out = (struct label_value){.form = FORM_INTEGER, .integer = json_integer_value(value),
                                  .number = (double)json_integer_value(value)};
    else if (json_is_real(value))
      *out = (struct label_value){.form = FORM_NUMBER, .number = json_real_value(value)};
    else
      return record_fault(err, record, column, name, "%.60s must be a string, an integer or a number, not %s", name,
                          json_kind(value));
  }
  if (out->text && out->length == 0)
    return record_fault(err, record, column, name, "%.60s is empty", name);
  if (out->length > LABEL_BYTES_MAX)
    return record_fault(err, record, column, name, "%.60s has %zu bytes; at most %d are allowed", name, out->length,
                        LABEL_BYTES_MAX);
  if (out->form == FORM_NUMBER && !(fabs(out->number) <= (double)FLT_MAX))
    return record_fault(err, record, column, name, "%.60s is too large for a 32-bit float", name);
  return STATUS_OK;
}

static const char *form_name(enum label_form form) {
  switch (form) {
  case FORM_STRING: return "a string";
  case FORM_INTEGER: return "an integer";
  case FORM_NUMBER: return "a float";
  }
  CHECK(!"a form of label");
}

/* The form of all labels so far and this one. */
static enum status widen(struct labels *labels, const struct label_value *value, const struct record *record,
                         int column, const char *name, struct error *err) {
  if (!labels->any) {
    labels->any = true;
    labels->json = record->object != NULL;
    labels->form = value->form;
    labels->first_line = record->line;
  } else if (labels->json && value->form != labels->form) {
    return record_fault(err, record, column, name,
                        "%.60s is %s, but on line %zu it is %s (1 is an integer, 1.0 a float)", name,
                        form_name(value->form), labels->first_line, form_name(labels->form));
  } else if (labels->form != value->form) {
    labels->form = value->form == FORM_STRING || labels->form == FORM_STRING ? FORM_STRING : FORM_NUMBER;
  }
  return STATUS_OK;
}

static enum status no_memory(struct error *err) {
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the labels");
}

static enum status insert(struct labels *labels, const char *name, size_t length, int64_t integer,
                          struct place place, struct error *err) {
  struct label_item *items = grow(labels->items, &labels->size, labels->count + 1, sizeof *items);
  if (!items)
    return no_memory(err);
  labels->items = items;
  const char *copy = arena_copy(&labels->arena, name, length);
  if (!copy || !trie_set(&labels->trie, labels->root, name, length, (int32_t)labels->count))
    return no_memory(err);
  items[labels->count] = (struct label_item){copy, integer, (uint32_t)labels->count, place};
  labels->count++;
  return STATUS_OK;
}

enum status labels_add(struct labels *labels, uint32_t *index, const struct label_value *value,
                       const struct record *record, int column, const char *name, struct error *err) {
  char digits_text[32];
  const char *text = value->text;
  size_t length = value->length;
  *index = 0;
  enum status status = widen(labels, value, record, column, name, err);
  if (status)
    return status;
  if (!text && value->form == FORM_NUMBER)
    return STATUS_OK;
  if (!text) {
    length = (size_t)snprintf(digits_text, sizeof digits_text, "%" PRId64, value->integer);
    text = digits_text;
  }
  int32_t known = trie_get(&labels->trie, labels->root, text, length);
  if (known >= 0) {
    *index = (uint32_t)known;
    return STATUS_OK;
  }
  if (labels->count >= LABELS_MAX)
    labels->overflow = true;
  if (labels->overflow && labels->form != FORM_NUMBER)
    return record_fault(err, record, column, name, "more than %d different labels", LABELS_MAX);
  if (labels->overflow)
    return STATUS_OK;
  *index = (uint32_t)labels->count;
  return insert(labels, text, length, value->integer, record_place(record, column, name), err);
}

static int by_integer(const void *a, const void *b) {
  int64_t x = ((const struct label_item *)a)->integer, y = ((const struct label_item *)b)->integer;
  return (x > y) - (x < y);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct label_item *)a)->name, ((const struct label_item *)b)->name);
}

void labels_sort(struct labels *labels) {
  if (labels->count)
    qsort(labels->items, labels->count, sizeof *labels->items, labels->form == FORM_INTEGER ? by_integer : by_name);
}
