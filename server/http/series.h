/* Metrics of a job as series, one a metric: points (step, value) in the order of their steps. Pure. */
#ifndef SERVER_HTTP_SERIES_H
#define SERVER_HTTP_SERIES_H

#include "base/arena.h"
#include "base/json.h"
#include "storage/db_event.h"

enum { SERIES_MAX = 128, SERIES_POINTS_MIN = 4 };

struct series {
  const char *name;
  size_t count;
  int64_t *step;
  double *value;
  size_t whole;             /* points before series_thin */
  double least, most, last; /* of all those */
};

struct series_list {
  size_t count;
  struct series item[SERIES_MAX];
};

/* All numbers of the rows, which are in the order of their steps; where a step has a metric twice the first counts.
   `names`: only these, comma-separated, in this order; those that no row has are empty. NULL: all, in the order in
   which they appear. A row whose text is damaged is left out. */
NODISCARD enum status series_read(struct series_list *out, const struct metrics_row *rows, size_t count,
                                  const char *names, struct arena *arena, struct error *err);

/* At most `points` (SERIES_POINTS_MIN or more) are left: the first, the last, and of each of the equal parts between
   the least and the greatest, so that no spike is lost. */
void series_thin(struct series *series, size_t points);

/* {"name", "kind", "unit", "count", "min", "max", "last", "steps", "values"}; NULL: no memory. */
json_t *series_json(const struct series *series);
/* RFC 4180: a column a series beside `step`; empty where it has no point. */
void series_csv(struct str *out, const struct series_list *list);

#endif
