/* Preference tuning (DPO, ORPO, KTO): the reference that completions are measured against, and batches of them.

   The corpus of pairs has two sequences an example: the prompt with the chosen, and with the rejected completion. That
   of KTO has the prompt with its completion, and with another example's, by which the distance from the reference is
   measured: kl, the mean of log-probability minus reference over a micro-batch, at least 0, through which no gradient
   goes. Where dropout is on, that measure has none.

   The two sequences of an example share the rows of their prompt where the model computes in the host's memory: what a
   causal model makes of a prompt does not depend on what follows it. Under dropout they share its masks too. */
#ifndef WORKER_TRAIN_PREFERENCES_H
#define WORKER_TRAIN_PREFERENCES_H

#include <jansson.h>

#include "worker/report.h"
#include "worker/train/batch.h"

/* PREFERENCE_NONE of a supervised job. */
struct preference preference_of(const struct job_spec *spec);
/* ORPO has none. */
bool preference_has_reference(const struct preference *how);
/* What a learner of completions must know before learner_init. `base`: the reference is the base model. */
void preference_configure(struct learner *learner, const struct model *model, struct preference how, bool base);
/* Then, before batches are cut from a corpus: whether its examples share the rows of their prompts. */
void preference_share_prompts(struct corpus *corpus, const struct learner *learner, const struct model *model);

/* What the passes that go forward only may hold: of preference tuning not evaluations alone, but the reference and kl.
 */
struct batch_limits preference_limits(const struct preference *how, const struct corpus *training,
                                      const struct batch_limits *step, const struct batch_limits *evaluation);
/* Where it has a reference: the log-probability of each sequence of the corpora (of validation there may be none) by
   the model as it is now, before training: the adapter that it goes on from, or, learner->reference_base, the base
   model, with the adapters switched off. In batches that the corpus alone decides, so that a run that goes on has the
   same numbers. */
NODISCARD enum status preference_references(struct corpus *training, struct corpus *validation, struct learner *learner,
                                            struct report *report, struct error *err);

/* The next tokens of the chosen sequences of order[0..count-1]: what rpo_alpha's and ORPO's token loss is a mean of. */
size_t preference_tokens(const struct corpus *corpus, const uint32_t *order, size_t count);
/* batch_fill for a micro-batch of order[0..count-1]; of KTO after a pass that measures kl. `weight` is 1 / examples of
   the step, `token_weight` 1 / its preference_tokens. Between learner_begin and learner_finish. */
NODISCARD enum status preference_fill(struct batch *batch, struct learner *learner, const struct corpus *corpus,
                                      const uint32_t *order, size_t count, double weight, double token_weight,
                                      struct error *err);

/* The mean loss of the first `examples`, and their scores. Polls between batches. */
NODISCARD enum status preference_evaluate(double *loss, struct preference_scores *scores, struct learner *learner,
                                          const struct corpus *corpus, size_t examples, struct batch *batch,
                                          struct report *report, struct error *err);

/* What is told of scores, in TRL's words: means over completions. */
enum preference_metric {
  REWARDS_CHOSEN,
  REWARDS_REJECTED,
  REWARDS_ACCURACIES, /* of pairs */
  REWARDS_MARGINS,
  LOGPS_CHOSEN,
  LOGPS_REJECTED,
  PREFERENCE_METRICS
};
extern const char *const preference_metric_names[PREFERENCE_METRICS];
/* NaN: there is none, of KTO where a batch has completions of one kind only. */
double preference_metric(const struct preference_scores *scores, enum preference_metric metric);
/* Those that there are, `prefix` before their names. */
void preference_put(json_t *to, const char *prefix, const struct preference_scores *scores);

#endif
