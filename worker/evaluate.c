#include "worker/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/data/metrics.h"

struct batch_limits evaluate_limits(const struct corpus *c) {
  size_t tokens = c->longest > EVALUATE_TOKENS ? c->longest : EVALUATE_TOKENS;
  return (struct batch_limits){EVALUATE_SEQUENCES, tokens, c->longest};
}

static enum status score_classes(struct evaluation *e, const struct corpus *c, size_t classes, struct error *err) {
  uint32_t *predicted = malloc(e->count * sizeof *predicted);
  if (!predicted)
    return error_no_memory(err, "the predictions");
  for (size_t i = 0; i < e->count; i++) {
    const float *row = e->logits + i * classes;
    uint32_t best = 0;
    for (uint32_t k = 1; k < classes; k++)
      best = row[k] > row[best] ? k : best;
    predicted[i] = best;
    e->loss += op_row_loss(row, classes, c->labels[i]) / (double)e->count;
  }
  json_object_set_new(e->scores, "valid_accuracy", json_real(metric_accuracy(predicted, c->labels, e->count)));
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

static enum status predict_batch(struct evaluation *e, struct learner *l, const struct batch *batch, size_t first,
                                 struct error *err) {
  struct logits logits;
  enum status status = learner_predict(l, &batch->sequences, &logits, err);
  if (!status)
    memcpy(e->logits + first * logits.cols, logits.data, batch->sequences.count * logits.cols * sizeof(float));
  return status;
}

static enum status predict_all(struct evaluation *e, struct token_metrics *metrics, struct learner *l,
                               const struct corpus *c, struct batch *batch, struct report *report, struct error *err) {
  struct batch_limits limits = evaluate_limits(c);
  uint32_t order[EVALUATE_SEQUENCES];
  for (size_t first = 0; first < e->count;) {
    size_t n = 0, tokens = 0;
    for (; n < limits.sequences && first + n < e->count; n++) {
      tokens += c->cu_seqlens[first + n + 1] - c->cu_seqlens[first + n];
      if (tokens > limits.tokens)
        break;
      order[n] = (uint32_t)(first + n);
    }
    batch_fill(batch, c, order, n);
    enum status status =
        l->model->language ? score_batch(metrics, l, batch, err) : predict_batch(e, l, batch, first, err);
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

enum status evaluate(struct evaluation *out, struct learner *l, const struct corpus *c, size_t examples,
                     struct batch *batch, struct report *report, struct error *err) {
  size_t classes = l->model->num_labels;
  bool language = l->model->language;
  struct token_metrics metrics = {0};
  *out = (struct evaluation){.count = examples && examples < c->count ? examples : c->count};
  out->scores = json_object();
  out->logits = language ? NULL : calloc(out->count, classes * sizeof *out->logits);
  enum status status = STATUS_OK;
  if (!out->scores || (!out->logits && !language))
    status = error_no_memory(err, "the predictions");
  status = status ? status : predict_all(out, &metrics, l, c, batch, report, err);
  if (!status && language)
    score_tokens(out, &metrics);
  else if (!status)
    status = l->model->output == OUTPUT_NUMBER ? score_numbers(out, c, err) : score_classes(out, c, classes, err);
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
