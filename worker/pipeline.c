#include "worker/pipeline.h"

#include <stdio.h>

#include "worker/data/check.h"
#include "worker/export.h"
#include "worker/trainer.h"

/* Everything a training run holds; zero means not there yet. */
struct run {
  struct backend backend;
  struct dataset training, validation;
  struct tokenizer *tokenizer;
  struct corpus training_tokens, validation_tokens;
  struct model model;
  struct learner learner;
  struct trainer trainer;
};

static enum status load_data(struct run *r, const struct task *task, struct error *err) {
  struct dataset_columns columns = {task->spec.columns.text, task->spec.columns.text_pair, task->spec.columns.label};
  enum status status = dataset_load(&r->training, task->training.path, task->training.filename, &columns, NULL, err);
  if (status) {
    error_prefix(err, "training file %s", task->training.filename);
    return status;
  }
  if (!task->validation.path)
    return STATUS_OK;
  status = dataset_load(&r->validation, task->validation.path, task->validation.filename, &columns, &r->training, err);
  return status ? error_prefix(err, "validation file %s", task->validation.filename) : STATUS_OK;
}

static enum status tokenise(struct run *r, const struct task *task, struct report *report, struct error *err) {
  size_t max = (size_t)task->spec.hyperparameters.max_seq_length;
  max = max < r->model.positions ? max : r->model.positions;
  enum status status = tokenizer_open(&r->tokenizer, task->model_dir, err);
  status =
      status ? status : corpus_make(&r->training_tokens, &r->training, r->tokenizer, max, r->model.vocabulary, err);
  if (!status && task->validation.path)
    status = corpus_make(&r->validation_tokens, &r->validation, r->tokenizer, max, r->model.vocabulary, err);
  if (!status && r->training_tokens.truncated + r->validation_tokens.truncated > 0)
    report_message(report, LOG_WARN, "%zu training and %zu validation examples were cut to %zu tokens",
                   r->training_tokens.truncated, r->validation_tokens.truncated, max);
  return status;
}

static enum status load_model(struct run *r, const struct task *task, struct error *err) {
  uint64_t seed = (uint64_t)task->spec.seed;
  enum status status = backend_open(&r->backend, (int)task->threads, NULL, err);
  status = status ? status : model_open(&r->model, task->model_dir, r->training.num_labels, seed, &r->backend, err);
  return status ? status : model_adapt(&r->model, &task->spec.adapter, seed, err);
}

static enum status make_learner(struct run *r, const struct task *task, struct error *err) {
  const struct hyperparameters *h = &task->spec.hyperparameters;
  struct batch_limits training = trainer_limits(task, &r->training_tokens);
  struct batch_limits evaluation = task->validation.path ? evaluate_limits(&r->validation_tokens) : training;
  r->learner.seed = (uint64_t)task->spec.seed;
  r->learner.regression = r->training.label_kind == LABEL_FLOAT;
  r->learner.orth_lambda = task->spec.adapter.hra.orth_lambda;
  r->learner.adamw = (struct adamw){.beta1 = h->adam_beta1,
                                    .beta2 = h->adam_beta2,
                                    .epsilon = h->adam_epsilon,
                                    .weight_decay = h->weight_decay,
                                    .max_grad_norm = h->max_grad_norm};
  return learner_init(&r->learner, &r->model, &training, &evaluation, err);
}

static void say_what(const struct run *r, const struct task *task, struct report *report) {
  report_message(report, LOG_INFO,
                 "%zu training examples, %zu tokens, %s; %zu adapted modules, %zu trainable parameters",
                 r->training.count, r->training_tokens.offsets[r->training.count],
                 r->training.label_kind == LABEL_FLOAT ? "regression" : "classification", r->model.adapter_count,
                 parameter_elements(&r->model.parameters));
  log_info("model %s on %d threads, %s kernels, %s; a step needs %zu MiB", task->spec.model,
           pool_threads(r->backend.pool), r->backend.kernels->isa, r->backend.gemm, learner_bytes(&r->learner) >> 20);
}

static void phase(struct report *report, const char *name) {
  report_data(report, EVENT_PROGRESS, "", json_pack("{s:s}", "phase", name));
}

static enum status train(struct run *r, const struct task *task, struct report *report, struct error *err) {
  phase(report, "load");
  enum status status = load_data(r, task, err);
  status = status ? status : load_model(r, task, err);
  if (status)
    return status;
  phase(report, "tokenise");
  status = tokenise(r, task, report, err);
  status = status ? status : make_learner(r, task, err);
  status = status ? status : report_poll(report, err);
  if (status)
    return status;
  say_what(r, task, report);
  bool validated = task->validation.path != NULL;
  r->trainer = (struct trainer){.task = task,
                                .learner = &r->learner,
                                .training = &r->training_tokens,
                                .validation = validated ? &r->validation_tokens : NULL,
                                .report = report};
  status = trainer_run(&r->trainer, err);
  if (status)
    return status;
  trainer_progress(&r->trainer, "export", true);
  return export_all(&r->trainer, &r->training, validated ? &r->validation : NULL, err);
}

static void run_done(struct run *r) {
  trainer_done(&r->trainer);
  learner_done(&r->learner);
  model_close(&r->model);
  corpus_done(&r->training_tokens);
  corpus_done(&r->validation_tokens);
  tokenizer_free(r->tokenizer);
  dataset_done(&r->training);
  dataset_done(&r->validation);
  backend_close(&r->backend);
}

enum status pipeline_run(const struct task *task, struct report *report, struct error *err) {
  switch (task->kind) {
  case TASK_CHECK: {
    json_t *found;
    enum status status = check_file(&found, task->training.path, task->training.filename, err);
    if (!status)
      report_data(report, EVENT_REPORT, "", found);
    return status;
  }
  case TASK_TRAIN: {
    struct run run = {0};
    enum status status = train(&run, task, report, err);
    run_done(&run);
    return status;
  }
  case TASK_EXPORT:
    return error_set(err, STATUS_INTERNAL, NULL, "exports on demand are on their way");
  }
  CHECK(!"a kind of task");
}
