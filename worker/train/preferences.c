#include "worker/train/preferences.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/objective.h"
#include "base/checked.h"
#include "base/clock.h"

/* --- the loss ------------------------------------------------------------------------------------- */

static enum preference_loss loss_of(const struct job_spec *spec) {
  static const enum preference_loss of_dpo[] = {
      [DPO_LOSS_SIGMOID] = PREFERENCE_SIGMOID, [DPO_LOSS_IPO] = PREFERENCE_IPO, [DPO_LOSS_ROBUST] = PREFERENCE_ROBUST};
  switch ((enum objective)spec->objective) {
  case OBJECTIVE_SUPERVISED: return PREFERENCE_NONE;
  case OBJECTIVE_DPO: return of_dpo[spec->hyperparameters.loss_type];
  case OBJECTIVE_ORPO: return PREFERENCE_ORPO;
  case OBJECTIVE_KTO: return PREFERENCE_KTO;
  case OBJECTIVE_COUNT: break;
  }
  CHECK(!"an objective");
}

struct preference preference_of(const struct job_spec *spec) {
  const struct hyperparameters *h = &spec->hyperparameters;
  return (struct preference){.loss = loss_of(spec),
                             .beta = h->beta,
                             .label_smoothing = h->label_smoothing,
                             .sft_weight = spec->objective == OBJECTIVE_ORPO ? 1 : h->rpo_alpha,
                             .desirable_weight = h->desirable_weight,
                             .undesirable_weight = h->undesirable_weight};
}

bool preference_has_reference(const struct preference *how) {
  return how->loss != PREFERENCE_NONE && how->loss != PREFERENCE_ORPO;
}

void preference_configure(struct learner *l, const struct model *m, struct preference how, bool base) {
  l->preference = how;
  l->reference_base = preference_has_reference(&how) && base;
  l->shares_prompts = how.loss != PREFERENCE_NONE && m->backend->ops->host_memory;
}

void preference_share_prompts(struct corpus *c, const struct learner *l, const struct model *m) {
  c->shares_prompts = l->shares_prompts && corpus_texts(c) == 2;
  c->short_most = m->cache_most;
}

/* --- the reference -------------------------------------------------------------------------------- */

static size_t most(size_t a, size_t b, size_t c) {
  return size_max(size_max(a, b), c);
}

struct batch_limits preference_limits(const struct preference *how, const struct corpus *training,
                                      const struct batch_limits *step, const struct batch_limits *evaluation) {
  if (how->loss == PREFERENCE_NONE)
    return *evaluation;
  const struct batch_limits own = batch_evaluation_limits(training);
  return (struct batch_limits){most(own.sequences, step->sequences, evaluation->sequences),
                               most(own.tokens, step->tokens, evaluation->tokens),
                               most(own.longest, step->longest, evaluation->longest)};
}

/* Examples of a batch from order[first] on. */
static size_t take_examples(const struct corpus *c, const uint32_t *order, size_t count, size_t first, size_t most) {
  const struct batch_limits limits = batch_evaluation_limits(c);
  struct batch_rule rule = {.examples = limits.sequences / corpus_texts(c), .tokens = limits.tokens};
  if (most && most < rule.examples)
    rule.examples = most;
  return batch_next(c, order, count, first, &rule);
}

/* 0, 1, ... count - 1; NULL: no memory */
static uint32_t *in_order(size_t count) {
  uint32_t *order = malloc((count + 1) * sizeof *order);
  for (uint32_t i = 0; order && i < count; i++)
    order[i] = i;
  return order;
}

/* Of the examples order[0..count-1], whose logps are those of the first sequences, then of the second ones. */
static void put_reference(struct corpus *c, const uint32_t *order, size_t count, const double *logps) {
  size_t texts = corpus_texts(c);
  for (size_t s = 0; s < count * texts; s++)
    c->reference[order[s % count] * texts + s / count] = logps[s];
}

static enum status refer(struct corpus *c, const uint32_t *order, struct batch *batch, struct learner *l,
                         struct report *report, struct error *err) {
  struct corpus compared = *c; /* without what is predicted beside the completions */
  double logps[EVALUATION_SEQUENCES], told = clock_seconds();
  enum status status = STATUS_OK;
  compared.learns_prompts = false;
  for (size_t first = 0; !status && first < c->count;) {
    size_t n = take_examples(&compared, order, c->count, first, 0);
    batch_fill(batch, &compared, order + first, n);
    status = learner_log_probs(l, &batch->sequences, &batch->targets, l->reference_base, logps, err);
    if (!status)
      put_reference(c, order + first, n, logps);
    first += n;
    if (!status && report)
      status = report_poll(report, err);
    if (!status && report && clock_seconds() - told > 0.5) {
      told = clock_seconds();
      report_phase(report, "reference");
    }
  }
  return status;
}

static enum status make_reference(struct corpus *c, struct learner *l, struct report *report, struct error *err) {
  const struct batch_limits limits = batch_evaluation_limits(c);
  struct batch batch = {0};
  uint32_t *order = in_order(c->count);
  double *reference = calloc(c->count * corpus_texts(c), sizeof *reference);
  enum status status =
      order && reference ? batch_init(&batch, &limits, 1, true, err) : error_no_memory(err, "the reference's numbers");
  c->reference = status ? NULL : reference;
  if (status)
    free(reference);
  else
    status = refer(c, order, &batch, l, report, err);
  free(order);
  batch_done(&batch);
  return status;
}

enum status preference_references(struct corpus *training, struct corpus *validation, struct learner *l,
                                  struct report *report, struct error *err) {
  if (!preference_has_reference(&l->preference))
    return STATUS_OK;
  if (report)
    report_phase(report, "reference");
  enum status status = make_reference(training, l, report, err);
  return status || validation->count == 0 ? status : make_reference(validation, l, report, err);
}

/* --- batches -------------------------------------------------------------------------------------- */

size_t preference_tokens(const struct corpus *c, const uint32_t *order, size_t count) {
  size_t tokens = 0, texts = corpus_texts(c);
  for (size_t i = 0; i < count; i++) {
    size_t sequence = order[i] * texts, from = c->cu_seqlens[sequence];
    for (size_t t = from + 1; t < c->cu_seqlens[sequence + 1]; t++)
      tokens += c->learns_prompts || c->loss_mask[t];
  }
  return tokens;
}

/* How far the model is from the reference on completions that do not belong to their prompts. */
static enum status measure_kl(double *kl, struct batch *b, struct learner *l, const struct corpus *c,
                              const uint32_t *order, size_t count, struct error *err) {
  double *logps = calloc(count, sizeof *logps), sum = 0;
  if (!logps)
    return error_no_memory(err, "a batch");
  batch_fill_texts(b, c, order, count, 1, 1);
  enum status status = learner_log_probs(l, &b->sequences, &b->targets, false, logps, err);
  for (size_t i = 0; !status && i < count; i++)
    sum += logps[i] - (c->reference ? c->reference[order[i] * 2 + 1] : 0);
  *kl = fmax(sum / (double)count, 0);
  free(logps);
  return status;
}

enum status preference_fill(struct batch *b, struct learner *l, const struct corpus *c, const uint32_t *order,
                            size_t count, double weight, double token_weight, struct error *err) {
  double kl = 0;
  bool rated = c->desirable != NULL;
  enum status status = rated ? measure_kl(&kl, b, l, c, order, count, err) : STATUS_OK;
  if (status)
    return status;
  batch_fill_texts(b, c, order, count, 0, rated ? 1 : corpus_texts(c));
  b->completions.kl = kl;
  b->completions.weight = weight;
  b->completions.token_weight = token_weight;
  return STATUS_OK;
}

/* --- evaluation ----------------------------------------------------------------------------------- */

enum status preference_evaluate(double *loss, struct preference_scores *scores, struct learner *l,
                                const struct corpus *c, size_t examples, struct batch *batch, struct report *report,
                                struct error *err) {
  uint32_t *order = in_order(examples);
  *loss = 0;
  *scores = (struct preference_scores){0};
  if (!order)
    return error_no_memory(err, "the predictions");
  size_t most = c->desirable ? l->group : 0; /* of KTO as many as in training, since its kl is of these */
  double tokens = l->preference.sft_weight > 0 ? (double)preference_tokens(c, order, examples) : 1;
  enum status status = learner_factors(l, err);
  for (size_t first = 0; !status && first < examples;) {
    double part = 0;
    size_t n = take_examples(c, order, examples, first, most);
    status = preference_fill(batch, l, c, order + first, n, 1 / (double)examples, 1 / tokens, err);
    status = status ? status : learner_score(l, &batch->sequences, &batch->targets, &part, NULL, err);
    if (!status && report)
      status = report_poll(report, err);
    *loss += part;
    preference_scores_add(scores, &l->scores);
    first += n;
  }
  free(order);
  return status;
}

/* --- what is told --------------------------------------------------------------------------------- */

const char *const preference_metric_names[PREFERENCE_METRICS] = {[REWARDS_CHOSEN] = "rewards/chosen",
                                                                 [REWARDS_REJECTED] = "rewards/rejected",
                                                                 [REWARDS_ACCURACIES] = "rewards/accuracies",
                                                                 [REWARDS_MARGINS] = "rewards/margins",
                                                                 [LOGPS_CHOSEN] = "logps/chosen",
                                                                 [LOGPS_REJECTED] = "logps/rejected"};

double preference_metric(const struct preference_scores *s, enum preference_metric metric) {
  double chosen = (double)s->chosen, rejected = (double)s->rejected; /* 0 / 0 is NaN */
  switch (metric) {
  case REWARDS_CHOSEN: return s->chosen_rewards / chosen;
  case REWARDS_REJECTED: return s->rejected_rewards / rejected;
  case REWARDS_ACCURACIES: return (double)s->right / (double)s->pairs;
  case REWARDS_MARGINS: return s->chosen_rewards / chosen - s->rejected_rewards / rejected;
  case LOGPS_CHOSEN: return s->chosen_logps / chosen;
  case LOGPS_REJECTED: return s->rejected_logps / rejected;
  case PREFERENCE_METRICS: break;
  }
  CHECK(!"a metric");
}

void preference_put(json_t *to, const char *prefix, const struct preference_scores *scores) {
  for (int i = 0; i < PREFERENCE_METRICS; i++) {
    char name[64];
    double value = preference_metric(scores, (enum preference_metric)i);
    snprintf(name, sizeof name, "%s%s", prefix, preference_metric_names[i]);
    if (!isnan(value))
      json_object_set_new(to, name, json_real(value));
  }
}
