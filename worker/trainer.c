#include "worker/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "worker/peft/peft.h"

enum { METRIC_EVENTS = 200 }; /* metrics events of a whole run, about */

/* Packing needs no special rows, since batches are never padded: it only changes what ends a micro-batch. */
struct batch_rule trainer_rule(const struct task *task) {
  const struct hyperparameters *h = &task->spec.hyperparameters;
  size_t examples = (size_t)h->batch_size, tokens = (size_t)h->max_batch_tokens;
  if (!h->packing)
    return (struct batch_rule){.examples = examples, .tokens = tokens};
  size_t packed = examples * (size_t)h->max_seq_length;
  return (struct batch_rule){.tokens = tokens && tokens < packed ? tokens : packed};
}

static double elapsed(const struct trainer *t) {
  return clock_seconds() - t->started;
}

static double epoch_of(const struct trainer *t) {
  return (double)t->examples / (double)t->training->count;
}

static void set_train_accuracy(const struct trainer *t, json_t *data) {
  if (t->learner->model->language)
    json_object_set_new(data, "train_mean_token_accuracy", json_real(t->train_accuracy));
}

void trainer_progress(struct trainer *t, const char *phase, bool force) {
  double now = clock_seconds(), seconds = elapsed(t);
  if (!force && now - t->last_progress < 0.5)
    return;
  t->last_progress = now;
  double remaining = t->step ? seconds / (double)t->step * (double)(t->total_steps - t->step) : -1;
  json_t *data = json_pack("{s:s s:I s:I s:f s:f s:f s:I}", "phase", phase, "step", (json_int_t)t->step, "total_steps",
                           (json_int_t)t->total_steps, "epoch", epoch_of(t), "percent",
                           100.0 * (double)t->step / (double)t->total_steps, "tokens_per_second",
                           seconds > 0 ? (double)t->tokens / seconds : 0.0, "trained_tokens", (json_int_t)t->tokens);
  if (remaining >= 0)
    json_object_set_new(data, "seconds_remaining", json_real(remaining));
  if (t->step) {
    json_object_set_new(data, "train_loss", json_real(t->train_loss));
    set_train_accuracy(t, data);
  }
  report_data(t->report, EVENT_PROGRESS, "", data);
}

static double score(const struct trainer *t, const char *name) {
  return json_number_value(json_object_get(t->evaluation.scores, name));
}

/* The columns that hold for every task come first; a score that does not fit it is empty. */
static const char *const score_names[] = {
    "valid_accuracy", "valid_f1",         "valid_matthews_correlation", "valid_pearson",
    "valid_spearman", "valid_perplexity", "valid_mean_token_accuracy"};

static void csv_row(struct trainer *t, double learning_rate, double norm, bool evaluated) {
  struct str *csv = &t->csv;
  str_printf(csv, "%" PRId64 ",%.6f,", t->step, epoch_of(t));
  if (t->step)
    str_printf(csv, "%.9g,%.9g,%.9g,%" PRIu64 ",", t->train_loss, learning_rate, norm, t->tokens);
  else
    str_puts(csv, ",,,0,");
  if (evaluated)
    str_printf(csv, "%.9g", t->evaluation.loss);
  for (size_t i = 0; i < COUNT_OF(score_names); i++) {
    bool there = evaluated && json_object_get(t->evaluation.scores, score_names[i]);
    if (there)
      str_printf(csv, ",%.9g", score(t, score_names[i]));
    else
      str_putc(csv, ',');
  }
  if (t->step && t->learner->model->language)
    str_printf(csv, ",%.9g\n", t->train_accuracy);
  else
    str_puts(csv, ",\n");
}

static enum status run_evaluation(struct trainer *t, struct error *err) {
  struct evaluation fresh;
  trainer_progress(t, "evaluate", true);
  enum status status = evaluate(&fresh, t->learner, t->validation, (size_t)t->task->spec.evaluation.max_examples,
                                &t->batch, t->report, err);
  if (status)
    return status;
  evaluation_done(&t->evaluation);
  t->evaluation = fresh;
  t->evaluated_step = t->step;
  return STATUS_OK;
}

/* Scores that an event's text names. */
static const struct {
  const char *score, *as;
} told[] = {{"valid_accuracy", "accuracy"},
            {"valid_perplexity", "perplexity"},
            {"valid_mean_token_accuracy", "token accuracy"}};

static void tell_metrics(struct trainer *t, double learning_rate, double norm, bool evaluated) {
  char text[256];
  int n = snprintf(text, sizeof text, "Step %" PRId64 "/%" PRId64 ":", t->step, t->total_steps);
  json_t *data = json_pack("{s:I s:I s:f}", "step", (json_int_t)t->step, "total_steps", (json_int_t)t->total_steps,
                           "epoch", epoch_of(t));
  if (t->step) {
    n += snprintf(text + n, sizeof text - (size_t)n, " training loss=%.4f", t->train_loss);
    json_object_set_new(data, "train_loss", json_real(t->train_loss));
    set_train_accuracy(t, data);
    json_object_set_new(data, "learning_rate", json_real(learning_rate));
    json_object_set_new(data, "grad_norm", json_real(norm));
    json_object_set_new(data, "tokens_per_second", json_real((double)t->tokens / fmax(elapsed(t), 1e-9)));
  }
  if (evaluated) {
    n += snprintf(text + n, sizeof text - (size_t)n, " validation loss=%.4f", t->evaluation.loss);
    json_object_set_new(data, "valid_loss", json_real(t->evaluation.loss));
    json_object_update(data, t->evaluation.scores);
    for (size_t i = 0; i < COUNT_OF(told); i++)
      if (json_object_get(data, told[i].score))
        n += snprintf(text + n, sizeof text - (size_t)n, ", %s=%.4f", told[i].as, score(t, told[i].score));
  }
  report_data(t->report, EVENT_METRICS, text, data);
}

/* Checkpoints hold the adapter; the oldest beyond keep_last are removed. */
static enum status save_checkpoint(struct trainer *t, struct error *err) {
  const struct task *task = t->task;
  char name[64], path[1024];
  snprintf(name, sizeof name, "checkpoint-%" PRId64, t->step);
  snprintf(path, sizeof path, "%s/%s", task->output_dir, name);
  enum status status = file_mkdirs(path, err);
  status = status ? status : peft_save(t->learner->model, &task->spec.adapter, path, task->spec.model, err);
  if (status)
    return status;
  json_t *metrics = json_pack("{s:I s:f}", "step", (json_int_t)t->step, "train_loss", t->train_loss);
  set_train_accuracy(t, metrics);
  if (t->evaluated_step == t->step) {
    bool full = t->evaluation.count == t->validation->count;
    if (full)
      json_object_set_new(metrics, "full_valid_loss", json_real(t->evaluation.loss));
    json_object_set_new(metrics, "valid_loss", json_real(t->evaluation.loss));
    json_object_update(metrics, t->evaluation.scores);
    if (full && t->learner->model->language)
      json_object_set_new(metrics, "full_valid_mean_token_accuracy", json_real(score(t, "valid_mean_token_accuracy")));
  }
  json_t *data = json_pack("{s:I s:s s:o}", "step", (json_int_t)t->step, "path", name, "metrics", metrics);
  t->checkpoints[t->checkpoint_count++] = t->step;
  size_t keep = (size_t)task->spec.checkpointing.keep_last;
  bool full = t->checkpoint_count > keep || t->checkpoint_count == COUNT_OF(t->checkpoints);
  int64_t oldest = t->checkpoints[0];
  if (full)
    json_object_set_new(data, "removed_steps", json_pack("[I]", (json_int_t)oldest));
  report_data(t->report, EVENT_CHECKPOINT, "", data);
  if (!full)
    return STATUS_OK;
  snprintf(path, sizeof path, "%s/checkpoint-%" PRId64, task->output_dir, oldest);
  memmove(t->checkpoints, t->checkpoints + 1, --t->checkpoint_count * sizeof t->checkpoints[0]);
  return file_remove_tree(path, err);
}

/* How many examples from `first` on the next optimiser step takes: gradient_accumulation_steps micro-batches. */
static size_t step_examples(const struct trainer *t, const uint32_t *order, size_t first) {
  size_t done = first, count = t->training->count;
  for (int64_t i = 0; i < t->task->spec.hyperparameters.gradient_accumulation_steps && done < count; i++)
    done += batch_next(t->training, order, count, done, &t->rule);
  return done - first;
}

/* What the step's loss is a mean of: its examples, or the tokens that a language model must predict. */
static size_t step_targets(const struct trainer *t, size_t first, size_t examples) {
  const struct corpus *c = t->training;
  size_t targets = 0;
  if (!c->loss_mask)
    return examples;
  for (size_t e = first; e < first + examples; e++)
    for (size_t i = c->cu_seqlens[t->order[e]] + 1; i < c->cu_seqlens[t->order[e] + 1]; i++)
      targets += c->loss_mask[i];
  return targets;
}

/* One optimiser step over `examples` of the order: its micro-batches and its update. */
static enum status train_step(struct trainer *t, size_t first, size_t examples, double *learning_rate, double *norm,
                              struct error *err) {
  size_t targets = step_targets(t, first, examples), correct = 0, part_correct = 0;
  double loss = 0, part;
  enum status status = learner_begin(t->learner, &loss, err);
  for (size_t done = 0; !status && done < examples;) {
    size_t n = batch_next(t->training, t->order, first + examples, first + done, &t->rule);
    batch_fill(&t->batch, t->training, t->order + first + done, n);
    status = learner_accumulate(t->learner, &t->batch.sequences, &t->batch.targets, 1.0f / (float)targets,
                                t->micro_step++, &part, &part_correct, err);
    if (status)
      return status;
    loss += part;
    correct += part_correct;
    t->tokens += t->batch.sequences.tokens;
    done += n;
  }
  if (status)
    return status;
  if (!isfinite(loss))
    return error_set(err, STATUS_NAN_LOSS, NULL,
                     "the loss stopped being finite at step %" PRId64 "; lower learning_rate", t->step + 1);
  learner_finish(t->learner);
  *learning_rate = job_learning_rate(&t->task->spec.hyperparameters, t->step, t->total_steps);
  status = learner_update(t->learner, *learning_rate, norm, err);
  t->train_loss = loss;
  t->train_accuracy = (double)correct / (double)targets;
  t->examples += examples;
  t->step++;
  return status;
}

/* Is `every` (0: epochs decide) due at this step? The last step always is. */
static bool due(const struct trainer *t, int64_t every, bool epoch_ends) {
  return t->step == t->total_steps || (every > 0 ? t->step % every == 0 : epoch_ends);
}

static enum status after_step(struct trainer *t, double learning_rate, double norm, bool epoch_ends,
                              struct error *err) {
  const struct job_spec *spec = &t->task->spec;
  bool evaluated = t->validation && due(t, spec->evaluation.every_steps, epoch_ends);
  enum status status = evaluated ? run_evaluation(t, err) : STATUS_OK;
  if (status)
    return status;
  int64_t every = t->total_steps / METRIC_EVENTS + 1;
  if (evaluated || t->step == 1 || t->step % every == 0 || t->step == t->total_steps)
    tell_metrics(t, learning_rate, norm, evaluated);
  csv_row(t, learning_rate, norm, evaluated);
  if (due(t, spec->checkpointing.every_steps, epoch_ends))
    status = save_checkpoint(t, err);
  trainer_progress(t, "train", t->step == 1 || t->step == t->total_steps);
  return status ? status : report_poll(t->report, err);
}

static void next_order(const struct trainer *t, struct rng *rng, uint32_t *order) {
  if (t->task->spec.hyperparameters.shuffle)
    rng_shuffle(rng, order, t->training->count);
}

/* Steps of the whole run: where tokens end a batch, their number depends on each epoch's order, so the orders
   are made once ahead of time. */
static enum status count_steps(struct trainer *t, struct error *err) {
  const struct hyperparameters *h = &t->task->spec.hyperparameters;
  size_t count = t->training->count;
  struct rng rng = t->rng;
  uint32_t *order = malloc(count * sizeof *order);
  if (!order)
    return error_no_memory(err, "the order of the examples");
  memcpy(order, t->order, count * sizeof *order);
  t->total_steps = h->max_steps;
  for (int64_t epoch = 0; h->max_steps == 0 && epoch < h->n_epochs; epoch++) {
    next_order(t, &rng, order);
    for (size_t first = 0; first < count; t->total_steps++)
      first += step_examples(t, order, first);
  }
  free(order);
  return STATUS_OK;
}

/* The number of steps is known only now: a warm-up that leaves nothing to learn with ends the job, one that does not
   end is told. */
static enum status check_schedule(const struct trainer *t, struct error *err) {
  const struct hyperparameters *h = &t->task->spec.hyperparameters;
  int64_t warmup = job_warmup_steps(h, t->total_steps), last = t->total_steps - 1;
  double highest = job_learning_rate(h, last, t->total_steps);
  if (warmup < t->total_steps)
    return STATUS_OK;
  if (highest == 0)
    return error_set(err, STATUS_INVALID_VALUE, "warmup_steps",
                     "a warm-up begins with a learning rate of 0, and the job has one step: it would learn nothing; "
                     "set warmup_steps to 0, n_epochs higher or batch_size lower");
  report_message(t->report, LOG_WARN,
                 "the warm-up of %" PRId64 " steps is not over when the job ends, after %" PRId64 ": the learning rate "
                 "rises to %.3g, not to its peak of %.3g",
                 warmup, t->total_steps, highest, h->learning_rate * h->learning_rate_multiplier);
  return STATUS_OK;
}

static enum status train(struct trainer *t, struct error *err) {
  enum status status = STATUS_OK;
  size_t count = t->training->count;
  while (!status && t->step < t->total_steps) {
    next_order(t, &t->rng, t->order);
    for (size_t first = 0, examples; !status && first < count && t->step < t->total_steps; first += examples) {
      double learning_rate = 0, norm = 0;
      examples = step_examples(t, t->order, first);
      status = train_step(t, first, examples, &learning_rate, &norm, err);
      status = status ? status : after_step(t, learning_rate, norm, first + examples >= count, err);
    }
  }
  return status;
}

static void start_csv(struct trainer *t) {
  str_init(&t->csv, (size_t)64 << 20);
  str_puts(&t->csv, "step,epoch,train_loss,learning_rate,grad_norm,trained_tokens,valid_loss");
  for (size_t i = 0; i < COUNT_OF(score_names); i++)
    str_printf(&t->csv, ",%s", score_names[i]);
  str_puts(&t->csv, ",train_mean_token_accuracy\n");
}

enum status trainer_run(struct trainer *t, struct error *err) {
  struct batch_limits limits = batch_limits_for(t->training, &t->rule);
  if (t->validation) {
    struct batch_limits other = evaluate_limits(t->validation);
    limits.sequences = limits.sequences > other.sequences ? limits.sequences : other.sequences;
    limits.tokens = limits.tokens > other.tokens ? limits.tokens : other.tokens;
  }
  t->evaluated_step = -1;
  start_csv(t);
  rng_init(&t->rng, (uint64_t)t->task->spec.seed, RNG_SHUFFLE);
  t->order = calloc(t->training->count, sizeof *t->order);
  if (!t->order)
    return error_no_memory(err, "the order of the examples");
  for (uint32_t i = 0; i < t->training->count; i++)
    t->order[i] = i;
  enum status status = count_steps(t, err);
  status = status ? status : check_schedule(t, err);
  status = status ? status : batch_init(&t->batch, &limits, t->learner->model->language, err);
  t->started = clock_seconds();
  if (!status && t->validation)
    status = run_evaluation(t, err);
  if (!status && t->validation) {
    tell_metrics(t, 0, 0, true);
    csv_row(t, 0, 0, true);
  }
  t->started = clock_seconds();
  return status ? status : train(t, err);
}

void trainer_done(struct trainer *t) {
  batch_done(&t->batch);
  evaluation_done(&t->evaluation);
  str_done(&t->csv);
  free(t->order);
  t->order = NULL;
}
