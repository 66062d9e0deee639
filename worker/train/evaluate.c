#include "worker/train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/data/embeddings.h"
#include "worker/data/metrics.h"
#include "worker/data/ranking.h"
#include "worker/train/preferences.h"

/* MNLI's two accuracies, where its examples' genres say which one they count in. */
static void score_subsets(struct evaluation *e, const struct corpus *c, const uint32_t *predicted) {
  static const char *const names[] = {
      [GLUE_MATCHED] = "valid_accuracy_matched", [GLUE_MISMATCHED] = "valid_accuracy_mismatched"};
  size_t count[COUNT_OF(names)] = {0}, right[COUNT_OF(names)] = {0};
  for (size_t i = 0; c->subsets && i < e->count; i++) {
    count[c->subsets[i]]++;
    right[c->subsets[i]] += predicted[i] == c->labels[i];
  }
  for (size_t s = GLUE_MATCHED; s < COUNT_OF(names); s++)
    if (count[s])
      json_object_set_new(e->scores, names[s], json_real((double)right[s] / (double)count[s]));
}

/* The first of the classes with the largest logit. */
static uint32_t best_class(const float *row, size_t classes) {
  uint32_t best = 0;
  for (uint32_t k = 1; k < classes; k++)
    best = row[k] > row[best] ? k : best;
  return best;
}

static enum status score_classes(struct evaluation *e, const struct corpus *c, size_t classes, struct error *err) {
  uint32_t *predicted = malloc(e->count * sizeof *predicted);
  if (!predicted)
    return error_no_memory(err, "the predictions");
  for (size_t i = 0; i < e->count; i++) {
    const float *row = e->logits + i * classes;
    predicted[i] = best_class(row, classes);
    e->loss += op_row_loss(row, classes, c->labels[i]) / (double)e->count;
  }
  json_object_set_new(e->scores, "valid_accuracy", json_real(metric_accuracy(predicted, c->labels, e->count)));
  score_subsets(e, c, predicted);
  if (classes == 2) {
    json_object_set_new(e->scores, "valid_f1", json_real(metric_f1(predicted, c->labels, e->count)));
    json_object_set_new(e->scores, "valid_matthews_correlation",
                        json_real(metric_matthews(predicted, c->labels, e->count)));
  }
  free(predicted);
  return STATUS_OK;
}

static enum status score_numbers(struct evaluation *e, const struct corpus *c, struct error *err) {
  double spearman;
  for (size_t i = 0; i < e->count; i++) {
    double d = (double)e->logits[i] - (double)c->targets[i];
    e->loss += d * d / (double)e->count;
  }
  json_object_set_new(e->scores, "valid_pearson", json_real(metric_pearson(e->logits, c->targets, e->count)));
  enum status status = metric_spearman(&spearman, e->logits, c->targets, e->count, err);
  if (!status)
    json_object_set_new(e->scores, "valid_spearman", json_real(spearman));
  return status;
}

static void put(struct evaluation *e, const char *name, double value) {
  json_object_set_new(e->scores, name, json_real(value));
}

/* A class is predicted where its probability is above a half. */
static enum status score_lists(struct evaluation *e, const struct corpus *c, size_t classes, struct error *err) {
  bool *actual = calloc(e->count * classes, sizeof *actual), *predicted = calloc(e->count * classes, sizeof *predicted);
  struct list_scores scores;
  enum status status = actual && predicted ? STATUS_OK : error_no_memory(err, "the predictions");
  for (size_t i = 0; !status && i < e->count; i++)
    for (size_t k = c->cu_marks[i]; k < c->cu_marks[i + 1]; k++)
      actual[i * classes + c->marks[k]] = true;
  for (size_t i = 0; !status && i < e->count * classes; i++) {
    predicted[i] = e->logits[i] > 0;
    e->loss += op_binary_loss(e->logits[i], actual[i]) / (double)(e->count * classes);
  }
  if (!status) {
    metric_lists(&scores, predicted, actual, e->count, classes);
    put(e, "valid_f1_micro", scores.f1_micro);
    put(e, "valid_f1_macro", scores.f1_macro);
    put(e, "valid_subset_accuracy", scores.subset_accuracy);
  }
  free(actual);
  free(predicted);
  return status;
}

/* Words that have no token are not judged, as nothing is learnt of them. */
static void score_tags(struct evaluation *e, const struct corpus *c, const struct model *m) {
  struct tag_counts counts = {0};
  struct tag_scores scores;
  const float *row = e->logits;
  for (size_t i = 0; i < e->count; i++) {
    for (size_t k = c->cu_marks[i]; k < c->cu_marks[i + 1]; k++) {
      if (c->mark_rows[k] == WORD_NONE)
        continue;
      tag_counts_add(&counts, m->label_names[best_class(row, e->width)], m->label_names[c->marks[k]]);
      e->loss += op_row_loss(row, e->width, c->marks[k]) / (double)e->rows;
      row += e->width;
    }
    tag_counts_end(&counts);
  }
  tag_counts_score(&scores, &counts);
  put(e, "valid_precision", scores.precision);
  put(e, "valid_recall", scores.recall);
  put(e, "valid_f1", scores.f1);
  put(e, "valid_accuracy", scores.accuracy);
}

static enum status score_embeddings(struct evaluation *e, const struct learner *l, const struct corpus *c,
                                    struct error *err) {
  struct embeddings embeddings = {.rows = e->logits,
                                  .width = e->width,
                                  .corpus = c,
                                  .examples = e->count,
                                  .scale = (double)l->scale,
                                  .group = l->group};
  struct embeddings_scores s;
  enum status status = embeddings_score(&s, &embeddings, l->model->backend->pool, err);
  if (status)
    return status;
  e->loss = s.loss;
  if (c->targets) {
    put(e, "valid_pearson_cosine", s.pearson);
    put(e, "valid_spearman_cosine", s.spearman);
    return STATUS_OK;
  }
  put(e, "valid_cosine_accuracy@1", s.accuracy_1);
  put(e, "valid_cosine_recall@10", s.recall_10);
  put(e, "valid_cosine_mrr@10", s.mrr_10);
  put(e, "valid_cosine_ndcg@10", s.ndcg_10);
  if (corpus_texts(c) > 2)
    put(e, "valid_cosine_accuracy", s.triplets);
  return STATUS_OK;
}

/* Labels of yes and no separate and rank, other ones correlate. */
static enum status score_relevant(struct evaluation *e, const struct corpus *c, const float *scores, bool *relevant,
                                  struct error *err) {
  struct separation s;
  struct ranking r;
  for (size_t i = 0; i < e->count; i++)
    relevant[i] = c->targets[i] > 0.5f;
  enum status status = ranking_separation(&s, scores, relevant, e->count, err);
  status = status ? status : ranking_of_groups(&r, scores, relevant, c->groups, e->count, err);
  if (status)
    return status;
  put(e, "valid_average_precision", s.average_precision);
  put(e, "valid_accuracy", s.accuracy);
  put(e, "valid_accuracy_threshold", s.accuracy_threshold);
  put(e, "valid_f1", s.f1);
  put(e, "valid_f1_threshold", s.f1_threshold);
  if (r.lists == e->count) /* no query has several passages */
    return STATUS_OK;
  put(e, "valid_map", r.map);
  put(e, "valid_mrr@10", r.mrr);
  put(e, "valid_ndcg@10", r.ndcg);
  return STATUS_OK;
}

static enum status score_relevances(struct evaluation *e, const struct corpus *c, struct error *err) {
  float *scores = calloc(e->count, sizeof *scores);
  bool *relevant = calloc(e->count, sizeof *relevant), binary = true;
  enum status status = scores && relevant ? STATUS_OK : error_no_memory(err, "the predictions");
  for (size_t i = 0; !status && i < e->count; i++) {
    scores[i] = (float)(1 / (1 + exp(-(double)e->logits[i])));
    binary = binary && (c->targets[i] == 0 || c->targets[i] == 1);
    e->loss += op_binary_loss(e->logits[i], c->targets[i]) / (double)e->count;
  }
  if (!status && binary) {
    status = score_relevant(e, c, scores, relevant, err);
  } else if (!status) {
    double spearman;
    put(e, "valid_pearson", metric_pearson(scores, c->targets, e->count));
    status = metric_spearman(&spearman, scores, c->targets, e->count, err);
    if (!status)
      put(e, "valid_spearman", spearman);
  }
  free(scores);
  free(relevant);
  return status;
}

/* Sums over predicted tokens. */
struct token_metrics {
  double loss;
  size_t tokens, correct;
};

static enum status score_batch(struct token_metrics *metrics, struct learner *l, const struct batch *batch,
                               struct error *err) {
  double loss = 0;
  size_t correct = 0;
  enum status status = learner_score(l, &batch->sequences, &batch->targets, &loss, &correct, err);
  metrics->loss += loss;
  metrics->correct += correct;
  metrics->tokens += batch->targets.count;
  return status;
}

/* The logits are rows `*row` on of the evaluation. */
static enum status predict_batch(struct evaluation *e, struct learner *l, const struct batch *batch, size_t *row,
                                 struct error *err) {
  struct logits logits;
  enum status status = learner_predict(l, &batch->sequences, &logits, err);
  if (!status && !e->logits) {
    e->width = logits.cols;
    e->logits = calloc(e->rows, logits.cols * sizeof *e->logits);
    status = e->logits ? STATUS_OK : error_no_memory(err, "the predictions");
  }
  if (!status) {
    memcpy(e->logits + *row * logits.cols, logits.data, logits.rows * logits.cols * sizeof(float));
    *row += logits.rows;
  }
  return status;
}

static enum status predict_all(struct evaluation *e, struct token_metrics *metrics, struct learner *l,
                               const struct corpus *c, struct batch *batch, struct report *report, struct error *err) {
  struct batch_limits limits = batch_evaluation_limits(c);
  uint32_t order[EVALUATION_SEQUENCES];
  size_t sequences = e->count * corpus_texts(c), row = 0;
  struct corpus each = *c; /* texts of an example are predicted one by one */
  if (sequences != e->count) {
    each.count = c->count * corpus_texts(c);
    each.texts = 1;
    each.targets = NULL;
    c = &each;
  }
  for (size_t first = 0; first < sequences;) {
    size_t n = 0, tokens = 0;
    for (; n < limits.sequences && first + n < sequences; n++) {
      tokens += c->cu_seqlens[first + n + 1] - c->cu_seqlens[first + n];
      if (tokens > limits.tokens)
        break;
      order[n] = (uint32_t)(first + n);
    }
    batch_fill(batch, c, order, n);
    enum status status =
        l->model->language ? score_batch(metrics, l, batch, err) : predict_batch(e, l, batch, &row, err);
    if (!status && report)
      status = report_poll(report, err);
    if (status)
      return status;
    first += n;
  }
  return STATUS_OK;
}

static void score_tokens(struct evaluation *e, const struct token_metrics *metrics) {
  e->loss = metrics->loss / (double)metrics->tokens;
  json_object_set_new(e->scores, "valid_perplexity", json_real(exp(fmin(e->loss, 700))));
  json_object_set_new(e->scores, "valid_mean_token_accuracy",
                      json_real((double)metrics->correct / (double)metrics->tokens));
}

static enum status score_predictions(struct evaluation *e, const struct token_metrics *metrics, const struct learner *l,
                                     const struct corpus *c, struct error *err) {
  switch (l->model->output) {
  case OUTPUT_CLASS: return score_classes(e, c, e->width, err);
  case OUTPUT_NUMBER: return score_numbers(e, c, err);
  case OUTPUT_LABELS: return score_lists(e, c, e->width, err);
  case OUTPUT_TAGS: score_tags(e, c, l->model); return STATUS_OK;
  case OUTPUT_TEXT: score_tokens(e, metrics); return STATUS_OK;
  case OUTPUT_EMBEDDING: return score_embeddings(e, l, c, err);
  case OUTPUT_RELEVANCE: return score_relevances(e, c, err);
  case OUTPUT_IMAGE:
  case OUTPUT_COUNT: break;
  }
  CHECK(!"an output");
}

static enum status score_preferences(struct evaluation *e, struct learner *l, const struct corpus *c,
                                     struct batch *batch, struct report *report, struct error *err) {
  struct preference_scores scores;
  enum status status = preference_evaluate(&e->loss, &scores, l, c, e->count, batch, report, err);
  if (!status)
    preference_put(e->scores, "valid_", &scores);
  return status;
}

enum status evaluate(struct evaluation *out, struct learner *l, const struct corpus *c, size_t examples,
                     struct batch *batch, struct report *report, struct error *err) {
  struct token_metrics metrics = {0};
  *out = (struct evaluation){.count = examples && examples < c->count ? examples : c->count};
  out->rows = c->mark_rows ? 0 : out->count * corpus_texts(c);
  for (size_t i = 0; c->mark_rows && i < out->count; i++)
    out->rows += corpus_words(c, i);
  out->scores = json_object();
  enum status status = out->scores ? STATUS_OK : error_no_memory(err, "the predictions");
  if (!status && l->preference.loss != PREFERENCE_NONE) {
    status = score_preferences(out, l, c, batch, report, err);
  } else {
    status = status ? status : predict_all(out, &metrics, l, c, batch, report, err);
    status = status ? status : score_predictions(out, &metrics, l, c, err);
  }
  if (!status && !isfinite(out->loss))
    status =
        error_set(err, STATUS_NAN_LOSS, NULL, "the loss on the validation file is not finite; lower learning_rate");
  if (status)
    evaluation_done(out);
  return status;
}

void evaluation_done(struct evaluation *e) {
  json_decref(e->scores);
  free(e->logits);
  *e = (struct evaluation){0};
}
