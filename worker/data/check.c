/* One pass: the facts of the columns, and warnings. */
#include "worker/data/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/data_use.h"
#include "api/event.h"
#include "api/job_fields.h"
#include "api/objective.h"
#include "api/tag_columns.h"
#include "base/json.h"
#include "worker/data/column_facts.h"
#include "worker/data/foreign.h"
#include "worker/data/label_warnings.h"
#include "worker/data/warnings.h"

enum { NAMES_SHOWN = 100, REPORT_MAX = EVENT_LINE_MAX - 4096 };

struct check {
  struct records *records;
  size_t examples;
  struct columns columns;
  size_t texts, text_min, text_max; /* of `text` */
  double text_sum;
  struct warnings warnings;
  const char *advice; /* of the first record; NULL: none is needed */
};

/* --- records -------------------------------------------------------------------------------------- */

static void measure_text(struct check *c, const struct record *record) {
  size_t length;
  if (!record_text(&length, record, records_column(c->records, "text"), "text"))
    return;
  c->text_min = !c->texts || length < c->text_min ? length : c->text_min;
  c->text_max = length > c->text_max ? length : c->text_max;
  c->text_sum += (double)length;
  c->texts++;
}

static enum status check_record(struct check *c, const struct record *record, struct error *err) {
  enum status status = columns_add(&c->columns, record, err);
  if (status)
    return status;
  measure_text(c, record);
  warnings_add(&c->warnings, record);
  if (c->examples++ == 0)
    c->advice =
        records_mapping(c->records) ? mapping_says(records_mapping(c->records)) : foreign_advice(c->records, record);
  return STATUS_OK;
}

/* --- the report ----------------------------------------------------------------------------------- */

static const char *kind_name(const struct check *c, enum data_use use) {
  const struct column_facts *label = columns_find(&c->columns, "label");
  switch (use) {
  case USE_LABELLED: return label && label->labels.kind == LABEL_FLOAT ? "regression" : "classification";
  case USE_LABELS: return "multi_label";
  case USE_TAGS: return "token_classification";
  case USE_TEXT: return "text";
  case USE_EMBEDDING: return "embedding";
  case USE_RANKED: return "reranking";
  case USE_CHAT: return "chat";
  case USE_COMPLETION: return "completion";
  case USE_PREFERENCE: return "preference";
  case USE_NOTHING: return "table";
  }
  CHECK(!"a use of data");
}

static bool first_has(const void *with, const char *name) {
  const struct column_facts *facts = columns_find(with, name);
  return facts && facts->first;
}

/* What a job with the default names takes for tags. */
static const char *tags_of(const struct check *c) {
  struct job_spec spec = {0};
  field_defaults(&job_sections[0].fields, &spec.columns);
  return tag_column_find(&spec, first_has, &c->columns).name;
}

static json_t *report_labels(const struct check *c, enum data_use use) {
  const char *name = use == USE_TAGS ? tags_of(c) : use == USE_LABELS ? "labels" : "label";
  const struct column_facts *facts = name ? columns_find(&c->columns, name) : NULL;
  const struct labels *labels = facts ? &facts->labels : NULL;
  if (!labels || !labels->all.count)
    return json_null();
  if (labels->kind == LABEL_FLOAT)
    return json_pack("{s:s, s:i, s:[]}", "kind", "float", "count", 1, "names");
  size_t count = labels->class_of ? labels->class_count : labels->count;
  json_t *names = json_array();
  for (size_t i = 0; names && i < count && i < NAMES_SHOWN; i++)
    if (json_array_append_new(names, json_string(labels->items[i].name)) != 0)
      break;
  return json_pack("{s:s, s:I, s:o}", "kind", "class", "count", (json_int_t)count, "names", names);
}

static json_t *report_columns(const struct check *c) {
  json_t *out = json_array();
  for (size_t i = 0; out && i < c->columns.count; i++)
    if (json_array_append_new(out, json_string(c->columns.items[i].name)) != 0)
      break;
  return out;
}

static json_t *report_chat(const struct check *c, enum data_use use) {
  const struct column_facts *chats = use == USE_CHAT ? columns_find(&c->columns, "messages") : NULL;
  return chats ? json_pack("{s:I, s:I}", "turns", (json_int_t)chats->turns.turns, "assistant_messages",
                           (json_int_t)chats->turns.assistant)
               : json_null();
}

static json_t *report_warnings(const struct check *c, enum data_use use, const struct fault_list *faults) {
  json_t *list = json_array();
  const struct column_facts *label = columns_find(&c->columns, "label"), *chats = columns_find(&c->columns, "messages");
  for (size_t i = 0; i < faults->count; i++)
    if (faults->item[i].status == STATUS_DATASET_INVALID)
      label_warning(list, "%s; a job that uses it is refused", faults->item[i].text);
  if (c->advice)
    label_warning(list, "%s", c->advice);
  if (records_headerless(c->records))
    label_warning(list, "the file has no header: its columns are taken as %s, as in GLUE",
                  c->columns.count == 2 ? "sentence, label" : "source, label, mark, sentence");
  warnings_report(list, &c->warnings, &c->columns);
  if (label && label->labels.class_of && label->labels.class_count == 1)
    label_warning(list, "every example has the label %.100s", label->labels.items[0].name);
  if (chats && chats->assistant_first.count)
    label_warning(list, "in %zu conversations, the first in line %zu, the assistant speaks before any user",
                  chats->assistant_first.count, chats->assistant_first.first.line);
  if (use == USE_NOTHING && !c->advice && !columns_find(&c->columns, "text"))
    label_warning(list, "no column is named text; a job must name its columns (dataset.text, dataset.label)");
  return list;
}

static bool fits(const json_t *report) {
  return json_dumpb(report, NULL, 0, JSON_COMPACT) <= REPORT_MAX;
}

/* A report must fit into an event's line. What is least missed goes first: it is not judged then when a job is created,
   but by the job itself. */
static void fit_report(json_t *report) {
  const char *name;
  json_t *facts;
  if (fits(report))
    return;
  json_object_foreach(json_object_get(report, "facts"), name, facts)
      json_object_del(json_object_get(facts, "labels"), "classes");
  if (fits(report))
    return;
  json_object_foreach(json_object_get(report, "facts"), name, facts) json_object_del(facts, "regression");
  if (!fits(report))
    json_object_set_new(report, "facts", json_null());
  if (!fits(report))
    json_object_set_new(report, "columns", json_array());
  if (!fits(report))
    json_object_set_new(report, "labels", json_null());
}

/* Of what a job with the default names would use, and with which faults. */
static enum data_use judge(struct fault_list *faults, const json_t *report) {
  struct job_spec spec = {0};
  const struct data_file file = {.report = report};
  const struct data_tasks both = {.language = true, .classifier = true, .embeds = true, .tags = true};
  field_defaults(&job_sections[0].fields, &spec.columns);
  enum data_use use = data_use(&spec, report, both);
  spec.objective = use == USE_PREFERENCE ? OBJECTIVE_DPO : OBJECTIVE_SUPERVISED;
  data_judge(&spec, &file, use, both, faults);
  return use;
}

/* No column can be a text, none a chat and none the words of a text: no job can use the file. Words whose tags do not
   fit them are of no use either. */
static enum status refuse(const struct check *c, enum data_use use, const struct fault_list *faults,
                          struct error *err) {
  for (size_t i = 0; i < c->columns.count; i++) {
    const struct column_facts *facts = &c->columns.items[i];
    bool words = column_has_words(facts) && !(use == USE_TAGS && faults->count);
    if (column_has_texts(facts) || column_has_chats(facts) || words)
      return STATUS_OK;
  }
  for (size_t i = 0; i < faults->count; i++)
    if (faults->item[i].status == STATUS_DATASET_INVALID) {
      *err = faults->item[i];
      return err->status;
    }
  if (c->advice)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "%s", c->advice);
  return error_set(err, STATUS_DATASET_INVALID, NULL, "no column has a text in every line, and none a chat");
}

static enum status make_report(json_t **report, struct check *c, struct error *err) {
  struct fault_list faults = {0};
  json_t *text = c->texts ? json_pack("{s:I, s:f, s:I}", "min", (json_int_t)c->text_min, "mean",
                                      c->text_sum / (double)c->texts, "max", (json_int_t)c->text_max)
                          : json_null();
  json_t *facts = columns_json(&c->columns);
  json_t *out = json_pack(
      "{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "format", record_format_name(records_format(c->records)), "kind", "",
      "lines", (json_int_t)records_lines(c->records), "examples", (json_int_t)c->examples, "bytes",
      (json_int_t)records_bytes(c->records), "columns", report_columns(c), "labels", json_null(), "text_bytes", text);
  if (!out || json_object_set_new(out, "facts", facts) != 0) {
    json_decref(out);
    return error_no_memory(err, "checking a data file");
  }
  enum data_use use = judge(&faults, out);
  enum status status = refuse(c, use, &faults, err);
  if (status) {
    json_decref(out);
    return status;
  }
  json_object_set_new(out, "kind", json_string(kind_name(c, use)));
  json_object_set_new(out, "labels", report_labels(c, use));
  json_object_set_new(out, "chat", report_chat(c, use));
  json_object_set_new(out, "warnings", report_warnings(c, use, &faults));
  fit_report(out);
  *report = out;
  return STATUS_OK;
}

static enum status check_records(json_t **report, struct check *c, struct error *err) {
  const struct record *record;
  enum status status = columns_init(&c->columns, c->records, err);
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
  enum status status = records_open(&c.records, path, filename, err);
  if (!status)
    status = warnings_init(&c.warnings, c.records, err);
  if (!status)
    status = check_records(report, &c, err);
  records_close(c.records);
  columns_done(&c.columns);
  warnings_done(&c.warnings);
  return status;
}
