/* The jobs of a sweep as one table. Pure. */
#ifndef SERVER_HTTP_SWEEP_RESULTS_H
#define SERVER_HTTP_SWEEP_RESULTS_H

#include "base/arena.h"
#include "base/json.h"
#include "storage/db_sweep.h"

struct sweep_result {
  const struct sweep_member *job;
  json_t *values;     /* of what differs; an object */
  size_t rank;        /* from 1; 0: it has none, since nothing is known of it or it did not succeed */
  double value;       /* of the metric, by which it is ranked: of the adapter that the job has, or had now; NAN: not
                         known, as below */
  double last, best;  /* of the last evaluation and of the best one */
  int64_t best_step;  /* 0: not known */
  double train_loss;  /* of the last step that was told */
  int64_t parameters; /* that are trained; 0: not known */
  int64_t duration;   /* seconds; -1: it has not begun */
};

struct sweep_results {
  const struct sweep_row *sweep;
  json_t *fields;            /* names of what differs */
  struct sweep_result *item; /* as ranked; those without a rank follow, as they were made */
  size_t count;
};

/* `now` ends what still runs. Ends with sweep_results_done, also on failure. */
NODISCARD enum status sweep_results_make(struct sweep_results *out, const struct sweep_row *sweep,
                                         const struct sweep_member *jobs, size_t count, int64_t now,
                                         struct arena *arena, struct error *err);
void sweep_results_done(struct sweep_results *results);

/* New references; NULL: no memory. The best of all, or null. */
json_t *sweep_results_best(const struct sweep_results *results);
json_t *sweep_results_json(const struct sweep_results *results);
/* RFC 4180, and a table of Markdown. */
void sweep_results_csv(struct str *out, const struct sweep_results *results);
void sweep_results_markdown(struct str *out, const struct sweep_results *results);

#endif
