/* What the labels of a file are: gathered record by record, judged at its end. Strings and integers
   are gathered as the set of those that occur; memory stays bounded whatever the file holds. */
#ifndef WORKER_DATA_LABELS_H
#define WORKER_DATA_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "worker/data/records.h"
#include "worker/text/trie.h"

enum { LABELS_MAX = 65536, LABEL_BYTES_MAX = 256 };

enum label_form { FORM_STRING, FORM_INTEGER, FORM_NUMBER };

/* One label as a record has it. */
struct label_value {
  enum label_form form;  /* in CSV and TSV: the narrowest that fits the text */
  const char *text;      /* CSV, TSV and strings: borrowed from the record; NULL for other JSON values */
  size_t length;
  int64_t integer;       /* INTEGER */
  double number;         /* INTEGER and NUMBER; finite as a float too */
};

/* A label that occurs. */
struct label_item {
  const char *name;
  int64_t integer;
  uint32_t index;        /* in order of first occurrence: what labels_add returned */
  struct place place;    /* of the first occurrence */
};

struct labels {
  struct arena arena;
  struct trie trie;      /* name -> index */
  uint32_t root;
  size_t count, size;
  struct label_item *items;
  bool json;             /* forms are declared, not guessed */
  bool any;
  enum label_form form;  /* the widest seen */
  size_t first_line;
  bool overflow;         /* more numbers than LABELS_MAX: they cannot be classes any more */
};

/* False when memory runs out; labels_done may be called then too. */
NODISCARD bool labels_init(struct labels *labels);
void labels_done(struct labels *labels);

/* Reads the label of a record: the field with index `column` (CSV, TSV) or the member `name` (JSONL). */
NODISCARD enum status label_read(struct label_value *out, const struct record *record, int column, const char *name,
                                 struct error *err);
/* Adds it; *index is its place in order of first occurrence (0 where it is only a number). A JSONL
   file whose labels are not all of one form is a fault. */
NODISCARD enum status labels_add(struct labels *labels, uint32_t *index, const struct label_value *value,
                                 const struct record *record, int column, const char *name, struct error *err);
/* Sorts the items: integers by value, strings bytewise. Call once, after the last label. */
void labels_sort(struct labels *labels);

#endif
