/* A data set as token ids, and the batches cut from it: sequences one after the other, no padding. */
#ifndef WORKER_CORPUS_H
#define WORKER_CORPUS_H

#include "worker/data/dataset.h"
#include "worker/learner.h"
#include "worker/text/tokenizer.h"

struct corpus {
  size_t count;
  size_t *offsets; /* [count + 1] */
  int32_t *ids;
  uint8_t *types;
  uint32_t *labels; /* [count], or NULL */
  float *targets;   /* [count], or NULL */
  size_t longest;
  size_t truncated; /* examples that were cut to max_length */
};

/* Encodes every example, cut to max_length tokens. `vocabulary` is the model's: an id beyond it is
   STATUS_MODEL_INVALID. */
NODISCARD enum status corpus_make(struct corpus *out, const struct dataset *dataset, const struct tokenizer *tokenizer,
                                  size_t max_length, size_t vocabulary, struct error *err);
void corpus_done(struct corpus *corpus);
/* Tokens of the `batch` longest examples together: no batch of that many has more. */
size_t corpus_tokens_max(const struct corpus *corpus, size_t batch);

/* A batch under construction; memory for the largest one is made once. */
struct batch {
  struct sequences sequences;
  struct answers answers;
  uint32_t *offsets, *labels;
  float *targets;
  int32_t *ids;
  uint8_t *types;
};
NODISCARD enum status batch_init(struct batch *batch, const struct batch_limits *limits, struct error *err);
void batch_done(struct batch *batch);
/* The examples order[0..count-1] of the corpus. */
void batch_fill(struct batch *batch, const struct corpus *corpus, const uint32_t *order, size_t count);

#endif
