/* How good embeddings are, by the definitions of sentence-transformers' losses and evaluators: a search among all
   positives and negatives of a validation set, triplets, or the correlation of cosines with scores. */
#ifndef WORKER_DATA_EMBEDDINGS_H
#define WORKER_DATA_EMBEDDINGS_H

#include "worker/data/corpus.h"

struct embeddings {
  float *rows; /* [examples * texts * width], in the corpus's order; made unit rows by embeddings_score */
  size_t width;
  const struct corpus *corpus; /* its first `examples` */
  size_t examples;
  double scale; /* of cosines in the loss */
  size_t group; /* examples among which it looks for an anchor's positive, as training does in a micro-batch */
};

/* Which of them are set follows from the corpus. */
struct embeddings_scores {
  double loss;              /* mean over the examples */
  double pearson, spearman; /* corpus->targets: of cosines with scores */
  /* Else, means over the different anchors, which search among the different positives and negatives: */
  double accuracy_1, recall_10, mrr_10, ndcg_10;
  double triplets; /* the share of anchors that are more like their positive than their negative */
};
/* Fails only for lack of memory. */
NODISCARD enum status embeddings_score(struct embeddings_scores *out, struct embeddings *embeddings, struct pool *pool,
                                       struct error *err);

/* The cosine of an example's first text with its second (1), third (2), once the rows are unit rows. */
double embeddings_cosine(const struct embeddings *embeddings, size_t example, size_t text);

#endif
