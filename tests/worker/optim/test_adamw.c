/* Steps of AdamW are those of its formula, with and without the correction of its moments, and at a rate of a
   parameter's own; what is frozen stays, and counts in no norm. */
#include "tests/worker/engine_impl.h"

#include "worker/optim/adamw.h"

static struct backend backend;
static struct arena arena;

static int open_cpu(void **state) {
  (void)state;
  struct error err;
  arena_init(&arena, 1 << 20);
  return cpu_open(&backend, 1, NULL, &err);
}

static int close_cpu(void **state) {
  (void)state;
  backend_close(&backend);
  arena_done(&arena);
  return 0;
}

/* Two steps of one number with gradient `grad`, by the formula in double. */
static double by_hand(double p, double grad, double lr, double wd, double eps, bool corrected) {
  double m = 0, v = 0;
  for (int t = 1; t <= 2; t++) {
    m = 0.9 * m + 0.1 * grad;
    v = 0.999 * v + 0.001 * grad * grad;
    double a = corrected ? 1 - pow(0.9, t) : 1, b = corrected ? 1 - pow(0.999, t) : 1;
    p = p * (1 - lr * wd) - lr / a * m / (sqrt(v) / sqrt(b) + eps);
  }
  return p;
}

static void steps_as_the_formula(void **state) {
  (void)state;
  static const float start[] = {1, -0.5f, 0.25f}, grad[] = {0.3f, -0.2f, 0.001f};
  for (int k = 0; k < 4; k++) {
    bool corrected = k % 2 == 0;
    double ratio = k < 2 ? 1 : 16;
    struct parameter_list list = {.arena = &arena};
    struct adamw adamw = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-6, .weight_decay = 0.01, .uncorrected = !corrected};
    struct error err;
    double norm;
    struct parameter *trained = parameter_add(&list, "a", 1, 3, 0), *frozen = parameter_add(&list, "b", 1, 3, 0);
    memcpy(trained->data, start, sizeof start);
    memcpy(trained->grad, grad, sizeof grad);
    memcpy(frozen->data, start, sizeof start);
    memcpy(frozen->grad, start, sizeof start);
    trained->lr_ratio = ratio;
    frozen->frozen = true;
    assert_int_equal(adamw_init(&adamw, &list, &backend, &err), STATUS_OK);
    for (int t = 0; t < 2; t++)
      assert_int_equal(adamw_update(&adamw, 0.01, &norm, &err), STATUS_OK);
    assert_true(fabs(norm - sqrt(0.09 + 0.04 + 1e-6)) < 1e-6);
    for (size_t i = 0; i < COUNT_OF(start); i++) {
      double want = by_hand((double)start[i], (double)grad[i], 0.01 * ratio, 0.01, 1e-6, corrected);
      if (fabs((double)trained->data[i] - want) > 1e-6 * ratio)
        fail_msg("%g, not %g", (double)trained->data[i], want);
      assert_true(frozen->data[i] == start[i]);
    }
    assert_int_equal(parameter_elements(&list), 6);
    assert_int_equal(parameter_trained(&list), 3);
    adamw_done(&adamw);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(steps_as_the_formula)};
  return cmocka_run_group_tests(tests, open_cpu, close_cpu);
}
