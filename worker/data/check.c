/* One pass; what is kept of a record is a hash, lengths and its label. */
#include "worker/data/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "worker/data/labels.h"
#include "worker/data/messages.h"

enum { NAMES_SHOWN = 100, SEEN_SLOTS = 1 << 21, SEEN_MAX = 1 << 20, MEMBERS_MAX = RECORD_COLUMNS_MAX };

/* What an example is for, by the members or columns that it has. */
enum kind { KIND_LABELLED, KIND_TEXT, KIND_CHAT, KIND_COMPLETION, KIND_TABLE };

struct check {
  struct records *records;
  int text, pair, label;      /* indexes in CSV and TSV; -1: none */
  int prompt, completion;
  size_t examples, duplicates;
  enum kind kind;             /* of every record */
  size_t first_line;
  size_t texts, text_min, text_max;
  double text_sum;
  size_t turns, assistant_messages; /* of chats */
  size_t assistant_first;           /* chats that the assistant begins */
  size_t assistant_first_line;      /* of the first of them */
  struct labels labels;
  json_t *columns;            /* JSONL: names in order of first occurrence */
  json_t *column_set;
  uint64_t *seen;             /* hashes of records; 0: free */
  size_t seen_count;
};

static enum status no_memory(struct error *err) {
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to check a data file");
}

/* --- fields --------------------------------------------------------------------------------------- */

/* `text` and `text_pair`: a string that is not empty. */
static enum status check_text(size_t *length, const struct record *record, int column, const char *name,
                              struct error *err) {
  const json_t *value = record->object ? json_object_get(record->object, name) : NULL;
  if (record->object && !json_is_string(value))
    return record_fault(err, record, column, name, "%s must be a string, not %s", name, json_kind(value));
  *length = record->object ? json_string_length(value) : record->values[column].length;
  return *length ? STATUS_OK : record_fault(err, record, column, name, "%s is empty", name);
}

static enum status check_chat(struct check *c, const struct record *record, struct error *err) {
  struct messages_facts facts;
  enum status status = messages_check(&facts, record, "messages", err);
  if (status)
    return status;
  if (facts.assistant == 0)
    return record_fault(err, record, -1, "messages", "no message has the role assistant: there is nothing to learn");
  if (facts.learnt == 0)
    return record_fault(err, record, -1, "messages", "every message of the assistant is empty or has the weight 0: "
                        "there is nothing to learn");
  c->turns += facts.turns;
  c->assistant_messages += facts.assistant;
  if (facts.assistant_first && c->assistant_first++ == 0)
    c->assistant_first_line = record->line;
  return STATUS_OK;
}

/* A prompt may be empty. */
static enum status check_completion(const struct check *c, const struct record *record, struct error *err) {
  const json_t *prompt = json_object_get(record->object, "prompt");
  size_t ignored;
  if (record->object && !json_is_string(prompt))
    return record_fault(err, record, -1, "prompt", "prompt must be a string, not %s", json_kind(prompt));
  return check_text(&ignored, record, c->completion, "completion", err);
}

/* --- records -------------------------------------------------------------------------------------- */

static bool has(const struct record *record, int column, const char *name) {
  return record->object ? json_object_get(record->object, name) != NULL : column >= 0;
}

static enum kind kind_of(const struct check *c, const struct record *record) {
  bool text = has(record, c->text, "text");
  if (text && has(record, c->label, "label"))
    return KIND_LABELLED;
  if (record->object && json_object_get(record->object, "messages"))
    return KIND_CHAT;
  if (has(record, c->prompt, "prompt") && has(record, c->completion, "completion"))
    return KIND_COMPLETION;
  return text ? KIND_TEXT : KIND_TABLE;
}

static enum status check_fields(struct check *c, const struct record *record, enum kind kind, struct error *err) {
  size_t length = 0, ignored;
  uint32_t index;
  struct label_value value;
  enum status status = STATUS_OK;
  if (has(record, c->text, "text")) {
    status = check_text(&length, record, c->text, "text", err);
    c->text_min = !c->texts || length < c->text_min ? length : c->text_min;
    c->text_max = length > c->text_max ? length : c->text_max;
    c->text_sum += (double)length;
    c->texts++;
  }
  bool null_pair = record->object && json_is_null(json_object_get(record->object, "text_pair"));
  if (!status && !null_pair && has(record, c->pair, "text_pair"))
    status = check_text(&ignored, record, c->pair, "text_pair", err);
  if (!status && has(record, c->label, "label"))
    status = label_read(&value, record, c->label, "label", err);
  if (!status && has(record, c->label, "label"))
    status = labels_add(&c->labels, &index, &value, record, c->label, "label", err);
  if (!status && kind == KIND_CHAT)
    status = check_chat(c, record, err);
  if (!status && kind == KIND_COMPLETION)
    status = check_completion(c, record, err);
  return status;
}

static uint64_t fnv(uint64_t hash, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
  return (hash ^ length) * 0x100000001B3u;
}

/* Counts records that are equal to an earlier one, as far as the table reaches. */
static void count_duplicate(struct check *c, const struct record *record) {
  uint64_t hash = 0xCBF29CE484222325u;
  if (record->object)
    hash = fnv(hash, record->raw, record->raw_length);
  for (size_t i = 0; !record->object && i < record->count; i++)
    hash = fnv(hash, record->values[i].text, record->values[i].length);
  hash += hash == 0;
  size_t slot = (hash ^ hash >> 32) & (SEEN_SLOTS - 1);
  while (c->seen[slot] && c->seen[slot] != hash)
    slot = (slot + 1) & (SEEN_SLOTS - 1);
  if (c->seen[slot]) {
    c->duplicates++;
  } else if (c->seen_count < SEEN_MAX) {
    c->seen[slot] = hash;
    c->seen_count++;
  }
}

/* JSON lines have no header: their members are gathered. */
static enum status gather_columns(struct check *c, const struct record *record, struct error *err) {
  const char *key;
  json_t *value;
  if (!record->object)
    return STATUS_OK;
  json_object_foreach((json_t *)(uintptr_t)record->object, key, value) {
    if (json_array_size(c->columns) >= MEMBERS_MAX || json_object_get(c->column_set, key))
      continue;
    if (json_object_set_new(c->column_set, key, json_true()) != 0 ||
        json_array_append_new(c->columns, json_string(key)) != 0)
      return no_memory(err);
  }
  return STATUS_OK;
}

static const char *kind_members(enum kind kind) {
  switch (kind) {
  case KIND_LABELLED: return "text and label";
  case KIND_TEXT: return "text but no label";
  case KIND_CHAT: return "messages";
  case KIND_COMPLETION: return "prompt and completion";
  case KIND_TABLE: return "neither text nor messages nor prompt with completion";
  }
  CHECK(!"a kind of data");
}

static enum status check_record(struct check *c, const struct record *record, struct error *err) {
  enum kind kind = kind_of(c, record);
  if (c->examples == 0) {
    c->kind = kind;
    c->first_line = record->line;
  }
  if (kind != c->kind)
    return record_fault(err, record, -1, NULL, "this line has %s, but line %zu has %s", kind_members(kind),
                        c->first_line, kind_members(c->kind));
  enum status status = check_fields(c, record, kind, err);
  if (!status)
    status = gather_columns(c, record, err);
  if (status)
    return status;
  c->examples++;
  count_duplicate(c, record);
  return STATUS_OK;
}

/* --- the report ----------------------------------------------------------------------------------- */

static const char *kind_name(const struct check *c) {
  switch (c->kind) {
  case KIND_LABELLED: return c->labels.form == FORM_NUMBER ? "regression" : "classification";
  case KIND_TEXT: return "text";
  case KIND_CHAT: return "chat";
  case KIND_COMPLETION: return "completion";
  case KIND_TABLE: return "table";
  }
  CHECK(!"a kind of data");
}

static json_t *report_labels(struct check *c) {
  if (!c->labels.any)
    return json_null();
  if (c->labels.form == FORM_NUMBER)
    return json_pack("{s:s, s:i, s:[]}", "kind", "float", "count", 1, "names");
  json_t *names = json_array();
  labels_sort(&c->labels);
  for (size_t i = 0; names && i < c->labels.count && i < NAMES_SHOWN; i++)
    if (json_array_append_new(names, json_string(c->labels.items[i].name)) != 0)
      break;
  return json_pack("{s:s, s:I, s:o}", "kind", "class", "count", (json_int_t)c->labels.count, "names", names);
}

static json_t *report_columns(struct check *c) {
  const char *const *names;
  size_t count = records_columns(c->records, &names);
  if (records_format(c->records) == RECORD_JSONL)
    return json_incref(c->columns);
  json_t *out = json_array();
  for (size_t i = 0; out && i < count; i++)
    if (json_array_append_new(out, json_string(names[i])) != 0)
      break;
  return out;
}

static void warn(json_t *list, const char *format, ...) PRINTF(2, 3);
static void warn(json_t *list, const char *format, ...) {
  char text[300];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  json_array_append_new(list, json_string(text));
}

static json_t *report_warnings(const struct check *c) {
  json_t *list = json_array();
  size_t blank = records_blank(c->records);
  if (blank)
    warn(list, "%zu empty lines were skipped", blank);
  if (c->duplicates)
    warn(list, "%zu records are repeated%s", c->duplicates,
         c->seen_count < SEEN_MAX ? "" : " (counted among the first million different ones)");
  if (c->labels.any && c->labels.form != FORM_NUMBER && c->labels.count == 1)
    warn(list, "every example has the label %.100s", c->labels.items[0].name);
  for (size_t i = 0; c->labels.form == FORM_INTEGER && i < c->labels.count; i++)
    if (c->labels.items[i].integer != (int64_t)i) {
      warn(list, "the labels are integers but not 0, 1, 2, ... without a gap; a training file needs that");
      break;
    }
  if (c->assistant_first)
    warn(list, "in %zu conversations, the first in line %zu, the assistant speaks before any user", c->assistant_first,
         c->assistant_first_line);
  if (c->kind == KIND_TABLE)
    warn(list, "no column is named text; a job must name its columns (dataset.text, dataset.label)");
  return list;
}

static enum status make_report(json_t **report, struct check *c, struct error *err) {
  json_t *labels = report_labels(c);
  json_t *text = c->texts ? json_pack("{s:I, s:f, s:I}", "min", (json_int_t)c->text_min, "mean",
                                      c->text_sum / (double)c->texts, "max", (json_int_t)c->text_max)
                          : json_null();
  json_t *chat = c->kind == KIND_CHAT ? json_pack("{s:I, s:I}", "turns", (json_int_t)c->turns, "assistant_messages",
                                                  (json_int_t)c->assistant_messages)
                                      : json_null();
  *report = json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "format",
                      record_format_name(records_format(c->records)), "kind", kind_name(c), "lines",
                      (json_int_t)records_lines(c->records), "examples", (json_int_t)c->examples, "bytes",
                      (json_int_t)records_bytes(c->records), "columns", report_columns(c), "labels", labels,
                      "text_bytes", text, "chat", chat, "warnings", report_warnings(c));
  return *report ? STATUS_OK : no_memory(err);
}

static enum status run(json_t **report, struct check *c, struct error *err) {
  const struct record *record;
  enum status status = STATUS_OK;
  c->text = records_column(c->records, "text");
  c->pair = records_column(c->records, "text_pair");
  c->label = records_column(c->records, "label");
  c->prompt = records_column(c->records, "prompt");
  c->completion = records_column(c->records, "completion");
  while (!status) {
    status = records_next(c->records, &record, err);
    if (status || !record)
      break;
    status = check_record(c, record, err);
  }
  return status ? status : make_report(report, c, err);
}

enum status check_file(json_t **report, const char *path, const char *filename, struct error *err) {
  struct check c = {0};
  *report = NULL;
  c.columns = json_array();
  c.column_set = json_object();
  c.seen = calloc(SEEN_SLOTS, sizeof *c.seen);
  enum status status = STATUS_OK;
  if (!labels_init(&c.labels) || !c.columns || !c.column_set || !c.seen)
    status = no_memory(err);
  if (!status)
    status = records_open(&c.records, path, filename, err);
  if (!status)
    status = run(report, &c, err);
  records_close(c.records);
  labels_done(&c.labels);
  json_decref(c.columns);
  json_decref(c.column_set);
  free(c.seen);
  return status;
}
