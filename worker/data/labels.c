#include "worker/data/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/json.h"

enum { ARENA_MAX = 64 << 20 };

bool labels_init(struct labels *labels, size_t max) {
  *labels = (struct labels){.max = max};
  arena_init(&labels->arena, ARENA_MAX);
  trie_init(&labels->trie);
  return trie_root(&labels->trie, &labels->root);
}

void labels_done(struct labels *labels) {
  free(labels->items);
  free(labels->class_of);
  trie_done(&labels->trie);
  arena_done(&labels->arena);
  *labels = (struct labels){0};
}

/* --- one label ------------------------------------------------------------------------------------ */

static void read_text(struct label_value *out, const char *text, size_t length, bool quoted) {
  *out = (struct label_value){.number = label_parse(text, length), .quoted = quoted, .text = text, .length = length};
  out->decimal = out->number.form == LABEL_WHOLE && !quoted && strcspn(text, ".eE") < length;
}

static bool read_json(struct label_value *out, const json_t *value) {
  switch (json_typeof(value)) {
  case JSON_STRING: read_text(out, json_string_value(value), json_string_length(value), true); return true;
  case JSON_TRUE: read_text(out, "true", 4, true); return true;
  case JSON_FALSE: read_text(out, "false", 5, true); return true;
  case JSON_INTEGER: out->number = label_of_integer(json_integer_value(value)); return true;
  case JSON_REAL:
    out->number = label_of_number(json_real_value(value));
    out->decimal = out->number.form == LABEL_WHOLE;
    return true;
  case JSON_OBJECT:
  case JSON_ARRAY:
  case JSON_NULL: break;
  }
  return false;
}

enum status label_read(struct label_value *out, const struct record *record, int column, const char *name,
                       struct error *err) {
  *out = (struct label_value){0};
  if (!record_given(record, column, name))
    return record_missing(err, record, column, name);
  if (!record->object)
    read_text(out, record->values[column].text, record->values[column].length, false);
  else if (!read_json(out, json_object_get(record->object, name)))
    return record_fault(err, record, column, name, "%.60s must be a string, a number, true or false, not %s", name,
                        json_kind(json_object_get(record->object, name)));
  if (out->length > LABEL_BYTES_MAX)
    return record_fault(err, record, column, name, "%.60s has %zu bytes; at most %d are allowed", name, out->length,
                        LABEL_BYTES_MAX);
  if (!out->text && out->number.form == LABEL_WORD)
    return record_fault(err, record, column, name, "%.60s is too large for a 32-bit float", name);
  return STATUS_OK;
}

struct label_value label_of_item(const json_t *list, size_t i) {
  const json_t *item = json_array_get(list, i);
  struct label_value value;
  read_text(&value, json_string_value(item), json_string_length(item), true);
  return value;
}

enum status label_list_read(const json_t **out, const struct record *record, int column, const char *name,
                            struct error *err) {
  const json_t *list = record->object ? json_object_get(record->object, name) : NULL;
  if (!record_given(record, column, name))
    return record_missing(err, record, column, name);
  if (!json_is_array(list))
    return record_fault(err, record, column, name, "%.60s must be a list of labels, as [\"a\", \"b\"]%s%s", name,
                        record->object ? ", not " : " in JSON Lines", record->object ? json_kind(list) : "");
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *item = json_array_get(list, i);
    if (!json_is_string(item))
      return record_fault(err, record, column, name,
                          "%.60s has %s as its entry %zu; each label must be a string, the name of a class", name,
                          json_kind(item), i + 1);
    if (json_string_length(item) == 0 || json_string_length(item) > LABEL_BYTES_MAX)
      return record_fault(err, record, column, name,
                          "%.60s has a label of %zu bytes as its entry %zu; 1 to %d are "
                          "allowed",
                          name, json_string_length(item), i + 1, LABEL_BYTES_MAX);
  }
  *out = list;
  return STATUS_OK;
}

/* --- all of them ---------------------------------------------------------------------------------- */

static void count(struct location_count *of, struct location place) {
  if (of->count++ == 0)
    of->first = place;
}

static enum status insert(struct labels *labels, const char *name, size_t length, const struct label_number *number,
                          struct location place, struct error *err) {
  struct label_item *items = grow(labels->items, &labels->size, labels->count + 1, sizeof *items);
  if (!items)
    return error_no_memory(err, "the labels");
  labels->items = items;
  const char *copy = arena_copy(&labels->arena, name, length);
  if (!copy || !trie_set(&labels->trie, labels->root, name, length, (int32_t)labels->count))
    return error_no_memory(err, "the labels");
  items[labels->count] = (struct label_item){copy, *number, (uint32_t)labels->count, place};
  labels->count++;
  return STATUS_OK;
}

/* Places cost a look through the line, so only the first of each kind is asked for. */
static void count_forms(struct labels *labels, const struct label_value *value, const struct record *record, int column,
                        const char *name) {
  struct location_count *form = &labels->of_form[value->number.form];
  struct location_count *json = record->object ? value->quoted ? &labels->quoted : &labels->bare : NULL;
  bool is_first = labels->all.count == 0 || form->count == 0 || (json && json->count == 0) ||
                  (value->decimal && labels->decimals.count == 0);
  struct location place = is_first ? record_location(record, column, name) : (struct location){0};
  count(&labels->all, place);
  count(form, place);
  if (json)
    count(json, place);
  if (value->decimal)
    count(&labels->decimals, place);
}

enum status labels_add(struct labels *labels, uint32_t *index, const struct label_value *value,
                       const struct record *record, int column, const char *name, struct error *err) {
  char digits[LABEL_NUMBER_MAX];
  const char *text = value->text;
  size_t length = value->length;
  *index = 0;
  count_forms(labels, value, record, column, name);
  if (!text) {
    label_number_name(digits, &value->number);
    text = digits;
    length = strlen(digits);
  }
  int32_t known = trie_get(&labels->trie, labels->root, text, length);
  if (known >= 0) {
    *index = (uint32_t)known;
    return STATUS_OK;
  }
  if (labels->count >= labels->max) {
    count(&labels->overflow, labels->overflow.count ? (struct location){0} : record_location(record, column, name));
    return STATUS_OK;
  }
  *index = (uint32_t)labels->count;
  return insert(labels, text, length, &value->number, record_location(record, column, name), err);
}

/* --- what they are -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
  const struct label_item *x = a, *y = b;
  int order = label_compare(&x->number, &y->number);
  return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct label_item *)a)->name, ((const struct label_item *)b)->name);
}

/* "x" of the item that first occurred at a place. */
static const char *name_at(const struct labels *labels, struct location place) {
  for (size_t i = 0; i < labels->count; i++)
    if (labels->items[i].place.line == place.line && labels->items[i].place.column == place.column)
      return labels->items[i].name;
  return "it";
}

static bool before(struct location a, struct location b) {
  return a.line < b.line;
}

static enum status mixed(const struct labels *labels, const char *name, struct error *err) {
  struct location word = labels->of_form[LABEL_WORD].first, number = labels->bare.first;
  if (before(word, number))
    return location_fault(err, number, name, "%.60s is a number, but on line %zu it is \"%.60s\"", name, word.line,
                          name_at(labels, word));
  return location_fault(err, word, name, "%.60s is \"%.60s\", but on line %zu it is a number", name,
                        name_at(labels, word), number.line);
}

/* Equal numbers become one class, whose name is the number's own. */
static bool merge_numbers(struct labels *labels) {
  char digits[LABEL_NUMBER_MAX];
  size_t kept = 0;
  for (size_t i = 0; i < labels->count; i++) {
    struct label_item item = labels->items[i];
    if (kept == 0 || label_compare(&labels->items[kept - 1].number, &item.number) != 0) {
      label_number_name(digits, &item.number);
      if (!(item.name = arena_string(&labels->arena, digits)))
        return false;
      labels->items[kept++] = item;
    }
    labels->class_of[item.index] = (uint32_t)kept - 1;
  }
  labels->class_count = kept;
  labels->numbered = true;
  for (size_t i = 0; i < kept; i++) {
    const struct label_number *number = &labels->items[i].number;
    labels->numbered = labels->numbered && number->form == LABEL_WHOLE && number->whole == (int64_t)i;
  }
  return true;
}

static enum status make_classes(struct labels *labels, const char *name, struct error *err) {
  if (labels->overflow.count)
    return location_fault(err, labels->overflow.first, name, "more than %zu different labels", labels->max);
  labels->class_of = calloc(labels->count + 1, sizeof *labels->class_of);
  if (!labels->class_of)
    return error_no_memory(err, "the labels");
  if (labels->count)
    qsort(labels->items, labels->count, sizeof *labels->items, labels->by_value ? by_value : by_name);
  if (labels->by_value)
    return merge_numbers(labels) ? STATUS_OK : error_no_memory(err, "the labels");
  labels->class_count = labels->count;
  for (size_t i = 0; i < labels->count; i++)
    labels->class_of[labels->items[i].index] = (uint32_t)i;
  return STATUS_OK;
}

enum status labels_settle(struct labels *labels, enum problem_type wanted, const char *name, struct error *err) {
  const struct location_count *words = &labels->of_form[LABEL_WORD];
  bool named = words->count > 0 || (labels->quoted.count > 0 && labels->bare.count == 0);
  if (words->count && labels->bare.count)
    return mixed(labels, name, err);
  if (wanted == PROBLEM_REGRESSION && words->count)
    return location_fault(err, words->first, name, "%.60s is \"%.60s\", not a number: a regression cannot learn it",
                          name, name_at(labels, words->first));
  bool fractions = labels->of_form[LABEL_FRACTION].count > 0;
  labels->by_value = !named;
  labels->kind =
      wanted == PROBLEM_REGRESSION || (wanted == PROBLEM_AUTO && !named && fractions) ? LABEL_FLOAT : LABEL_CLASS;
  return labels->kind == LABEL_FLOAT ? STATUS_OK : make_classes(labels, name, err);
}
