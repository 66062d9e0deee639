#include "worker/data/warnings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/data/label_warnings.h"
#include "worker/text/unicode.h"

enum { SLOTS = 1 << 21, SLOTS_USED_MAX = 1 << 20, WORD_MAX = 40 };

enum status warnings_init(struct warnings *warnings, const struct records *records, struct error *err) {
  *warnings = (struct warnings){.records = records};
  warnings->seen = calloc(SLOTS, sizeof *warnings->seen);
  warnings->texts = calloc(SLOTS, sizeof *warnings->texts);
  return warnings->seen && warnings->texts
             ? STATUS_OK
             : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to check a data file");
}

void warnings_done(struct warnings *warnings) {
  free(warnings->seen);
  free(warnings->texts);
  *warnings = (struct warnings){0};
}

/* --- records and texts that were there before ----------------------------------------------------- */

static const uint64_t hash_start = 0xCBF29CE484222325u;

/* Eight bytes at a time: a file is hashed twice. */
static uint64_t mix(uint64_t hash, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i += sizeof hash) {
    uint64_t word = 0;
    memcpy(&word, bytes + i, length - i < sizeof word ? length - i : sizeof word);
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
  }
  return (hash ^ length) * 0x9E3779B97F4A7C15u;
}

static size_t slot_of(uint64_t hash) {
  return (hash ^ hash >> 32) & (SLOTS - 1);
}

/* Counts records that are equal to an earlier one, as far as the table reaches. */
static void see_record(struct warnings *d, const struct record *record) {
  uint64_t hash = hash_start;
  if (record->object)
    hash = mix(hash, record->raw, record->raw_length);
  for (size_t i = 0; !record->object && i < record->count; i++)
    hash = mix(hash, record->values[i].text, record->values[i].length);
  hash += hash == 0;
  size_t slot = slot_of(hash);
  while (d->seen[slot] && d->seen[slot] != hash)
    slot = (slot + 1) & (SLOTS - 1);
  if (d->seen[slot]) {
    d->repeated++;
  } else if (d->seen_count < SLOTS_USED_MAX) {
    d->seen[slot] = hash;
    d->seen_count++;
  }
}

/* 1 and 1.0 are one label. */
static uint32_t hash_label(const struct label_value *value) {
  uint64_t hash = value->number.form == LABEL_WORD
                      ? mix(hash_start, value->text, value->length)
                      : mix(hash_start, (const char *)&value->number.number, sizeof value->number.number);
  return (uint32_t)(hash ^ hash >> 32);
}

static void see_labelled(struct warnings *d, const struct record *record) {
  static const char *const names[] = {"text", "text_pair"};
  struct label_value value;
  uint64_t hash = hash_start;
  size_t length = 0;
  int column = records_column(d->records, "label");
  if (!record_text(&length, record, records_column(d->records, "text"), "text") ||
      !record_given(record, column, "label") || label_read(&value, record, column, "label", NULL))
    return;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const char *text = record_text(&length, record, records_column(d->records, names[i]), names[i]);
    hash = mix(hash, text ? text : "", length);
  }
  hash += hash == 0;
  size_t slot = slot_of(hash);
  while (d->texts[slot].hash && d->texts[slot].hash != hash)
    slot = (slot + 1) & (SLOTS - 1);
  struct warnings_text *found = &d->texts[slot];
  if (found->hash && found->label != hash_label(&value)) {
    if (d->relabelled.count == 0)
      d->relabelled_line = found->line;
    record_count(&d->relabelled, record, column, "label");
  } else if (!found->hash && d->text_count < SLOTS_USED_MAX) {
    *found = (struct warnings_text){hash, hash_label(&value), (uint32_t)record->line};
    d->text_count++;
  }
}

static void see_header(struct warnings *d, const struct record *record) {
  const char *const *names;
  size_t count = records_columns(d->records, &names);
  for (size_t i = 0; i < count; i++) {
    const char *text = record->values[i].text; /* files that were joined keep their byte order marks */
    if (strcmp(text + (i == 0 && strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0), names[i]) != 0)
      return;
  }
  if (count > 0 && !record->object)
    record_count(&d->header, record, -1, NULL);
}

/* TSV has no quoting: what was written as a CSV file is keeps its quotes. */
static void see_quoted(struct warnings *d, const struct record *record) {
  const char *const *names;
  records_columns(d->records, &names);
  for (size_t i = 0; records_format(d->records) == RECORD_TSV && i < record->count; i++) {
    const struct record_value *v = &record->values[i];
    if (v->length > 1 && v->text[0] == '"' && v->text[v->length - 1] == '"')
      record_count(&d->quoted, record, (int)i, names[i]);
  }
}

/* --- texts ---------------------------------------------------------------------------------------- */

static bool is_blank(const char *text, size_t length) {
  for (size_t i = 0, n; i < length; i += n) {
    uint32_t c = utf8_decode(text + i, &n);
    if (!unicode_is_space(c) && !unicode_is_removed(c))
      return false;
  }
  return true;
}

/* Bytes of the word at `text` that a tokenizer may know as a special token; 0: there is none. <|name|> in any spelling
   is one, and so are those that have been in use. */
static size_t control_length(const char *text, size_t length) {
  static const char *const known[] = {
      "<s>",     "</s>",   "<pad>",  "<unk>",    "<bos>",    "<eos>",    "<mask>", "[INST]", "[/INST]",
      "<<SYS>>", "[CLS]",  "[SEP]",  "[MASK]",   "[PAD]",    "[UNK]",    "<start_of_turn>",
      "<end_of_turn>", "<</SYS>>",   "<\xEF\xBD\x9C"};
  for (size_t i = 0; i < COUNT_OF(known); i++) {
    size_t n = strlen(known[i]);
    if (n <= length && memcmp(text, known[i], n) == 0)
      return n;
  }
  if (length < 5 || text[1] != '|')
    return 0;
  for (size_t i = 2; i + 1 < length && i < WORD_MAX; i++) {
    if (text[i] == '|' && text[i + 1] == '>')
      return i > 2 ? i + 2 : 0;
    if (text[i] == '<' || text[i] == '\n')
      return 0;
  }
  return 0;
}

static const char *find_control(size_t *found, const char *text, size_t length) {
  for (const char *at = text, *end = text + length; at < end; at++) {
    size_t span = strcspn(at, "<["); /* a NUL within ends the search */
    at += span;
    if (at >= end || *at == '\0')
      return NULL;
    *found = control_length(at, (size_t)(end - at));
    if (*found)
      return at;
  }
  return NULL;
}

static void see_text(struct warnings *d, const struct record *record, int column, const char *name, const char *text,
                     size_t length) {
  size_t found;
  if (length > 0 && is_blank(text, length)) {
    if (d->blank.count == 0)
      snprintf(d->blank_name, sizeof d->blank_name, "%s", name);
    record_count(&d->blank, record, column, name);
  }
  const char *word = find_control(&found, text, length);
  if (!word)
    return;
  if (d->control.count == 0) {
    snprintf(d->control_name, sizeof d->control_name, "%s", name);
    snprintf(d->control_word, sizeof d->control_word, "%.*s", (int)found, word);
  }
  record_count(&d->control, record, column, name);
}

static void see_content(struct warnings *d, const struct record *record, const json_t *content) {
  if (json_is_string(content))
    see_text(d, record, -1, "messages", json_string_value(content), json_string_length(content));
  for (size_t i = 0; json_is_array(content) && i < json_array_size(content); i++)
    see_content(d, record, json_object_get(json_array_get(content, i), "text"));
}

static void see_texts(struct warnings *d, const struct record *record) {
  static const char *const names[] = {"text", "text_pair", "prompt", "completion"};
  bool any = false;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    size_t length;
    int column = records_column(d->records, names[i]);
    const char *text = record_text(&length, record, column, names[i]);
    any = any || column >= 0 || (record->object && json_object_get(record->object, names[i]));
    if (text)
      see_text(d, record, column, names[i], text, length);
  }
  const json_t *messages = record->object ? json_object_get(record->object, "messages") : NULL;
  for (size_t i = 0; json_is_array(messages) && i < json_array_size(messages); i++)
    see_content(d, record, json_object_get(json_array_get(messages, i), "content"));
  if (any || messages)
    return;
  /* Which column is the text is the job's to say: any may be. */
  const char *name;
  const char *const *columns;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)record->object, name, value)
    if (json_is_string(value))
      see_text(d, record, -1, name, json_string_value(value), json_string_length(value));
  records_columns(d->records, &columns);
  for (size_t i = 0; !record->object && i < record->count; i++)
    see_text(d, record, (int)i, columns[i], record->values[i].text, record->values[i].length);
}

void warnings_add(struct warnings *warnings, const struct record *record) {
  see_record(warnings, record);
  see_labelled(warnings, record);
  see_header(warnings, record);
  see_quoted(warnings, record);
  see_texts(warnings, record);
}

/* --- what is reported ----------------------------------------------------------------------------- */

/* Which columns a job may take labels from: `label`, or any with few values, each of them more than once. */
static bool may_be_labels(const struct columns *columns, const struct column_facts *facts) {
  if (columns_find(columns, "label"))
    return strcmp(facts->name, "label") == 0;
  return facts->labels.class_of && 2 * facts->labels.class_count <= facts->given.count;
}

static void tell_delimiter(json_t *list, const struct records *records) {
  const char *const *names;
  char used = records_delimiter(records);
  size_t count = records_columns(records, &names);
  const char *word = used == '\t' ? "tabs" : used == ';' ? "semicolons" : used == '|' ? "vertical bars" : "colons";
  if (records_format(records) == RECORD_CSV && used != ',')
    label_warning(list, "the fields are separated by %s, not by commas", word);
  if (records_format(records) == RECORD_TSV && count == 1 && strpbrk(names[0], ",;|"))
    label_warning(list, "the header has no tab: it is one column named %.100s", names[0]);
}

void warnings_report(json_t *list, const struct warnings *d, const struct columns *columns) {
  char tail[64];
  size_t empty = records_blank(d->records);
  tell_delimiter(list, d->records);
  if (empty)
    label_warning(list, "%zu empty lines were skipped", empty);
  if (d->repeated)
    label_warning(list, "%zu records are repeated%s", d->repeated,
                  d->seen_count < SLOTS_USED_MAX ? "" : " (counted among the first million different ones)");
  if (d->header.count)
    label_warning(list, "line %zu: the header again, as an example%s", d->header.first.line,
                  label_warning_more(tail, &d->header));
  if (d->relabelled.count)
    label_warning(list, "line %zu, column %zu: the text of line %u has another label here%s", d->relabelled.first.line,
                  d->relabelled.first.column, d->relabelled_line, label_warning_more(tail, &d->relabelled));
  if (d->quoted.count)
    label_warning(list,
                  "line %zu, column %zu: the field is in quotes%s, which are part of it: TSV has no quoting (a "
                  "file with quotes is saved as .csv, with commas)",
                  d->quoted.first.line, d->quoted.first.column, label_warning_more(tail, &d->quoted));
  if (d->blank.count)
    label_warning(list, "line %zu, column %zu: %s holds nothing but blanks or invisible characters%s",
                  d->blank.first.line, d->blank.first.column, d->blank_name, label_warning_more(tail, &d->blank));
  if (d->control.count)
    label_warning(list, "line %zu, column %zu: %s holds \"%s\", which a tokenizer may take for a special token%s",
                  d->control.first.line, d->control.first.column, d->control_name, d->control_word,
                  label_warning_more(tail, &d->control));
  for (size_t i = 0; i < columns->count; i++)
    if (may_be_labels(columns, &columns->items[i]))
      label_warnings_report(list, &columns->items[i].labels, columns->items[i].name);
}
