/* Scores of predictions: pure functions. Where a formula divides by zero the score is 0. */
#ifndef WORKER_DATA_METRICS_H
#define WORKER_DATA_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The share of predictions that are right, [0, 1]; 0 of no predictions. */
double metric_accuracy(const uint32_t *predicted, const uint32_t *actual, size_t count);
/* Binary: 2 TP / (2 TP + FP + FN) with class 1 as the positive one. */
double metric_f1(const uint32_t *predicted, const uint32_t *actual, size_t count);
/* Binary: Matthews' correlation, [-1, 1]; 0 when a row or column of the confusion matrix is empty. */
double metric_matthews(const uint32_t *predicted, const uint32_t *actual, size_t count);
/* Of lists of labels, as scikit-learn has them: F1 over all labels together, the mean of each label's own, and the
   share of lists that are right as a whole. Both are [count x classes]. */
struct list_scores {
  double f1_micro, f1_macro, subset_accuracy;
};
void metric_lists(struct list_scores *out, const bool *predicted, const bool *actual, size_t count, size_t classes);
/* Pearson's correlation, [-1, 1]; 0 when either side is constant or has fewer than two values. */
double metric_pearson(const float *predicted, const float *actual, size_t count);
/* Spearman's: Pearson's of the ranks, equal values sharing their average rank. Fails only for lack of
   memory. */
NODISCARD enum status metric_spearman(double *out, const float *predicted, const float *actual, size_t count,
                                      struct error *err);

#endif
