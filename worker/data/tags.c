#include "worker/data/tags.h"

#include <stdlib.h>
#include <string.h>

#include "api/tag_columns.h"
#include "base/grow.h"
#include "base/json.h"

static const size_t arena_max = (size_t)64 << 30;

struct loader {
  struct dataset *out;
  struct records *records;
  const char *tokens, *tags; /* members; tags NULL: not known before the first record */
  const struct dataset *like;
  struct labels labels;
  uint32_t *known; /* of each tag, in order of first occurrence: the class of `like` */
  size_t known_count, known_size;
  size_t size; /* allocated examples */
  size_t word_count, word_size, mark_size;
};

/* --- one record ----------------------------------------------------------------------------------- */

enum status tags_read_words(const json_t **out, const struct record *record, int column, const char *name,
                            struct error *err) {
  const json_t *list = record->object ? json_object_get(record->object, name) : NULL;
  if (!record_given(record, column, name))
    return record_missing(err, record, column, name);
  if (!json_is_array(list))
    return record_fault(err, record, column, name, "%.60s must be a list of words, as [\"a\", \"b\"]%s%s", name,
                        record->object ? ", not " : " in JSON Lines", record->object ? json_kind(list) : "");
  if (json_array_size(list) == 0)
    return record_fault(err, record, column, name, "%.60s has no words", name);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *item = json_array_get(list, i);
    if (!json_is_string(item))
      return record_fault(err, record, column, name, "%.60s has %s as its entry %zu; each word must be a string", name,
                          json_kind(item), i + 1);
    if (json_string_length(item) == 0)
      return record_fault(err, record, column, name, "%.60s has an empty word as its entry %zu", name, i + 1);
  }
  *out = list;
  return STATUS_OK;
}

enum status tags_fit(const struct record *record, const char *tags, const char *tokens, struct error *err) {
  const json_t *own = json_object_get(record->object, tags), *other = json_object_get(record->object, tokens);
  size_t have = json_array_size(own), want = json_array_size(other);
  if (!json_is_array(own) || !json_is_array(other) || have == want)
    return STATUS_OK;
  return record_fault(err, record, -1, tags, "%.60s has %zu entries, %.60s has %zu", tags, have, tokens, want);
}

static bool first_has(const void *with, const char *name) {
  const struct record *record = with;
  return record_given(record, -1, name);
}

/* --- the file ------------------------------------------------------------------------------------- */

static enum status find_tags(struct loader *l, const struct job_spec *spec, const struct record *record,
                             struct error *err) {
  const struct tag_column found = tag_column_find(spec, first_has, record);
  if (!record->object)
    return record_fault(err, record, -1, NULL,
                        "words with their tags are read of JSON Lines, as {\"tokens\": [\"a\", \"b\"], \"tags\": "
                        "[\"O\", \"B-X\"]}");
  if (!found.name)
    return record_fault(err, record, -1, NULL, "no list of tags (%s); dataset.tags names it", tag_column_words);
  if (found.other)
    return record_fault(err, record, -1, found.name,
                        "there are both %.60s and %.60s; dataset.tags names the one to use", found.name, found.other);
  l->tags = found.name;
  return STATUS_OK;
}

/* The class of the training set that a tag means. */
static enum status known_tag(uint32_t *class, struct loader *l, const struct record *record, struct error *err) {
  uint32_t index = *class;
  if (l->labels.overflow.count)
    return record_fault(err, record, -1, l->tags, "more than %zu different tags", l->labels.max);
  if (index < l->known_count) {
    *class = l->known[index];
    return STATUS_OK;
  }
  uint32_t *known = grow(l->known, &l->known_size, l->known_count + 1, sizeof *known);
  if (!known)
    return error_no_memory(err, "the examples");
  l->known = known;
  for (size_t i = 0; i < l->like->num_labels; i++)
    if (strcmp(l->like->label_names[i], l->labels.items[index].name) == 0) {
      *class = known[l->known_count++] = (uint32_t)i;
      return STATUS_OK;
    }
  return record_fault(err, record, -1, l->tags, "the tag %.80s does not occur in the training file",
                      l->labels.items[index].name);
}

static enum status add_words(struct loader *l, struct example *e, const json_t *tokens, const json_t *tags,
                             const struct record *record, struct error *err) {
  struct dataset *d = l->out;
  size_t count = json_array_size(tokens), end = l->word_count + count;
  struct word_text *words = grow(d->words, &l->word_size, end, sizeof *words);
  uint32_t *marks = grow(d->marks, &l->mark_size, end, sizeof *marks);
  d->words = words ? words : d->words;
  d->marks = marks ? marks : d->marks;
  enum status status = words && marks ? STATUS_OK : error_no_memory(err, "the examples");
  for (size_t i = 0; !status && i < count; i++) {
    const json_t *item = json_array_get(tokens, i);
    struct label_value tag = label_of_item(tags, i);
    struct word_text *word = &words[l->word_count + i];
    word->length = json_string_length(item);
    word->text = arena_copy(&d->arena, json_string_value(item), word->length);
    uint32_t *class = &marks[l->word_count + i];
    status = word->text ? labels_add(&l->labels, class, &tag, record, -1, l->tags, err)
                        : error_no_memory(err, "the examples");
    if (!status && l->like)
      status = known_tag(class, l, record, err);
  }
  e->first_mark = l->word_count;
  e->mark_count = count;
  l->word_count = end;
  return status;
}

static enum status add_example(struct loader *l, const struct record *record, struct error *err) {
  struct dataset *d = l->out;
  const json_t *tokens, *tags;
  if (d->count >= DATASET_EXAMPLES_MAX)
    return record_fault(err, record, -1, NULL, "more than %d examples", DATASET_EXAMPLES_MAX);
  struct example *examples = grow(d->examples, &l->size, d->count + 1, sizeof *examples);
  if (!examples)
    return error_no_memory(err, "the examples");
  d->examples = examples;
  struct example *e = &examples[d->count];
  *e = (struct example){.line = record->line};
  enum status status = tags_read_words(&tokens, record, -1, l->tokens, err);
  status = status ? status : label_list_read(&tags, record, -1, l->tags, err);
  if (!status && tags_fit(record, l->tags, l->tokens, err))
    return STATUS_DATASET_INVALID;
  status = status ? status : add_words(l, e, tokens, tags, record, err);
  d->count += !status;
  return status;
}

static enum status finish(struct loader *l, struct error *err) {
  struct dataset *d = l->out;
  struct labels *labels = &l->labels;
  const struct dataset *like = l->like;
  enum status status = like ? STATUS_OK : labels_settle(labels, PROBLEM_SINGLE_LABEL, l->tags, err);
  if (!status && !like && labels->class_count < 2)
    status = location_fault(err, labels->all.first, l->tags, "every word has the tag %.80s; at least two are needed",
                            labels->items[0].name);
  if (status)
    return status;
  d->label_kind = LABEL_CLASS;
  d->warnings = like ? NULL : json_array();
  d->num_labels = like ? like->num_labels : labels->class_count;
  d->label_names = arena_array(&d->arena, d->num_labels, sizeof *d->label_names);
  for (size_t i = 0; d->label_names && i < d->num_labels; i++)
    if (!(d->label_names[i] = arena_string(&d->arena, like ? like->label_names[i] : labels->items[i].name)))
      return error_no_memory(err, "the examples");
  for (size_t i = 0; !like && i < l->word_count; i++)
    d->marks[i] = labels->class_of[d->marks[i]];
  return d->label_names ? STATUS_OK : error_no_memory(err, "the examples");
}

enum status tags_load(struct dataset *out, const char *path, const char *filename, const struct job_spec *spec,
                      const struct dataset *like, struct error *err) {
  struct loader l = {.out = out, .tokens = spec->columns.tokens, .like = like};
  const struct record *record;
  *out = (struct dataset){0};
  arena_init(&out->arena, arena_max);
  enum status status = labels_init(&l.labels, LABELS_MAX) ? STATUS_OK : error_no_memory(err, "the examples");
  status = status ? status : records_open(&l.records, path, filename, err);
  while (!status) {
    status = records_next(l.records, &record, err);
    if (status || !record)
      break;
    if (!l.tags)
      status = find_tags(&l, spec, record, err);
    status = status ? status : add_example(&l, record, err);
  }
  status = status ? status : finish(&l, err);
  records_close(l.records);
  labels_done(&l.labels);
  free(l.known);
  if (status)
    dataset_done(out);
  return status;
}
