/* One model being trained: the memory of its steps, the optimiser, and the three verbs of a step.
   The trainer, the golden cases and the benchmark all train through this. */
#ifndef WORKER_TRAIN_LEARNER_H
#define WORKER_TRAIN_LEARNER_H

#include "worker/model/model.h"
#include "worker/optim/adamw.h"

/* What a step may hold at most: the plan is made for this. */
struct batch_limits {
  size_t sequences, tokens, longest;
};

enum { LEARNER_PARTS = 8 };

struct learner {
  struct model *model;
  struct tape tape;
  struct plan *training, *evaluation;
  struct plan *reference;                  /* an evaluation with the adapters switched off; NULL: none is asked for */
  struct batch_limits limits;              /* of `training` */
  struct plan *smaller[LEARNER_PARTS - 1]; /* of batches that fill at most 1, 2, ... eighths of it; NULL: none yet */
  struct adamw adamw;
  double orth_lambda;
  /* OUTPUT_EMBEDDING: */
  size_t texts; /* sequences an example */
  bool scored;  /* two of them and a score; else an anchor, its positive, and perhaps a negative */
  float scale;  /* of cosines, where they have no score */
  size_t group; /* examples of a micro-batch: an evaluation's loss looks among so many; likewise KTO's */
  /* OUTPUT_TEXT: */
  struct preference preference;    /* the loss of whole completions; PREFERENCE_NONE: each token's */
  bool shares_prompts;             /* sequences may have prefixes: plans have room for them */
  bool reference_base;             /* the reference is the base model: adapters are switched off for it */
  struct preference_scores scores; /* of the newest batch of completions */
  /* Bytes that this process may take: a step that does not fit recomputes checkpoint segments (tape.h), as many as it
     needs. 0: a step may take learner_memory_default, or what the machine has left if that is less. */
  size_t memory_limit;
  size_t memory_goal;         /* the same, as far as that can be: what does not fit is planned none the less; 0: none */
  size_t reserved;            /* of them what others will take: evaluations that generate */
  size_t estimate;            /* bytes that this process will have taken when it has trained: by learner_init */
  size_t recompute_segments;  /* at least so many are; learner_init raises it */
  uint64_t seed;              /* of dropout */
  bool prepared;              /* the adapters' factors are those of the parameters */
  bool accumulated;           /* the factors' gradients are not zero any more */
  struct sequences sequences; /* of the step that runs, where the backend reads them */
  struct place targets;       /* likewise */
  struct next_tokens next;    /* likewise, of a language model */
  struct completions completions; /* of the step that runs */
  struct buffers buffers;         /* on a backend with memory of its own: what the host gives a step */
  struct sequences sequences_room;
  struct next_tokens next_room;
  struct batch_limits room; /* for so much */
  float *logits_copy;       /* of learner_predict on such a backend */
  struct plan *logits;      /* of learner_predict for a language model; NULL: not asked for yet */
};

/* What a batch must predict. */
struct targets {
  const uint32_t *ids;  /* classes of the sequences; language models: [count] the token id that follows rows[i]; tags:
                           [count] classes of the sequences' rows */
  const float *values;  /* regression; lists of labels: [sequences x num_labels] 0 or 1 */
  const uint32_t *rows; /* language models: [count] rows of the batch whose next token the loss mask has, ascending */
  size_t count;
  const struct completions *completions; /* what the rows are; asked for where a preference is learnt */
};

/* `sequences` and `targets` below are in host memory (sequences_host).
   Hyperparameters (adamw's, orth_lambda, texts, scored, scale, group, preference, shares_prompts, reference_base,
   memory_limit, memory_goal, reserved, recompute_segments, seed) are set by the caller before. STATUS_OUT_OF_MEMORY
   when a step does not fit whatever is recomputed, naming what it needs. */
NODISCARD enum status learner_init(struct learner *learner, struct model *model, const struct batch_limits *training,
                                   const struct batch_limits *evaluation, struct error *err);
/* For another kind of learner (denoiser.h): what notes the dry run of a training step on learner->tape, and what the
   client may make smaller where the step does not fit. */
struct learner_step {
  void (*dry_run)(void *payload);
  void *payload;
  const char *smaller;
};
/* Sets recompute_segments to the fewest with which the step fits the limits, and *beside to what training takes beside
   its steps. Errors as learner_init's. */
NODISCARD enum status learner_fit(struct learner *learner, const struct learner_step *step, size_t *beside,
                                  struct error *err);
void learner_done(struct learner *learner);
/* Memory for a step that is in proportion to the model: three times its weights as floats, at least 1 GiB. */
size_t learner_memory_default(const struct model *model);
/* Bytes of activations and gradients a step needs. */
size_t learner_bytes(const struct learner *learner);

/* The adapters' factors are those of the parameters after this. */
NODISCARD enum status learner_factors(struct learner *learner, struct error *err);
/* Starts a step: factors from parameters, gradients to zero. *penalty (may be NULL) receives
   orth_lambda times the sum of the adapters' penalties, a part of the step's loss. */
NODISCARD enum status learner_begin(struct learner *learner, double *penalty, struct error *err);
/* Forward and backward of one micro-batch, scaled by `weight`: 1 / examples of the whole step, for a language
   model 1 / predicted tokens of the whole step, for tags 1 / words; of a preference targets->completions has the
   weights. *loss is its part of the step's loss, *correct (may be NULL) the tokens a language model predicted right.
   `dropout_step` tells micro-batches apart. */
NODISCARD enum status learner_accumulate(struct learner *learner, const struct sequences *sequences,
                                         const struct targets *targets, float weight, uint64_t dropout_step,
                                         double *loss, size_t *correct, struct error *err);
/* Language models, without dropout or gradients: the sum of the predicted tokens' losses; of a preference its loss and
   learner->scores. */
NODISCARD enum status learner_score(struct learner *learner, const struct sequences *sequences,
                                    const struct targets *targets, double *loss, size_t *correct, struct error *err);
/* The same pass of a preference: logps[completions->count] are the completions' log-probabilities; `base`: with the
   adapters switched off, where reference_base is set. */
NODISCARD enum status learner_log_probs(struct learner *learner, const struct sequences *sequences,
                                        const struct targets *targets, bool base, double *logps, struct error *err);
/* Gradients of all parameters are complete after this: those of the factors and of the penalty are in them. */
void learner_finish(struct learner *learner);
/* The parameters' data on the host were changed: steps go on with them. */
void learner_changed(struct learner *learner);
/* Clips and updates. */
NODISCARD enum status learner_update(struct learner *learner, double learning_rate, double *grad_norm,
                                     struct error *err);
/* (B, num_labels) logits, of tags (row_count, num_labels), or (B, C) embeddings without dropout; of a language model
   (N, vocabulary), which is large: for comparisons. They live until the next call. */
struct logits {
  const float *data;
  size_t rows, cols;
};
NODISCARD enum status learner_predict(struct learner *learner, const struct sequences *sequences, struct logits *logits,
                                      struct error *err);

#endif
