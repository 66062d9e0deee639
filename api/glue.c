#include "api/glue.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/label.h"

/* The classes are in the order of their numbers in the data sets of Hugging Face. */
const struct glue_task glue_tasks[GLUE_COUNT] = {
    {.name = "cola",
     .text = {"sentence"},
     .label = {"label"},
     .class_count = 2,
     .classes = {"unacceptable", "acceptable"},
     .metrics = {METRIC_MATTHEWS, METRIC_MATTHEWS}},
    {.name = "sst2",
     .text = {"sentence"},
     .label = {"label"},
     .class_count = 2,
     .classes = {"negative", "positive"},
     .metrics = {METRIC_ACCURACY, METRIC_ACCURACY}},
    {.name = "mrpc",
     .text = {"sentence1", "#1 String"},
     .pair = {"sentence2", "#2 String"},
     .label = {"label", "Quality"},
     .class_count = 2,
     .classes = {"not_equivalent", "equivalent"},
     .metrics = {METRIC_ACCURACY, METRIC_F1}},
    {.name = "stsb",
     .text = {"sentence1"},
     .pair = {"sentence2"},
     .label = {"label", "score"},
     .metrics = {METRIC_PEARSON, METRIC_SPEARMAN}},
    {.name = "qqp",
     .text = {"question1"},
     .pair = {"question2"},
     .label = {"label", "is_duplicate"},
     .class_count = 2,
     .classes = {"not_duplicate", "duplicate"},
     .metrics = {METRIC_ACCURACY, METRIC_F1}},
    {.name = "mnli",
     .text = {"premise", "sentence1"},
     .pair = {"hypothesis", "sentence2"},
     .label = {"label", "gold_label"},
     .class_count = 3,
     .classes = {"entailment", "neutral", "contradiction"},
     .metrics = {METRIC_ACCURACY, METRIC_ACCURACY}},
    {.name = "qnli",
     .text = {"question"},
     .pair = {"sentence"},
     .label = {"label"},
     .class_count = 2,
     .classes = {"entailment", "not_entailment"},
     .metrics = {METRIC_ACCURACY, METRIC_ACCURACY}},
    {.name = "rte",
     .text = {"sentence1"},
     .pair = {"sentence2"},
     .label = {"label"},
     .class_count = 2,
     .classes = {"entailment", "not_entailment"},
     .metrics = {METRIC_ACCURACY, METRIC_ACCURACY}},
};

static const char prefix[] = "glue/";

const struct glue_task *glue_find(const char *name) {
  char plain[8];
  size_t length = 0;
  if (strncmp(name, prefix, strlen(prefix)) == 0)
    name += strlen(prefix);
  for (; *name && length + 1 < sizeof plain; name++)
    if (*name != '-')
      plain[length++] = *name;
  plain[length] = '\0';
  for (size_t i = 0; i < GLUE_COUNT && !*name; i++)
    if (strcasecmp(glue_tasks[i].name, plain) == 0)
      return &glue_tasks[i];
  return NULL;
}

const struct glue_task *glue_of(const struct job_spec *spec) {
  const char *name = job_task_names[spec->task];
  return strncmp(name, prefix, strlen(prefix)) == 0 ? glue_find(name) : NULL;
}

static bool gives(const json_t *body, const char *section, const char *name) {
  const json_t *value = json_object_get(json_object_get(body, section), name);
  return value && !json_is_null(value);
}

void glue_settle(struct job_spec *spec, const json_t *body) {
  const struct glue_task *task = glue_of(spec);
  if (!task)
    return;
  if (!gives(body, "dataset", "text"))
    spec->columns.text = task->text[0];
  if (task->pair[0] && !gives(body, "dataset", "text_pair"))
    spec->columns.text_pair = task->pair[0];
  if (!gives(body, "dataset", "label"))
    spec->columns.label = task->label[0];
  if (!gives(body, "evaluation", "metric") && !gives(body, "evaluation", "metric_for_best_model"))
    spec->evaluation.metric = (int)glue_metric(task);
}

enum validation_metric glue_metric(const struct glue_task *task) {
  return task->metrics[0] == task->metrics[1] ? task->metrics[0] : METRIC_COMBINED;
}

static bool among(const char *name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0)
      return true;
  return false;
}

const char *glue_column(const struct glue_task *task, const char *wanted, const char *const *names, size_t count) {
  if (!task || !wanted || among(wanted, names, count))
    return wanted;
  const char *const *const roles[] = {task->text, task->pair, task->label};
  for (size_t i = 0; i < COUNT_OF(roles); i++)
    if (roles[i][0] && roles[i][1] && strcmp(roles[i][0], wanted) == 0 && among(roles[i][1], names, count))
      return roles[i][1];
  return wanted;
}

size_t glue_class(const struct glue_task *task, const char *label) {
  for (size_t i = 0; i < task->class_count; i++)
    if (strcmp(task->classes[i], label) == 0)
      return i;
  struct label_number number = label_parse(label, strlen(label));
  bool in = number.form == LABEL_WHOLE && number.whole >= 0 && (uint64_t)number.whole < task->class_count;
  return in ? (size_t)number.whole : task->class_count;
}

enum glue_subset glue_subset(const struct glue_task *task, const char *genre) {
  static const char *const matched[] = {"fiction", "government", "slate", "telephone", "travel"};
  static const char *const mismatched[] = {"facetoface", "letters", "nineeleven", "oup", "verbatim"};
  if (strcmp(task->name, "mnli") != 0)
    return GLUE_SUBSET_NONE;
  return among(genre, matched, COUNT_OF(matched))         ? GLUE_MATCHED
         : among(genre, mismatched, COUNT_OF(mismatched)) ? GLUE_MISMATCHED
                                                          : GLUE_SUBSET_NONE;
}

const char glue_unlabelled[] = ": GLUE's test files have no labels (they are not published); train and validate on the "
                               "others";

void glue_refusal(char *out, size_t size, const struct glue_task *task, const char *label) {
  if (strcmp(label, "-1") == 0) {
    snprintf(out, size, "the label is -1, which is none%s", glue_unlabelled);
    return;
  }
  int n = snprintf(out, size, "the label %.60s is none of glue/%s's:", label, task->name);
  for (size_t i = 0; i < task->class_count && n >= 0 && (size_t)n < size; i++)
    n += snprintf(out + n, size - (size_t)n, "%s %s (or %zu)", i ? "," : "", task->classes[i], i);
}
