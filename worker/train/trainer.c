#include "worker/train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/glue.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "worker/peft/peft.h"
#include "worker/train/build.h"
#include "worker/train/course.h"
#include "worker/train/curve.h"
#include "worker/train/estimate.h"
#include "worker/train/generation_eval.h"
#include "worker/train/image_samples.h"
#include "worker/train/image_training.h"
#include "worker/train/preferences.h"
#include "worker/train/resume.h"
#include "worker/train/start.h"

/* Events of a whole run, about. */
enum { METRIC_EVENTS = 200, MODULE_EVENTS = 50 };

static double score(const struct training *t, const char *name) {
  return json_number_value(json_object_get(t->evaluation.scores, name));
}

/* Where GLUE measures a task by two scores, it ranks models by their mean. */
static void add_combined(const struct training *t, json_t *scores) {
  const struct glue_task *task = glue_of(&t->task->spec);
  double sum = 0;
  if (!task || glue_metric(task) != METRIC_COMBINED)
    return;
  for (size_t i = 0; i < COUNT_OF(task->metrics); i++) {
    char name[64];
    snprintf(name, sizeof name, "valid_%s", job_metric_names[task->metrics[i]]);
    sum += json_number_value(json_object_get(scores, name));
  }
  json_object_set_new(scores, "valid_combined_score", json_real(sum / 2));
}

/* Of the parameters as they are, which are those of `step`. */
static enum status run_evaluation(struct training *t, int64_t step, struct error *err) {
  struct evaluation fresh;
  training_progress(t, "evaluate", true);
  size_t most = (size_t)t->task->spec.evaluation.max_examples;
  enum status status = t->images ? image_training_evaluate(&fresh, t->images, t, most, err)
                                 : evaluate(&fresh, t->learner, t->validation, most, &t->batch, t->report, err);
  if (!status && t->generation) {
    status = generation_eval_run(t->generation, t->learner, fresh.scores, training_beat, t, err);
    if (status)
      evaluation_done(&fresh);
  }
  if (!status && t->images && t->images->hint) {
    status = image_samples_controlled(t->images, t, step, fresh.scores, err);
    if (status)
      evaluation_done(&fresh);
  }
  if (status)
    return status;
  add_combined(t, fresh.scores);
  evaluation_done(&t->evaluation);
  t->evaluation = fresh;
  t->evaluated_step = t->progress.step;
  return STATUS_OK;
}

/* Scores that an event's text names. */
static const struct {
  const char *score, *as;
} told[] = {{"valid_accuracy", "accuracy"},
            {"valid_f1_micro", "micro F1"},
            {"valid_perplexity", "perplexity"},
            {"valid_spearman_cosine", "Spearman's correlation"},
            {"valid_cosine_accuracy@1", "accuracy@1"},
            {"valid_cosine_mrr@10", "MRR@10"},
            {"valid_average_precision", "average precision"},
            {"valid_ndcg@10", "NDCG@10"},
            {"valid_mean_token_accuracy", "token accuracy"},
            {"valid_exact_match", "exact match"},
            {"valid_rewards/accuracies", "reward accuracy"},
            {"valid_rewards/margins", "reward margin"},
            {"valid_canny_iou", "canny IoU"}};

/* Before the metrics of the same step. */
static void tell_modules(struct training *t) {
  json_t *data = telemetry_by_module(&t->telemetry, t->progress.step);
  if (data)
    report_data(t->report, EVENT_TELEMETRY, "", data);
  else if (t->telemetry.count && !t->too_many_modules)
    report_message(t->report, LOG_WARN, "%zu modules are adapted: too many to tell the telemetry of each",
                   t->telemetry.count);
  t->too_many_modules = !data;
}

/* Were previews of this step measured? */
static bool measured_previews(const struct training *t) {
  bool any = false;
  for (int i = 0; t->images && i < IMAGE_METRIC_COUNT; i++)
    any = any || image_metrics_has(&t->images->metrics, i);
  return any && t->images->measured_step == t->progress.step;
}

static void set_previews(struct training *t, json_t *data) {
  for (int i = 0; measured_previews(t) && i < IMAGE_METRIC_COUNT; i++)
    if (image_metrics_has(&t->images->metrics, i))
      json_object_set_new(data, image_metric_names[i], json_real(image_metrics_value(&t->images->metrics, i)));
}

static void tell_metrics(struct training *t, bool evaluated) {
  char text[256];
  int n = snprintf(text, sizeof text, "Step %" PRId64 "/%" PRId64 ":", t->progress.step, t->total_steps);
  json_t *data = json_pack("{s:I s:I s:f}", "step", (json_int_t)t->progress.step, "total_steps",
                           (json_int_t)t->total_steps, "epoch", training_epoch(t));
  if (t->progress.step) {
    n += snprintf(text + n, sizeof text - (size_t)n, " training loss=%.4f", t->progress.train_loss);
    json_object_set_new(data, "train_loss", json_real(t->progress.train_loss));
    training_scores(t, data);
    json_object_set_new(data, "learning_rate", json_real(t->progress.learning_rate));
    json_object_set_new(data, "grad_norm", json_real(t->progress.grad_norm));
    telemetry_set(&t->telemetry, data);
    json_object_set_new(data, "tokens_per_second",
                        json_real((double)t->progress.tokens / fmax(training_seconds(t), 1e-9)));
  }
  if (evaluated) {
    n += snprintf(text + n, sizeof text - (size_t)n, " validation loss=%.4f", t->evaluation.loss);
    json_object_set_new(data, "valid_loss", json_real(t->evaluation.loss));
    json_object_update(data, t->evaluation.scores);
    for (size_t i = 0; i < COUNT_OF(told); i++)
      if (json_object_get(data, told[i].score))
        n += snprintf(text + n, sizeof text - (size_t)n, ", %s=%.4f", told[i].as, score(t, told[i].score));
    if (glue_of(&t->task->spec) && t->progress.step && t->task->spec.evaluation.metric > METRIC_ACCURACY)
      n += snprintf(text + n, sizeof text - (size_t)n, ", %s=%.4f", training_metric(t), t->progress.last);
  }
  set_previews(t, data);
  report_data(t->report, EVENT_METRICS, text, data);
}

/* --- checkpoints ---------------------------------------------------------------------------------- */

/* Takes the checkpoints that are not kept any more off the list: those before the newest keep_last, but for the best.
   Their steps are returned. */
static json_t *forget_old(struct training *t) {
  size_t keep = (size_t)t->task->spec.checkpointing.keep_last, left = 0;
  int64_t best = t->task->spec.checkpointing.keep_best ? t->progress.best_step : 0;
  json_t *removed = json_array();
  for (size_t i = 0; i < t->checkpoint_count; i++)
    if (i + keep < t->checkpoint_count && t->checkpoints[i] != best)
      json_array_append_new(removed, json_integer(t->checkpoints[i]));
    else
      t->checkpoints[left++] = t->checkpoints[i];
  t->checkpoint_count = left;
  return removed;
}

static json_t *checkpoint_metrics(const struct training *t) {
  json_t *metrics = json_pack("{s:I s:f}", "step", (json_int_t)t->progress.step, "train_loss", t->progress.train_loss);
  training_scores(t, metrics);
  if (t->evaluated_step != t->progress.step)
    return metrics;
  bool full = t->evaluation.count == t->validation->count;
  if (full)
    json_object_set_new(metrics, "full_valid_loss", json_real(t->evaluation.loss));
  json_object_set_new(metrics, "valid_loss", json_real(t->evaluation.loss));
  json_object_update(metrics, t->evaluation.scores);
  if (full && t->learner->model->language && !training_prefers(t))
    json_object_set_new(metrics, "full_valid_mean_token_accuracy", json_real(score(t, "valid_mean_token_accuracy")));
  return metrics;
}

/* Checkpoints hold the adapter. The daemon removes those that are not kept: another job may start from one. */
static enum status save_checkpoint(struct training *t, struct error *err) {
  const struct task *task = t->task;
  int64_t step = t->progress.step;
  char name[64], path[1024];
  if (t->checkpoint_count && t->checkpoints[t->checkpoint_count - 1] == step)
    return STATUS_OK;
  snprintf(name, sizeof name, "checkpoint-%" PRId64, step);
  snprintf(path, sizeof path, "%s/%s", task->output_dir, name);
  enum status status = file_mkdirs(path, err);
  status = status ? status : peft_save(t->learner->model, &task->spec.adapter, path, task->spec.model, NULL, err);
  if (status)
    return status;
  t->checkpoints[t->checkpoint_count++] = step;
  int64_t bytes = file_tree_bytes(path);
  report_data(t->report, EVENT_CHECKPOINT, "",
              json_pack("{s:I s:s s:I s:o s:o}", "step", (json_int_t)step, "path", name, "bytes", (json_int_t)bytes,
                        "metrics", checkpoint_metrics(t), "removed_steps", forget_old(t)));
  return STATUS_OK;
}

/* --- the best evaluation -------------------------------------------------------------------------- */

static enum status validation_metric(double *out, const struct training *t, struct error *err) {
  char name[64], others[256] = "";
  const char *key;
  json_t *value;
  if (t->task->spec.evaluation.metric == METRIC_LOSS) {
    *out = t->evaluation.loss;
    return STATUS_OK;
  }
  snprintf(name, sizeof name, "valid_%s", training_metric(t));
  const json_t *found = json_object_get(t->evaluation.scores, name);
  *out = json_number_value(found);
  if (found)
    return STATUS_OK;
  json_object_foreach(t->evaluation.scores, key, value) {
    size_t used = strlen(others);
    snprintf(others + used, sizeof others - used, ", %s", key + strlen("valid_"));
  }
  return error_set(err, STATUS_INVALID_VALUE, "evaluation.metric",
                   "evaluation.metric is %s, which this job does not measure; it measures loss%s", training_metric(t),
                   others);
}

static bool is_better(const struct training *t, double a, double b) {
  int metric = t->task->spec.evaluation.metric;
  return metric == METRIC_LOSS || metric == METRIC_PERPLEXITY ? a < b : a > b;
}

static enum status keep_parameters(struct training *t, struct error *err) {
  const struct parameter_list *list = &t->learner->model->parameters;
  float *to = t->best;
  enum status status = parameter_download(list, err);
  for (size_t i = 0; !status && i < list->count; to += list->item[i++]->count)
    memcpy(to, list->item[i]->data, list->item[i]->count * sizeof *to);
  return status;
}

/* Compares the newest evaluation with the best before it. *best: it is the best so far. */
static enum status judge(struct training *t, bool *best, struct error *err) {
  const struct job_spec *spec = &t->task->spec;
  struct progress *p = &t->progress;
  double value;
  enum status status = validation_metric(&value, t, err);
  if (status)
    return status;
  p->last = value;
  p->last_step = p->step;
  bool first = p->best_step == 0;
  *best = first || is_better(t, value, p->best);
  p->stale = first || (*best && fabs(value - p->best) > spec->early_stopping.min_delta) ? 0 : p->stale + 1;
  if (*best) {
    p->best = value;
    p->best_step = p->step;
  }
  int64_t patience = spec->early_stopping.patience;
  if (patience > 0 && p->stale >= patience && p->step < t->total_steps && !p->ended)
    p->ended = END_PATIENCE;
  return *best && t->best ? keep_parameters(t, err) : STATUS_OK;
}

/* --- steps ---------------------------------------------------------------------------------------- */

/* What the step's loss is a mean of: its examples, or the tokens that a language model must predict, or words. */
static size_t step_targets(const struct training *t, size_t first, size_t examples) {
  const struct corpus *c = t->training;
  size_t targets = 0;
  for (size_t e = first; c->mark_rows && e < first + examples; e++)
    targets += corpus_words(c, t->order[e]);
  if (!c->loss_mask || training_prefers(t))
    return c->mark_rows ? targets : examples;
  for (size_t e = first; e < first + examples; e++)
    for (size_t i = c->cu_seqlens[t->order[e]] + 1; i < c->cu_seqlens[t->order[e] + 1]; i++)
      targets += c->loss_mask[i];
  return targets;
}

/* The step's completions whose token loss it has: rpo_alpha's and ORPO's. */
static double step_token_weight(const struct training *t, size_t first, size_t examples) {
  if (t->learner->preference.sft_weight <= 0)
    return 0;
  return 1 / (double)preference_tokens(t->training, t->order + first, examples);
}

/* Adds the gradients of order[first..end-1]. */
static enum status accumulate(struct training *t, size_t first, size_t end, float weight, double *loss, size_t *correct,
                              struct error *err) {
  double part, token_weight = step_token_weight(t, first, end - first);
  size_t part_correct = 0;
  enum status status = STATUS_OK;
  while (!status && first < end) {
    size_t n = batch_next(t->training, t->order, end, first, &t->rule);
    status = training_fill(t, first, n, (double)weight, token_weight, err);
    if (!status)
      status = learner_accumulate(t->learner, &t->batch.sequences, &t->batch.targets, weight,
                                  (uint64_t)t->progress.micro_steps++, &part, &part_correct, err);
    if (status)
      return status;
    preference_scores_add(&t->progress.scores, &t->learner->scores);
    *loss += part;
    *correct += part_correct;
    t->progress.tokens += (int64_t)t->batch.tokens;
    first += n;
    if (first < end)
      status = report_poll(t->report, err);
  }
  return status;
}

/* One optimiser step: its micro-batches and its update. What ends within it leaves the trainer as it was before it. */
static enum status train_step(struct training *t, struct error *err) {
  struct progress *p = &t->progress;
  const struct progress before = *p;
  size_t first = (size_t)p->position, examples = course_step(t, t->order, first), correct = 0;
  size_t targets = step_targets(t, first, examples);
  double loss = 0;
  p->scores = (struct preference_scores){0};
  enum status status = learner_begin(t->learner, &loss, err);
  if (!status && t->images)
    status = image_training_accumulate(t->images, t, first, first + examples, &loss, err);
  else if (!status)
    status = accumulate(t, first, first + examples, 1.0f / (float)targets, &loss, &correct, err);
  if (!status && !isfinite(loss))
    status = error_set(err, STATUS_NAN_LOSS, NULL,
                       "the loss stopped being finite at step %" PRId64 "; lower learning_rate", p->step + 1);
  if (!status) {
    learner_finish(t->learner);
    p->learning_rate = job_learning_rate(&t->task->spec.hyperparameters, p->step, t->total_steps);
    status = learner_update(t->learner, p->learning_rate, &p->grad_norm, err);
  }
  if (status) {
    *p = before;
    return status;
  }
  p->train_loss = loss;
  p->train_accuracy = (double)correct / (double)targets;
  p->examples += (int64_t)examples;
  p->position += (int64_t)examples;
  p->step++;
  p->told = false;
  return STATUS_OK;
}

static bool finished(const struct training *t) {
  return t->progress.step >= t->total_steps || t->progress.ended;
}

/* Is `every` (0: epochs decide) due at this step? The last step always is. */
static bool due(const struct training *t, int64_t every) {
  bool epoch_ends = (size_t)t->progress.position >= t->training->count;
  return finished(t) || (every > 0 ? t->progress.step % every == 0 : epoch_ends);
}

/* Is it one of about `events` steps, the first and the last among them? */
static bool is_told(const struct training *t, int64_t events) {
  return t->progress.step == 1 || t->progress.step % (t->total_steps / events + 1) == 0 || finished(t);
}

static enum status after_step(struct training *t, struct error *err) {
  const struct job_spec *spec = &t->task->spec;
  struct progress *p = &t->progress;
  double limit = (double)spec->scheduling.max_runtime;
  if (limit > 0 && !finished(t) && training_seconds(t) >= limit)
    p->ended = END_RUNTIME;
  bool judged = due(t, spec->evaluation.every_steps), evaluated = t->validation && judged, best = false;
  enum status status = evaluated ? run_evaluation(t, p->step, err) : STATUS_OK;
  if (!status && judged && t->images)
    status = image_samples_preview(t->images, t, err);
  if (!status && evaluated)
    status = judge(t, &best, err);
  bool tell = evaluated || measured_previews(t) || is_told(t, METRIC_EVENTS), by_module = is_told(t, MODULE_EVENTS);
  if (!status && (tell || by_module))
    status = telemetry_measure(&t->telemetry, t->learner, err);
  if (status)
    return status;
  if (by_module)
    tell_modules(t);
  if (tell)
    tell_metrics(t, evaluated);
  curve_row(t, evaluated, tell || by_module);
  bool wanted = t->report->checkpoint;
  bool checkpoint = wanted || due(t, spec->checkpointing.every_steps) || (best && spec->checkpointing.keep_best);
  t->report->checkpoint = false;
  if (checkpoint)
    status = save_checkpoint(t, err);
  p->told = true;
  if (!status && (wanted || finished(t) || resume_due(t, checkpoint)))
    resume_save(t);
  if (!t->estimated && !t->estimate)
    t->estimate = estimate_of_run(t);
  training_progress(t, "train", p->step == 1 || finished(t));
  return status ? status : report_poll(t->report, err);
}

static enum status train(struct training *t, struct error *err) {
  struct progress *p = &t->progress;
  enum status status = p->step && !p->told ? after_step(t, err) : STATUS_OK;
  while (!status && !finished(t)) {
    if ((size_t)p->position >= t->training->count)
      course_next_epoch(t);
    status = train_step(t, err);
    status = status ? status : after_step(t, err);
  }
  return status;
}

/* --- the whole run -------------------------------------------------------------------------------- */

static enum status make_room(struct training *t, struct error *err) {
  struct batch_limits limits = batch_limits_for(t->training, &t->rule);
  if (t->validation) {
    struct batch_limits other = batch_evaluation_limits(t->validation);
    limits.sequences = limits.sequences > other.sequences ? limits.sequences : other.sequences;
    limits.tokens = limits.tokens > other.tokens ? limits.tokens : other.tokens;
  }
  t->order = calloc(t->training->count, sizeof *t->order);
  if (!t->order)
    return error_no_memory(err, "the order of the examples");
  for (uint32_t i = 0; i < t->training->count; i++)
    t->order[i] = i;
  if (t->task->spec.checkpointing.load_best_at_end) {
    t->best = calloc(parameter_elements(&t->learner->model->parameters) + 1, sizeof *t->best);
    if (!t->best)
      return error_no_memory(err, "the best parameters");
  }
  const struct model *m = t->learner->model;
  return batch_init(&t->batch, &limits, m->output == OUTPUT_LABELS ? m->num_labels : 1,
                    m->language || m->output == OUTPUT_TAGS, err);
}

/* How good the model is before it learns; the best is one that has learnt. */
static enum status tell_first(struct training *t, struct error *err) {
  double value;
  enum status status = t->validation ? run_evaluation(t, t->progress.step, err) : STATUS_OK;
  if (!status && t->validation)
    status = validation_metric(&value, t, err);
  if (status || (!t->validation && !measured_previews(t)))
    return status;
  tell_metrics(t, t->validation);
  curve_row(t, t->validation, false);
  return STATUS_OK;
}

static void tell_end(const struct training *t) {
  const struct progress *p = &t->progress;
  const struct job_spec *spec = &t->task->spec;
  if (p->ended == END_PATIENCE)
    report_message(t->report, LOG_INFO,
                   "Stopped early after step %" PRId64 " of %" PRId64 ": for %" PRId64
                   " evaluations valid_%s was not better by more than %g; the best is %.4f at step %" PRId64,
                   p->step, t->total_steps, p->stale, training_metric(t), spec->early_stopping.min_delta, p->best,
                   p->best_step);
  if (p->ended == END_RUNTIME)
    report_message(t->report, LOG_WARN,
                   "Ended after step %" PRId64 " of %" PRId64 ": scheduling.max_runtime, %" PRId64
                   " seconds, is over. The adapter is what was learnt so far; from_checkpoint goes on from it",
                   p->step, t->total_steps, spec->scheduling.max_runtime);
}

/* The adapter that is exported, and its evaluation. */
static enum status settle(struct training *t, struct error *err) {
  const struct parameter_list *list = &t->learner->model->parameters;
  const struct progress *p = &t->progress;
  tell_end(t);
  t->adapter_step = t->best && p->best_step ? p->best_step : p->step;
  if (t->adapter_step != p->step) {
    const float *from = t->best;
    for (size_t i = 0; i < list->count; from += list->item[i++]->count)
      memcpy(list->item[i]->data, from, list->item[i]->count * sizeof *from);
    learner_changed(t->learner);
    report_message(t->report, LOG_INFO, "The adapter is that of step %" PRId64 ", the best: valid_%s=%.4f",
                   t->adapter_step, training_metric(t), p->best);
  }
  return t->validation && t->evaluated_step != t->adapter_step ? run_evaluation(t, t->adapter_step, err) : STATUS_OK;
}

enum status trainer_prepare(struct training *t, struct error *err) {
  t->evaluated_step = -1;
  t->progress.position = (int64_t)t->training->count;
  curve_start(t);
  enum status status = telemetry_init(&t->telemetry, t->learner->model, err);
  if (status)
    return status;
  rng_init(&t->rng, (uint64_t)t->task->spec.seed, RNG_SHUFFLE);
  status = make_room(t, err);
  return status ? status : course_plan(t, err);
}

enum status trainer_run(struct training *t, struct error *err) {
  enum status status = trainer_prepare(t, err);
  status = status ? status : resume_load(t, err);
  if (!status && t->progress.step == 0)
    status = start_adapters(t, err);
  t->estimated = t->progress.step > 0; /* a former run has */
  t->started = clock_seconds();
  if (!status && t->images && t->progress.step == 0)
    status = image_samples_preview(t->images, t, err);
  if (!status && t->progress.step == 0)
    status = tell_first(t, err);
  t->started = t->resume.last = clock_seconds();
  status = status ? status : train(t, err);
  if (status == STATUS_PAUSED)
    resume_save(t);
  return status ? status : settle(t, err);
}

void trainer_done(struct training *t) {
  batch_done(&t->batch);
  evaluation_done(&t->evaluation);
  telemetry_done(&t->telemetry);
  str_done(&t->csv);
  resume_done(t);
  json_decref(t->estimate);
  free(t->order);
  free(t->best);
  t->order = NULL;
  t->best = NULL;
}
