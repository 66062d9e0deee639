/* Proves, on the tiny golden UNet with adapters on its linear layers and convolutions: that recomputing any number of
   its checkpoint segments changes no bit of the loss and the gradients, and takes less memory; and that a memory limit
   chooses how many are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/train/denoiser.h"

static const char path[] = "tests/golden/cases/unetconv-hra/model";
static const struct images small = {2, 8, 8}, large = {4, 64, 64};
enum { TEXT_TOKENS = 5, CHANNELS = 4, ELEMENTS = 2 * 8 * 8 * CHANNELS };

struct run {
  struct adapter_spec spec; /* the adapters go on reading it */
  struct backend backend;
  struct model model;
  struct denoiser denoiser;
};

static enum status start(struct run *r, const struct learner *limits, const struct images *images, struct error *err) {
  static const char *targets[] = {"to_q", "to_out.0", "ff.net.0.proj", "conv1", "conv_shortcut", "downsamplers.0.conv"};
  struct rng rng;
  *r = (struct run){.denoiser.learner = *limits, .spec = {.peft_type = PEFT_HRA, .hra = {.r = 4}}};
  r->spec.target_modules.names = (struct string_list){COUNT_OF(targets), targets};
  assert_int_equal(cpu_open(&r->backend, 2, NULL, err), STATUS_OK);
  assert_int_equal(model_open_component(&r->model, path, NULL, &r->backend, err), STATUS_OK);
  assert_int_equal(model_adapt(&r->model, &r->spec, 1, err), STATUS_OK);
  rng_init(&rng, 5, 1);
  for (size_t i = 0; i < r->model.parameters.count; i++) /* no pairs: the adapters do something */
    for (size_t j = 0; j < r->model.parameters.item[i]->count; j++)
      r->model.parameters.item[i]->data[j] = 2 * rng_uniform(&rng) - 1;
  return denoiser_init(&r->denoiser, &r->model, images, TEXT_TOKENS, err);
}

static void stop(struct run *r) {
  denoiser_done(&r->denoiser);
  model_close(&r->model);
  backend_close(&r->backend);
}

static double step(struct run *r) {
  static float sample[ELEMENTS], target[ELEMENTS], text[2 * TEXT_TOKENS * 32];
  static const float timesteps[2] = {17, 801};
  struct rng rng;
  struct error err;
  double loss = 0;
  rng_init(&rng, 7, 1);
  for (size_t i = 0; i < ELEMENTS; i++) {
    sample[i] = 2 * rng_uniform(&rng) - 1;
    target[i] = 2 * rng_uniform(&rng) - 1;
  }
  for (size_t i = 0; i < COUNT_OF(text); i++)
    text[i] = 2 * rng_uniform(&rng) - 1;
  const struct unet_input input = {small, TEXT_TOKENS, sample, timesteps, text, NULL};
  assert_int_equal(learner_begin(&r->denoiser.learner, NULL, &err), STATUS_OK);
  assert_int_equal(denoiser_accumulate(&r->denoiser, &input, target, 1.0f / ELEMENTS, &loss, &err), STATUS_OK);
  learner_finish(&r->denoiser.learner);
  return loss;
}

static void recomputed_gradients_are_the_same(void **state) {
  (void)state;
  struct run saved, recomputed;
  struct error err;
  assert_int_equal(start(&saved, &(struct learner){0}, &small, &err), STATUS_OK);
  double loss = step(&saved);
  size_t segments = saved.model.blocks;
  assert_int_equal(saved.denoiser.learner.recompute_segments, 0);
  assert_int_equal(segments, 3 * (2 * 3 + 1)); /* kinds times: two sizes of three layers, and the middle */
  for (size_t count = 1; count <= segments; count++) {
    const struct learner limits = {.recompute_segments = count};
    assert_int_equal(start(&recomputed, &limits, &small, &err), STATUS_OK);
    assert_int_equal(recomputed.denoiser.learner.recompute_segments, count);
    assert_true(step(&recomputed) == loss);
    for (size_t i = 0; i < saved.model.parameters.count; i++) {
      const struct parameter *a = saved.model.parameters.item[i], *b = recomputed.model.parameters.item[i];
      if (memcmp(a->grad, b->grad, a->count * sizeof *a->grad) != 0)
        fail_msg("%zu segments recomputed: the gradient of %s is another", count, a->key);
    }
    if (count == segments)
      assert_true(learner_bytes(&recomputed.denoiser.learner) < learner_bytes(&saved.denoiser.learner));
    stop(&recomputed);
  }
  stop(&saved);
}

static void a_memory_limit_recomputes_or_refuses(void **state) {
  (void)state;
  struct run r;
  struct error err;
  assert_int_equal(start(&r, &(struct learner){0}, &large, &err), STATUS_OK);
  size_t all = r.denoiser.learner.estimate, bytes = learner_bytes(&r.denoiser.learner);
  assert_int_equal(r.denoiser.learner.recompute_segments, 0);
  stop(&r);
  const struct learner less = {.memory_limit = all - bytes / 4}, none = {.memory_limit = 1 << 20};
  assert_int_equal(start(&r, &less, &large, &err), STATUS_OK);
  assert_true(r.denoiser.learner.recompute_segments > 0);
  assert_true(r.denoiser.learner.estimate <= less.memory_limit);
  stop(&r);
  assert_int_equal(start(&r, &none, &large, &err), STATUS_OUT_OF_MEMORY);
  assert_string_equal(err.param, "scheduling.memory_limit");
  assert_non_null(strstr(err.text, "A smaller batch_size or resolution needs less."));
  stop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(recomputed_gradients_are_the_same),
      cmocka_unit_test(a_memory_limit_recomputes_or_refuses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
