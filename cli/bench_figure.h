/* A comparison as a drawing: a panel for each task, in it each method's seeds, their mean and its deviation. */
#ifndef CLI_BENCH_FIGURE_H
#define CLI_BENCH_FIGURE_H

#include "cli/bench_results.h"

/* SVG, appended. `cells` are made of the `count` results. */
void bench_figure(struct str *out, const struct bench_cell *cells, size_t cell_count,
                  const struct bench_result *results, size_t count);

#endif
