/* The batches cut from a corpus: what a step of the learner is given, sequences one after the other, no padding.
   Where a batch has both completions of an example, they share the rows of the prompt (corpus_shared). */
#ifndef WORKER_TRAIN_BATCH_H
#define WORKER_TRAIN_BATCH_H

#include "worker/data/corpus.h"
#include "worker/train/learner.h"

/* What ends a micro-batch: so many examples, or the next one would make more than so many tokens; 0: no limit.
   At least one of the two is not 0. An example that alone has more tokens is a batch of its own. */
struct batch_rule {
  size_t examples, tokens;
};
/* How many examples of the order, from `first` on and before `count`, the next micro-batch takes: at least 1. */
size_t batch_next(const struct corpus *corpus, const uint32_t *order, size_t count, size_t first,
                  const struct batch_rule *rule);
/* The most that any batch can hold, whatever the order. */
struct batch_limits batch_limits_for(const struct corpus *corpus, const struct batch_rule *rule);

enum { EVALUATION_SEQUENCES = 256, EVALUATION_TOKENS = 4096 };
/* What an evaluation batch of this corpus may hold at most. */
struct batch_limits batch_evaluation_limits(const struct corpus *corpus);

/* A batch under construction; memory for the largest one is made once. */
struct batch {
  struct sequences sequences;
  struct targets targets;
  struct completions completions; /* language models: of the sequences; its weights and kl are the caller's to set */
  uint32_t *cu_seqlens, *cu_rows, *target_ids, *rows;
  float *target_values;
  double *reference;
  uint8_t *prompt, *desirable;
  size_t answers;
  size_t tokens; /* of the sequences, where some share rows more than sequences.tokens */
  struct shared_prefix *prefixes;
  int32_t *token_ids;
  uint8_t *token_type_ids;
};
/* `answers`: target values of an example, 1 or the number of classes of a list. `tokens`: room for a target a token, as
   language models and tags need it. */
NODISCARD enum status batch_init(struct batch *batch, const struct batch_limits *limits, size_t answers, bool tokens,
                                 struct error *err);
void batch_done(struct batch *batch);
/* The examples order[0..count-1] of the corpus: first the first sequence of each, then the second ones. */
void batch_fill(struct batch *batch, const struct corpus *corpus, const uint32_t *order, size_t count);
/* Only `texts` of their sequences, from that one on. */
void batch_fill_texts(struct batch *batch, const struct corpus *corpus, const uint32_t *order, size_t count,
                      size_t first_text, size_t texts);

#endif
