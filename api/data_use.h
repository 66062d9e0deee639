/* Can a job use a data file? Judged by the facts that the file's check found (the report's member `facts`), by one rule
   for the check itself and for the daemon, and in the terms of training: what is not used does not count. Pure.

   `facts` has an object for each column or member. Where a fault is told, no job can use the column so:
     first      it is given in the first record
     given      where it is first given
     text       as a text, a completion; prompt: as a prompt; pair: as a second text
     label      as a label; unlabelled: not in every line; regression: as a number; one_class: all labels are one
     labels     {kind "class" | "float", classes {label: where it first occurs}, absent where there are too many}
     lists      it has lists of labels: `labels` is of what is in them; list: as such
     words      as a list of a text's words; unlike: {another column of lists: where its list has another length}
     chats      it has arrays of messages; chat: as chats; unlearnt: unless train_on_inputs
     completions  its first one is a preferred or a rated answer, "pair" or "rated"; preference: the fault of preference
                  tuning
     beyond_one its first number below -1 or above 1; below_zero: its first one from there to 0
     features   {what a chat template may refuse (api/chat_feature.h): where it first occurs} */
#ifndef API_DATA_USE_H
#define API_DATA_USE_H

#include "api/job_task.h"

/* What a job takes from a file. */
enum data_use {
  USE_LABELLED,
  USE_LABELS,
  USE_TAGS,
  USE_EMBEDDING,
  USE_RANKED,
  USE_CHAT,
  USE_COMPLETION,
  USE_TEXT,
  USE_PREFERENCE, /* what the job's objective asks for */
  USE_NOTHING
};

/* Is it what language models learn from? Then a validation file may have its own use. */
bool data_use_is_language(enum data_use use);

/* What a base model can learn. Where it can be both, task or else the first record decides. */
struct data_tasks {
  bool language, classifier, embeds, tags;
  bool images; /* it is a diffusion pipeline, and nothing of the above */
  const json_t *model; /* what is known of it (worker/inspect.h), for its chat template; NULL: nothing */
};
/* Can it be trained to give that? */
bool data_tasks_allow(struct data_tasks tasks, enum job_output output);
/* A fault of `task` where it is one that the model cannot learn. */
void data_judge_task(const struct job_spec *spec, struct data_tasks tasks, struct fault_list *faults);

/* The daemon's name of a checked file, and its report. */
struct data_file {
  const char *id, *param; /* "training_file" */
  const json_t *report;
};

/* What a file's first record gives. */
struct data_given {
  bool text, label, chat, completion; /* completion: the file may give a prompt as well */
  bool labels;                        /* a list */
  bool tags;                          /* a list of words and one of tags */
  bool preference;                    /* a pair of answers */
  enum job_output pairs;              /* what its columns say of pairs (pair_columns_output); OUTPUT_COUNT: nothing */
};
/* The objective or the task says it; else a job trains on words with tags, or on a text with a label, if the first
   record gives both; on chats, on prompts with completions, or on texts, the first of these that it gives. */
enum data_use data_use_of(const struct job_spec *spec, const struct data_given *given, struct data_tasks tasks);
/* The same of a checked file. */
enum data_use data_use(const struct job_spec *spec, const json_t *report, struct data_tasks tasks);

/* Adds a fault for each column that the use needs and the file lacks (param dataset.*), or has not as it must be
   (STATUS_DATASET_INVALID with line and column; its param is the file's, or the column where that is NULL). */
void data_judge(const struct job_spec *spec, const struct data_file *file, enum data_use use, struct data_tasks tasks,
                struct fault_list *faults);

/* Of an archive of images, or of a job that learns from one: a fault where the two do not belong together, or where an
   image has no prompt. Nothing else of such a file is judged. *images: the job learns from images. */
void data_judge_images(bool *images, const struct job_spec *spec, const struct data_file *file,
                       struct fault_list *faults);

/* Adds a fault where evaluation.generate cannot ask from the validation file, which has that use: a column that it
   names and the file lacks, or plain texts where it names none. */
void data_judge_generate(const struct job_spec *spec, const struct data_file *validation, enum data_use use,
                         struct fault_list *faults);

/* Of a file whose report has no facts: columns that the job names and the file lacks. */
void data_judge_names(const struct job_spec *spec, const struct data_file *file, struct fault_list *faults);

/* Of USE_LABELLED, USE_LABELS and USE_TAGS: labels of the training file that nothing can be learnt from, since all are
   one, and labels of the validation file that the training file lacks. `validation` may be NULL. */
void data_judge_labels(const struct job_spec *spec, enum data_use use, const struct data_file *training,
                       const struct data_file *validation, struct fault_list *faults);

#endif
