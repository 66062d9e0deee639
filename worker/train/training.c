#include "worker/train/training.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "worker/train/build.h"
#include "worker/train/preferences.h"

double training_seconds(const struct training *t) {
  return t->progress.seconds + clock_seconds() - t->started;
}

json_t *training_engine(const struct training *t) {
  const struct backend *b = t->learner->model->backend;
  char build[BUILD_ID_HEX];
  build_id(build);
  return json_pack("{s:s s:s s:s s:s}", "device", b->device_name, "isa", b->ops->processor(b), "matmul",
                   job_matmul_names[b->matmul], "build", build);
}

double training_epoch(const struct training *t) {
  return (double)t->progress.examples / (double)t->training->count;
}

bool training_prefers(const struct training *t) {
  return t->learner->preference.loss != PREFERENCE_NONE;
}

void training_scores(const struct training *t, json_t *data) {
  if (training_prefers(t))
    preference_put(data, "", &t->progress.scores);
  else if (t->learner->model->language)
    json_object_set_new(data, "train_mean_token_accuracy", json_real(t->progress.train_accuracy));
}

const char *training_metric(const struct training *t) {
  return job_metric_names[t->task->spec.evaluation.metric];
}

static json_t *evaluated(const struct training *t, int64_t step, double value) {
  char name[64];
  snprintf(name, sizeof name, "valid_%s", training_metric(t));
  return json_pack("{s:I s:f}", "step", (json_int_t)step, name, value);
}

json_t *training_best(const struct training *t) {
  return evaluated(t, t->progress.best_step, t->progress.best);
}

json_t *training_last(const struct training *t) {
  return evaluated(t, t->progress.last_step, t->progress.last);
}

void training_progress(struct training *t, const char *phase, bool force) {
  double now = clock_seconds(), seconds = training_seconds(t);
  if (!force && now - t->last_progress < 0.5)
    return;
  t->last_progress = now;
  int64_t step = t->progress.step;
  double remaining = step ? seconds / (double)step * (double)(t->total_steps - step) : -1;
  json_t *data = json_pack("{s:s s:I s:I s:f s:f s:f s:I}", "phase", phase, "step", (json_int_t)t->progress.step,
                           "total_steps", (json_int_t)t->total_steps, "epoch", training_epoch(t), "percent",
                           100.0 * (double)t->progress.step / (double)t->total_steps, "tokens_per_second",
                           seconds > 0 ? (double)t->progress.tokens / seconds : 0.0, "trained_tokens",
                           (json_int_t)t->progress.tokens);
  if (remaining >= 0)
    json_object_set_new(data, "seconds_remaining", json_real(remaining));
  if (t->estimate && json_object_set_new(data, "estimate", t->estimate) == 0)
    t->estimated = true;
  t->estimate = NULL;
  if (strcmp(phase, "export") == 0)
    json_object_set_new(data, "peak_memory_bytes", json_integer((json_int_t)memory_peak()));
  if (t->progress.step) {
    json_object_set_new(data, "train_loss", json_real(t->progress.train_loss));
    training_scores(t, data);
  }
  if (t->progress.best_step) {
    json_object_set_new(data, "best", training_best(t));
    json_object_set_new(data, "last", training_last(t));
  }
  report_data(t->report, EVENT_PROGRESS, "", data);
}

enum status training_beat(void *training, struct error *err) {
  struct training *t = training;
  training_progress(t, "evaluate", false);
  return report_poll(t->report, err);
}

enum status training_fill(struct training *t, size_t first, size_t count, double weight, double token_weight,
                          struct error *err) {
  if (training_prefers(t))
    return preference_fill(&t->batch, t->learner, t->training, t->order + first, count, weight, token_weight, err);
  batch_fill(&t->batch, t->training, t->order + first, count);
  return STATUS_OK;
}
