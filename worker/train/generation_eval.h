/* evaluation.generate: the model in training answers prompts of the validation file, by the generator and with the same
   weights, and what is extracted of its answers is compared with what is expected. Answers are the likeliest tokens
   (greedy), so that the same parameters give the same ones. */
#ifndef WORKER_TRAIN_GENERATION_EVAL_H
#define WORKER_TRAIN_GENERATION_EVAL_H

#include "api/task.h"
#include "worker/data/questions.h"
#include "worker/generate/generator.h"
#include "worker/train/batch.h"

/* Is called several times a second; anything but STATUS_OK ends what runs with that status. */
typedef enum status generation_beat(void *with, struct error *err);

struct generation_answer {
  struct str text;
  enum finish_reason reason;
  struct error error; /* status STATUS_OK: it has none */
};

struct generation_eval {
  const struct generate_spec *spec;
  struct extract extract;
  struct questions questions;
  struct generator *generator;       /* NULL: EXTRACT_CHOICE generates nothing */
  struct generation_answer *answers; /* [questions.count] */
  struct batch batch;                /* EXTRACT_CHOICE: of one example */
  size_t in_flight;                  /* requests at a time at most */
  size_t bytes;                      /* that it takes at most, beside the model and the trainer */
  struct str samples;                /* JSON lines of the newest evaluation */
  double seconds;                    /* that it took */
};

/* Reads the questions of the task's validation file, where it has evaluation.generate; else there are none. `tokenizer`
   is the model's; both and the task outlive it. */
NODISCARD enum status generation_eval_open(struct generation_eval *out, const struct task *task, struct model *model,
                                           const struct tokenizer *tokenizer, struct error *err);
void generation_eval_done(struct generation_eval *eval);

/* What the learner's evaluation must hold for it. */
void generation_eval_limits(const struct generation_eval *eval, struct batch_limits *limits);

/* Answers all questions: puts valid_exact_match, the share of right answers, into `scores`, and a line for each into
   eval->samples. */
NODISCARD enum status generation_eval_run(struct generation_eval *eval, struct learner *learner, json_t *scores,
                                          generation_beat *beat, void *with, struct error *err);
/* Seconds of an evaluation, by some of its questions: where answers are short, and where all are max_tokens long. */
NODISCARD enum status generation_eval_measure(double *low, double *high, struct generation_eval *eval,
                                              struct learner *learner, generation_beat *beat, void *with,
                                              struct error *err);

#endif
