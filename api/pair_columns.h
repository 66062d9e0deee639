/* Which columns of a file of pairs are what, where the job does not name them: the names that data for
   sentence-transformers have. Pure. */
#ifndef API_PAIR_COLUMNS_H
#define API_PAIR_COLUMNS_H

#include "api/job_task.h"

enum pair_role {
  PAIR_FIRST,    /* an anchor, a query, a sentence */
  PAIR_SECOND,   /* its positive, a passage, another sentence */
  PAIR_NEGATIVE, /* a text unlike the anchor */
  PAIR_SCORE,    /* how alike the two are, or how well the second answers the first */
  PAIR_ROLES
};

struct pair_columns {
  const char *name[PAIR_ROLES];  /* NULL: the file has none */
  const char *other[PAIR_ROLES]; /* another one that it has as well; NULL: it has not */
};

/* Has the file that column? `with` is the caller's. */
typedef bool pair_has(const void *with, const char *name);

/* The job's names where they are not the usual ones, else the names that the file has. */
void pair_columns_find(struct pair_columns *out, const struct job_spec *spec, pair_has *has, const void *with);

/* What a job that names no task learns from such columns; OUTPUT_COUNT: nothing of them says that they are pairs. */
enum job_output pair_columns_output(const struct pair_columns *columns);

/* The job's member that names a column, "dataset.text_pair"; and the names that it may have by itself, in words. */
const char *pair_column_param(enum pair_role role);
const char *pair_column_words(enum pair_role role);

/* What a score may be: an embedding's is a cosine, from -1 on, a relevance is from 0 on; both up to 1. */
static inline double pair_score_least(enum job_output output) {
  return output == OUTPUT_EMBEDDING ? -1 : 0;
}

#endif
