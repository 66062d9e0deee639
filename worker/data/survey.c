#include "worker/data/survey.h"
#include "worker/data/completions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/label.h"
#include "api/pair_columns.h"
#include "api/tag_columns.h"
#include "base/json.h"
#include "worker/data/labels.h"
#include "worker/data/messages.h"
#include "worker/data/tags.h"

enum { SEEN_FIRST = 1 << 12, SEEN_MAX = 1 << 23, LABELS_KEPT = 1000, NO_LABEL = UINT32_MAX };

/* --- texts that were seen ------------------------------------------------------------------------- */

struct seen_text {
  uint64_t hash; /* 0: free */
  uint32_t line, label;
};

struct seen {
  struct seen_text *slots;
  size_t size, count; /* a power of two */
};

static struct seen_text *find(const struct seen *seen, uint64_t hash) {
  size_t slot = (hash ^ hash >> 32) & (seen->size - 1);
  while (seen->slots[slot].hash && seen->slots[slot].hash != hash)
    slot = (slot + 1) & (seen->size - 1);
  return &seen->slots[slot];
}

static enum status grow_seen(struct seen *seen, struct error *err) {
  struct seen bigger = {.size = seen->size ? 2 * seen->size : SEEN_FIRST, .count = seen->count};
  bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
  if (!bigger.slots)
    return error_no_memory(err, "looking through a data file");
  for (size_t i = 0; i < seen->size; i++)
    if (seen->slots[i].hash)
      *find(&bigger, seen->slots[i].hash) = seen->slots[i];
  free(seen->slots);
  *seen = bigger;
  return STATUS_OK;
}

/* The entry of a text, which is new where its hash is 0. */
static enum status see(struct seen_text **out, struct seen *seen, uint64_t hash, struct error *err) {
  enum status status = STATUS_OK;
  if (seen->count * 2 >= seen->size && seen->size < SEEN_MAX)
    status = grow_seen(seen, err);
  *out = status ? NULL : find(seen, hash);
  return status;
}

static void remember(struct seen *seen, struct seen_text *entry, uint64_t hash, size_t line, uint32_t label) {
  if (seen->count * 2 >= seen->size)
    return; /* full: the first ones are known */
  *entry = (struct seen_text){hash, (uint32_t)line, label};
  seen->count++;
}

/* --- the survey ----------------------------------------------------------------------------------- */

struct counted {
  const char *name;
  size_t count;
};

struct places {
  size_t count;
  json_t *first;
};

struct survey {
  const struct job_spec *spec;
  enum data_use use;
  struct records *records;
  struct pair_columns pairs; /* of the file's first record */
  const char *tags;          /* likewise */
  struct seen seen, other;   /* `other`: of the file that this one is held against */
  struct labels labels;
  size_t counts[LABELS_KEPT];
  size_t examples, error_count;
  json_t *errors;
  struct places duplicates, conflicts, overlap;
};

/* All that a record of preference tuning says. */
static const char *const completions_members[] = {"input",  "preferred_output", "non_preferred_output", "prompt",
                                                  "chosen", "rejected",         "completion",           "label",
                                                  "tools"};

static uint64_t mix(uint64_t hash, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
  return (hash ^ length) * 0x9E3779B97F4A7C15u;
}

static uint64_t mix_column(const struct survey *s, uint64_t hash, const struct record *record, const char *name) {
  size_t length = 0;
  const char *text = name ? record_text(&length, record, records_column(s->records, name), name) : NULL;
  return mix(hash, text ? text : "", length);
}

static uint64_t mix_member(uint64_t hash, const struct record *record, const char *name) {
  const json_t *value = json_object_get(record->object, name);
  char *text = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
  hash = mix(hash, text ? text : "", text ? strlen(text) : 0);
  free(text);
  return hash;
}

/* What makes two examples one: all that the model reads. */
static uint64_t identity(const struct survey *s, const struct record *record) {
  const struct job_columns *c = &s->spec->columns;
  uint64_t hash = 0xCBF29CE484222325u;
  switch (s->use) {
  case USE_CHAT: hash = mix_member(hash, record, c->messages); break;
  case USE_TAGS: hash = mix_member(hash, record, c->tokens); break;
  case USE_COMPLETION:
    hash = mix_column(s, hash, record, c->prompt);
    hash = mix_column(s, hash, record, c->completion);
    break;
  case USE_PREFERENCE:
    for (size_t i = 0; i < COUNT_OF(completions_members); i++)
      hash = record->object ? mix_member(hash, record, completions_members[i])
                            : mix_column(s, hash, record, completions_members[i]);
    break;
  case USE_EMBEDDING:
  case USE_RANKED:
    for (int role = PAIR_FIRST; role < PAIR_SCORE; role++)
      hash = mix_column(s, hash, record, s->pairs.name[role]);
    break;
  case USE_LABELLED:
  case USE_LABELS:
  case USE_TEXT:
  case USE_NOTHING:
    hash = mix_column(s, hash, record, c->text);
    hash = mix_column(s, hash, record, c->text_pair);
    break;
  }
  return hash + (hash == 0);
}

/* --- faults --------------------------------------------------------------------------------------- */

/* "line L, column C: what" as members. */
static void note_error(struct survey *s, const struct error *err) {
  size_t line = 0, column = 0;
  int length = 0;
  if (s->error_count++ >= SURVEY_SHOWN)
    return;
  if (sscanf(err->text, "line %zu, column %zu: %n", &line, &column, &length) < 2)
    length = 0;
  json_array_append_new(s->errors, json_pack("{s:o, s:o, s:s?, s:s, s:s}", "line",
                                             line ? json_integer((json_int_t)line) : json_null(), "column",
                                             column ? json_integer((json_int_t)column) : json_null(), "param",
                                             err->param[0] ? err->param : NULL, "code", status_code(err->status),
                                             "message", err->text + length));
}

static enum status need_text(const struct survey *s, const struct record *record, const char *name, struct error *err) {
  int column = name ? records_column(s->records, name) : -1;
  size_t length;
  if (!name || record_text(&length, record, column, name))
    return STATUS_OK;
  return record_given(record, column, name) ? record_fault(err, record, column, name, "%s is no text", name)
                                            : record_missing(err, record, column, name);
}

/* Can a job use the record? *label: of a text that has one. */
static enum status judge(struct survey *s, const struct record *record, struct label_value *label, bool *labelled,
                         struct error *err) {
  const struct job_columns *c = &s->spec->columns;
  struct messages_facts facts;
  const json_t *list;
  *labelled = false;
  switch (s->use) {
  case USE_CHAT: {
    enum status status = messages_check(&facts, record, c->messages, err);
    return status || s->spec->hyperparameters.train_on_inputs ? status
                                                              : messages_check_learnt(&facts, record, c->messages, err);
  }
  case USE_COMPLETION: return need_text(s, record, c->completion, err);
  case USE_TAGS: {
    enum status status = tags_read_words(&list, record, -1, c->tokens, err);
    return status ? status : tags_fit(record, s->tags, c->tokens, err);
  }
  case USE_EMBEDDING:
  case USE_RANKED: {
    enum status status = need_text(s, record, s->pairs.name[PAIR_FIRST], err);
    return status ? status : need_text(s, record, s->pairs.name[PAIR_SECOND], err);
  }
  case USE_LABELLED: {
    enum status status = need_text(s, record, c->text, err);
    if (!status)
      status = label_read(label, record, records_column(s->records, c->label), c->label, err);
    *labelled = !status;
    return status;
  }
  case USE_LABELS: {
    enum status status = need_text(s, record, c->text, err);
    return status ? status : label_list_read(&list, record, -1, c->labels, err);
  }
  case USE_TEXT: return need_text(s, record, c->text, err);
  case USE_PREFERENCE: {
    struct completions_record pair;
    enum status status = completions_read(&pair, s->records, record, COMPLETIONS_PAIR, err);
    if (!status)
      completions_done(&pair);
    return status;
  }
  case USE_NOTHING: return STATUS_OK;
  }
  CHECK(!"a use of data");
}

/* --- labels --------------------------------------------------------------------------------------- */

/* Its index; NO_LABEL: there are too many. A number counts by its value: 1 and 1.0 are one label. */
static uint32_t count_value(struct survey *s, const struct record *record, const struct label_value *value) {
  struct label_value named = *value;
  char number[LABEL_NUMBER_MAX];
  struct error err;
  uint32_t index;
  if (value->number.form != LABEL_WORD) {
    label_number_name(number, &value->number);
    named.text = number;
    named.length = strlen(number);
    named.quoted = true;
  }
  size_t over = s->labels.overflow.count;
  if (labels_add(&s->labels, &index, &named, record, -1, "label", &err) || s->labels.overflow.count > over)
    return NO_LABEL;
  s->counts[index]++;
  return index;
}

static void count_list(struct survey *s, const struct record *record, const char *name) {
  const json_t *list = json_object_get(record->object, name);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *item = json_array_get(list, i);
    if (json_is_string(item)) {
      const struct label_value value = label_of_item(list, i);
      count_value(s, record, &value);
    }
  }
}

static uint32_t count_labels(struct survey *s, const struct record *record, const struct label_value *value,
                             bool labelled) {
  if (labelled)
    return count_value(s, record, value);
  if (s->use == USE_TAGS)
    count_list(s, record, s->tags);
  else if (s->use == USE_LABELS)
    count_list(s, record, s->spec->columns.labels);
  return NO_LABEL;
}

/* --- one record ----------------------------------------------------------------------------------- */

static void add_place(struct places *places, json_t *place) {
  if (places->count++ < SURVEY_SHOWN)
    json_array_append(places->first, place);
  json_decref(place);
}

static json_t *place_of(size_t line, uint32_t other) {
  return json_pack("{s:I, s:I}", "line", (json_int_t)line, "other_line", (json_int_t)other);
}

static enum status compare(struct survey *s, const struct record *record, uint32_t label, struct error *err) {
  uint64_t hash = identity(s, record);
  struct seen_text *entry;
  enum status status = see(&entry, &s->seen, hash, err);
  if (status)
    return status;
  if (!entry->hash) {
    remember(&s->seen, entry, hash, record->line, label);
  } else if (entry->label == label) {
    add_place(&s->duplicates, place_of(record->line, entry->line));
  } else {
    json_t *place = place_of(record->line, entry->line);
    if (label != NO_LABEL)
      json_object_set_new(place, "label", json_string(s->labels.items[label].name));
    if (entry->label != NO_LABEL)
      json_object_set_new(place, "other_label", json_string(s->labels.items[entry->label].name));
    add_place(&s->conflicts, place);
  }
  const struct seen_text *there = s->other.size ? find(&s->other, hash) : NULL;
  if (there && there->hash)
    add_place(&s->overlap, place_of(record->line, there->line));
  return STATUS_OK;
}

static enum status survey_record(struct survey *s, const struct record *record, struct error *err) {
  struct label_value label = {0};
  struct error found;
  bool labelled;
  s->examples++;
  if (judge(s, record, &label, &labelled, &found)) {
    note_error(s, &found);
    return STATUS_OK;
  }
  uint32_t index = count_labels(s, record, &label, labelled);
  return s->use == USE_NOTHING ? STATUS_OK : compare(s, record, index, err);
}

/* --- a file --------------------------------------------------------------------------------------- */

struct first_record {
  const struct records *records;
  const struct record *record;
};

static bool first_has(const void *with, const char *name) {
  const struct first_record *first = with;
  return record_given(first->record, records_column(first->records, name), name);
}

static void look_at_first(struct survey *s, const struct record *record) {
  const struct first_record first = {s->records, record};
  pair_columns_find(&s->pairs, s->spec, first_has, &first);
  s->tags = tag_column_find(s->spec, first_has, &first).name;
}

typedef enum status take_record(struct survey *s, const struct record *record, struct error *err);

/* All records; what is wrong with one is noted where `notes`, and the next is read. */
static enum status each(struct survey *s, const struct survey_file *file, take_record *take, bool notes,
                        struct error *err) {
  const struct record *record;
  struct error found;
  bool first = true;
  enum status status = records_open(&s->records, file->path, file->filename, &found), taken = STATUS_OK;
  while (!taken) {
    status = status ? status : records_next(s->records, &record, &found);
    if (!status && !record)
      break;
    if (!status) {
      if (first)
        look_at_first(s, record);
      first = false;
      taken = take(s, record, err);
      continue;
    }
    if (status != STATUS_DATASET_INVALID) {
      *err = found;
      taken = status;
      break;
    }
    if (notes)
      note_error(s, &found);
    if (!s->records || !records_skip(s->records))
      break;
    status = STATUS_OK;
  }
  records_close(s->records);
  s->records = NULL;
  return taken;
}

static enum status remember_other(struct survey *s, const struct record *record, struct error *err) {
  uint64_t hash = identity(s, record);
  struct seen_text *entry;
  enum status status = see(&entry, &s->other, hash, err);
  if (!status && !entry->hash)
    remember(&s->other, entry, hash, record->line, NO_LABEL);
  return status;
}

/* --- the report ----------------------------------------------------------------------------------- */

static int more_first(const void *a, const void *b) {
  const struct counted *x = a, *y = b;
  return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : strcmp(x->name, y->name);
}

static json_t *label_counts(const struct survey *s) {
  struct counted sorted[LABELS_KEPT];
  if (!s->labels.count)
    return json_null();
  json_t *out = json_array();
  for (size_t i = 0; i < s->labels.count; i++)
    sorted[i] = (struct counted){s->labels.items[i].name, s->counts[i]};
  qsort(sorted, s->labels.count, sizeof *sorted, more_first);
  for (size_t i = 0; i < s->labels.count && i < SURVEY_SHOWN; i++)
    json_array_append_new(out, json_pack("{s:s, s:I}", "label", sorted[i].name, "count", (json_int_t)sorted[i].count));
  return out;
}

static json_t *places_json(const struct places *places) {
  return json_pack("{s:I, s:O}", "count", (json_int_t)places->count, "first", places->first);
}

static json_t *report(struct survey *s, bool against) {
  json_t *overlap = against ? places_json(&s->overlap) : json_null();
  if (against)
    json_object_set_new(overlap, "share", json_real((double)s->overlap.count / (double)(s->examples + !s->examples)));
  return json_pack("{s:I, s:o, s:I, s:o, s:o, s:o, s:O, s:I}", "examples", (json_int_t)s->examples, "label_counts",
                   label_counts(s), "label_count", (json_int_t)s->labels.count, "duplicates",
                   places_json(&s->duplicates), "conflicts", places_json(&s->conflicts), "overlap", overlap, "errors",
                   s->errors, "error_count", (json_int_t)s->error_count);
}

static void done(struct survey *s) {
  labels_done(&s->labels);
  free(s->seen.slots);
  free(s->other.slots);
  json_decref(s->errors);
  json_decref(s->duplicates.first);
  json_decref(s->conflicts.first);
  json_decref(s->overlap.first);
}

enum status survey_data(json_t **out, const struct survey_file *file, const struct survey_file *against,
                        const struct job_spec *spec, enum data_use use, struct error *err) {
  struct survey s = {.spec = spec, .use = use, .errors = json_array()};
  s.duplicates.first = json_array();
  s.conflicts.first = json_array();
  s.overlap.first = json_array();
  enum status status =
      labels_init(&s.labels, LABELS_KEPT) ? STATUS_OK : error_no_memory(err, "looking through a data file");
  if (!status && against)
    status = each(&s, against, remember_other, false, err);
  status = status ? status : each(&s, file, survey_record, true, err);
  *out = status ? NULL : report(&s, against);
  if (!status && !*out)
    status = error_no_memory(err, "the report of a data file");
  done(&s);
  return status;
}
