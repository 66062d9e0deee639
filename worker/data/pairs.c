#include "worker/data/pairs.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/pair_columns.h"
#include "base/grow.h"
#include "base/json.h"

static const size_t arena_max = (size_t)64 << 30;

struct loader {
  struct dataset *out;
  struct records *records;
  enum job_output output;
  struct pair_columns columns;
  int index[PAIR_ROLES]; /* of CSV and TSV; -1 */
  bool uses[PAIR_ROLES]; /* of each record */
  struct trie trie;      /* query -> group */
  uint32_t root, groups;
  size_t size;           /* allocated examples */
  struct location first; /* of the first score */
};

/* A file's record, to be asked for its columns. */
struct first_record {
  const struct records *records;
  const struct record *record;
};

static bool first_has(const void *with, const char *name) {
  const struct first_record *f = with;
  return record_given(f->record, records_column(f->records, name), name);
}

static enum status need(struct loader *l, enum pair_role role, const struct record *record, struct error *err) {
  const char *name = l->columns.name[role], *other = l->columns.other[role];
  if (!name)
    return record_fault(err, record, -1, NULL, "no column is named %s; %s names it", pair_column_words(role),
                        pair_column_param(role));
  if (!record->object && l->index[role] < 0)
    return location_fault(err, (struct location){1, 1}, name, "no column is named %.60s", name);
  if (other)
    return record_fault(err, record, l->index[role], name, "there are both %.60s and %.60s; %s names the one to use",
                        name, other, pair_column_param(role));
  l->uses[role] = true;
  return STATUS_OK;
}

/* What the file has, by its first record. */
static enum status find_kind(struct loader *l, const struct job_spec *spec, const struct record *record,
                             const struct dataset *like, struct error *err) {
  const struct first_record first = {l->records, record};
  struct pair_columns *c = &l->columns;
  struct dataset *d = l->out;
  pair_columns_find(c, spec, first_has, &first);
  for (int r = 0; r < PAIR_ROLES; r++)
    l->index[r] = c->name[r] ? records_column(l->records, c->name[r]) : -1;
  bool ranks = l->output == OUTPUT_RELEVANCE, negative = !ranks && c->name[PAIR_NEGATIVE];
  bool scored = ranks || (!negative && c->name[PAIR_SCORE]);
  enum status status = need(l, PAIR_FIRST, record, err);
  status = status ? status : need(l, PAIR_SECOND, record, err);
  if (!status && negative)
    status = need(l, PAIR_NEGATIVE, record, err);
  if (!status && scored)
    status = need(l, PAIR_SCORE, record, err);
  if (status)
    return status;
  d->texts = ranks ? 1 : negative ? 3 : 2;
  d->scored = scored && !ranks;
  d->grouped = ranks;
  if (like && (like->texts != d->texts || like->scored != d->scored))
    return record_fault(err, record, -1, NULL, "this file has %s, the training file %s",
                        d->scored  ? "scores"
                        : negative ? "negatives"
                                   : "no scores and no negatives",
                        like->scored       ? "scores"
                        : like->texts == 3 ? "negatives"
                                           : "no scores and no negatives");
  return STATUS_OK;
}

static enum status read_text(const char **out, size_t *length, struct loader *l, enum pair_role role,
                             const struct record *record, struct error *err) {
  const char *name = l->columns.name[role];
  const json_t *value = record->object ? json_object_get(record->object, name) : NULL;
  if (!record_given(record, l->index[role], name))
    return record_missing(err, record, l->index[role], name);
  if (record->object && !json_is_string(value))
    return record_fault(err, record, l->index[role], name, "%.60s must be a string, not %s", name, json_kind(value));
  const char *text = record_text(length, record, l->index[role], name);
  *out = arena_copy(&l->out->arena, text, *length);
  return *out ? STATUS_OK : error_no_memory(err, "the examples");
}

static enum status read_score(float *out, struct loader *l, const struct record *record, struct error *err) {
  const char *name = l->columns.name[PAIR_SCORE];
  int index = l->index[PAIR_SCORE];
  struct label_value value;
  double least = pair_score_least(l->output);
  enum status status = label_read(&value, record, index, name, err);
  if (status)
    return status;
  if (value.number.form == LABEL_WORD)
    return record_fault(err, record, index, name, "%.60s must be a number from %g to 1", name, least);
  if (value.number.number < least || value.number.number > 1)
    return record_fault(err, record, index, name, "%.60s is %g; it must be from %g to 1", name, value.number.number,
                        least);
  *out = (float)value.number.number;
  if (l->out->count == 0)
    l->first = record_location(record, index, name);
  return STATUS_OK;
}

/* Examples with the same query are of one group. */
static enum status read_group(struct loader *l, struct example *e, struct error *err) {
  int32_t group = trie_get(&l->trie, l->root, e->text, e->text_length);
  if (group < 0) {
    group = (int32_t)l->groups++;
    if (!trie_set(&l->trie, l->root, e->text, e->text_length, group))
      return error_no_memory(err, "the examples");
  }
  e->group = (uint32_t)group;
  return STATUS_OK;
}

/* A column that the first record has not is not to appear later on. */
static enum status check_kind(const struct loader *l, const struct record *record, struct error *err) {
  const char *name = l->columns.name[PAIR_NEGATIVE] ? l->columns.name[PAIR_NEGATIVE] : "negative";
  int index = records_column(l->records, name);
  if (l->uses[PAIR_NEGATIVE] || l->output != OUTPUT_EMBEDDING || !record_given(record, index, name))
    return STATUS_OK;
  return record_fault(err, record, index, name,
                      "this line has %.60s, but the first has not; all lines must be of one "
                      "kind",
                      name);
}

static enum status add_example(struct loader *l, const struct record *record, struct error *err) {
  struct dataset *d = l->out;
  if (d->count >= DATASET_EXAMPLES_MAX)
    return record_fault(err, record, -1, NULL, "more than %d examples", DATASET_EXAMPLES_MAX);
  struct example *examples = grow(d->examples, &l->size, d->count + 1, sizeof *examples);
  if (!examples)
    return error_no_memory(err, "the examples");
  d->examples = examples;
  struct example *e = &examples[d->count];
  *e = (struct example){.line = record->line};
  enum status status = read_text(&e->text, &e->text_length, l, PAIR_FIRST, record, err);
  status = status ? status : read_text(&e->pair, &e->pair_length, l, PAIR_SECOND, record, err);
  if (!status && l->uses[PAIR_NEGATIVE])
    status = read_text(&e->negative, &e->negative_length, l, PAIR_NEGATIVE, record, err);
  if (!status && l->uses[PAIR_SCORE])
    status = read_score(&e->target, l, record, err);
  status = status ? status : check_kind(l, record, err);
  if (!status && d->grouped)
    status = read_group(l, e, err);
  d->count += !status;
  return status;
}

/* Nothing can be learnt where all are one. */
static enum status check_scores(const struct loader *l, struct error *err) {
  const struct dataset *d = l->out;
  for (size_t i = 1; i < d->count; i++)
    if (d->examples[i].target != d->examples[0].target)
      return STATUS_OK;
  return location_fault(err, l->first, l->columns.name[PAIR_SCORE],
                        "every example has the %.60s %g; at least two "
                        "are needed",
                        l->columns.name[PAIR_SCORE], (double)d->examples[0].target);
}

static enum status finish(struct loader *l, const struct dataset *like, struct error *err) {
  struct dataset *d = l->out;
  d->label_kind = LABEL_FLOAT;
  d->warnings = like ? NULL : json_array();
  if (l->uses[PAIR_SCORE] && !like) {
    enum status status = check_scores(l, err);
    if (status)
      return status;
  }
  if (l->output != OUTPUT_RELEVANCE)
    return STATUS_OK;
  d->num_labels = 1;
  d->label_names = arena_array(&d->arena, 1, sizeof *d->label_names);
  if (!d->label_names || !(d->label_names[0] = arena_string(&d->arena, "LABEL_0")))
    return error_no_memory(err, "the examples");
  return STATUS_OK;
}

static enum status load(struct loader *l, const struct job_spec *spec, const struct dataset *like, struct error *err) {
  const struct record *record;
  enum status status = STATUS_OK;
  while (!status) {
    status = records_next(l->records, &record, err);
    if (status || !record)
      break;
    if (l->out->count == 0)
      status = find_kind(l, spec, record, like, err);
    status = status ? status : add_example(l, record, err);
  }
  return status ? status : finish(l, like, err);
}

enum status pairs_load(struct dataset *out, const char *path, const char *filename, const struct job_spec *spec,
                       enum job_output output, const struct dataset *like, struct error *err) {
  struct loader l = {.out = out, .output = output};
  *out = (struct dataset){0};
  arena_init(&out->arena, arena_max);
  trie_init(&l.trie);
  enum status status = trie_root(&l.trie, &l.root) ? STATUS_OK : error_no_memory(err, "the examples");
  status = status ? status : records_open(&l.records, path, filename, err);
  if (!status)
    status = load(&l, spec, like, err);
  records_close(l.records);
  trie_done(&l.trie);
  if (status)
    dataset_done(out);
  return status;
}
