/* The member that has the tags of a text's words, where data sets call it by several names. Pure. */
#ifndef API_TAG_COLUMNS_H
#define API_TAG_COLUMNS_H

#include "api/pair_columns.h"

struct tag_column {
  const char *name;  /* NULL: there is none */
  const char *other; /* another that it could be as well; NULL: none */
};
extern const char tag_column_words[]; /* "tags, ner_tags or labels" */

/* dataset.tags, or where that is the usual name what a first record has (`has`). */
struct tag_column tag_column_find(const struct job_spec *spec, pair_has *has, const void *with);

#endif
