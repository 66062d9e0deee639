/* What the labels of a file, or of one of its columns, are: gathered record by record, judged at the end. The set of
   those that occur is kept up to a bound, so memory stays bounded whatever the file holds. */
#ifndef WORKER_DATA_LABELS_H
#define WORKER_DATA_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/job.h"
#include "api/label.h"
#include "base/arena.h"
#include "base/error.h"
#include "worker/data/records.h"
#include "worker/text/trie.h"

enum { LABELS_MAX = 65536, LABEL_BYTES_MAX = 256 };

enum label_kind {
  LABEL_CLASS, /* one of several classes */
  LABEL_FLOAT, /* a finite number */
};

/* One label as a record has it. */
struct label_value {
  struct label_number number;
  bool decimal;     /* a whole number that is written as a fraction: 1.0 */
  bool quoted;      /* a JSON string or boolean: the file says that it is a name */
  const char *text; /* CSV, TSV, strings and booleans: borrowed from the record; NULL for JSON's numbers */
  size_t length;
};

/* A text that occurs as a label. */
struct label_item {
  const char *name;
  struct label_number number;
  uint32_t index;        /* in order of first occurrence: what labels_add returned */
  struct location place; /* of the first occurrence */
};

struct labels {
  struct arena arena;
  struct trie trie; /* name -> index */
  uint32_t root;
  size_t count, size, max;
  struct label_item *items;
  struct location_count all, of_form[LABEL_FORM_COUNT];
  struct location_count decimals;
  struct location_count quoted, bare; /* of JSON: strings and booleans; numbers */
  struct location_count overflow;     /* labels that are not among the items, of which there are max */
  /* From here on set by labels_settle. */
  enum label_kind kind;
  bool by_value;      /* classes are numbers, in their order; else names in bytewise order */
  bool numbered;      /* classes are 0, 1, 2, ... */
  size_t class_count; /* items[0..class_count) are the classes then */
  uint32_t *class_of; /* [count] of each index */
};

/* At most `max` different labels are kept. False when memory runs out; labels_done may be called then too. */
NODISCARD bool labels_init(struct labels *labels, size_t max);
void labels_done(struct labels *labels);

/* Reads the label of a record: the field with index `column` (CSV, TSV) or the member `name` (JSONL). One that is not
   given (record_given) is a fault. */
NODISCARD enum status label_read(struct label_value *out, const struct record *record, int column, const char *name,
                                 struct error *err);
/* The list of labels of a JSON line: strings, any number of them, also none; each is read by label_of_item. */
NODISCARD enum status label_list_read(const json_t **out, const struct record *record, int column, const char *name,
                                      struct error *err);
struct label_value label_of_item(const json_t *list, size_t i);
/* Adds it; *index is its place in order of first occurrence (0 where it is one too many to keep). */
NODISCARD enum status labels_add(struct labels *labels, uint32_t *index, const struct label_value *value,
                                 const struct record *record, int column, const char *name, struct error *err);
/* Decides what they are, after the last one. By themselves: names if there is a word among them, or if JSON has them as
   strings; else numbers, which are regression if one of them is a fraction, and classes if all are whole (1.0 is, and
   is the class of 1). Classes of numbers are in the order of their values and named as label_number_name does. JSON's
   numbers beside strings that are not numbers are STATUS_DATASET_INVALID, and so is what `wanted` cannot be made of. */
NODISCARD enum status labels_settle(struct labels *labels, enum problem_type wanted, const char *name,
                                    struct error *err);

#endif
