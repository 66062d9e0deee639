/* The tasks of GLUE (Wang et al., 2018) by name: which columns of its files are what, what its labels mean, how it is
   measured. Pure data. */
#ifndef API_GLUE_H
#define API_GLUE_H

#include "api/job_task.h"

enum { GLUE_CLASSES_MAX = 3 };

struct glue_task {
  const char *name; /* "cola" */
  /* Names of the columns: in the data sets of Hugging Face (JSONL), then in the TSVs as GLUE distributes them. pair[0]
     NULL: one text. */
  const char *text[2], *pair[2], *label[2];
  /* Class i is written as its name or as i. class_count 0: labels are scores, the task is a regression. */
  size_t class_count;
  const char *classes[GLUE_CLASSES_MAX];
  enum validation_metric metrics[2]; /* GLUE's; both the same where there is one */
};

enum { GLUE_COUNT = 8 };
extern const struct glue_task glue_tasks[GLUE_COUNT];

/* By its name ("sst2", "sst-2", "STS-B"), or by a job's `task` ("glue/sst2"); NULL: there is no such task. */
const struct glue_task *glue_find(const char *name);
/* Of a job; NULL: its task is none of GLUE's. */
const struct glue_task *glue_of(const struct job_spec *spec);
/* Columns and metric that `body`, which `spec` was read from, does not give are the task's. */
void glue_settle(struct job_spec *spec, const json_t *body);
/* What the best is judged by: GLUE's one metric, or the mean of its two (METRIC_COMBINED). */
enum validation_metric glue_metric(const struct glue_task *task);

/* What the column that a job names is called in one file, whose columns are `names`: where the file lacks it and it is
   one of the task's, the task's other name if the file has that. `task` and `wanted` may be NULL: then it is `wanted`.
 */
const char *glue_column(const struct glue_task *task, const char *wanted, const char *const *names, size_t count);

/* The class that a label means, or class_count: no label of the task. */
size_t glue_class(const struct glue_task *task, const char *label);
/* MNLI's validation sets are told apart by the genre of an example's texts: those that the training set has, or others.
   NONE: another task, or no genre of MNLI's. */
enum glue_subset { GLUE_SUBSET_NONE, GLUE_MATCHED, GLUE_MISMATCHED };
enum glue_subset glue_subset(const struct glue_task *task, const char *genre);
/* Why a label is none: "the label x is none of glue/cola's: ...". -1 is what files without labels have. */
void glue_refusal(char *out, size_t size, const struct glue_task *task, const char *label);
/* Behind "no column is named label": why a file of GLUE may have none. */
extern const char glue_unlabelled[];

#endif
