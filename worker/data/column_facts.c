#include "worker/data/column_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/json.h"
#include "worker/data/tags.h"

/* A column named otherwise than `label` may be a text: no more of it are kept than a job's labels need at least. */
enum { ARENA_MAX = 16 << 20, OTHER_LABELS_MAX = 1000, CLASSES_TOLD_MAX = 500, CLASS_BYTES_MAX = 20 << 10 };

static enum status add_column(struct columns *c, const char *name, int index, struct error *err) {
  struct column_facts *items = grow(c->items, &c->size, c->count + 1, sizeof *items);
  if (!items)
    return error_no_memory(err, "checking a data file");
  c->items = items;
  struct column_facts *facts = &items[c->count];
  *facts = (struct column_facts){.name = arena_string(&c->arena, name), .index = index};
  c->count++;
  bool label = strcmp(name, "label") == 0;
  return labels_init(&facts->labels, label ? LABELS_MAX : OTHER_LABELS_MAX) && facts->name
             ? STATUS_OK
             : error_no_memory(err, "checking a data file");
}

enum status columns_init(struct columns *columns, const struct records *records, struct error *err) {
  const char *const *names;
  size_t count = records_columns(records, &names);
  enum status status = STATUS_OK;
  *columns = (struct columns){.source = records};
  arena_init(&columns->arena, ARENA_MAX);
  for (size_t i = 0; !status && i < count; i++)
    if (strlen(names[i]) <= COLUMN_NAME_MAX)
      status = add_column(columns, names[i], (int)i, err);
  return status;
}

void columns_done(struct columns *columns) {
  for (size_t i = 0; i < columns->count; i++)
    labels_done(&columns->items[i].labels);
  free(columns->items);
  arena_done(&columns->arena);
  *columns = (struct columns){0};
}

const struct column_facts *columns_find(const struct columns *columns, const char *name) {
  for (size_t i = 0; i < columns->count; i++)
    if (strcmp(columns->items[i].name, name) == 0)
      return &columns->items[i];
  return NULL;
}

/* --- one value ------------------------------------------------------------------------------------ */

static enum status keep_error(struct error **out, struct arena *arena, const struct error *found, struct error *err) {
  if (*out)
    return STATUS_OK;
  *out = arena_array(arena, 1, sizeof **out);
  if (!*out)
    return error_no_memory(err, "checking a data file");
  **out = *found;
  return STATUS_OK;
}

static void note_range(struct column_facts *facts, const struct label_value *value, const struct record *record) {
  double number = value->number.number;
  if (value->number.form == LABEL_WORD || (number >= 0 && number <= 1))
    return;
  bool beyond = number < -1 || number > 1;
  struct location_count *of = beyond ? &facts->beyond_one : &facts->below_zero;
  if (of->count == 0)
    *(beyond ? &facts->beyond : &facts->below) = number;
  record_count(of, record, facts->index, facts->name);
}

static enum status add_label(struct columns *c, struct column_facts *facts, const struct record *record,
                             struct error *err) {
  struct label_value value;
  struct error found;
  uint32_t index;
  if (facts->not_label)
    return STATUS_OK;
  if (!label_read(&value, record, facts->index, facts->name, &found)) {
    note_range(facts, &value, record);
    return labels_add(&facts->labels, &index, &value, record, facts->index, facts->name, err);
  }
  labels_done(&facts->labels);
  return keep_error(&facts->not_label, &c->arena, &found, err);
}

static enum status add_words(struct columns *c, struct column_facts *facts, const struct record *record,
                             struct error *err) {
  const json_t *list;
  struct error found;
  if (facts->not_words || !tags_read_words(&list, record, facts->index, facts->name, &found))
    return STATUS_OK;
  return keep_error(&facts->not_words, &c->arena, &found, err);
}

/* Compares the lengths of the record's lists. */
static enum status compare_lists(struct columns *c, const struct record *record, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t a = 0; c->list_count > 1 && a < c->list_count; a++)
    for (size_t b = 0; !status && b < c->list_count; b++) {
      const char *name = c->items[c->list[a]].name, *other = c->items[c->list[b]].name;
      struct error found;
      if (!c->unlike[a][b] && tags_fit(record, name, other, &found))
        status = keep_error(&c->unlike[a][b], &c->arena, &found, err);
    }
  return status;
}

/* A column whose first value is a list is one of lists. */
static enum status add_list(struct columns *c, struct column_facts *facts, const struct record *record,
                            struct error *err) {
  const json_t *list;
  struct error found;
  enum status status = STATUS_OK;
  if (facts->not_list)
    return STATUS_OK;
  if (label_list_read(&list, record, facts->index, facts->name, &found)) {
    labels_done(&facts->labels);
    return keep_error(&facts->not_list, &c->arena, &found, err);
  }
  for (size_t i = 0; !status && i < json_array_size(list); i++) {
    uint32_t index;
    struct label_value value = label_of_item(list, i);
    status = labels_add(&facts->labels, &index, &value, record, facts->index, facts->name, err);
  }
  return status;
}

static enum status add_chat(struct columns *c, struct column_facts *facts, const struct record *record,
                            struct error *err) {
  struct messages_facts turns;
  struct error found;
  if (facts->not_chat)
    return STATUS_OK;
  if (messages_check(&turns, record, facts->name, &found))
    return keep_error(&facts->not_chat, &c->arena, &found, err);
  record_count(&facts->chats, record, facts->index, facts->name);
  facts->turns.turns += turns.turns;
  facts->turns.assistant += turns.assistant;
  if (turns.assistant_first)
    record_count(&facts->assistant_first, record, facts->index, facts->name);
  for (size_t i = 0; i < CHAT_FEATURE_COUNT; i++)
    if (turns.features & 1u << i)
      record_count(&facts->features[i], record, facts->index, facts->name);
  if (!messages_check_learnt(&turns, record, facts->name, &found))
    return STATUS_OK;
  return keep_error(&facts->unlearnt, &c->arena, &found, err);
}

static enum status add_value(struct columns *c, struct column_facts *facts, const struct record *record,
                             struct error *err) {
  const json_t *value = record->object ? json_object_get(record->object, facts->name) : NULL;
  facts->seen = c->records;
  if (!record_given(record, facts->index, facts->name)) {
    bool null = json_is_null(value);
    facts->null = facts->absent.count ? facts->null : null;
    record_count(null ? &facts->absent : &facts->empty, record, facts->index, facts->name);
    return STATUS_OK;
  }
  facts->first = facts->first || c->records == 1;
  record_count(&facts->given, record, facts->index, facts->name);
  if (record->object && !json_is_string(value)) {
    facts->not_text_kind = facts->not_text.count ? facts->not_text_kind : json_kind(value);
    record_count(&facts->not_text, record, facts->index, facts->name);
  }
  if (facts->given.count == 1 && json_is_array(value)) {
    facts->list = true;
    if (c->list_count < COLUMN_LISTS_MAX)
      c->list[c->list_count++] = (size_t)(facts - c->items);
  }
  enum status status = facts->list ? add_list(c, facts, record, err) : add_label(c, facts, record, err);
  if (!status && facts->list)
    status = add_words(c, facts, record, err);
  return status || !json_is_array(value) ? status : add_chat(c, facts, record, err);
}

/* --- records -------------------------------------------------------------------------------------- */

/* The facts of a member: lines mostly have the same members in the same order. NULL: one too many to keep. */
static enum status find_member(struct column_facts **out, struct columns *c, const char *name, struct error *err) {
  *out = NULL;
  if (c->cursor < c->count && strcmp(c->items[c->cursor].name, name) == 0) {
    *out = &c->items[c->cursor++];
    return STATUS_OK;
  }
  struct column_facts *found = (struct column_facts *)(uintptr_t)columns_find(c, name);
  if (!found && (c->count >= RECORD_COLUMNS_MAX || strlen(name) > COLUMN_NAME_MAX))
    return STATUS_OK;
  enum status status = found ? STATUS_OK : add_column(c, name, -1, err);
  if (status)
    return status;
  if (!found) {
    found = &c->items[c->count - 1];
    found->absent = (struct location_count){c->records - 1, {c->first_line, 1}};
  }
  c->cursor = (size_t)(found - c->items) + 1;
  *out = found;
  return STATUS_OK;
}

static enum status add_members(struct columns *c, const struct record *record, struct error *err) {
  const char *name;
  json_t *value;
  enum status status = STATUS_OK;
  c->cursor = 0;
  json_object_foreach((json_t *)(uintptr_t)record->object, name, value) {
    struct column_facts *facts;
    status = status ? status : find_member(&facts, c, name, err);
    if (!status && facts)
      status = add_value(c, facts, record, err);
  }
  for (size_t i = 0; !status && i < c->count; i++)
    if (c->items[i].seen != c->records)
      record_count(&c->items[i].absent, record, c->items[i].index, c->items[i].name);
  return status ? status : compare_lists(c, record, err);
}

static enum status add_completions(struct columns *c, const struct record *record, struct error *err) {
  struct completions_record completions;
  struct error found;
  if (c->records == 1)
    c->completions = completions_kind_of(c->source, record);
  if (c->completions == COMPLETIONS_NONE || c->not_completions)
    return STATUS_OK;
  if (completions_read(&completions, c->source, record, c->completions, &found) == STATUS_OK) {
    completions_done(&completions);
    return STATUS_OK;
  }
  return keep_error(&c->not_completions, &c->arena, &found, err);
}

enum status columns_add(struct columns *columns, const struct record *record, struct error *err) {
  enum status status = STATUS_OK;
  if (columns->records++ == 0)
    columns->first_line = record->line;
  status = add_completions(columns, record, err);
  if (status)
    return status;
  if (record->object)
    return add_members(columns, record, err);
  for (size_t i = 0; !status && i < columns->count; i++)
    status = add_value(columns, &columns->items[i], record, err);
  return status;
}

/* --- what a job can do with it -------------------------------------------------------------------- */

bool column_has_texts(const struct column_facts *f) {
  return f->given.count > 0 && f->absent.count + f->empty.count + f->not_text.count == 0;
}

bool column_has_chats(const struct column_facts *f) {
  return f->chats.count > 0 && f->chats.count == f->given.count && f->absent.count + f->empty.count == 0;
}

bool column_has_words(const struct column_facts *f) {
  return f->list && f->given.count > 0 && !f->not_words && f->absent.count + f->empty.count == 0;
}

/* The first of several counts, as a fault. False when none occurs. */
static bool missing(struct error *out, const struct column_facts *f, bool absent, bool empty, bool not_text) {
  const struct location_count *of[] = {&f->absent, &f->empty, &f->not_text}, *first = NULL;
  const bool counts[] = {absent, empty, not_text};
  for (size_t i = 0; i < COUNT_OF(of); i++)
    if (counts[i] && of[i]->count && (!first || of[i]->first.line < first->first.line))
      first = of[i];
  if (!first)
    return false;
  if (first == &f->not_text)
    location_fault(out, first->first, f->name, "%.60s must be a string, not %s", f->name, f->not_text_kind);
  else if (first == &f->absent && !f->null)
    location_fault(out, first->first, f->name, "no member %.60s", f->name);
  else
    location_fault(out, first->first, f->name, "%.60s is %s", f->name, first == &f->absent ? "null" : "empty");
  size_t length = strlen(out->text);
  if (first->count > 1)
    snprintf(out->text + length, sizeof out->text - length, " (and so it is in %zu more)", first->count - 1);
  return true;
}

static void put_string(json_t *object, const char *key, const char *text) {
  json_object_set_new(object, key, json_string(text));
}

static void put_location(json_t *object, const char *key, struct location place) {
  char text[64];
  snprintf(text, sizeof text, "line %zu, column %zu", place.line, place.column);
  put_string(object, key, text);
}

static void put_range(json_t *object, const char *key, const struct column_facts *f, const struct location_count *of,
                      double number) {
  struct error err;
  if (of->count == 0)
    return;
  location_fault(&err, of->first, f->name, "%.60s is %g", f->name, number);
  put_string(object, key, err.text);
}

/* What is said of a column of lists: each is no label by itself. */
static void put_lists(json_t *out, struct column_facts *f) {
  struct labels *labels = &f->labels;
  struct error err;
  char text[200];
  snprintf(text, sizeof text, "line %zu, column %zu: %.60s is a list, not a label; the task multi_label learns lists",
           f->given.first.line, f->given.first.column, f->name);
  put_string(out, "label", text);
  if (f->not_list)
    put_string(out, "list", f->not_list->text);
  else if (missing(&err, f, true, true, false))
    put_string(out, "list", err.text);
  if (f->not_words)
    put_string(out, "words", f->not_words->text);
  else if (missing(&err, f, true, true, false))
    put_string(out, "words", err.text);
  if (f->not_list || labels_settle(labels, PROBLEM_SINGLE_LABEL, f->name, &err))
    return;
  json_object_set_new(out, "lists", json_true());
  if (labels->class_count < 2) {
    location_fault(&err, f->given.first, f->name, "%s%.80s; at least two labels are needed",
                   labels->class_count ? "the only label of all lists is " : "all lists are empty",
                   labels->class_count ? labels->items[0].name : "");
    put_string(out, "one_class", err.text);
  }
  json_object_set_new(out, "labels", json_pack("{s:s}", "kind", "class"));
}

static void put_labels(json_t *out, struct column_facts *f) {
  struct labels *labels = &f->labels;
  struct error err;
  if (missing(&err, f, true, true, false))
    put_string(out, "unlabelled", err.text);
  if (f->list) {
    put_lists(out, f);
    return;
  }
  put_range(out, "beyond_one", f, &f->beyond_one, f->beyond);
  put_range(out, "below_zero", f, &f->below_zero, f->below);
  if (f->not_label) {
    put_string(out, "label", f->not_label->text);
    return;
  }
  if (labels->all.count == 0)
    return;
  if (labels_settle(labels, PROBLEM_REGRESSION, f->name, &err))
    put_string(out, "regression", err.text);
  bool kept = labels->overflow.count == 0 || labels->max == LABELS_MAX;
  if (labels_settle(labels, PROBLEM_AUTO, f->name, &err) && kept)
    put_string(out, "label", err.text);
  json_t *facts = json_pack("{s:s}", "kind", labels->kind == LABEL_FLOAT ? "float" : "class");
  if (labels->class_of && labels->class_count == 1) {
    location_fault(&err, labels->all.first, f->name, "every example has the label %.80s; at least two are needed",
                   labels->items[0].name);
    put_string(out, "one_class", err.text);
  }
  json_object_set_new(out, "labels", facts);
}

static json_t *column_json(struct column_facts *f) {
  struct error err;
  json_t *out = json_pack("{s:b}", "first", f->first);
  if (f->given.count)
    put_location(out, "given", f->given.first);
  if (missing(&err, f, true, true, true))
    put_string(out, "text", err.text);
  if (missing(&err, f, true, false, true))
    put_string(out, "prompt", err.text);
  if (missing(&err, f, false, false, true))
    put_string(out, "pair", err.text);
  put_labels(out, f);
  if (f->chats.count == 0 && !f->not_chat)
    return out;
  if (f->not_chat)
    put_string(out, "chat", f->not_chat->text);
  else if (missing(&err, f, true, true, false))
    put_string(out, "chat", err.text);
  else if (f->chats.count < f->given.count)
    put_string(out, "chat", "not every line has an array of messages");
  if (f->unlearnt)
    put_string(out, "unlearnt", f->unlearnt->text);
  json_t *features = json_object();
  for (size_t i = 0; i < CHAT_FEATURE_COUNT; i++)
    if (f->features[i].count)
      put_location(features, chat_feature_name((enum chat_feature)i), f->features[i].first);
  json_object_set_new(out, "features", features);
  json_object_set_new(out, "chats", json_true());
  return out;
}

static size_t class_count(const struct labels *labels) {
  return labels->class_of ? labels->class_count : labels->count;
}

/* What the list of a column's labels takes in the report; 0: there is none, or one of too many. */
static size_t class_bytes(const struct labels *labels) {
  size_t bytes = 0;
  if (labels->overflow.count || class_count(labels) > CLASSES_TOLD_MAX)
    return 0;
  for (size_t i = 0; i < class_count(labels); i++)
    bytes += strlen(labels->items[i].name) + 40;
  return bytes;
}

static int by_class_bytes(const void *a, const void *b) {
  const struct column_facts *const *x = a, *const *y = b;
  size_t m = class_bytes(&(*x)->labels), n = class_bytes(&(*y)->labels);
  return m != n ? (m > n) - (m < n) : (*x > *y) - (*x < *y);
}

/* The labels that occur and where first: of as many columns as there is room for, the shortest lists first, since
   labels are short and texts are not. */
static bool put_classes(json_t *out, const struct columns *c) {
  const struct column_facts **order = malloc((c->count + 1) * sizeof(*order));
  size_t room = CLASS_BYTES_MAX;
  if (!order)
    return false;
  for (size_t i = 0; i < c->count; i++)
    order[i] = &c->items[i];
  qsort(order, c->count, sizeof(*order), by_class_bytes);
  for (size_t i = 0; i < c->count; i++) {
    const struct labels *labels = &order[i]->labels;
    size_t bytes = class_bytes(labels);
    json_t *facts = json_object_get(json_object_get(out, order[i]->name), "labels");
    if (bytes == 0 || bytes > room || !facts)
      continue;
    json_t *classes = json_object();
    for (size_t k = 0; k < class_count(labels); k++)
      put_location(classes, labels->items[k].name, labels->items[k].place);
    json_object_set_new(facts, "classes", classes);
    room -= bytes;
  }
  free(order);
  return true;
}

static void put_unlike(json_t *out, const struct columns *c) {
  for (size_t a = 0; a < c->list_count; a++) {
    json_t *unlike = json_object();
    for (size_t b = 0; b < c->list_count; b++)
      if (c->unlike[a][b])
        put_string(unlike, c->items[c->list[b]].name, c->unlike[a][b]->text);
    json_object_set_new(json_object_get(out, c->items[c->list[a]].name), "unlike", unlike);
  }
}

/* Told of the column that only such records have. */
static void put_completions(json_t *out, const struct columns *c) {
  const char *name = c->completions == COMPLETIONS_RATED        ? "label"
                     : json_object_get(out, "preferred_output") ? "preferred_output"
                                                                : "chosen";
  json_t *facts = json_object_get(out, name);
  if (c->completions == COMPLETIONS_NONE || !facts)
    return;
  put_string(facts, "completions", c->completions == COMPLETIONS_RATED ? "rated" : "pair");
  if (c->not_completions)
    put_string(facts, "preference", c->not_completions->text);
}

json_t *columns_json(struct columns *columns) {
  json_t *out = json_object();
  bool ok = out != NULL;
  for (size_t i = 0; ok && i < columns->count; i++)
    ok = json_object_set_new(out, columns->items[i].name, column_json(&columns->items[i])) == 0;
  if (ok) {
    put_unlike(out, columns);
    put_completions(out, columns);
  }
  if (ok && put_classes(out, columns))
    return out;
  json_decref(out);
  return NULL;
}
