/* Scores of what ranks or separates by numbers: pure functions, by the definitions of sentence-transformers' evaluators
   and scikit-learn. Labels are true where the item is relevant. They fail only for lack of memory. */
#ifndef WORKER_DATA_RANKING_H
#define WORKER_DATA_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { RANKING_CUT = 10 }; /* places that MRR, NDCG and recall look at */

/* Of one list: the mean of the precision at each relevant item, items of one score taken together; 0 where none is. */
struct separation {
  double average_precision;
  double accuracy,
      accuracy_threshold;  /* the best that any threshold gives; what is not below it is taken as relevant */
  double f1, f1_threshold; /* likewise; 0 where none is relevant */
};
NODISCARD enum status ranking_separation(struct separation *out, const float *scores, const bool *relevant,
                                         size_t count, struct error *err);

/* Means over lists: the items whose group is the same. A list without a relevant item counts as 0. */
struct ranking {
  double map, mrr, ndcg; /* MRR and NDCG of the first RANKING_CUT places */
  size_t lists;
};
NODISCARD enum status ranking_of_groups(struct ranking *out, const float *scores, const bool *relevant,
                                        const uint32_t *groups, size_t count, struct error *err);

#endif
