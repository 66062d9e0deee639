/* Proves that what is saved is what was trained, on every device of this machine: the adapter's file after two steps is
   the one that the CPU gives, not the one that training began with. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "worker/device.h"
#include "worker/peft/peft.h"
#include "worker/train/learner.h"

enum { NUMBERS_MAX = 1 << 16 };

static const uint32_t cu_seqlens[] = {0, 7, 8, 20}, labels[] = {2, 0, 1};
static const int32_t ids[] = {3, 9, 27, 81, 45, 36, 10, 5, 98, 97, 96, 12, 13, 14, 15, 16, 17, 18, 19, 4};

/* The numbers of the saved adapter after so many steps. */
static size_t train(float *out, const char *device, int steps) {
  static const char *names[] = {"query"};
  struct adapter_spec spec = {.peft_type = PEFT_HRA, .hra = {.r = 4, .init_weights = true}};
  struct batch_limits limits = {3, 20, 12};
  struct learner learner = {.adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}};
  const struct sequences three = sequences_host(3, 20, 12, cu_seqlens, ids, NULL);
  struct backend backend;
  struct model model;
  struct safetensors file;
  struct error err;
  char folder[] = "/tmp/test_peft_device.XXXXXX", path[100];
  size_t count = 0;
  double loss, norm;
  spec.target_modules.names = (struct string_list){1, names};
  assert_non_null(mkdtemp(folder));
  if (device_open(&backend, device, 2, &err) ||
      model_open(&model, "tests/golden/cases/bert-hra/model", OUTPUT_CLASS, 3, 5, &backend, &err) ||
      model_adapt(&model, &spec, 5, &err) || learner_init(&learner, &model, &limits, &limits, &err))
    fail_msg("%s: %s", device, err.text);
  for (int i = 0; i < steps; i++) {
    if (learner_begin(&learner, NULL, &err) || learner_accumulate(&learner, &three, &(struct targets){.ids = labels},
                                                                  1.0f / 3, (uint64_t)i, &loss, NULL, &err))
      fail_msg("%s: %s", device, err.text);
    learner_finish(&learner);
    assert_int_equal(learner_update(&learner, 1e-2, &norm, &err), STATUS_OK);
  }
  if (peft_save(&model, &spec, folder, "base", NULL, &err))
    fail_msg("%s: %s", device, err.text);
  snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
  assert_int_equal(safetensors_open(&file, path, &err), STATUS_OK);
  for (size_t i = 0; i < model.parameters.count; i++) {
    const struct st_tensor *t = safetensors_find(&file, model.parameters.item[i]->key);
    assert_true(t && count + (size_t)st_elements(t) <= NUMBERS_MAX);
    assert_int_equal(st_to_f32(out + count, t, &err), STATUS_OK);
    count += (size_t)st_elements(t);
  }
  safetensors_close(&file);
  learner_done(&learner);
  model_close(&model);
  backend_close(&backend);
  assert_int_equal(file_remove_tree(folder, &err), STATUS_OK);
  return count;
}

static double distance(const float *a, const float *b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
  return sqrt(sum);
}

static void what_was_trained_is_saved(void **state) {
  (void)state;
  static float start[NUMBERS_MAX], want[NUMBERS_MAX], got[NUMBERS_MAX];
  struct device_info devices[8];
  size_t found = device_list(devices, COUNT_OF(devices)), count = train(start, "cpu", 0);
  assert_int_equal(train(want, "cpu", 2), count);
  double moved = distance(want, start, count);
  assert_true(moved > 0.1);
  for (size_t i = 0; i < found; i++) {
    assert_int_equal(train(got, devices[i].name, 2), count);
    if (!(distance(got, want, count) < 0.05 * moved))
      fail_msg("%s: saved %g from what the CPU trained, which moved %g", devices[i].name, distance(got, want, count),
               moved);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_trained_is_saved)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
