/* Proves of the embedding of hints that it has the names and shapes of diffusers' ControlNetConditioningEmbedding,
   begins without effect and as the seed says, and that hints of a size that it cannot bring to the latents' are
   refused. What it computes, and its gradients, are golden (unet-hint-hra). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/model/conditioning_embedding.h"
#include "worker/train/denoiser.h"

static const char path[] = "tests/golden/cases/unet-hra/model";
enum { TEXT_TOKENS = 5, ELEMENTS = 8 * 8 * 4 };

static struct backend backend;

static int setup(void **state) {
  struct error err;
  (void)state;
  return cpu_open(&backend, 2, NULL, &err) != STATUS_OK;
}

static int teardown(void **state) {
  (void)state;
  backend_close(&backend);
  return 0;
}

/* In place: its parameters know the model's backend. */
static void open_unet(struct model *out, size_t scale, uint64_t seed) {
  struct error err;
  assert_int_equal(model_open_component(out, path, NULL, &backend, &err), STATUS_OK);
  if (scale)
    assert_int_equal(unet_condition(out, scale, seed, &err), STATUS_OK);
}

/* As Stable Diffusion's, whose pictures are 8 times as high and wide as latents. */
static void names_and_shapes(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int64_t out, in;
  } convs[] = {{"conv_in", 16, 3},   {"blocks.0", 16, 16}, {"blocks.1", 32, 16},  {"blocks.2", 32, 32},
               {"blocks.3", 96, 32}, {"blocks.4", 96, 96}, {"blocks.5", 256, 96}, {"conv_out", 8, 256}};
  struct model model;
  open_unet(&model, 8, 1);
  assert_int_equal(model.parameters.count, 2 * COUNT_OF(convs));
  for (size_t i = 0; i < COUNT_OF(convs); i++) {
    const struct parameter *weight = model.parameters.item[2 * i], *bias = model.parameters.item[2 * i + 1];
    char name[100];
    const bool last = i + 1 == COUNT_OF(convs);
    const double bound = last ? 0 : 1 / sqrt(9 * (double)convs[i].in);
    double top = 0;
    snprintf(name, sizeof name, "controlnet_cond_embedding.%s.weight", convs[i].name);
    assert_string_equal(weight->key, name);
    snprintf(name, sizeof name, "controlnet_cond_embedding.%s.bias", convs[i].name);
    assert_string_equal(bias->key, name);
    assert_true(weight->rank == 4 && weight->shape[0] == convs[i].out && weight->shape[1] == convs[i].in);
    assert_true(weight->shape[2] == 3 && weight->shape[3] == 3 && bias->rank == 1 && bias->shape[0] == convs[i].out);
    assert_true(weight->decay && !bias->decay && weight->file == conditioning_embedding_file);
    for (size_t k = 0; k < weight->count; k++)
      top = fmax(top, fabs((double)weight->data[k]));
    assert_true(top <= bound * 1.0001 && top >= bound * 0.95);
  }
  model_close(&model);
}

static void predict(float *out, struct model *model, size_t scale) {
  static float sample[ELEMENTS], text[TEXT_TOKENS * 32], hints[64 * 64 * 3];
  static const float timestep = 500;
  const float *predicted;
  struct error err;
  struct denoiser d = {0};
  struct rng rng;
  rng_init(&rng, 3, 1);
  for (size_t i = 0; i < COUNT_OF(sample); i++)
    sample[i] = 2 * rng_uniform(&rng) - 1;
  for (size_t i = 0; i < COUNT_OF(text); i++)
    text[i] = 2 * rng_uniform(&rng) - 1;
  for (size_t i = 0; i < COUNT_OF(hints); i++)
    hints[i] = rng_uniform(&rng);
  const struct unet_input input = {{1, 8, 8}, TEXT_TOKENS, sample, &timestep, text, scale ? hints : NULL};
  assert_int_equal(denoiser_init(&d, model, &input.images, TEXT_TOKENS, &err), STATUS_OK);
  assert_int_equal(denoiser_predict(&d, &input, &predicted, &err), STATUS_OK);
  memcpy(out, predicted, ELEMENTS * sizeof *out);
  denoiser_done(&d);
}

static void it_begins_without_effect(void **state) {
  (void)state;
  float plain[ELEMENTS], hinted[ELEMENTS];
  struct model without, with, other;
  open_unet(&without, 0, 0);
  open_unet(&with, 8, 1);
  open_unet(&other, 8, 2);
  predict(plain, &without, 0);
  predict(hinted, &with, 8);
  assert_memory_equal(plain, hinted, sizeof plain);
  assert_memory_not_equal(with.parameters.item[0]->data, other.parameters.item[0]->data, 16 * sizeof(float));
  struct parameter *bias = with.parameters.item[with.parameters.count - 1];
  bias->data[0] = 1; /* conv_out's */
  predict(hinted, &with, 8);
  assert_memory_not_equal(plain, hinted, sizeof plain);
  model_close(&without);
  model_close(&with);
  model_close(&other);
}

static void sizes_that_it_cannot_reach(void **state) {
  (void)state;
  static const size_t scales[] = {0, 3, 6, 16};
  for (size_t i = 0; i < COUNT_OF(scales); i++) {
    struct error err;
    struct model model;
    open_unet(&model, 0, 0);
    assert_int_equal(unet_condition(&model, scales[i], 1, &err), STATUS_UNSUPPORTED_VALUE);
    assert_non_null(strstr(err.text, "for 1, 2, 4 and 8 times"));
    assert_int_equal(unet_hint_scale(&model), 0);
    model_close(&model);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_and_shapes),
      cmocka_unit_test(it_begins_without_effect),
      cmocka_unit_test(sizes_that_it_cannot_reach),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
