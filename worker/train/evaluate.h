/* Loss and scores of a model on a data set, and its predictions. */
#ifndef WORKER_TRAIN_EVALUATE_H
#define WORKER_TRAIN_EVALUATE_H

#include <jansson.h>

#include "worker/report.h"
#include "worker/train/batch.h"

struct evaluation {
  double loss;    /* mean over examples; language models: over predicted tokens; tags: over words */
  json_t *scores; /* {"valid_accuracy": ...}: what fits the task; owned */
  float *logits;  /* rows x width; owned; language models: NULL; embeddings: of length 1 */
  size_t width;   /* num_labels, or an embedding's */
  size_t rows;    /* count, or of each example's texts or words, one after the other */
  size_t count;   /* examples */
};

/* The first `examples` of the corpus (0: all), in order. Polls for "cancel" between batches. */
NODISCARD enum status evaluate(struct evaluation *out, struct learner *learner, const struct corpus *corpus,
                               size_t examples, struct batch *batch, struct report *report, struct error *err);
void evaluation_done(struct evaluation *evaluation);

#endif
