/* Progress of a job or of a transfer as one line of text. Pure: the caller decides where it goes. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct job_progress {
  const char *status;         /* "running"; borrowed, never NULL */
  bool pausing;
  const char *phase;          /* "train"; borrowed; NULL: none yet */
  int64_t step, total_steps;  /* total 0: unknown */
  double loss;                /* NAN: unknown */
  double learning_rate;       /* negative: unknown */
  double token_accuracy;      /* of a language model; NAN: unknown */
  double tokens_per_second;   /* 0: unknown */
  double seconds_remaining;   /* negative: unknown */
  const char *waiting_for;    /* what a queued job waits for; NULL: nothing, or unknown */
  int64_t jobs_ahead;         /* in the queue; 0: none, or unknown */
};

/* Out of a job object; strings are borrowed from it. Members that are absent, null or of another
   type are unknown. */
void progress_read(struct job_progress *out, const json_t *job);

/* "[=====>    ]  45%  step 120/266  loss 1.2345  1:05 left  1,234 tok/s  lr 0.00095  accuracy 0.612", at most
   `columns` wide: the bar shrinks first, then pieces are left out from the right. `columns` 0: no bar, no limit. */
void progress_job(struct str *out, const struct job_progress *progress, size_t columns);

/* The same for bytes: "[===>   ]  45%  1.2 MB of 2.6 MB  0.8 MB/s". `total` 0: unknown. */
void progress_bytes(struct str *out, uint64_t done, uint64_t total, double seconds, size_t columns);

#endif
