/* Learning-rate schedules give the numbers of Transformers' formulas. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/job.h"

static void is(double got, double want) {
  if (!(fabs(got - want) <= 1e-12))
    fail_msg("%.15g, not %.15g", got, want);
}

static struct hyperparameters with(enum schedule schedule) {
  return (struct hyperparameters){
      .learning_rate = 2, .learning_rate_multiplier = 0.5, .lr_scheduler_type = (int)schedule};
}

static void linear(void **state) {
  (void)state;
  struct hyperparameters h = with(SCHEDULE_LINEAR);
  is(job_learning_rate(&h, 0, 10), 1);
  is(job_learning_rate(&h, 5, 10), 0.5);
  is(job_learning_rate(&h, 10, 10), 0);
  is(job_learning_rate(&h, 11, 10), 0);
  h.warmup_steps = 4;
  is(job_learning_rate(&h, 0, 10), 0);
  is(job_learning_rate(&h, 1, 10), 0.25);
  is(job_learning_rate(&h, 4, 10), 1);
  is(job_learning_rate(&h, 7, 10), 0.5);
  h.min_lr_ratio = 0.2;
  is(job_learning_rate(&h, 2, 10), 0.5);
  is(job_learning_rate(&h, 7, 10), 0.6);
  is(job_learning_rate(&h, 10, 10), 0.2);
}

static void warm_up_by_ratio(void **state) {
  (void)state;
  struct hyperparameters h = with(SCHEDULE_LINEAR);
  h.warmup_ratio = 0.25;
  is(job_learning_rate(&h, 1, 10), 1.0 / 3); /* ceil(2.5) = 3 steps */
  is(job_learning_rate(&h, 3, 10), 1);
  h.warmup_steps = 2;
  is(job_learning_rate(&h, 1, 10), 0.5);
  h.warmup_steps = 1;
  is(job_learning_rate(&h, 0, 10), 0);
  is(job_learning_rate(&h, 1, 10), 1);
  h.warmup_steps = 100;
  is(job_learning_rate(&h, 9, 10), 0.09);
  h = with(SCHEDULE_LINEAR);
  is(job_learning_rate(&h, 0, 1), 1);
  is(job_learning_rate(&h, 0, 0), 1);
}

/* The default share: no step of a short run is lost to a learning rate of 0; longer ones are Transformers'. */
static void short_runs_learn(void **state) {
  (void)state;
  struct hyperparameters h = with(SCHEDULE_LINEAR);
  h.warmup_ratio = 0.06;
  is(job_learning_rate(&h, 0, 1), 1);
  is(job_learning_rate(&h, 0, 2), 1);
  is(job_learning_rate(&h, 1, 2), 0.5);
  is(job_learning_rate(&h, 0, 16), 1);
  assert_int_equal(job_warmup_steps(&h, 16), 0);
  assert_int_equal(job_warmup_steps(&h, 17), 2);
  is(job_learning_rate(&h, 0, 17), 0);
  is(job_learning_rate(&h, 1, 17), 0.5);
  is(job_learning_rate(&h, 2, 17), 1);
  assert_int_equal(job_warmup_steps(&h, 1000), 60);
  for (int64_t total = 1; total < 200; total++) {
    double highest = 0;
    h.warmup_ratio = 0.999999;
    for (int64_t step = 0; step < total; step++)
      highest = fmax(highest, job_learning_rate(&h, step, total));
    assert_true(highest > 0);
  }
}

static void cosine(void **state) {
  (void)state;
  struct hyperparameters h = with(SCHEDULE_COSINE);
  h.warmup_steps = 2;
  is(job_learning_rate(&h, 1, 10), 0.5);
  is(job_learning_rate(&h, 2, 10), 1);
  is(job_learning_rate(&h, 6, 10), 0.5);
  is(job_learning_rate(&h, 4, 10), 0.5 * (1 + sqrt(0.5)));
  is(job_learning_rate(&h, 10, 10), 0);
}

/* BERT's first code: the share of all steps, so that it is below the peak where the warm-up ends. */
static void warmup_linear(void **state) {
  (void)state;
  struct hyperparameters h = with(SCHEDULE_WARMUP_LINEAR);
  h.warmup_steps = 4;
  is(job_learning_rate(&h, 0, 10), 0);
  is(job_learning_rate(&h, 3, 10), 0.75);
  is(job_learning_rate(&h, 4, 10), 0.6);
  is(job_learning_rate(&h, 9, 10), 0.1);
  is(job_learning_rate(&h, 10, 10), 0);
  h.min_lr_ratio = 0.5;
  is(job_learning_rate(&h, 4, 10), 0.8);
}

static void constant(void **state) {
  (void)state;
  struct hyperparameters h = with(SCHEDULE_CONSTANT);
  h.warmup_ratio = 0.5;
  is(job_learning_rate(&h, 0, 10), 1);
  is(job_learning_rate(&h, 9, 10), 1);
  h.lr_scheduler_type = SCHEDULE_CONSTANT_WITH_WARMUP;
  is(job_learning_rate(&h, 0, 10), 0);
  is(job_learning_rate(&h, 2, 10), 0.4);
  is(job_learning_rate(&h, 9, 10), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(linear),           cmocka_unit_test(warmup_linear),
                                     cmocka_unit_test(warm_up_by_ratio), cmocka_unit_test(short_runs_learn),
                                     cmocka_unit_test(cosine),           cmocka_unit_test(constant)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
