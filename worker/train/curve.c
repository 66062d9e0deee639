#include "worker/train/curve.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "worker/train/image_metrics.h"
#include "worker/train/image_training.h"
#include "worker/train/preferences.h"
#include "worker/train/training.h"

/* The columns that hold for every task come first; a metric that does not fit it is empty. */
enum { FIRST_METRIC = METRIC_LOSS + 1 };

/* Of preference tuning, beside what any evaluation may be judged by. */
static bool has_own_column(int metric) {
  return metric != REWARDS_ACCURACIES && metric != REWARDS_MARGINS;
}

void curve_start(struct training *t) {
  str_init(&t->csv, (size_t)64 << 20);
  str_puts(&t->csv, "step,epoch,train_loss,learning_rate,grad_norm,trained_tokens,valid_loss");
  for (int i = FIRST_METRIC; i < METRIC_COUNT; i++)
    str_printf(&t->csv, ",valid_%s", job_metric_names[i]);
  str_puts(&t->csv, ",train_mean_token_accuracy");
  for (int i = 0; training_prefers(t) && i < PREFERENCE_METRICS; i++)
    str_printf(&t->csv, ",%s", preference_metric_names[i]);
  for (int i = 0; training_prefers(t) && i < PREFERENCE_METRICS; i++)
    if (has_own_column(i))
      str_printf(&t->csv, ",valid_%s", preference_metric_names[i]);
  for (int i = 0; t->images && i < IMAGE_METRIC_COUNT; i++)
    if (image_metrics_has(&t->images->metrics, i))
      str_printf(&t->csv, ",%s", image_metric_names[i]);
  telemetry_csv_names(&t->csv);
  str_putc(&t->csv, '\n');
}

/* NaN: there is none. */
static void put(struct str *csv, double value) {
  if (isnan(value))
    str_putc(csv, ',');
  else
    str_printf(csv, ",%.9g", value);
}

/* A score of the evaluation, where there was one that has it. */
static void put_score(struct training *t, bool evaluated, const char *metric) {
  char name[64];
  snprintf(name, sizeof name, "valid_%s", metric);
  const json_t *score = evaluated ? json_object_get(t->evaluation.scores, name) : NULL;
  put(&t->csv, score ? json_number_value(score) : (double)NAN);
}

static void put_preference(struct training *t, bool evaluated) {
  for (int i = 0; i < PREFERENCE_METRICS; i++)
    put(&t->csv, t->progress.step ? preference_metric(&t->progress.scores, (enum preference_metric)i) : (double)NAN);
  for (int i = 0; i < PREFERENCE_METRICS; i++)
    if (has_own_column(i))
      put_score(t, evaluated, preference_metric_names[i]);
}

void curve_row(struct training *t, bool evaluated, bool measured) {
  struct str *csv = &t->csv;
  const struct progress *p = &t->progress;
  bool accuracy = p->step && t->learner->model->language && !training_prefers(t);
  str_printf(csv, "%" PRId64 ",%.6f,", p->step, training_epoch(t));
  if (p->step)
    str_printf(csv, "%.9g,%.9g,%.9g,%" PRId64 ",", p->train_loss, p->learning_rate, p->grad_norm, p->tokens);
  else
    str_puts(csv, ",,,0,");
  if (evaluated)
    str_printf(csv, "%.9g", t->evaluation.loss);
  for (int i = FIRST_METRIC; i < METRIC_COUNT; i++)
    put_score(t, evaluated, job_metric_names[i]);
  put(csv, accuracy ? p->train_accuracy : (double)NAN);
  if (training_prefers(t))
    put_preference(t, evaluated);
  for (int i = 0; t->images && i < IMAGE_METRIC_COUNT; i++)
    if (image_metrics_has(&t->images->metrics, i))
      put(csv, t->images->measured_step == p->step ? image_metrics_value(&t->images->metrics, i) : (double)NAN);
  telemetry_csv(&t->telemetry, measured, csv);
  str_putc(csv, '\n');
}
