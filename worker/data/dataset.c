/* One pass over the records; what the labels mean is known after the last one. */
#include "worker/data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/json.h"
#include "worker/data/label_warnings.h"

static const size_t arena_max = (size_t)64 << 30;

static const char genre_column[] = "genre"; /* of MNLI */

struct loader {
  struct dataset *out;
  struct records *records;
  struct dataset_columns names; /* as this file has them */
  int text, pair, label, genre; /* indexes in CSV and TSV; pair, genre -1: none */
  const struct dataset *labels_of;
  struct labels labels;
  uint32_t *known; /* of each label, in order of first occurrence: the class of labels_of that it means */
  size_t known_count, known_size;
  size_t size; /* allocated examples */
  size_t mark_count, mark_size;
};

/* "a, b, c" of the header's names, cut where it gets long. */
static void list_columns(char *out, size_t size, const struct records *records) {
  const char *const *names;
  size_t count = records_columns(records, &names), used = 0;
  out[0] = '\0';
  for (size_t i = 0; i < count && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%.40s", i ? ", " : "", names[i]);
}

static enum status find_column(int *out, const struct records *records, const char *name, struct error *err) {
  char all[200];
  *out = records_column(records, name);
  if (*out >= 0)
    return STATUS_OK;
  list_columns(all, sizeof all, records);
  return location_fault(err, (struct location){1, 1}, name, "no column is named %.60s; there are: %s", name, all);
}

/* What the columns are called in this file: by its header, or by the members of its first record. */
static void settle_names(struct loader *l, const struct record *first) {
  const char **names[] = {&l->names.text, &l->names.text_pair, &l->names.label};
  const char *members[RECORD_COLUMNS_MAX], *name;
  const char *const *all = members;
  json_t *value;
  size_t count = 0;
  if (first)
    json_object_foreach((json_t *)(uintptr_t)first->object, name, value) members[count++] = name;
  else
    count = records_columns(l->records, &all);
  for (size_t i = 0; i < COUNT_OF(names); i++)
    *names[i] = glue_column(l->names.glue, *names[i], all, count);
}

static enum status find_columns(struct loader *l, struct error *err) {
  if (records_format(l->records) == RECORD_JSONL)
    return STATUS_OK;
  settle_names(l, NULL);
  l->genre = records_column(l->records, genre_column);
  l->pair = l->names.text_pair ? records_column(l->records, l->names.text_pair) : -1;
  enum status status = find_column(&l->text, l->records, l->names.text, err);
  if (!status && l->names.glue && records_column(l->records, l->names.label) < 0)
    return location_fault(err, (struct location){1, 1}, l->names.label, "no column is named %.60s%s", l->names.label,
                          glue_unlabelled);
  return status ? status : find_column(&l->label, l->records, l->names.label, err);
}

/* Copies a text into the arena; *out stays NULL when it is optional and not given. */
static enum status read_text(const char **out, size_t *length, struct loader *l, const struct record *record,
                             int column, const char *name, bool optional, struct error *err) {
  const json_t *value = record->object && name ? json_object_get(record->object, name) : NULL;
  if (!name || !record_given(record, column, name))
    return optional ? STATUS_OK : record_missing(err, record, column, name);
  if (record->object && !json_is_string(value))
    return record_fault(err, record, column, name, "%.60s must be a string, not %s", name, json_kind(value));
  const char *text = record->object ? json_string_value(value) : record->values[column].text;
  *length = record->object ? json_string_length(value) : record->values[column].length;
  *out = arena_copy(&l->out->arena, text, *length);
  return *out ? STATUS_OK : error_no_memory(err, "the examples");
}

/* The class of the training set that a label means, or num_labels. */
static size_t find_class(const struct dataset *of, const struct label_value *value) {
  char digits[LABEL_NUMBER_MAX];
  const char *text = value->text;
  size_t found = of->num_labels;
  if (of->numbered)
    return value->number.form == LABEL_WHOLE && value->number.whole >= 0 && (uint64_t)value->number.whole < found
               ? (size_t)value->number.whole
               : found;
  if (!text) {
    label_number_name(digits, &value->number);
    text = digits;
  }
  for (size_t i = 0; i < of->num_labels; i++) /* equal bytes go before equal numbers */
    if (strcmp(of->label_names[i], text) == 0)
      return i;
  for (size_t i = 0; i < of->num_labels && value->number.form != LABEL_WORD; i++)
    if (label_same(of->label_names[i], text))
      found = i;
  return found;
}

/* The task that says what the classes are, or NULL: the labels do. */
static const struct glue_task *classes_of(const struct loader *l) {
  return l->names.glue && l->names.glue->class_count ? l->names.glue : NULL;
}

static enum status unknown_label(const struct loader *l, const char *label, const struct record *record,
                                 struct error *err) {
  const struct glue_task *task = classes_of(l);
  char text[200];
  if (!task)
    return record_fault(err, record, l->label, l->names.label, "the label %.80s does not occur in the training file",
                        label);
  glue_refusal(text, sizeof text, task, label);
  return record_fault(err, record, l->label, l->names.label, "%s", text);
}

/* The label of an example where the classes are known: in the task's terms, or of validation in the training set's. */
static enum status known_label(struct example *out, struct loader *l, uint32_t index, const struct label_value *value,
                               const struct record *record, struct error *err) {
  const struct dataset *of = l->labels_of;
  const struct glue_task *task = classes_of(l);
  const char *name = l->names.label;
  if (!task && of->label_kind == LABEL_FLOAT) {
    if (value->number.form == LABEL_WORD)
      return record_fault(err, record, l->label, name, "%.60s must be a number, as in the training file", name);
    out->label = 0;
    return STATUS_OK;
  }
  if (l->labels.overflow.count)
    return record_fault(err, record, l->label, name, "more than %zu different labels", l->labels.max);
  if (index < l->known_count) {
    out->label = l->known[index];
    return STATUS_OK;
  }
  uint32_t *known = grow(l->known, &l->known_size, l->known_count + 1, sizeof *known);
  if (!known)
    return error_no_memory(err, "the examples");
  l->known = known;
  const char *label = l->labels.items[index].name;
  size_t found = task ? glue_class(task, label) : find_class(of, value);
  if (found == (task ? task->class_count : of->num_labels))
    return unknown_label(l, label, record, err);
  known[l->known_count++] = (uint32_t)found;
  out->label = (uint32_t)found;
  return STATUS_OK;
}

static uint8_t subset_of(const struct loader *l, const struct record *record) {
  size_t length;
  const char *genre = l->names.glue ? record_text(&length, record, l->genre, genre_column) : NULL;
  return genre ? (uint8_t)glue_subset(l->names.glue, genre) : GLUE_SUBSET_NONE;
}

/* The labels of a list, each once. */
static enum status add_list(struct loader *l, struct example *e, const struct record *record, struct error *err) {
  const json_t *list;
  struct example found = {0};
  enum status status = label_list_read(&list, record, l->label, l->names.label, err);
  e->first_mark = l->mark_count;
  for (size_t i = 0; !status && i < json_array_size(list); i++) {
    struct label_value value = label_of_item(list, i);
    status = labels_add(&l->labels, &found.label, &value, record, l->label, l->names.label, err);
    if (!status && l->labels_of)
      status = known_label(&found, l, found.label, &value, record, err);
    bool again = false;
    for (size_t k = e->first_mark; k < l->mark_count; k++)
      again = again || l->out->marks[k] == found.label;
    if (status || again)
      continue;
    uint32_t *marks = grow(l->out->marks, &l->mark_size, l->mark_count + 1, sizeof *marks);
    if (!marks)
      return error_no_memory(err, "the examples");
    l->out->marks = marks;
    marks[l->mark_count++] = found.label;
  }
  e->mark_count = l->mark_count - e->first_mark;
  l->out->count += !status;
  return status;
}

static enum status add_example(struct loader *l, const struct record *record, struct error *err) {
  struct dataset *d = l->out;
  struct label_value value;
  if (d->count >= DATASET_EXAMPLES_MAX)
    return record_fault(err, record, -1, NULL, "more than %d examples", DATASET_EXAMPLES_MAX);
  struct example *examples = grow(d->examples, &l->size, d->count + 1, sizeof *examples);
  if (!examples)
    return error_no_memory(err, "the examples");
  d->examples = examples;
  struct example *e = &examples[d->count];
  *e = (struct example){.line = record->line, .subset = subset_of(l, record)};
  enum status status = read_text(&e->text, &e->text_length, l, record, l->text, l->names.text, false, err);
  if (!status)
    status = read_text(&e->pair, &e->pair_length, l, record, l->pair, l->names.text_pair, true, err);
  if (!status && l->names.lists)
    return add_list(l, e, record, err);
  if (!status)
    status = label_read(&value, record, l->label, l->names.label, err);
  if (status)
    return status;
  const struct glue_task *task = l->names.glue;
  if (task && task->class_count == 0 && value.number.number < 0)
    return record_fault(err, record, l->label, l->names.label, "a score below 0%s", glue_unlabelled);
  uint32_t index;
  status = labels_add(&l->labels, &index, &value, record, l->label, l->names.label, err);
  e->label = index;
  e->target = (float)value.number.number;
  if (!status && (l->labels_of || classes_of(l)))
    status = known_label(e, l, index, &value, record, err);
  d->count += !status;
  return status;
}

static enum status name_labels(struct dataset *d, size_t count, const struct dataset *from,
                               const struct label_item *items, struct error *err) {
  d->num_labels = count;
  d->label_names = arena_array(&d->arena, count, sizeof *d->label_names);
  if (!d->label_names)
    return error_no_memory(err, "the examples");
  for (size_t i = 0; i < count; i++) {
    const char *name = from ? from->label_names[i] : items && !d->numbered ? items[i].name : NULL;
    d->label_names[i] = name ? arena_string(&d->arena, name) : arena_format(&d->arena, "LABEL_%zu", i);
    if (!d->label_names[i])
      return error_no_memory(err, "the examples");
  }
  return STATUS_OK;
}

static enum status one_class(const struct loader *l, struct error *err) {
  return location_fault(err, l->labels.all.first, l->names.label,
                        "every example has the label %.80s; at least two are needed", l->labels.items[0].name);
}

static enum status make_listed(struct loader *l, struct error *err) {
  const struct labels *labels = &l->labels;
  if (labels->class_count < 2)
    return error_set(err, STATUS_DATASET_INVALID, l->names.label,
                     "all lists of %.60s have %zu different labels; at least two are needed", l->names.label,
                     labels->class_count);
  for (size_t i = 0; i < l->mark_count; i++)
    l->out->marks[i] = labels->class_of[l->out->marks[i]];
  return name_labels(l->out, labels->class_count, NULL, labels->items, err);
}

static enum status make_classes(struct loader *l, struct error *err) {
  const struct labels *labels = &l->labels;
  if (l->names.lists)
    return make_listed(l, err);
  if (labels->class_count < 2)
    return one_class(l, err);
  l->out->numbered = labels->numbered;
  for (size_t i = 0; i < l->out->count; i++)
    l->out->examples[i].label = labels->class_of[l->out->examples[i].label];
  return name_labels(l->out, labels->class_count, NULL, labels->items, err);
}

/* The task's classes, also those that no example has. */
static enum status take_classes(struct loader *l, const struct glue_task *task, struct error *err) {
  struct dataset *d = l->out;
  struct label_item items[GLUE_CLASSES_MAX] = {0};
  size_t same = 0;
  d->warnings = json_array();
  for (size_t i = 0; i < d->count; i++)
    same += d->examples[i].label == d->examples[0].label;
  if (same == d->count && !l->labels_of)
    return one_class(l, err);
  for (size_t i = 0; i < task->class_count; i++)
    items[i].name = task->classes[i];
  return name_labels(d, task->class_count, NULL, items, err);
}

static enum status finish_labels(struct loader *l, struct error *err) {
  struct dataset *d = l->out;
  d->lists = l->names.lists;
  if (classes_of(l))
    return take_classes(l, classes_of(l), err);
  if (l->labels_of) {
    d->label_kind = l->labels_of->label_kind;
    d->numbered = l->labels_of->numbered;
    return name_labels(d, l->labels_of->num_labels, l->labels_of, NULL, err);
  }
  enum status status = labels_settle(&l->labels, l->names.problem_type, l->names.label, err);
  d->label_kind = l->labels.kind;
  d->warnings = json_array();
  label_warnings_report(d->warnings, &l->labels, l->names.label);
  if (status || d->label_kind == LABEL_CLASS)
    return status ? status : make_classes(l, err);
  for (size_t i = 0; i < d->count; i++)
    d->examples[i].label = 0;
  return name_labels(d, 1, NULL, NULL, err);
}

static enum status load(struct loader *l, struct error *err) {
  const struct record *record;
  enum status status = find_columns(l, err);
  while (!status) {
    status = records_next(l->records, &record, err);
    if (status || !record)
      break;
    if (l->out->count == 0 && record->object)
      settle_names(l, record);
    status = add_example(l, record, err);
  }
  return status ? status : finish_labels(l, err);
}

enum status dataset_load(struct dataset *out, const char *path, const char *filename,
                         const struct dataset_columns *columns, const struct dataset *labels_of, struct error *err) {
  struct loader l = {.out = out, .names = *columns, .labels_of = labels_of, .pair = -1, .genre = -1};
  *out = (struct dataset){0};
  arena_init(&out->arena, arena_max);
  if (!labels_init(&l.labels, LABELS_MAX)) {
    labels_done(&l.labels);
    return error_no_memory(err, "the examples");
  }
  enum status status = records_open(&l.records, path, filename, err);
  if (!status)
    status = load(&l, err);
  records_close(l.records);
  labels_done(&l.labels);
  free(l.known);
  if (status)
    dataset_done(out);
  return status;
}

void dataset_done(struct dataset *dataset) {
  free(dataset->examples);
  free(dataset->marks);
  free(dataset->words);
  json_decref(dataset->warnings);
  arena_done(&dataset->arena);
  *dataset = (struct dataset){0};
}
