/* What a job learns: its member `task`, a row of job_tasks.def each, and what a model is trained to give, on which
   head, loss and PEFT's task type depend. Pure data. */
#ifndef API_JOB_TASK_H
#define API_JOB_TASK_H

#include "api/job.h"

enum job_task {
  JOB_TASK_AUTO, /* it follows from model and data */
#define JOB_TASK(id, name, output, metrics) JOB_TASK_##id,
#include "api/job_tasks.def"
#undef JOB_TASK
  JOB_TASK_COUNT
};
extern const char *const job_task_names[]; /* by enum job_task, ended by NULL */

enum job_output {
  OUTPUT_CLASS,     /* one of several classes for a text or a pair of texts */
  OUTPUT_NUMBER,    /* a number for it */
  OUTPUT_LABELS,    /* which of several classes it has: yes or no for each by itself */
  OUTPUT_TAGS,      /* one of several classes for each word of a text */
  OUTPUT_TEXT,      /* the next token: a language model */
  OUTPUT_EMBEDDING, /* a vector for a text: texts that mean the same have like ones */
  OUTPUT_RELEVANCE, /* how well the second text of a pair answers the first: between 0 and 1, by its logit */
  OUTPUT_IMAGE,     /* pictures from a prompt: a diffusion model */
  OUTPUT_COUNT
};

/* What follows from an output, whichever task asks for it. */
struct job_output_row {
  const char *words;          /* "classification" */
  const char *needs;          /* "a text with a label": what its data must have */
  const char *peft_task_type; /* "SEQ_CLS"; NULL: PEFT has none for it */
  const char *class_suffix;   /* "ForSequenceClassification": of Transformers' classes with its head; NULL: none */
  const char *pipeline_tag;   /* of the Hugging Face hub */
  const char *problem_type;   /* Transformers' word in a config; NULL: the class has none */
};
const struct job_output_row *job_output_of(enum job_output output);

/* Not of JOB_TASK_AUTO. */
enum job_output job_task_output(enum job_task task);
/* Is a diffusion model trained? Such a task never follows from model and data: JOB_TASK_AUTO is none. */
bool job_task_images(int task);

/* Does its evaluation measure that, beside the loss? */
bool job_task_measures(enum job_task task, enum validation_metric metric);

/* The settings that a task decides: those at their default take its value, those that contradict it are faults. */
void job_task_settle(struct job_spec *spec, struct fault_list *faults);

#endif
