#include "api/data_fit.h"

#include <string.h>

#include "api/glue.h"
#include "api/label.h"
#include "api/pair_columns.h"
#include "api/task_settings.h"
#include "base/json.h"
#include "base/str.h"

static const json_t *column(const json_t *report, const char *name) {
  return name ? json_object_get(json_object_get(report, "facts"), name) : NULL;
}

static bool first_has(const void *report, const char *name) {
  return json_is_true(json_object_get(column(report, name), "first"));
}

/* --- the metric ----------------------------------------------------------------------------------- */

static enum job_output output_of(const struct job_spec *spec, enum data_use use, const json_t *report) {
  const json_t *labels = json_object_get(column(report, spec->columns.label), "labels");
  const char *kind = json_string_value(json_object_get(labels, "kind"));
  int type = spec->columns.problem_type;
  switch (use) {
  case USE_LABELLED:
    return type == PROBLEM_REGRESSION || (type == PROBLEM_AUTO && kind && strcmp(kind, "float") == 0) ? OUTPUT_NUMBER
                                                                                                      : OUTPUT_CLASS;
  case USE_LABELS: return OUTPUT_LABELS;
  case USE_TAGS: return OUTPUT_TAGS;
  case USE_EMBEDDING: return OUTPUT_EMBEDDING;
  case USE_RANKED: return OUTPUT_RELEVANCE;
  case USE_CHAT:
  case USE_COMPLETION:
  case USE_TEXT:
  case USE_PREFERENCE:
  case USE_NOTHING: return OUTPUT_TEXT;
  }
  CHECK(!"a use of data");
}

/* The task that learns that, of those that are no benchmark's. */
static enum job_task task_of(enum job_output output) {
  for (int task = JOB_TASK_AUTO + 1; task < JOB_TASK_COUNT; task++)
    if (job_task_output((enum job_task)task) == output)
      return (enum job_task)task;
  CHECK(!"an output without a task");
}

/* More than two classes? Labels that mean the same are one. */
static bool has_many_classes(const json_t *classes) {
  const char *name, *known[2] = {NULL, NULL};
  json_t *place;
  json_object_foreach((json_t *)(uintptr_t)classes, name, place) {
    if ((known[0] && label_same(known[0], name)) || (known[1] && label_same(known[1], name)))
      continue;
    if (known[1])
      return true;
    known[known[0] != NULL] = name;
  }
  return false;
}

static void judge_metric(const struct job_spec *spec, enum data_use use, const json_t *report,
                         struct fault_list *faults) {
  int metric = spec->evaluation.metric;
  enum job_output output = output_of(spec, use, report);
  enum job_task task = task_of(output);
  AUTO(str_done) struct str others;
  str_init(&others, 400);
  if (metric == METRIC_LOSS || !spec->validation_file || glue_of(spec))
    return;
  const json_t *labels = json_object_get(column(report, spec->columns.label), "labels");
  bool of_two = metric == METRIC_F1 || metric == METRIC_MATTHEWS;
  if (output == OUTPUT_CLASS && of_two && has_many_classes(json_object_get(labels, "classes"))) {
    fault_add(faults, STATUS_INVALID_VALUE, "evaluation.metric",
              "evaluation.metric is %s, which is measured of two classes, and the training file has more; accuracy is "
              "measured of any number",
              job_metric_names[metric]);
    return;
  }
  if (spec->task != JOB_TASK_AUTO || job_task_measures(task, (enum validation_metric)metric))
    return; /* of a task that the job names it is judged already */
  for (int i = 0; i < METRIC_COUNT; i++)
    if (job_task_measures(task, (enum validation_metric)i))
      str_printf(&others, ", %s", job_metric_names[i]);
  fault_add(faults, STATUS_INVALID_VALUE, "evaluation.metric",
            "evaluation.metric is %s, which a job on such data does not measure (%s); it measures loss%s",
            job_metric_names[metric], job_output_of(output)->words, others.text);
}

/* --- batches and steps ---------------------------------------------------------------------------- */

/* In-batch negatives need others in the batch. */
static void judge_negatives(const struct job_spec *spec, const struct data_file *file, int64_t examples,
                            struct fault_list *faults) {
  const struct hyperparameters *h = &spec->hyperparameters;
  struct pair_columns columns;
  pair_columns_find(&columns, spec, first_has, file->report);
  if (columns.name[PAIR_NEGATIVE] || columns.name[PAIR_SCORE])
    return;
  if (examples == 1)
    fault_add(faults, STATUS_DATASET_INVALID, file->param,
              "%s has one example: the negatives of an anchor are other examples' positives", file->id);
  else if (h->batch_size < 2 && !h->packing)
    fault_add(faults, STATUS_INVALID_VALUE, "batch_size",
              "batch_size is 1: the negatives of an anchor are the positives of the other examples in its "
              "micro-batch, and there would be none");
}

/* Where the number of steps follows from that of examples. */
static void judge_steps(const struct job_spec *spec, int64_t examples, struct fault_list *faults) {
  const struct hyperparameters *h = &spec->hyperparameters;
  if (h->max_steps || h->packing || h->max_batch_tokens || examples < 1)
    return; /* tokens or the job decide */
  int64_t batches = (examples + h->batch_size - 1) / h->batch_size;
  int64_t steps = h->n_epochs * ((batches + h->gradient_accumulation_steps - 1) / h->gradient_accumulation_steps);
  if (job_warmup_steps(h, steps) >= steps && job_learning_rate(h, steps - 1, steps) == 0)
    fault_add(faults, STATUS_INVALID_VALUE, "warmup_steps",
              "a warm-up begins with a learning rate of 0, and the job has one step: it would learn nothing; set "
              "warmup_steps to 0, n_epochs higher or batch_size lower");
}

void data_fit_judge(const struct job_spec *spec, enum data_use use, const struct data_file *training,
                    struct fault_list *faults) {
  int64_t examples = json_integer_value(json_object_get(training->report, "examples"));
  judge_metric(spec, use, training->report, faults);
  task_settings_judge(spec, output_of(spec, use, training->report), faults);
  if (use == USE_EMBEDDING)
    judge_negatives(spec, training, examples, faults);
  if (!data_use_is_language(use)) /* of these none is left out */
    judge_steps(spec, examples, faults);
}
