#include "api/job_task.h"

#include "base/str.h"

const char *const job_task_names[] = {[JOB_TASK_AUTO] = "auto",
#define JOB_TASK(id, name, output, metrics) [JOB_TASK_##id] = (name),
#include "api/job_tasks.def"
#undef JOB_TASK
                                      [JOB_TASK_COUNT] = NULL};

static const struct {
  enum job_output output;
  uint64_t metrics; /* bits by enum validation_metric */
} rows[JOB_TASK_COUNT] = {
#define JOB_TASK(id, name, output, metrics) [JOB_TASK_##id] = {OUTPUT_##output, (metrics)},
#include "api/job_tasks.def"
#undef JOB_TASK
};

static const struct job_output_row outputs[OUTPUT_COUNT] = {
    [OUTPUT_CLASS] = {.words = "classification",
                      .needs = "a text with a label",
                      .peft_task_type = "SEQ_CLS",
                      .class_suffix = "ForSequenceClassification",
                      .pipeline_tag = "text-classification",
                      .problem_type = "single_label_classification"},
    [OUTPUT_NUMBER] = {.words = "regression",
                       .needs = "a text with a number as its label",
                       .peft_task_type = "SEQ_CLS",
                       .class_suffix = "ForSequenceClassification",
                       .pipeline_tag = "text-classification",
                       .problem_type = "regression"},
    [OUTPUT_LABELS] = {.words = "multi-label classification",
                       .needs = "a text with a list of labels",
                       .peft_task_type = "SEQ_CLS",
                       .class_suffix = "ForSequenceClassification",
                       .pipeline_tag = "text-classification",
                       .problem_type = "multi_label_classification"},
    [OUTPUT_TAGS] = {.words = "token classification",
                     .needs = "a list of tokens with a list of as many tags",
                     .peft_task_type = "TOKEN_CLS",
                     .class_suffix = "ForTokenClassification",
                     .pipeline_tag = "token-classification"},
    [OUTPUT_TEXT] = {.words = "language model",
                     .needs = "chats, prompts with completions, or texts",
                     .peft_task_type = "CAUSAL_LM",
                     .class_suffix = "ForCausalLM",
                     .pipeline_tag = "text-generation"},
    [OUTPUT_EMBEDDING] = {.words = "sentence embeddings",
                          .needs = "anchors with positives (and negatives), or pairs of sentences with a score",
                          .peft_task_type = "FEATURE_EXTRACTION",
                          .class_suffix = "Model",
                          .pipeline_tag = "sentence-similarity"},
    [OUTPUT_RELEVANCE] = {.words = "reranking",
                          .needs = "queries with passages and labels",
                          .peft_task_type = "SEQ_CLS",
                          .class_suffix = "ForSequenceClassification",
                          .pipeline_tag = "text-ranking",
                          .problem_type = "multi_label_classification"}, /* whose loss it is, of one label */
    [OUTPUT_IMAGE] = {.words = "image generation", .needs = "an archive of images", .pipeline_tag = "text-to-image"},
};

const struct job_output_row *job_output_of(enum job_output output) {
  CHECK(output < OUTPUT_COUNT);
  return &outputs[output];
}

enum job_output job_task_output(enum job_task task) {
  CHECK(task > JOB_TASK_AUTO && task < JOB_TASK_COUNT);
  return rows[task].output;
}

bool job_task_images(int task) {
  return task != JOB_TASK_AUTO && job_task_output((enum job_task)task) == OUTPUT_IMAGE;
}

bool job_task_measures(enum job_task task, enum validation_metric metric) {
  CHECK(task > JOB_TASK_AUTO && task < JOB_TASK_COUNT);
  return rows[task].metrics >> metric & 1;
}

static void settle_problem_type(struct job_spec *spec, struct fault_list *faults) {
  enum job_output output = rows[spec->task].output;
  int asked = spec->columns.problem_type, type = output == OUTPUT_CLASS    ? PROBLEM_SINGLE_LABEL
                                                 : output == OUTPUT_NUMBER ? PROBLEM_REGRESSION
                                                 : output == OUTPUT_LABELS ? PROBLEM_MULTI_LABEL
                                                                           : PROBLEM_AUTO;
  if (asked != PROBLEM_AUTO && asked != type)
    fault_add(faults, STATUS_INVALID_VALUE, "dataset.problem_type",
              "dataset.problem_type is %s, which is not what the task %s learns; leave it out",
              job_problem_names[asked], job_task_names[spec->task]);
  spec->columns.problem_type = type;
}

static void check_metric(const struct job_spec *spec, struct fault_list *faults) {
  int metric = spec->evaluation.metric;
  AUTO(str_done) struct str others;
  str_init(&others, 400);
  if (metric == METRIC_LOSS || job_task_measures((enum job_task)spec->task, (enum validation_metric)metric))
    return;
  for (int i = 0; i < METRIC_COUNT; i++)
    if (job_task_measures((enum job_task)spec->task, (enum validation_metric)i))
      str_printf(&others, ", %s", job_metric_names[i]);
  fault_add(faults, STATUS_INVALID_VALUE, "evaluation.metric",
            "evaluation.metric is %s, which the task %s does not measure; it measures loss%s", job_metric_names[metric],
            job_task_names[spec->task], others.text);
}

void job_task_settle(struct job_spec *spec, struct fault_list *faults) {
  if (spec->task == JOB_TASK_AUTO && spec->columns.problem_type == PROBLEM_MULTI_LABEL)
    spec->task = JOB_TASK_MULTI_LABEL; /* nothing else has that type */
  if (spec->task == JOB_TASK_AUTO)
    return;
  settle_problem_type(spec, faults);
  check_metric(spec, faults);
}
