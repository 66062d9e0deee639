/* Proves, on a tiny pipeline of random weights (make_pipeline.py): that the pictures are those of diffusers'
   StableDiffusionPipeline, with its samplers, guidance and prompts, and with PEFT's adapter on the UNet; that the
   number of threads does not change them; and that what cannot be used is refused by the file and the member. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/diffusion/image_sampling.h"
#include "worker/peft/peft.h"

#define PIPELINE "tests/worker/diffusion/pipeline"
#define ADAPTER "tests/worker/diffusion/adapter"

static json_t *cases;

static int setup(void **state) {
  struct error err;
  (void)state;
  return json_parse_file(&cases, "tests/worker/diffusion/pipeline.json", NULL, &err) != STATUS_OK;
}

static int teardown(void **state) {
  (void)state;
  json_decref(cases);
  return 0;
}

static enum image_scheduler scheduler_of(const json_t *c) {
  const char *name = json_string_value(json_object_get(c, "scheduler"));
  return (enum image_scheduler)str_index(image_scheduler_names, IMAGE_SCHEDULER_COUNT, name);
}

static struct image_request request_of(const json_t *c) {
  return (struct image_request){.prompt = json_string_value(json_object_get(c, "prompt")),
                                .negative_prompt = json_string_value(json_object_get(c, "negative_prompt")),
                                .width = (size_t)json_integer_value(json_object_get(c, "width")),
                                .height = (size_t)json_integer_value(json_object_get(c, "height")),
                                .steps = (size_t)json_integer_value(json_object_get(c, "steps")),
                                .guidance_scale = json_number_value(json_object_get(c, "guidance_scale")),
                                .seed = (uint64_t)json_integer_value(json_object_get(c, "seed")),
                                .scheduler = scheduler_of(c)};
}

static struct image sample(struct diffusion_pipeline *pipeline, struct model *unet,
                           const struct image_request *request) {
  struct image_sampling sampling;
  struct image image;
  struct error err;
  if (image_sampling_begin(&sampling, pipeline, unet, request, &err))
    fail_msg("%s: %s", err.param, err.text);
  while (!image_sampling_over(&sampling))
    assert_int_equal(image_sampling_step(&sampling, &err), STATUS_OK);
  assert_int_equal(image_sampling_decode(&image, &sampling, &err), STATUS_OK);
  image_sampling_done(&sampling);
  return image;
}

static void open_pipeline(struct diffusion_pipeline *out, struct backend *backend, int threads) {
  struct error err;
  assert_int_equal(cpu_open(backend, threads, NULL, &err), STATUS_OK);
  if (diffusion_pipeline_open(out, PIPELINE, backend, &err))
    fail_msg("%s", err.text);
}

/* The UNet with PEFT's adapter on it. */
static void open_adapted(struct model *out, struct arena *arena, struct backend *backend) {
  static struct adapter_spec spec; /* outlives the model */
  struct error err;
  enum status s = peft_read_config(&spec, ADAPTER, arena, &err);
  s = s ? s : model_open_component(out, PIPELINE, "unet", backend, &err);
  s = s ? s : model_adapt_again(out, &spec, 0, &err);
  s = s ? s : peft_load(out, ADAPTER, &err);
  s = s ? s : adapter_forward_factors(out->adapters, out->adapter_count, backend, &err);
  if (s)
    fail_msg("%s", err.text);
}

static void pictures_equal_the_reference(void **state) {
  (void)state;
  struct diffusion_pipeline pipeline;
  struct backend backend;
  struct model adapted;
  size_t index;
  json_t *c;
  open_pipeline(&pipeline, &backend, 1);
  open_adapted(&adapted, &pipeline.arena, &backend);
  assert_int_equal(pipeline.side, 16);
  assert_int_equal(pipeline.text_tokens, 20);
  json_array_foreach(cases, index, c) {
    struct image_request request = request_of(c);
    bool with = json_is_true(json_object_get(c, "adapter"));
    struct image image = sample(&pipeline, with ? &adapted : &pipeline.unet, &request);
    unsigned char *want;
    size_t length, off = 0;
    struct error err;
    assert_int_equal(base64_read(&want, &length, json_string_value(json_object_get(c, "pixels")), &err), STATUS_OK);
    assert_int_equal(image.width, request.width);
    assert_int_equal(image.height, request.height);
    assert_int_equal(length, 3 * image.width * image.height);
    for (size_t i = 0; i < length; i++) {
      int difference = abs((int)want[i] - (int)image.pixels[i]);
      if (difference > 1)
        fail_msg("case %zu, byte %zu: %d, not %d", index, i, image.pixels[i], want[i]);
      off += difference > 0;
    }
    assert_true(off * 50 < length); /* rounded otherwise */
    free(want);
    image_done(&image);
  }
  model_close(&adapted);
  diffusion_pipeline_close(&pipeline);
  backend_close(&backend);
}

static void same(const struct image *a, const struct image *b, bool expected) {
  size_t bytes = 3 * a->width * a->height;
  bool equal = a->width == b->width && a->height == b->height && memcmp(a->pixels, b->pixels, bytes) == 0;
  assert_int_equal(equal, expected);
}

static void what_a_picture_depends_on(void **state) {
  (void)state;
  struct image_request request = request_of(json_array_get(cases, 0));
  struct image image[2][2];
  for (int threads = 1; threads <= 2; threads++) {
    struct diffusion_pipeline pipeline;
    struct backend backend;
    open_pipeline(&pipeline, &backend, threads);
    struct model adapted;
    open_adapted(&adapted, &pipeline.arena, &backend);
    image[threads - 1][0] = sample(&pipeline, &pipeline.unet, &request);
    image[threads - 1][1] = sample(&pipeline, &adapted, &request);
    model_close(&adapted);
    diffusion_pipeline_close(&pipeline);
    backend_close(&backend);
  }
  same(&image[0][0], &image[1][0], true);
  same(&image[0][1], &image[1][1], true);
  same(&image[0][0], &image[0][1], false);
  for (int i = 0; i < 4; i++)
    image_done(&image[i / 2][i % 2]);
}

static void requests_are_refused_by_member(void **state) {
  (void)state;
  static const char *const words = "a dog a dog a dog a dog a dog a dog a dog a dog a dog a dog";
  const struct {
    struct image_request request;
    const char *param, *says;
  } refused[] = {
      {{.prompt = words, .width = 16, .height = 16, .steps = 2}, "prompt", "the text encoder reads 20"},
      {{.prompt = "", .negative_prompt = words, .width = 16, .height = 16, .steps = 2, .guidance_scale = 2},
       "negative_prompt",
       "negative_prompt has"},
      {{.prompt = "a", .width = 18, .height = 16, .steps = 2}, "size", "18x16"},
      {{.prompt = "a", .width = 16, .height = 0, .steps = 2}, "size", "multiples of 4"},
      {{.prompt = "a", .width = 16, .height = 16, .steps = 1000}, "num_inference_steps", "from 1 to 999"},
      {{.prompt = "\xff", .width = 16, .height = 16, .steps = 2}, "prompt", "no text"},
  };
  struct diffusion_pipeline pipeline;
  struct backend backend;
  open_pipeline(&pipeline, &backend, 1);
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    struct image_sampling sampling;
    struct image_request request = refused[i].request;
    struct error err = {0};
    request.scheduler = IMAGE_SCHEDULER_DDIM;
    enum status status = image_sampling_begin(&sampling, &pipeline, &pipeline.unet, &request, &err);
    assert_int_equal(status, STATUS_INVALID_VALUE);
    assert_string_equal(err.param, refused[i].param);
    if (!strstr(err.text, refused[i].says))
      fail_msg("\"%s\" does not say \"%s\"", err.text, refused[i].says);
  }
  diffusion_pipeline_close(&pipeline);
  backend_close(&backend);
}

/* --- folders that cannot be used ------------------------------------------------------------------ */

static const char *const files[] = {"model_index.json",
                                    "scheduler/scheduler_config.json",
                                    "text_encoder/config.json",
                                    "text_encoder/model.safetensors",
                                    "tokenizer/merges.txt",
                                    "tokenizer/tokenizer_config.json",
                                    "tokenizer/vocab.json",
                                    "unet/config.json",
                                    "unet/diffusion_pytorch_model.safetensors",
                                    "vae/config.json",
                                    "vae/diffusion_pytorch_model.safetensors"};

/* The pipeline's files, as links in the folder `to`. */
static void link_all(const char *to) {
  static const char *const folders[] = {"scheduler", "text_encoder", "tokenizer", "unet", "vae"};
  char link[200];
  struct error err;
  for (size_t i = 0; i < COUNT_OF(folders); i++) {
    snprintf(link, sizeof link, "%s/%s", to, folders[i]);
    assert_int_equal(file_mkdirs(link, &err), STATUS_OK);
  }
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    char from[200], *whole;
    snprintf(from, sizeof from, PIPELINE "/%s", files[i]);
    snprintf(link, sizeof link, "%s/%s", to, files[i]);
    whole = realpath(from, NULL);
    assert_non_null(whole);
    unlink(link);
    assert_int_equal(symlink(whole, link), 0);
    free(whole);
  }
}

/* The same, where one JSON file has members set (null drops one). */
static void link_changed(const char *to, const char *file, const char *changes) {
  char path[200];
  struct error err;
  json_t *config, *more = json_loads(changes, 0, NULL), *value;
  const char *key;
  link_all(to);
  snprintf(path, sizeof path, "%s/%s", to, file);
  assert_int_equal(json_parse_file(&config, path, NULL, &err), STATUS_OK);
  json_object_foreach(more, key, value) {
    if (json_is_null(value))
      json_object_del(config, key);
    else
      json_object_set(config, key, value);
  }
  char *text = json_dumps(config, 0);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
  free(text);
  json_decref(config);
  json_decref(more);
}

static void folders_are_refused_by_name(void **state) {
  (void)state;
  static const struct {
    const char *file, *changes, *says;
  } refused[] = {
      {"model_index.json", "{\"_class_name\": \"StableDiffusionXLPipeline\"}", "\"StableDiffusionXLPipeline\""},
      {"model_index.json", "{\"unet\": [\"diffusers\", \"UNet3DConditionModel\"]}",
       "the class UNet3DConditionModel of unet is not supported; UNet2DConditionModel is"},
      {"model_index.json", "{\"vae\": null}", "model_index.json: vae must be"},
      {"model_index.json", "{\"image_encoder\": [\"transformers\", \"CLIPVisionModelWithProjection\"]}",
       "the component image_encoder"},
      {"model_index.json", "{\"scheduler\": [\"diffusers\", \"FlowMatchEulerDiscreteScheduler\"]}",
       "FlowMatchEulerDiscreteScheduler"},
      {"scheduler/scheduler_config.json", "{\"beta_schedule\": \"squaredcos_cap_v2\"}", "beta_schedule"},
      {"scheduler/scheduler_config.json", "{\"skip_prk_steps\": false}", "skip_prk_steps must be true"},
      {"scheduler/scheduler_config.json", "{\"skip_prk_steps\": null}", "skip_prk_steps must be true"},
      {"tokenizer/tokenizer_config.json", "{\"model_max_length\": 21}", "more than the text encoder's 20"},
      {"tokenizer/tokenizer_config.json", "{\"model_max_length\": null}", "model_max_length must be a whole number"},
      {"text_encoder/config.json", "{\"use_attention_mask\": true}", "use_attention_mask"},
      {"unet/config.json", "{\"cross_attention_dim\": 32}", "unet: "},
      {"vae/config.json", "{\"shift_factor\": 0.1}", "shift_factor"},
      {"vae/config.json", "{\"scaling_factor\": 0}", "scaling_factor must be more than 0"},
      {"vae/config.json", "{\"_class_name\": \"UNet2DConditionModel\"}", "vae"},
  };
  struct backend backend;
  struct error err;
  char dir[] = "/tmp/test_image_sampling.XXXXXX";
  assert_non_null(mkdtemp(dir));
  assert_int_equal(cpu_open(&backend, 1, NULL, &err), STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    struct diffusion_pipeline pipeline;
    link_changed(dir, refused[i].file, refused[i].changes);
    assert_true(diffusion_pipeline_is(dir));
    assert_int_equal(diffusion_pipeline_open(&pipeline, dir, &backend, &err), STATUS_MODEL_INVALID);
    if (!strstr(err.text, refused[i].says))
      fail_msg("%s: \"%s\" does not say \"%s\"", refused[i].changes, err.text, refused[i].says);
  }
  backend_close(&backend);
  assert_int_equal(file_remove_tree(dir, &err), STATUS_OK);
}

/* DPMSolverMultistepScheduler's file as diffusers saves it: its default for lambda_min_clipped is minus infinity, which
   Python writes though JSON has none. One that would leave out time steps is refused. */
static void a_scheduler_as_diffusers_saves_it(void **state) {
  (void)state;
  static const struct {
    const char *lambda, *says; /* says NULL: it opens */
  } saved[] = {{"-Infinity", NULL},
               {"-5.1", NULL},
               {"null", NULL},
               {"-2", "lambda_min_clipped is -2; at most -2.68"},
               {"Infinity", "lambda_min_clipped is 1e+308"},
               {"\"low\"", "lambda_min_clipped must be a number"}};
  struct backend backend;
  struct error err;
  char dir[] = "/tmp/test_image_sampling.XXXXXX", path[200], text[600];
  assert_non_null(mkdtemp(dir));
  assert_int_equal(cpu_open(&backend, 1, NULL, &err), STATUS_OK);
  link_changed(dir, "model_index.json", "{\"scheduler\": [\"diffusers\", \"DPMSolverMultistepScheduler\"]}");
  snprintf(path, sizeof path, "%s/scheduler/scheduler_config.json", dir);
  assert_int_equal(unlink(path), 0);
  for (size_t i = 0; i < COUNT_OF(saved); i++) {
    struct diffusion_pipeline pipeline;
    snprintf(text, sizeof text,
             "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"dpmsolver++\", \"beta_start\": "
             "0.00085, \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\", \"lambda_min_clipped\": %s, "
             "\"num_train_timesteps\": 1000, \"prediction_type\": \"epsilon\", \"solver_order\": 2}",
             saved[i].lambda);
    assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
    enum status status = diffusion_pipeline_open(&pipeline, dir, &backend, &err);
    if (!saved[i].says != !status || (status && !strstr(err.text, saved[i].says)))
      fail_msg("%s: \"%s\"", saved[i].lambda, status ? err.text : "it opens");
    if (!status)
      diffusion_pipeline_close(&pipeline);
  }
  backend_close(&backend);
  assert_int_equal(file_remove_tree(dir, &err), STATUS_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pictures_equal_the_reference),      cmocka_unit_test(what_a_picture_depends_on),
      cmocka_unit_test(requests_are_refused_by_member),    cmocka_unit_test(folders_are_refused_by_name),
      cmocka_unit_test(a_scheduler_as_diffusers_saves_it),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
