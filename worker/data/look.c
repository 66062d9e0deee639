#include "worker/data/look.h"

#include "api/pair_columns.h"
#include "api/tag_columns.h"
#include "worker/data/completions.h"
#include "worker/data/records.h"

static bool first_gives(const struct records *records, const struct record *record, const char *name) {
  return record_given(record, records_column(records, name), name);
}

struct first_record {
  const struct records *records;
  const struct record *record;
};

static bool first_has(const void *with, const char *name) {
  const struct first_record *first = with;
  return first_gives(first->records, first->record, name);
}

static bool first_lists(const struct record *record, const char *name) {
  return name && json_is_array(json_object_get(record->object, name));
}

enum status look_at_data(struct data_given *given, const struct job_spec *spec, const char *path, const char *filename,
                         struct error *err) {
  const struct record *record;
  struct records *records;
  struct pair_columns pairs;
  enum status status = records_open(&records, path, filename, err);
  if (!status)
    status = records_next(records, &record, err);
  const struct first_record first = {records, status ? NULL : record};
  if (!status)
    pair_columns_find(&pairs, spec, first_has, &first);
  if (!status)
    *given = (struct data_given){.text = first_gives(records, record, spec->columns.text),
                                 .label = first_gives(records, record, spec->columns.label),
                                 .labels = json_is_array(json_object_get(record->object, spec->columns.labels)),
                                 .tags = first_lists(record, spec->columns.tokens) &&
                                         first_lists(record, tag_column_find(spec, first_has, &first).name),
                                 .chat = first_gives(records, record, spec->columns.messages),
                                 .completion = first_gives(records, record, spec->columns.completion),
                                 .preference = completions_kind_of(records, record) == COMPLETIONS_PAIR,
                                 .pairs = pair_columns_output(&pairs)};
  records_close(records);
  return status ? error_prefix(err, "training file %s", filename) : STATUS_OK;
}
