/* A training under way: what it learns from, where it is, what is told of it. The loop over its steps is trainer.h. */
#ifndef WORKER_TRAIN_TRAINING_H
#define WORKER_TRAIN_TRAINING_H

#include <jansson.h>

#include "api/task.h"
#include "base/hash.h"
#include "base/rng.h"
#include "base/str.h"
#include "worker/report.h"
#include "worker/train/batch.h"
#include "worker/train/evaluate.h"
#include "worker/train/learner.h"
#include "worker/train/telemetry.h"

struct generation_eval;
struct image_training;

enum { RESUME_KEPT = 2 }; /* states of a run that are kept */

/* Why training ended before its last step. */
enum training_end { END_NOT, END_PATIENCE, END_RUNTIME, END_COUNT };

/* Where a training is. With the parameters, the optimiser's moments and the curve so far this is all of it: the order
   of the examples follows from the seed and `epoch`, dropout masks from the seed and `micro_steps`. */
struct progress {
  int64_t step;                      /* optimiser steps */
  int64_t micro_steps;               /* micro-batches so far: numbers the dropout masks */
  int64_t tokens, examples;          /* trained so far */
  int64_t epoch;                     /* begun so far */
  int64_t position;                  /* in the epoch's order: the next example */
  double train_loss, train_accuracy; /* of the newest step; of its predicted tokens (language models) */
  double learning_rate, grad_norm;   /* likewise */
  struct preference_scores scores;   /* likewise, of preference tuning */
  bool told;                         /* its evaluation, metrics and checkpoint are done */
  int ended;                         /* enum training_end */
  int64_t best_step;                 /* of the best evaluation after a step; 0: none yet */
  double best;                       /* its evaluation.metric */
  double last;                       /* that of the newest evaluation */
  int64_t last_step;                 /* 0: none yet */
  int64_t stale;                     /* evaluations since one was better by more than min_delta */
  double seconds;                    /* of training in former runs */
};

/* What of a training its states are about (resume.h). */
struct resume {
  double last;                   /* on clock_seconds: when the newest state was written, or training began */
  double cost;                   /* seconds that took; 0: none was written yet */
  int64_t step;                  /* of the newest state, written or gone on from; 0: none */
  bool told;                     /* likewise */
  int64_t kept[RESUME_KEPT + 1]; /* steps of this run's states, oldest first */
  size_t kept_count;
  char data[HASH_HEX], model[HASH_HEX]; /* what the states are of; empty until first needed */
  json_t *engines;                      /* what computed former runs where it was not what computes now; NULL: none */
};

struct training {
  const struct task *task;
  struct learner *learner;
  const struct corpus *training;      /* of pictures: how many there are, with the tokens of their prompts */
  const struct corpus *validation;    /* NULL: none */
  struct image_training *images;      /* what is learnt from pictures; NULL: texts are learnt from */
  struct generation_eval *generation; /* evaluation.generate; NULL: none */
  struct report *report;
  struct batch batch;     /* of training and of evaluation */
  struct batch_rule rule; /* what a micro-batch takes */
  uint32_t *order;        /* [training->count] the epoch's order */
  struct rng rng;         /* shuffles it */
  struct str csv;         /* step_metrics.csv so far */
  struct progress progress;
  struct resume resume;
  int64_t total_steps;           /* optimiser steps of the whole run */
  int64_t total_examples;        /* that they take, about, each as often as it comes */
  int64_t total_tokens;          /* likewise */
  double started, last_progress; /* monotonic seconds */
  double prepared;               /* seconds from the start of the run until it was ready to train */
  json_t *estimate;              /* to be told with the next progress; NULL: none */
  bool estimated;                /* it was told, or there will be none */
  struct telemetry telemetry;    /* of the newest step that it was measured at */
  bool too_many_modules;         /* it was told that they are not told one by one */
  struct evaluation evaluation;  /* the newest of this run */
  int64_t evaluated_step;        /* -1: none yet */
  float *best;                   /* load_best_at_end: all parameters at best_step, one after the other; else NULL */
  int64_t adapter_step;          /* what the parameters are of when training is over */
  int64_t checkpoints[JOB_KEEP_LAST_MAX + 2]; /* steps of those kept, oldest first */
  size_t checkpoint_count;
};

/* Makes t->batch of order[first..first+count-1]: preference_fill, or batch_fill. */
NODISCARD enum status training_fill(struct training *training, size_t first, size_t count, double weight,
                                    double token_weight, struct error *err);
/* Tells how far it is; not more often than twice a second unless forced. */
void training_progress(struct training *training, const char *phase, bool force);
/* Tells that an evaluation goes on, and hears whether it is to end: a generation_beat of the training. */
NODISCARD enum status training_beat(void *training, struct error *err);
/* {step, valid_<evaluation.metric>} of the best evaluation so far, and of the newest. */
NODISCARD json_t *training_best(const struct training *training);
NODISCARD json_t *training_last(const struct training *training);
/* The evaluation.metric's name. */
const char *training_metric(const struct training *training);
/* Adds to `data` what of the newest step is told beside its loss. */
void training_scores(const struct training *training, json_t *data);
/* Passes over the data so far. */
double training_epoch(const struct training *training);
/* Is it preference tuning? */
bool training_prefers(const struct training *training);
/* Seconds of training, those of former runs among them. */
double training_seconds(const struct training *training);
/* What computes: {device, isa, matmul, build}. The results' last bits depend on it, not on the threads. */
NODISCARD json_t *training_engine(const struct training *training);

#endif
