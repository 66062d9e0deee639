/* A labelled data file in memory, ready to be tokenised: texts or pairs of texts, each with a class
   or a number. */
#ifndef WORKER_DATA_DATASET_H
#define WORKER_DATA_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/glue.h"
#include "base/arena.h"
#include "base/error.h"
#include "worker/data/labels.h"
#include "worker/text/tokenizer.h"

enum { DATASET_EXAMPLES_MAX = 100 * 1000 * 1000 };

struct example {
  const char *text; /* UTF-8, not empty, NUL-terminated */
  size_t text_length;
  const char *pair; /* NULL: none */
  size_t pair_length;
  const char *negative; /* of embeddings; NULL: none */
  size_t negative_length;
  uint32_t group;                /* of a grouped set: examples with the same text */
  size_t first_mark, mark_count; /* of its list, or of its words, in dataset.marks */
  uint32_t label;                /* LABEL_CLASS */
  float target;                  /* LABEL_FLOAT */
  size_t line;                   /* where it begins in the file */
  uint8_t subset;                /* enum glue_subset */
};

struct dataset {
  struct arena arena;         /* of the texts and names */
  size_t count;               /* at least 1 */
  struct example *examples;   /* in the file's order */
  enum label_kind label_kind; /* CLASS: example.label < num_labels; FLOAT: example.target, and num_labels is 1 */
  bool lists;                 /* an example has any of the classes: those in marks */
  uint32_t *marks;            /* of `lists`: the classes of all examples, one after the other, each once an example */
  struct word_text *words;    /* of words with tags: those of all examples, the class of each in marks; else NULL */
  bool numbered;              /* the classes are 0, 1, 2, ...; label_names are LABEL_0, LABEL_1, ... */
  size_t texts;               /* sequences an example: a text and its pair (and negative) apart; 0 or 1: one sequence */
  bool scored;                /* embeddings: example.target is a score of text and pair */
  bool grouped;               /* example.group is set */
  size_t num_labels;
  const char **label_names; /* [num_labels]; LABEL_FLOAT: one, "LABEL_0" */
  json_t *warnings;         /* sentences about its labels (label_warnings.h); NULL in a validation set */
};

/* Which columns (CSV, TSV) or members (JSONL) to use. `text_pair` is used where it is given; NULL means never. */
struct dataset_columns {
  const char *text, *text_pair, *label;
  enum problem_type problem_type;
  bool lists;                   /* `label` is a list of labels */
  const struct glue_task *glue; /* its names of columns hold where a file has not the job's, and its classes; or NULL */
};

/* Reads a whole file. What its labels are is labels.h's to say; classes that are numbers other than 0, 1, 2, ... are
   named by them ("1" to "5"); a GLUE task has its own classes, whatever the data are. With `labels_of` (the training
   set, as it was loaded) each label must mean one of its classes, or be a number if its labels are. A fault is
   STATUS_DATASET_INVALID naming line, column and field (STATUS_IO or OUT_OF_MEMORY aside); *out is then empty and
   dataset_done does nothing. */
NODISCARD enum status dataset_load(struct dataset *out, const char *path, const char *filename,
                                   const struct dataset_columns *columns, const struct dataset *labels_of,
                                   struct error *err);
void dataset_done(struct dataset *dataset);

#endif
