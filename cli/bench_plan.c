/* Options into runs. */
#include "cli/bench_plan.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/glue.h"
#include "api/variant.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/job_body.h"

#define HYPER "method.supervised.hyperparameters."

static const struct option_row rows[] = {
    {"model", OPTION_TEXT, 0, "model", "ID", "base model"},
    {"glue", OPTION_TEXT, offsetof(struct bench_options, glue), NULL, "DIR",
     "folder with GLUE's files (CoLA/train.tsv)"},
    {"file", OPTION_TEXT, offsetof(struct bench_options, file), NULL, "PATH", "or one task's training data"},
    {"validation", OPTION_TEXT, offsetof(struct bench_options, validation), NULL, "PATH", "and its validation data"},
    {"tasks", OPTION_TEXT, offsetof(struct bench_options, tasks), NULL, "A,B",
     "of GLUE (cola,sst2); or that task's name"},
    {"methods", OPTION_TEXT, offsetof(struct bench_options, methods), NULL, "A,B", "of " VARIANT_NAMES "; all of them"},
    {"seeds", OPTION_TEXT, offsetof(struct bench_options, seeds), NULL, "0-4", "or 0,3,7; 0-4"},
    {"r", OPTION_INT, offsetof(struct bench_options, r), NULL, "N", "reflections of HRA (8); the others match it"},
    {"size", OPTION_TEXT, offsetof(struct bench_options, sizes), NULL, "METHOD=N,...", "another rank or block size"},
    {"lr", OPTION_TEXT, offsetof(struct bench_options, rates), NULL, "X,METHOD=X",
     "peak learning rate, of all or of one"},
    {"recipe", OPTION_TEXT, 0, "recipe", "NAME", "settings of the tasks: glue, or hra-glue"},
    {"epochs", OPTION_INT, 0, HYPER "n_epochs", "N", "passes over the data"},
    {"max-steps", OPTION_INT, 0, HYPER "max_steps", "N", "optimiser steps, instead of epochs"},
    {"batch", OPTION_INT, 0, HYPER "batch_size", "N", "examples a micro-batch"},
    {"max-length", OPTION_INT, 0, HYPER "max_seq_length", "N", "tokens an example"},
    {"target-modules", OPTION_LIST, 0, "adapter.target_modules", "A,B", "names of the modules to adapt, or all-linear"},
    {"eval-steps", OPTION_INT, 0, "evaluation.every_steps", "N", "evaluate so often; 0: each epoch"},
    {"eval-examples", OPTION_INT, 0, "evaluation.max_examples", "N", "at most so many; 0: all"},
    {"threads", OPTION_INT, 0, "scheduling.threads", "N", "of a job; 0: the server's choice"},
    {"spec", OPTION_TEXT, offsetof(struct bench_options, spec), NULL, "FILE",
     "a job as JSON, for all else; options go over it"},
    {"name", OPTION_TEXT, offsetof(struct bench_options, name), NULL, "NAME",
     "the comparison's (bench), in its jobs' metadata"},
    {"out", OPTION_TEXT, offsetof(struct bench_options, out), NULL, "DIR",
     "where tables and figure are written (bench)"},
    {"retry", OPTION_FLAG, offsetof(struct bench_options, retry), NULL, NULL, "run again what failed or was cancelled"},
};
const struct option_table bench_option_table = {rows, COUNT_OF(rows)};

/* --- lists ---------------------------------------------------------------------------------------- */

static enum status wrong(struct error *err, const char *option, const char *text, const char *wanted) {
  return error_set(err, STATUS_INVALID_VALUE, option, "--%s takes %s, not \"%.100s\"", option, wanted, text);
}

/* The next item of "a,b": *length of *at, which is NULL behind the last. */
static bool next_item(const char **at, size_t *length, const char **rest) {
  *at = *rest;
  if (!*rest)
    return false;
  *length = strcspn(*at, ",");
  *rest = (*at)[*length] ? *at + *length + 1 : NULL;
  return true;
}

/* The number that "X,METHOD=X" gives a method; NAN: none. Everything in the list is checked. */
static enum status value_for(double *out, const char *option, const char *list, const struct variant *method,
                             struct error *err) {
  const char *item, *rest = list;
  size_t length;
  *out = NAN;
  while (next_item(&item, &length, &rest)) {
    const char *equals = memchr(item, '=', length), *number = equals ? equals + 1 : item;
    const struct variant *named = equals ? variant_find(item, (size_t)(equals - item)) : NULL;
    char *end;
    double value = strtod(number, &end);
    if ((equals && !named) || end == number || end != item + length || !isfinite(value) || value <= 0)
      return wrong(err, option, list, "numbers above 0, each for all methods or as METHOD=NUMBER");
    if (named == method || (!equals && isnan(*out)))
      *out = value;
  }
  return STATUS_OK;
}

/* "0-4" or "0,3": *count of them into the arena. */
static enum status read_seeds(int64_t **out, size_t *count, struct arena *arena, const char *text, struct error *err) {
  static const char wanted[] = "whole numbers from 0 on, as 0-4 or 0,3,7";
  const char *item, *rest = text;
  size_t length;
  *count = 0;
  *out = arena_array(arena, BENCH_RUNS_MAX, sizeof **out);
  if (!*out)
    return error_no_memory(err, "the plan");
  while (next_item(&item, &length, &rest)) {
    char *end;
    long long first = strtoll(item, &end, 10), last = first;
    if (end == item || *item < '0' || *item > '9')
      return wrong(err, "seeds", text, wanted);
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
      last = strtoll(end + 1, &end, 10);
    if (end != item + length || last < first || last > INT32_MAX || last - first >= BENCH_RUNS_MAX - (long long)*count)
      return wrong(err, "seeds", text, wanted);
    for (long long seed = first; seed <= last; seed++) {
      for (size_t i = 0; i < *count; i++)
        if ((*out)[i] == seed)
          return wrong(err, "seeds", text, "each seed once");
      (*out)[(*count)++] = seed;
    }
  }
  return STATUS_OK;
}

/* --- tasks ---------------------------------------------------------------------------------------- */

/* The first of some files that is there, as GLUE, its tasks' own sites and Hugging Face name them. NULL: none. */
static const char *first_file(struct arena *arena, const char *root, const char *const *folders,
                              const char *const *names) {
  for (; *folders; folders++)
    for (const char *const *name = names; *name; name++) {
      const char *path = arena_format(arena, "%s/%s/%s", root, *folders, *name);
      if (path && access(path, R_OK) == 0)
        return path;
    }
  return NULL;
}

static enum status find_glue(struct bench_task *task, struct arena *arena, const char *root, struct error *err) {
  static const struct {
    const char *name, *folders[4];
  } known[] = {{"cola", {"CoLA", "cola"}}, {"sst2", {"SST-2", "sst2", "SST2"}},
               {"mrpc", {"MRPC", "mrpc"}}, {"stsb", {"STS-B", "stsb"}},
               {"qqp", {"QQP", "qqp"}},    {"mnli", {"MNLI", "mnli"}},
               {"qnli", {"QNLI", "qnli"}}, {"rte", {"RTE", "rte"}}};
  static const char *const training[] = {"train.tsv", "train.jsonl", "in_domain_train.tsv", "msr_paraphrase_train.txt",
                                         NULL};
  static const char *const validation[] = {
      "dev.tsv",   "dev_matched.tsv",   "validation.jsonl",        "validation_matched.jsonl",
      "dev.jsonl", "in_domain_dev.tsv", "msr_paraphrase_test.txt", NULL};
  const struct glue_task *glue = glue_find(task->name);
  if (!glue)
    return error_set(err, STATUS_INVALID_VALUE, "tasks",
                     "GLUE has no task \"%.60s\"; it has cola, sst2, mrpc, stsb, "
                     "qqp, mnli, qnli, rte",
                     task->name);
  task->name = glue->name;
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (strcmp(known[i].name, glue->name) == 0) {
      task->training = first_file(arena, root, known[i].folders, training);
      task->validation = first_file(arena, root, known[i].folders, validation);
    }
  if (task->training && task->validation)
    return STATUS_OK;
  return error_set(err, STATUS_IO, NULL, "%s has no %s data of %s (looked for %s/%s/%s and the like)", root,
                   task->training ? "validation" : "training", glue->name, root, glue->name,
                   task->training ? validation[0] : training[0]);
}

static enum status hash_data(struct bench_task *task, struct error *err) {
  char both[2 * HASH_HEX];
  enum status status = file_hash(both, NULL, task->training, err);
  status = status ? status : file_hash(both + HASH_HEX, NULL, task->validation, err);
  if (!status)
    hash_bytes(task->data, both, sizeof both);
  return status;
}

static enum status read_tasks(struct bench_plan *plan, const struct bench_options *options, struct error *err) {
  const char *item, *rest = options->tasks ? options->tasks : options->glue ? "cola,sst2" : "data";
  size_t length;
  if (!options->glue == !options->file || !options->file != !options->validation)
    return error_set(err, STATUS_MISSING_PARAMETER, "glue",
                     "what is to be learnt is missing: either --glue DIR, or --file and --validation");
  if (options->file && strchr(rest, ','))
    return wrong(err, "tasks", rest, "one name for the data of --file");
  plan->tasks = arena_array(&plan->arena, strlen(rest) + 1, sizeof *plan->tasks);
  while (plan->tasks && next_item(&item, &length, &rest)) {
    struct bench_task *task = &plan->tasks[plan->task_count];
    *task = (struct bench_task){
        .name = arena_copy(&plan->arena, item, length), .training = options->file, .validation = options->validation};
    if (!task->name)
      break;
    enum status status = options->glue ? find_glue(task, &plan->arena, options->glue, err) : STATUS_OK;
    status = status ? status : hash_data(task, err);
    if (status)
      return status;
    for (size_t i = 0; i < plan->task_count; i++)
      if (strcmp(plan->tasks[i].name, task->name) == 0)
        return wrong(err, "tasks", options->tasks, "each task once");
    plan->task_count++;
  }
  return rest || !plan->tasks ? error_no_memory(err, "the plan") : STATUS_OK;
}

/* --- runs ----------------------------------------------------------------------------------------- */

static enum status set_key(struct bench_run *run, struct error *err) {
  AUTO(json_release) json_t *whole = json_pack("{s:O, s:s}", "body", run->body, "data", run->task->data);
  char *text = whole ? json_dumps(whole, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
  if (!text)
    return error_no_memory(err, "the plan");
  hash_bytes(run->key, text, strlen(text));
  free(text);
  return STATUS_OK;
}

static enum status make_body(struct bench_run *run, const struct bench_plan *plan, const json_t *base,
                             const struct variant *method, int64_t size, double rate, bool glue, struct error *err) {
  char text[200];
  run->body = json_deep_copy(base);
  json_t *body = run->body;
  if (!body || json_object_set_new(body, "adapter", variant_adapter(json_object_get(base, "adapter"), method, size)))
    return error_no_memory(err, "the plan");
  if (glue) {
    snprintf(text, sizeof text, "glue/%s", run->task->name);
    json_object_set_new(body, "task", json_string(text));
  }
  json_object_set_new(body, "seed", json_integer(run->seed));
  enum status status = STATUS_OK;
  if (!isnan(rate))
    status = options_set_path(body, HYPER "learning_rate", json_real(rate), err);
  if (!status && json_object_get(body, "method") && !json_object_get(json_object_get(body, "method"), "type"))
    status = options_set_path(body, "method.type", json_string("supervised"), err);
  status = status ? status : set_key(run, err);
  status = status ? status : options_set_path(body, "metadata.bench", json_string(plan->name), err);
  snprintf(text, sizeof text, "%s %s %lld", run->task->name, run->method, (long long)run->seed);
  status = status ? status : options_set_path(body, "metadata.run", json_string(text), err);
  status = status ? status : options_set_path(body, "metadata.data", json_string(run->task->data), err);
  return status ? status : options_set_path(body, "metadata.body", json_string(run->key), err);
}

/* A method's runs of one task. */
static enum status add_method(struct bench_plan *plan, struct bench_task *task, const struct variant *method,
                              const struct bench_options *options, const json_t *base, const int64_t *seeds,
                              size_t seed_count, struct error *err) {
  double rate, asked;
  enum status status = value_for(&rate, "lr", options->rates, method, err);
  status = status ? status : value_for(&asked, "size", options->sizes, method, err);
  if (!status && !isnan(asked) && (asked != floor(asked) || asked > 4096))
    return wrong(err, "size", options->sizes, "whole numbers");
  if (status)
    return status;
  int64_t size = isnan(asked) ? variant_matched(method, (double)(options->r ? options->r : 8)) : (int64_t)asked;
  const char *words = arena_format(&plan->arena, "%s %lld", method->word, (long long)size);
  for (size_t i = 0; !status && i < seed_count; i++) {
    if (plan->run_count == BENCH_RUNS_MAX)
      return error_set(err, STATUS_INVALID_VALUE, NULL, "more than %d runs", BENCH_RUNS_MAX);
    struct bench_run *run = &plan->runs[plan->run_count++];
    *run = (struct bench_run){.task = task, .method = method->name, .size = words, .seed = seeds[i], .attempt = 1};
    status = words ? make_body(run, plan, base, method, size, rate, options->glue != NULL, err)
                   : error_no_memory(err, "the plan");
  }
  return status;
}

static enum status add_task(struct bench_plan *plan, struct bench_task *task, const struct bench_options *options,
                            const json_t *base, const int64_t *seeds, size_t seed_count, struct error *err) {
  static const char all[] = "hra,hra-gs,hra-lambda,lora,oft,boft";
  const char *item, *list = options->methods ? options->methods : all, *rest = list;
  size_t length;
  enum status status = STATUS_OK;
  while (!status && next_item(&item, &length, &rest)) {
    const struct variant *method = variant_find(item, length);
    if (!method)
      return wrong(err, "methods", list, "some of " VARIANT_NAMES);
    for (size_t i = 0; i < plan->run_count; i++)
      if (plan->runs[i].task == task && strcmp(plan->runs[i].method, method->name) == 0)
        return wrong(err, "methods", list, "each method once");
    status = add_method(plan, task, method, options, base, seeds, seed_count, err);
  }
  return status;
}

static enum status fill(struct bench_plan *plan, const struct bench_options *options, json_t *document,
                        struct error *err) {
  const struct create_options create = {.spec = options->spec};
  AUTO(json_release) json_t *base = NULL;
  int64_t *seeds = NULL;
  size_t seed_count = 0;
  enum status status = job_body_make(&base, &create, document, err);
  if (!status && !json_object_get(base, "model"))
    status = error_set(err, STATUS_MISSING_PARAMETER, "model", "--model is missing");
  if (!status && (options->r < 0 || options->r > 256))
    status = error_set(err, STATUS_INVALID_VALUE, "r", "--r takes 1 to 256");
  status = status ? status : read_tasks(plan, options, err);
  status =
      status ? status : read_seeds(&seeds, &seed_count, &plan->arena, options->seeds ? options->seeds : "0-4", err);
  plan->runs = calloc(BENCH_RUNS_MAX, sizeof *plan->runs);
  if (!status && !plan->runs)
    status = error_no_memory(err, "the plan");
  for (size_t i = 0; !status && i < plan->task_count; i++)
    status = add_task(plan, &plan->tasks[i], options, base, seeds, seed_count, err);
  return status;
}

enum status bench_plan_make(struct bench_plan *out, const struct bench_options *options, json_t *document,
                            struct error *err) {
  *out = (struct bench_plan){.name = options->name ? options->name : "bench"};
  arena_init(&out->arena, 64 << 20);
  enum status status = fill(out, options, document, err);
  if (status)
    bench_plan_done(out);
  return status;
}

void bench_plan_done(struct bench_plan *plan) {
  for (size_t i = 0; i < plan->run_count; i++) {
    json_decref(plan->runs[i].body);
    json_decref(plan->runs[i].job);
    json_decref(plan->runs[i].manifest);
  }
  free(plan->runs);
  arena_done(&plan->arena);
  *plan = (struct bench_plan){0};
}
