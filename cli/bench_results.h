/* What the runs of a comparison came to, and the tables made of it. Pure: nothing is asked or printed here. */
#ifndef CLI_BENCH_RESULTS_H
#define CLI_BENCH_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* One run: a method on a task with a seed. Strings are the caller's. */
struct bench_result {
  const char *task, *method;
  const char *size; /* of the adapter: "r 8", "block 16" */
  int64_t seed;
  const char *job;    /* NULL: none was made */
  const char *status; /* the job's, or "refused" */
  const char *error;  /* why it did not succeed; "" */
  bool measured;      /* it succeeded and has what follows */
  const char *metric; /* "matthews_correlation" */
  double best, last;  /* of the validation file: chosen on it, and after the last step */
  int64_t best_step, last_step;
  int64_t parameters; /* trained, the head among them */
  double seconds;
};

/* Mean and sample standard deviation; `deviation` is NAN of fewer than two. */
struct bench_mean {
  size_t count;
  double mean, deviation;
};

/* All seeds of a method on a task. */
struct bench_cell {
  const struct bench_result *first; /* of its runs, which says task, method and size */
  const struct bench_result *shown; /* the first that is measured, which says metric and parameters; NULL: none */
  const char *error;                /* of the first that failed; "" */
  size_t runs, failed;
  struct bench_mean best, last, seconds;
};

/* The cells in the order in which their first runs come; cells[count] has room for all. Returns their number. */
size_t bench_cells(struct bench_cell *cells, const struct bench_result *results, size_t count);

/* One row a cell, as Markdown and as CSV; one row a run, as CSV. Appended. */
void bench_markdown(struct str *out, const struct bench_cell *cells, size_t count);
void bench_csv(struct str *out, const struct bench_cell *cells, size_t count);
void bench_runs_csv(struct str *out, const struct bench_result *results, size_t count);

#endif
