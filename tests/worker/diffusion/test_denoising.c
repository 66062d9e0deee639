/* Proves that samplers and noising give what diffusers gives (make_denoising_cases.py), over all steps, and that a
   scheduler_config.json that means something else is refused by the member. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/str.h"
#include "worker/diffusion/denoising.h"

static json_t *cases;
static struct arena arena;

static int setup(void **state) {
  struct error err;
  (void)state;
  arena_init(&arena, 1 << 24);
  return json_parse_file(&cases, "tests/worker/diffusion/denoising.json", NULL, &err) != STATUS_OK;
}

static int teardown(void **state) {
  (void)state;
  json_decref(cases);
  arena_done(&arena);
  return 0;
}

enum { ELEMENTS = 8 };

static void read_numbers(float out[ELEMENTS], const json_t *list) {
  assert_int_equal(json_array_size(list), ELEMENTS);
  for (size_t i = 0; i < ELEMENTS; i++)
    out[i] = (float)json_number_value(json_array_get(list, i));
}

static void near(const float *got, const json_t *want, const char *what, size_t at, double tolerance) {
  float numbers[ELEMENTS];
  read_numbers(numbers, want);
  for (size_t i = 0; i < ELEMENTS; i++)
    if (!(fabs((double)got[i] - (double)numbers[i]) <= tolerance * (1 + fabs((double)numbers[i]))))
      fail_msg("%s, step %zu: %.8g, not %.8g", what, at, (double)got[i], (double)numbers[i]);
}

static void samplers(void **state) {
  (void)state;
  size_t index;
  json_t *c;
  json_array_foreach(json_object_get(cases, "samplers"), index, c) {
    const char *name = json_string_value(json_object_get(c, "scheduler"));
    size_t steps = (size_t)json_integer_value(json_object_get(c, "steps"));
    struct noise_schedule schedule;
    struct denoising d;
    struct error err;
    float x[ELEMENTS], predicted[ELEMENTS];
    assert_int_equal(noise_schedule_read(&schedule, json_object_get(c, "config"), &arena, &err), STATUS_OK);
    assert_int_equal(denoising_init(&d,
                                    (enum image_scheduler)str_index(image_scheduler_names, IMAGE_SCHEDULER_COUNT, name),
                                    &schedule, steps, ELEMENTS, &arena, &err),
                     STATUS_OK);
    read_numbers(x, json_object_get(c, "noise"));
    for (size_t e = 0; e < ELEMENTS; e++)
      x[e] *= d.noise_scale;
    assert_int_equal(d.count, json_array_size(json_object_get(c, "timesteps")));
    for (size_t i = 0; i < d.count; i++) {
      float t = d.calls[i].timestep;
      assert_true(fabs((double)t - json_number_value(json_array_get(json_object_get(c, "timesteps"), i))) < 1e-3);
      for (size_t e = 0; e < ELEMENTS; e++)
        predicted[e] = 0.5f * x[e] + 0.3f * sinf(3 * x[e] + t / 100);
      denoising_step(&d, x, predicted);
      near(x, json_array_get(json_object_get(c, "samples"), i), name, i, 1e-5);
    }
  }
  assert_true(index >= 20);
}

static void mixes(void **state) {
  (void)state;
  size_t index, i;
  json_t *c, *at;
  json_array_foreach(json_object_get(cases, "mixes"), index, c) {
    struct noise_schedule schedule;
    struct error err;
    float x[ELEMENTS], noise[ELEMENTS], noisy[ELEMENTS], target[ELEMENTS];
    assert_int_equal(noise_schedule_read(&schedule, json_object_get(c, "config"), &arena, &err), STATUS_OK);
    read_numbers(x, json_object_get(c, "sample"));
    read_numbers(noise, json_object_get(c, "noise"));
    json_array_foreach(json_object_get(c, "at"), i, at) {
      size_t t = (size_t)json_integer_value(json_object_get(at, "t"));
      double alpha = json_number_value(json_object_get(at, "alpha"));
      assert_true(fabs(schedule.alphas[t] - alpha) < 2e-6);
      noise_schedule_mix(noisy, target, x, noise, ELEMENTS, &schedule, t);
      near(noisy, json_object_get(at, "noisy"), "noisy", t, 5e-6);
      near(target, json_object_get(at, "target"), "target", t, 5e-6);
    }
  }
  assert_int_equal(index, 2);
}

static void noise_by_seed(void **state) {
  (void)state;
  enum { N = 20000 };
  static float a[N], b[N];
  double sum = 0, squares = 0;
  noise_schedule_noise(a, N, 7, 3);
  noise_schedule_noise(b, N, 7, 3);
  assert_memory_equal(a, b, sizeof a);
  noise_schedule_noise(b, N, 7, 4);
  assert_memory_not_equal(a, b, sizeof a);
  for (size_t i = 0; i < N; i++) {
    sum += (double)a[i];
    squares += (double)a[i] * (double)a[i];
  }
  assert_true(fabs(sum / N) < 0.03 && fabs(squares / N - 1) < 0.04);
}

static void guidance(void **state) {
  (void)state;
  float without[] = {1, 2}, with[] = {3, 1};
  denoising_guide(with, without, with, 9, 2);
  assert_true(with[0] == 19 && with[1] == -7);
}

static void refused(void **state) {
  (void)state;
  static const struct {
    const char *change, *says;
  } wrong[] = {
      {"{\"beta_schedule\": \"squaredcos_cap_v2\"}", "beta_schedule must be linear or scaled_linear"},
      {"{\"beta_schedule\": null}", "beta_schedule must be"},
      {"{\"beta_start\": 0}", "beta_start must be a number between 0 and 1"},
      {"{\"beta_end\": \"0.1\"}", "beta_end must be a number between 0 and 1"},
      {"{\"num_train_timesteps\": 0}", "num_train_timesteps"},
      {"{\"num_train_timesteps\": null}", "num_train_timesteps must be a whole number"},
      {"{\"steps_offset\": 1000}", "steps_offset"},
      {"{\"prediction_type\": \"sample\"}", "prediction_type must be epsilon or v_prediction"},
      {"{\"clip_sample\": true}", "clip_sample is not supported; false is"},
      {"{\"use_karras_sigmas\": true}", "use_karras_sigmas is not supported"},
      {"{\"trained_betas\": [0.1]}", "trained_betas is not supported"},
      {"{\"set_alpha_to_one\": 1}", "set_alpha_to_one must be true or false"},
  };
  const json_t *config = json_object_get(json_array_get(json_object_get(cases, "samplers"), 0), "config");
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    json_t *changed = json_deep_copy(config), *change = json_loads(wrong[i].change, 0, NULL);
    struct noise_schedule schedule;
    struct error err = {0};
    json_object_update(changed, change);
    if (!noise_schedule_read(&schedule, changed, &arena, &err) || !strstr(err.text, wrong[i].says))
      fail_msg("%s: \"%s\", not \"%s\"", wrong[i].change, err.text, wrong[i].says);
    json_decref(changed);
    json_decref(change);
  }
  struct noise_schedule schedule;
  struct denoising d;
  struct error err;
  assert_int_equal(noise_schedule_read(&schedule, config, &arena, &err), STATUS_OK);
  assert_int_equal(denoising_init(&d, IMAGE_SCHEDULER_DDIM, &schedule, 1000, 1, &arena, &err), STATUS_INVALID_VALUE);
  assert_non_null(strstr(err.text, "num_inference_steps is 1000; it must be from 1 to 999"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(samplers), cmocka_unit_test(mixes),   cmocka_unit_test(noise_by_seed),
      cmocka_unit_test(guidance), cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
