/* What `reflect init` begins with: for each task a few records that show what its data look like. */
#ifndef CLI_STARTS_H
#define CLI_STARTS_H

#include <stddef.h>

enum { START_RECORDS = 12, START_TRAINING = 9 }; /* the first ones train, the rest validate */

struct start {
  const char *task;  /* as jobs call it */
  const char *alias; /* a shorter word for it, or NULL */
  const char *record[START_RECORDS];
};

extern const struct start starts[];
extern const size_t start_count;

/* By either word; NULL: there is none. */
const struct start *start_find(const char *task);

#endif
