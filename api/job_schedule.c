/* Learning-rate schedules. */
#include <math.h>

#include "api/job.h"

/* The share of the peak after the warm-up, before the floor. `progress` runs from 0 to 1. */
static double decay(enum schedule schedule, double progress) {
  switch (schedule) {
  case SCHEDULE_LINEAR:
  case SCHEDULE_WARMUP_LINEAR: return 1 - progress;
  case SCHEDULE_COSINE: return 0.5 * (1 + cos(M_PI * progress));
  case SCHEDULE_CONSTANT:
  case SCHEDULE_CONSTANT_WITH_WARMUP: return 1;
  case SCHEDULE_COUNT: break;
  }
  CHECK(!"a schedule");
}

int64_t job_warmup_steps(const struct hyperparameters *h, int64_t total) {
  if (h->lr_scheduler_type == SCHEDULE_CONSTANT)
    return 0;
  if (h->warmup_steps > 0)
    return h->warmup_steps;
  int64_t steps = (int64_t)ceil(h->warmup_ratio * (double)total);
  return steps > 1 ? steps : 0;
}

double job_learning_rate(const struct hyperparameters *h, int64_t step, int64_t total) {
  double peak = h->learning_rate * h->learning_rate_multiplier;
  enum schedule schedule = (enum schedule)h->lr_scheduler_type;
  int64_t warmup = job_warmup_steps(h, total);
  if (step < warmup)
    return peak * (double)step / (double)warmup;
  int64_t span = total > warmup ? total - warmup : 1;
  if (schedule == SCHEDULE_WARMUP_LINEAR) {
    warmup = 0;
    span = total > 0 ? total : 1;
  }
  double progress = fmin((double)(step - warmup) / (double)span, 1);
  return peak * (h->min_lr_ratio + (1 - h->min_lr_ratio) * decay(schedule, progress));
}
