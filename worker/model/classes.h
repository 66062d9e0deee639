/* The classes of a classifier by name. Each is a row of its head, so the names have one order: the head's. */
#ifndef WORKER_MODEL_CLASSES_H
#define WORKER_MODEL_CLASSES_H

#include <jansson.h>

#include "api/job_task.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct classes {
  size_t count;             /* outputs of the head; 0: there is none */
  const char *const *names; /* [count]; NULL: nobody named them: LABEL_0, LABEL_1, ... */
  bool numbered;            /* data: the labels are the integers 0 to count - 1, row by row */
};

/* `id2label` of a config.json or the like, for a head of `count` outputs. Where it is absent or generic (LABEL_0, ...)
   out->names is NULL. STATUS_INVALID_VALUE when it does not name each output once, *out then has no names. Strings live
   in `arena`. */
NODISCARD enum status classes_read(struct classes *out, const json_t *config, size_t count, struct arena *arena,
                                   struct error *err);
/* The members of Transformers' configs that say what a classifier's outputs are: num_labels, id2label, label2id,
   problem_type (absent where the class has none). A new reference; NULL when memory runs out. */
NODISCARD json_t *classes_config(const struct classes *classes, enum job_output output);

enum classes_fit {
  CLASSES_SAME,    /* each class of the data is one of the head's, and there are no more */
  CLASSES_PART,    /* the head has more */
  CLASSES_UNNAMED, /* the head has as many without names: they are taken in the data's order */
  CLASSES_OTHER
};
/* row[i] is the head's row for class i of the data; *folded tells whether some names are equal only in another case.
   Neither is set for CLASSES_OTHER. */
enum classes_fit classes_fit(size_t *row, bool *folded, const struct classes *head, const struct classes *data);
/* Appends `return, shipping (2)`, a long list cut. */
void classes_list(struct str *out, const struct classes *classes);

#endif
