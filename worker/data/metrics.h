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
/* Entities that tags stand for, as seqeval's default mode reads them: B-, I-, E- and S- before a type, whatever is cut
   where their order is none (IOB1, IOB2, IOE, IOBES). Word by word. */
struct entity {
  char tag;         /* of the word before: its first character */
  const char *type; /* of it, borrowed; NULL: there is none before */
  size_t begin;     /* of the entity that it is in */
};
struct tag_counts {
  struct entity predicted, actual;
  size_t words, right, position;
  size_t found, there, both; /* entities that are predicted, actual, and the same */
};
void tag_counts_add(struct tag_counts *counts, const char *predicted, const char *actual);
/* A text ends: no entity goes on into the next. */
void tag_counts_end(struct tag_counts *counts);
struct tag_scores {
  double precision, recall, f1, accuracy;
};
void tag_counts_score(struct tag_scores *out, const struct tag_counts *counts);
/* Pearson's correlation, [-1, 1]; 0 when either side is constant or has fewer than two values. */
double metric_pearson(const float *predicted, const float *actual, size_t count);
/* Spearman's: Pearson's of the ranks, equal values sharing their average rank. Fails only for lack of
   memory. */
NODISCARD enum status metric_spearman(double *out, const float *predicted, const float *actual, size_t count,
                                      struct error *err);

#endif
