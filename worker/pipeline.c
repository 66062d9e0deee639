#include "worker/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "api/data_use.h"
#include "base/clock.h"
#include "worker/backend/cpu/kernels.h"
#include "worker/compare.h"
#include "worker/data/look.h"
#include "worker/data/pairs.h"
#include "worker/data/survey.h"
#include "worker/data/tags.h"
#include "worker/device.h"
#include "worker/export/finished.h"
#include "worker/generate/serve.h"
#include "worker/heads.h"
#include "worker/image_pipeline.h"
#include "worker/inspect.h"
#include "worker/lengths.h"
#include "worker/model/sentence.h"
#include "worker/notes.h"
#include "worker/peft/peft.h"
#include "worker/results/results.h"
#include "worker/train/course.h"
#include "worker/train/estimate.h"
#include "worker/train/generation_eval.h"
#include "worker/train/preferences.h"
#include "worker/train/start.h"
#include "worker/train/trainer.h"
#include "worker/upload.h"

/* Everything a training run holds; zero means not there yet. */
struct run {
  struct backend backend;
  enum job_output output;              /* what is trained */
  bool language;                       /* OUTPUT_TEXT: a language model; else a classifier */
  struct dataset training, validation; /* classifiers */
  bool new_head;                       /* a classifier starts without the base's head */
  struct sentence_modules modules;     /* embeddings */
  struct tokenizer *tokenizer;
  struct corpus training_tokens, validation_tokens;
  struct model model;
  struct generation_eval generation;
  struct learner learner;
  struct training trainer;
};

/* --- what is trained ------------------------------------------------------------------------------ */

/* What the daemon judged by the check of the file, the worker judges by its first record. */
static enum status find_task(struct run *r, const struct task *task, struct error *err) {
  struct data_tasks tasks;
  struct data_given given;
  struct fault_list faults = {0};
  const struct job_spec *spec = &task->spec;
  enum status status = model_tasks(&tasks, task->model_dir, err);
  if (status)
    return status;
  data_judge_task(spec, tasks, &faults);
  if (faults.count) {
    *err = faults.item[0];
    return err->status;
  }
  status = look_at_data(&given, spec, task->training.path, task->training.filename, err);
  if (status)
    return status;
  if (!tasks.language && spec->task == JOB_TASK_AUTO && !(given.text && given.label) &&
      (given.chat || given.completion))
    return error_set(err, STATUS_DATASET_INVALID, "training_file",
                     "training file %s has %.60s, which language models learn from; %.60s classifies texts and needs "
                     "\"%.60s\" with \"%.60s\"",
                     task->training.filename, given.chat ? spec->columns.messages : spec->columns.completion,
                     spec->model, spec->columns.text, spec->columns.label);
  enum data_use use = data_use_of(spec, &given, tasks);
  r->language = data_use_is_language(use);
  r->output = use == USE_EMBEDDING ? OUTPUT_EMBEDDING
              : use == USE_RANKED  ? OUTPUT_RELEVANCE
              : use == USE_LABELS  ? OUTPUT_LABELS
              : use == USE_TAGS    ? OUTPUT_TAGS
                                   : OUTPUT_TEXT; /* of labels: load_data knows */
  return STATUS_OK;
}

static bool of_pairs(const struct run *r) {
  return r->output == OUTPUT_EMBEDDING || r->output == OUTPUT_RELEVANCE;
}

/* In-batch negatives need others in the batch. */
static enum status check_batch(const struct run *r, const struct task *task, struct error *err) {
  const struct hyperparameters *h = &task->spec.hyperparameters;
  const struct dataset *d = &r->training;
  if (r->output != OUTPUT_EMBEDDING || d->scored || d->texts > 2)
    return STATUS_OK;
  if (d->count < 2)
    return error_set(err, STATUS_DATASET_INVALID, "training_file",
                     "training file %s has one example: the negatives of an anchor are other examples' positives",
                     task->training.filename);
  if (h->batch_size < 2 && !h->packing)
    return error_set(err, STATUS_INVALID_VALUE, "batch_size",
                     "batch_size is 1: the negatives of an anchor are the positives of the other examples in its "
                     "micro-batch, and there would be none");
  return STATUS_OK;
}

static enum status load_pairs(struct run *r, const struct task *task, struct error *err) {
  const struct task_file *file = &task->training;
  enum status status = pairs_load(&r->training, file->path, file->filename, &task->spec, r->output, NULL, err);
  if (status)
    return error_prefix(err, "training file %s", file->filename);
  status = check_batch(r, task, err);
  file = &task->validation;
  if (status || !file->path)
    return status;
  status = pairs_load(&r->validation, file->path, file->filename, &task->spec, r->output, &r->training, err);
  return status ? error_prefix(err, "validation file %s", file->filename) : STATUS_OK;
}

static enum status load_tags(struct run *r, const struct task *task, struct error *err) {
  const struct task_file *file = &task->training;
  enum status status = tags_load(&r->training, file->path, file->filename, &task->spec, NULL, err);
  if (status)
    return error_prefix(err, "training file %s", file->filename);
  file = &task->validation;
  if (!file->path)
    return STATUS_OK;
  status = tags_load(&r->validation, file->path, file->filename, &task->spec, &r->training, err);
  return status ? error_prefix(err, "validation file %s", file->filename) : STATUS_OK;
}

static enum status load_data(struct run *r, const struct task *task, struct error *err) {
  struct dataset_columns columns = {task->spec.columns.text,
                                    task->spec.columns.text_pair,
                                    task->spec.columns.label,
                                    (enum problem_type)task->spec.columns.problem_type,
                                    false,
                                    glue_of(&task->spec)};
  if (r->output == OUTPUT_LABELS) {
    columns.label = task->spec.columns.labels;
    columns.problem_type = PROBLEM_SINGLE_LABEL; /* names of classes */
    columns.lists = true;
  }
  if (of_pairs(r))
    return load_pairs(r, task, err);
  if (r->output == OUTPUT_TAGS)
    return load_tags(r, task, err);
  if (r->language)
    return STATUS_OK; /* read and tokenised in one pass, once the model's limits are known */
  enum status status = dataset_load(&r->training, task->training.path, task->training.filename, &columns, NULL, err);
  if (status) {
    error_prefix(err, "training file %s", task->training.filename);
    return status;
  }
  if (!columns.lists)
    r->output = r->training.label_kind == LABEL_FLOAT ? OUTPUT_NUMBER : OUTPUT_CLASS;
  if (!task->validation.path)
    return STATUS_OK;
  status = dataset_load(&r->validation, task->validation.path, task->validation.filename, &columns, &r->training, err);
  return status ? error_prefix(err, "validation file %s", task->validation.filename) : STATUS_OK;
}

static enum status load_model(struct run *r, const struct task *task, const char *device, struct error *err) {
  uint64_t seed = (uint64_t)task->spec.seed;
  size_t num_labels = r->language ? 0 : r->training.num_labels;
  enum status status = device_open(&r->backend, device, (int)task->threads, err);
  if (!status) {
    backend_set_precision(&r->backend, (enum precision)task->spec.hyperparameters.precision);
    backend_set_matmul(&r->backend, (enum matmul_library)task->matmul);
  }
  status = status ? status : model_open(&r->model, task->model_dir, r->output, num_labels, seed, &r->backend, err);
  r->model.head_frozen = !task->spec.hyperparameters.train_head;
  if (!status && !r->language)
    r->model.label_names = r->training.label_names;
  if (!status && r->output == OUTPUT_EMBEDDING)
    status = sentence_settle(&r->model, &r->modules, (enum embedding_pooling)task->spec.embedding.pooling, err);
  if (!status && r->new_head)
    status = model_new_head(&r->model, seed, err);
  if (status || !task->start)
    return status ? status : model_adapt(&r->model, &task->spec.adapter, seed, err);
  status = model_adapt_again(&r->model, &task->spec.adapter, seed, err);
  return status ? status : peft_start(&r->model, &task->spec.adapter, task->start, err);
}

static bool has_pairs(const struct dataset *d) {
  for (size_t i = 0; i < d->count; i++)
    if (d->examples[i].pair)
      return true;
  return false;
}

static void report_warnings(const struct run *r, const struct task *task, struct report *report) {
  size_t i;
  json_t *warning;
  json_array_foreach(r->training.warnings, i, warning)
      report_message(report, LOG_WARN, "training file: %s", json_string_value(warning));
  if (r->validation.count && !of_pairs(r) && has_pairs(&r->training) != has_pairs(&r->validation))
    report_message(report, LOG_WARN, "only the %s file has a second text (%s)",
                   has_pairs(&r->training) ? "training" : "validation", task->spec.columns.text_pair);
}

/* --- tokens --------------------------------------------------------------------------------------- */

/* The daemon hears that the worker is alive, and the worker that it is to stop. */
static enum status beat(void *with, struct error *err) {
  struct report *report = with;
  report_phase(report, "tokenise");
  return report_poll(report, err);
}

static enum status read_language(struct corpus *out, struct run *r, const struct task *task,
                                 const struct task_file *file, const struct eos *eos, size_t max,
                                 struct corpus_watch *watch, struct error *err) {
  const struct job_spec *spec = &task->spec;
  struct language_options options = {.text = spec->columns.text,
                                     .messages = spec->columns.messages,
                                     .prompt = spec->columns.prompt,
                                     .completion = spec->columns.completion,
                                     .chat_template = spec->columns.chat_template,
                                     .eos = *eos,
                                     .train_on_inputs = spec->hyperparameters.train_on_inputs,
                                     .objective = spec->objective,
                                     .group = (size_t)spec->hyperparameters.batch_size,
                                     .max_length = max,
                                     .vocabulary = r->model.vocabulary};
  const struct checkpoint *checkpoint = &r->model.checkpoint;
  enum status status = corpus_read(out, file->path, file->filename, r->tokenizer, &options, task->model_dir,
                                   checkpoint->is_gguf ? &checkpoint->gguf : NULL, r->backend.pool, watch, err);
  return status ? error_prefix(err, "file %s", file->filename) : STATUS_OK;
}

static enum status tokenise_language(struct run *r, const struct task *task, size_t max, struct corpus_watch *watch,
                                     struct report *report, struct error *err) {
  const struct checkpoint *checkpoint = &r->model.checkpoint;
  struct eos eos;
  enum status s = eos_find(&eos, task->model_dir, checkpoint->is_gguf ? &checkpoint->gguf : NULL, checkpoint->config,
                           r->tokenizer, r->model.vocabulary, err);
  if (!s && eos.id < 0)
    report_message(report, LOG_WARN,
                   "the model names no end of text (eos_token): it does not learn to stop after what it writes");
  if (!s)
    s = read_language(&r->training_tokens, r, task, &task->training, &eos, max, watch, err);
  if (!s && task->validation.path)
    s = read_language(&r->validation_tokens, r, task, &task->validation, &eos, max, watch, err);
  return s;
}

enum { USUAL_LENGTH = 512, UNCUT = 1 << 24 }; /* tokens of an example: of jobs that do not say; more than any has */

static enum status tokenise(struct run *r, const struct task *task, struct report *report, struct error *err) {
  size_t asked = (size_t)task->spec.hyperparameters.max_seq_length;
  bool whole = task->kind == TASK_SURVEY; /* how long they are */
  size_t vocabulary = r->model.vocabulary, types = r->model.token_types;
  size_t max = whole ? UNCUT : asked < r->model.positions ? asked : r->model.positions;
  if (!whole && r->modules.max_seq_length &&
      r->modules.max_seq_length < max) /* more is never read of an embedding's text */
    max = r->modules.max_seq_length;
  const struct checkpoint *checkpoint = &r->model.checkpoint;
  if (!whole && asked > max && asked != USUAL_LENGTH)
    report_message(report, LOG_WARN,
                   "max_seq_length is %zu, but the model takes %zu tokens: longer examples are cut to these", asked,
                   max);
  struct corpus_watch watch = {.beat = beat, .with = report};
  struct pool *pool = r->backend.pool;
  enum status s = checkpoint->is_gguf ? tokenizer_from_gguf(&r->tokenizer, &checkpoint->gguf, err)
                                      : tokenizer_open(&r->tokenizer, task->model_dir, err);
  if (!s && r->language)
    s = tokenise_language(r, task, max, &watch, report, err);
  else if (!s)
    s = corpus_make(&r->training_tokens, &r->training, r->tokenizer, max, vocabulary, types, pool, &watch, err);
  if (!s && !r->language && task->validation.path)
    s = corpus_make(&r->validation_tokens, &r->validation, r->tokenizer, max, vocabulary, types, pool, &watch, err);
  if (s)
    return s;
  notes_tell(&r->training_tokens, "training", max, report);
  notes_tell(&r->validation_tokens, "validation", max, report);
  return STATUS_OK;
}

/* --- training ------------------------------------------------------------------------------------- */

static enum status make_learner(struct run *r, const struct task *task, struct error *err) {
  const struct hyperparameters *h = &task->spec.hyperparameters;
  struct batch_rule rule = course_rule(task);
  preference_configure(&r->learner, &r->model, preference_of(&task->spec), !task->start);
  preference_share_prompts(&r->training_tokens, &r->learner, &r->model);
  preference_share_prompts(&r->validation_tokens, &r->learner, &r->model);
  struct batch_limits training = batch_limits_for(&r->training_tokens, &rule);
  struct batch_limits evaluation = task->validation.path ? batch_evaluation_limits(&r->validation_tokens) : training;
  generation_eval_limits(&r->generation, &evaluation);
  r->learner.reserved = r->generation.bytes + start_memory(&r->model);
  r->learner.texts = r->training.texts;
  r->learner.scored = r->training.scored;
  r->learner.scale = (float)task->spec.embedding.scale;
  r->learner.group = (size_t)h->batch_size;
  evaluation = preference_limits(&r->learner.preference, &r->training_tokens, &training, &evaluation);
  r->learner.seed = (uint64_t)task->spec.seed;
  r->learner.memory_limit = (size_t)task->spec.scheduling.memory_limit << 20;
  r->learner.memory_goal = (size_t)task->memory_bytes;
  r->learner.orth_lambda = task->spec.adapter.peft_type == PEFT_HRA ? task->spec.adapter.hra.orth_lambda : 0;
  r->learner.adamw = (struct adamw){.beta1 = h->adam_beta1,
                                    .beta2 = h->adam_beta2,
                                    .epsilon = h->adam_epsilon,
                                    .weight_decay = h->weight_decay,
                                    .max_grad_norm = h->max_grad_norm,
                                    .uncorrected = !h->adam_bias_correction};
  return learner_init(&r->learner, &r->model, &training, &evaluation, err);
}

/* --- the device ----------------------------------------------------------------------------------- */

static bool lacks_memory(const struct run *r, enum status status) {
  return status == STATUS_OUT_OF_MEMORY && r->backend.ops && !r->backend.ops->host_memory;
}

/* Puts what helps behind the error. */
static enum status advise(struct error *err, const char *what) {
  size_t used = strlen(err->text);
  snprintf(err->text + used, sizeof err->text - used, ". A smaller batch_size or max_seq_length needs less%s", what);
  return err->status;
}

/* The job does not fit the device. Where the server chose it the CPU goes on, else the job ends with what to lower. */
static enum status leave_device(struct run *r, const struct task *task, struct report *report, struct error *err) {
  char device[sizeof r->backend.device_name];
  snprintf(device, sizeof device, "%s", r->backend.device_name);
  if (!task->device_may_fit) {
    error_prefix(err, "%s", device);
    return advise(err, "; scheduling.device \"auto\" takes the CPU where a job does not fit.");
  }
  report_message(report, LOG_WARN, "the job does not fit %s (%s): it runs on the CPU", device, err->text);
  learner_done(&r->learner);
  r->learner = (struct learner){0};
  model_close(&r->model);
  backend_close(&r->backend);
  return load_model(r, task, "cpu", err);
}

/* Does the device lack what such models need? Where a client named it the job ends with that. */
static bool lacks_model(const struct run *r, const struct task *task, enum status status, const struct error *err) {
  return status == STATUS_UNSUPPORTED_VALUE && strcmp(err->param, "scheduling.device") == 0 && task->device_may_fit &&
         r->backend.ops && !r->backend.ops->host_memory;
}

static enum status load_on_device(struct run *r, const struct task *task, struct report *report, struct error *err) {
  enum status status = load_model(r, task, task->device, err);
  bool leaves = lacks_memory(r, status) || lacks_model(r, task, status, err);
  return leaves ? leave_device(r, task, report, err) : status;
}

static enum status make_learner_on_device(struct run *r, const struct task *task, struct report *report,
                                          struct error *err) {
  enum status status = make_learner(r, task, err);
  if (status == STATUS_OUT_OF_MEMORY && !lacks_memory(r, status) && !err->param[0]) /* memory_limit's says it itself */
    return advise(err, ".");
  if (!lacks_memory(r, status))
    return status;
  status = leave_device(r, task, report, err);
  return status ? status : make_learner(r, task, err);
}

static void say_what(const struct run *r, const struct task *task, struct report *report) {
  const struct corpus *c = &r->training_tokens;
  const struct backend *b = &r->backend;
  char text[800];
  snprintf(text, sizeof text,
           "%zu training examples, %zu tokens, %s; %zu adapted modules, %zu trainable parameters; about %zu MiB of "
           "memory; on %s (%s), %s matmul, %d threads",
           c->count, c->cu_seqlens[c->count * corpus_texts(c)], job_output_of(r->output)->words, r->model.adapter_count,
           parameter_trained(&r->model.parameters), r->learner.estimate >> 20, b->device_name, b->ops->processor(b),
           b->ops->set_matmul ? job_matmul_names[b->matmul] : "its own", pool_threads(b->pool));
  report_data(report, EVENT_MESSAGE, text, json_pack("{s:s}", "device", b->device_name));
  if (backend_emulates_bf16(&r->backend))
    report_message(report, LOG_WARN,
                   "precision bf16: this processor does not multiply bfloat16 numbers, so floats are rounded to them: "
                   "the results are those of bf16, the speed is that of fp32");
  log_info("model %s on %d threads, %s kernels; a step needs %zu MiB, %zu checkpoint segments recomputed",
           task->spec.model, pool_threads(r->backend.pool), r->backend.ops->processor(&r->backend),
           learner_bytes(&r->learner) >> 20, r->learner.recompute_segments);
}

/* The log tells where the time of a start goes (tests/bench/start reads it). */
static void phase(struct report *report, const char *name) {
  log_info("phase %s", name);
  report_phase(report, name);
}

/* Up to where a step can be made, and the trainer that makes it. */
static enum status prepare(struct run *r, const struct task *task, struct report *report, struct error *err) {
  double began = clock_seconds();
  phase(report, "load");
  enum status status = find_task(r, task, err);
  status = status ? status : load_data(r, task, err);
  if (status)
    return status;
  log_info("data read");
  report_warnings(r, task, report);
  notes_tell_start(task, report);
  if (r->output == OUTPUT_EMBEDDING)
    status = sentence_modules_read(&r->modules, task->model_dir, err);
  else if (!r->language)
    status = heads_settle(&r->new_head, &r->training, &r->validation, task, report, err);
  if (status)
    return status;
  status = load_on_device(r, task, report, err);
  if (status)
    return status;
  phase(report, "tokenise");
  status = tokenise(r, task, report, err);
  if (status)
    return status;
  log_info("tokenised");
  status = generation_eval_open(&r->generation, task, &r->model, r->tokenizer, err);
  status = status ? status : make_learner_on_device(r, task, report, err);
  r->trainer = (struct training){.task = task,
                                 .learner = &r->learner,
                                 .rule = course_rule(task),
                                 .training = &r->training_tokens,
                                 .validation = task->validation.path ? &r->validation_tokens : NULL,
                                 .generation = task->spec.generate.present ? &r->generation : NULL,
                                 .report = report,
                                 .prepared = clock_seconds() - began};
  return status ? status : report_poll(report, err);
}

static enum status train(struct run *r, const struct task *task, struct report *report, struct error *err) {
  enum status status = prepare(r, task, report, err);
  status = status ? status : estimate_check(&r->trainer, err);
  status = status ? status : results_check(&r->trainer, err);
  if (status)
    return status;
  estimate_tell_plan(&r->trainer, report);
  say_what(r, task, report);
  status = preference_references(&r->training_tokens, &r->validation_tokens, &r->learner, report, err);
  status = status ? status : trainer_run(&r->trainer, err);
  if (status)
    return status;
  training_progress(&r->trainer, "export", true);
  return results_publish(&r->trainer, r->language ? NULL : &r->training, r->validation.count ? &r->validation : NULL,
                         err);
}

/* --- what a job would take ------------------------------------------------------------------------ */

/* The job with micro-batches of half as many examples, and so on, until one fits; its memory, or 0. */
static size_t fit_smaller(struct task *task, struct run *r, size_t room) {
  struct hyperparameters *h = &task->spec.hyperparameters;
  struct error err;
  while (h->batch_size > 1) {
    h->batch_size = (h->batch_size + 1) / 2;
    learner_done(&r->learner);
    r->learner = (struct learner){0};
    if (make_learner(r, task, &err) == STATUS_OK && (!room || r->learner.estimate <= room))
      return r->learner.estimate;
  }
  return 0;
}

/* A job that does not fit: why, and what to lower. */
static json_t *advice(struct run *r, const struct task *task, size_t room, const struct error *why) {
  struct task smaller = *task;
  json_t *out = json_pack("{s:b, s:s, s:I, s:[s,s]}", "fits", 0, "reason", why->text, "available_memory_bytes",
                          (json_int_t)room, "lower", "batch_size", "max_seq_length");
  size_t bytes = r->training_tokens.count ? fit_smaller(&smaller, r, room) : 0;
  const struct hyperparameters *h = &task->spec.hyperparameters;
  int64_t batch = smaller.spec.hyperparameters.batch_size, parts = (h->batch_size + batch - 1) / batch;
  if (bytes)
    json_object_set_new(out, "suggestion",
                        json_pack("{s:I, s:I, s:I}", "batch_size", (json_int_t)batch, "gradient_accumulation_steps",
                                  (json_int_t)(h->gradient_accumulation_steps * parts), "peak_memory_bytes",
                                  (json_int_t)bytes));
  return out;
}

static enum status estimate(struct run *r, const struct task *task, struct report *report, struct error *err) {
  json_t *found;
  size_t room = estimate_room(task);
  enum status status = prepare(r, task, report, err);
  if (task->kind == TASK_PLAN) {
    if (!status)
      estimate_tell_plan(&r->trainer, report);
    return status;
  }
  size_t needed = status ? 0 : r->learner.estimate;
  status = status ? status : estimate_check(&r->trainer, err);
  if (!status && room && needed > room && r->backend.ops->host_memory)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL,
                       "the job takes %zu MiB of memory, and there are %zu MiB now; a smaller batch_size or "
                       "max_seq_length needs less",
                       needed >> 20, room >> 20);
  if (status == STATUS_OUT_OF_MEMORY) {
    found = advice(r, task, room, err);
    if (found && needed)
      json_object_set_new(found, "peak_memory_bytes", json_integer((json_int_t)needed));
    report_data(report, EVENT_REPORT, "", found);
    return STATUS_OK;
  }
  status = status ? status : trainer_prepare(&r->trainer, err);
  status = status ? status : estimate_measure(&found, &r->trainer, err);
  if (status)
    return status;
  json_object_set_new(found, "fits", json_true());
  json_object_set_new(found, "learns", json_string(job_output_of(r->output)->words));
  report_data(report, EVENT_REPORT, "", found);
  return STATUS_OK;
}

/* --- what is in a file ---------------------------------------------------------------------------- */

/* Its examples' lengths for the task's model; null, and why, where it has lines that no job could use. */
static enum status survey_lengths(json_t *report, struct run *r, const struct task *task, struct report *to,
                                  struct error *err) {
  enum status status = find_task(r, task, err);
  status = status ? status : load_data(r, task, err);
  status = status ? status : load_model(r, task, "cpu", err);
  status = status ? status : tokenise(r, task, to, err);
  if (status && status != STATUS_CANCELLED && status != STATUS_PAUSED && status_http(status) < 500) {
    json_object_set_new(report, "tokens_error", json_string(err->text));
    return STATUS_OK;
  }
  size_t most = (size_t)task->spec.hyperparameters.max_seq_length;
  most = most < r->model.positions ? most : r->model.positions;
  if (!status)
    json_object_set_new(report, "tokens", lengths_json(&r->training_tokens, task->spec.model, most));
  return status;
}

static enum status survey(struct run *r, const struct task *task, struct report *to, struct error *err) {
  const struct task_file *file = &task->training, *other = &task->validation;
  const struct survey_file one = {file->path, file->filename}, two = {other->path, other->filename};
  struct data_tasks tasks = {.language = true, .classifier = true, .embeds = true, .tags = true};
  struct data_given given = {.pairs = OUTPUT_COUNT};
  struct task alone = *task;
  json_t *report;
  enum status status = task->model_dir ? model_tasks(&tasks, task->model_dir, err) : STATUS_OK;
  if (!status && look_at_data(&given, &task->spec, file->path, file->filename, err) == STATUS_OUT_OF_MEMORY)
    status = STATUS_OUT_OF_MEMORY;
  status = status ? status
                  : survey_data(&report, &one, other->path ? &two : NULL, &task->spec,
                                data_use_of(&task->spec, &given, tasks), err);
  if (status)
    return status;
  alone.validation = (struct task_file){0};
  if (task->model_dir)
    status = survey_lengths(report, r, &alone, to, err);
  if (status)
    json_decref(report);
  else
    report_data(to, EVENT_REPORT, "", report);
  return status;
}

static void run_done(struct run *r) {
  trainer_done(&r->trainer);
  learner_done(&r->learner);
  generation_eval_done(&r->generation);
  model_close(&r->model);
  corpus_done(&r->training_tokens);
  corpus_done(&r->validation_tokens);
  tokenizer_free(r->tokenizer);
  dataset_done(&r->training);
  dataset_done(&r->validation);
  backend_close(&r->backend);
}

typedef enum status run_task(struct run *run, const struct task *task, struct report *report, struct error *err);
static enum status carry_out(run_task *what, const struct task *task, struct report *report, struct error *err) {
  struct run run = {0};
  enum status status = what(&run, task, report, err);
  run_done(&run);
  return status;
}

/* What was found is all that the task is for. */
static enum status tell(struct report *report, enum status status, json_t *const *found) {
  if (!status)
    report_data(report, EVENT_REPORT, "", *found);
  return status;
}

enum status pipeline_run(const struct task *task, struct report *report, struct error *err) {
  json_t *found = NULL;
  switch (task->kind) {
  case TASK_CHECK: return tell(report, upload_check(&found, &task->training, report, err), &found);
  case TASK_TRAIN:
    return image_pipeline_is(task) ? image_pipeline_run(task, report, err) : carry_out(train, task, report, err);
  case TASK_SURVEY: return carry_out(survey, task, report, err);
  case TASK_ESTIMATE:
  case TASK_PLAN:
    return image_pipeline_is(task) ? image_pipeline_run(task, report, err) : carry_out(estimate, task, report, err);
  case TASK_INSPECT: return tell(report, inspect_model(&found, task->model_dir, err), &found);
  case TASK_COMPARE: return tell(report, compare_maps(&found, &task->maps, err), &found);
  case TASK_EXPORT: { /* a pause ends it as well: it is done anew */
    enum status status = finished_export(task, report, err);
    return status == STATUS_PAUSED ? error_set(err, STATUS_CANCELLED, NULL, "told to stop") : status;
  }
  case TASK_GENERATE: return serve(task, report, err);
  }
  CHECK(!"a kind of task");
}
