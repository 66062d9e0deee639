/* Proves that CLIP-T, CLIP-I and DINO, and the image processors before them, are those of Transformers and PIL
   (tests/worker/encoders/make_encoders.py), and that models that cannot measure are refused by what they lack. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "worker/device.h"
#include "worker/file/safetensors.h"
#include "worker/train/image_metrics.h"

#define ENCODERS "tests/worker/encoders"
#define PROCESSOR ENCODERS "/%s/preprocessor_config.json"

static struct backend backend;
static struct safetensors cases;
static const char *const prompts[] = {"a dog", "a painting of a dog"};

static int set_up(void **state) {
  (void)state;
  assert_int_equal(safetensors_open(&cases, ENCODERS "/metrics.safetensors", NULL), STATUS_OK);
  return device_open(&backend, NULL, 2, NULL) != STATUS_OK;
}

static int tear_down(void **state) {
  (void)state;
  safetensors_close(&cases);
  backend_close(&backend);
  return 0;
}

static struct image picture(int number) {
  char name[20];
  snprintf(name, sizeof name, "picture.%d", number);
  const struct st_tensor *t = safetensors_find(&cases, name);
  return (struct image){(size_t)t->shape[1], (size_t)t->shape[0], (unsigned char *)(uintptr_t)t->bytes};
}

static float number(const struct st_tensor *t, size_t i) {
  float x;
  memcpy(&x, t->bytes + i * sizeof x, sizeof x);
  return x;
}

static struct task task_of(const char *clip, const char *dino, const char *const *texts, size_t count) {
  struct task task = {.clip_dir = clip, .dino_dir = dino};
  task.spec.image.validation_prompts = (struct string_list){count, (const char **)(uintptr_t)texts};
  return task;
}

static void pixels_are_those_of_the_processors(void **state) {
  (void)state;
  static const char *const names[] = {"clip", "dino", "dinov2"};
  for (size_t n = 0; n < 4 * COUNT_OF(names); n++) {
    struct image_processor processor;
    char path[100], name[20];
    json_t *config;
    snprintf(name, sizeof name, "%s.%zu", names[n / 4], n % 4);
    const struct st_tensor *want = safetensors_find(&cases, name);
    const struct image image = picture((int)(n % 4));
    snprintf(path, sizeof path, PROCESSOR, names[n / 4]);
    assert_int_equal(json_parse_file(&config, path, NULL, NULL), STATUS_OK);
    assert_int_equal(image_processor_read(&processor, config, NULL), STATUS_OK);
    assert_int_equal(processor.side, want->shape[0]);
    float *out = malloc(want->length);
    assert_int_equal(image_processor_apply(out, &processor, &image, NULL), STATUS_OK);
    for (size_t i = 0; i < want->length / sizeof *out; i++)
      if (fabsf(out[i] - number(want, i)) > 1e-5F) /* a pixel's step is 0.014 and more */
        fail_msg("%s: number %zu is %g, not %g", name, i, (double)out[i], (double)number(want, i));
    free(out);
    json_decref(config);
  }
}

static void metrics_are_those_of_transformers(void **state) {
  (void)state;
  const struct task task = task_of(ENCODERS "/clip", ENCODERS "/dino", prompts, 2);
  struct image_metrics m;
  struct error err;
  size_t bytes;
  if (image_metrics_open(&m, &task, &backend, &err))
    fail_msg("%s", err.text);
  assert_int_equal(image_metrics_memory(&bytes, &m, NULL), STATUS_OK);
  assert_true(bytes > 50000);
  for (int i = 0; i < 2; i++) {
    const struct image instance = picture(i);
    assert_int_equal(image_metrics_instance(&m, &instance, NULL), STATUS_OK);
  }
  for (int round = 0; round < 2; round++) { /* what was measured before does not count */
    image_metrics_begin(&m);
    for (size_t i = 0; i < 2; i++) {
      const struct image preview = picture(2 + (int)i);
      assert_int_equal(image_metrics_preview(&m, &preview, i, NULL), STATUS_OK);
    }
    for (int i = 0; i < IMAGE_METRIC_COUNT; i++) {
      assert_true(image_metrics_has(&m, i));
      assert_float_equal(image_metrics_value(&m, i), number(safetensors_find(&cases, image_metric_names[i]), 0), 1e-5);
    }
  }
  image_metrics_close(&m);
}

/* What its previews of the pictures are, DINOv2's position embeddings being for larger ones. */
static void the_second_dino_measures_too(void **state) {
  (void)state;
  const struct task task = task_of(NULL, ENCODERS "/dinov2", prompts, 2);
  struct image_metrics m;
  struct error err;
  if (image_metrics_open(&m, &task, &backend, &err))
    fail_msg("%s", err.text);
  image_metrics_begin(&m);
  for (int i = 0; i < 4; i++) {
    const struct image image = picture(i);
    assert_int_equal(i < 2 ? image_metrics_instance(&m, &image, NULL) : image_metrics_preview(&m, &image, 0, NULL), 0);
  }
  assert_float_equal(image_metrics_value(&m, 2), number(safetensors_find(&cases, "valid_dinov2"), 0), 1e-5);
  image_metrics_close(&m);
}

/* A copy of an encoder whose file has another text in place of one. */
static void changed_encoder(char *folder, size_t size, const char *of, const char *file, const char *from,
                            const char *to) {
  static const char *const names[] = {"config.json", "preprocessor_config.json", "model.safetensors"};
  struct error err;
  snprintf(folder, size, "/tmp/reflectd-test-XXXXXX");
  assert_non_null(mkdtemp(folder));
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    char path[300], *bytes;
    size_t length;
    struct str text;
    snprintf(path, sizeof path, ENCODERS "/%s/%s", of, names[i]);
    assert_int_equal(file_read(&bytes, &length, path, 1 << 20, &err), STATUS_OK);
    str_init(&text, 1 << 20);
    char *found = strcmp(names[i], file) == 0 ? strstr(bytes, from) : NULL;
    assert_true(found || strcmp(names[i], file) != 0);
    str_add(&text, bytes, found ? (size_t)(found - bytes) : length);
    if (found)
      str_printf(&text, "%s%s", to, found + strlen(from));
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    assert_int_equal(file_put(path, text.text, text.length, &err), STATUS_OK);
    str_done(&text);
    free(bytes);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *of, *file, *from, *to, *says;
  } refused[] = {
      {"dinov2", "config.json", "\"use_swiglu_ffn\": false", "\"use_swiglu_ffn\": true",
       "use_swiglu_ffn true is not supported"},
      {"dinov2", "config.json", "\"mlp_ratio\": 2", "\"mlp_ratio\": 0", "mlp_ratio 0 times hidden_size 16 is not 1"},
      {"dinov2", "config.json", "\"mlp_ratio\": 2", "\"mlp_ratio\": 3", "mlp.fc1"},
      {"dinov2", "config.json", "\"image_size\": 28", "\"image_size\": 24",
       "position_embeddings has 800 numbers; config.json asks for 592"},
      {"dinov2", "preprocessor_config.json", "\"height\": 12,\n    \"width\": 12", "\"height\": 14, \"width\": 14",
       "14 pixels a side, no multiple of config.json's patch_size 4"},
      {"dino", "preprocessor_config.json", "\"height\": 12,\n    \"width\": 12", "\"height\": 16, \"width\": 16",
       "16 pixels a side, config.json's image_size is 12"},
  };
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    char folder[64], path[100];
    changed_encoder(folder, sizeof folder, refused[i].of, refused[i].file, refused[i].from, refused[i].to);
    const struct task task = task_of(NULL, folder, prompts, 1);
    struct image_metrics m;
    struct error err;
    assert_int_equal(image_metrics_open(&m, &task, &backend, &err), STATUS_MODEL_INVALID);
    if (!strstr(err.text, refused[i].says) || strcmp(err.param, "image.dino_model") != 0)
      fail_msg("%s, not %s", err.text, refused[i].says);
    for (size_t f = 0; f < 3; f++) {
      static const char *const names[] = {"config.json", "preprocessor_config.json", "model.safetensors"};
      snprintf(path, sizeof path, "%s/%s", folder, names[f]);
      unlink(path);
    }
    rmdir(folder);
  }
}

static void one_of_them_measures_alone(void **state) {
  (void)state;
  const struct task task = task_of(NULL, ENCODERS "/dino", prompts, 2);
  struct image_metrics m;
  const struct image image = picture(0);
  assert_int_equal(image_metrics_open(&m, &task, &backend, NULL), STATUS_OK);
  assert_int_equal(image_metrics_instance(&m, &image, NULL), STATUS_OK);
  image_metrics_begin(&m);
  assert_int_equal(image_metrics_preview(&m, &image, 0, NULL), STATUS_OK);
  assert_false(image_metrics_has(&m, 0) || image_metrics_has(&m, 1));
  assert_float_equal(image_metrics_value(&m, 2), 1, 1e-5); /* of a picture and itself */
  image_metrics_close(&m);
}

static void what_cannot_measure_is_refused(void **state) {
  (void)state;
  static const char *const long_prompt[] = {"a dog a dog a dog a dog a dog a dog a dog a dog a dog a dog a dog"};
  static const struct {
    const char *clip, *dino;
    const char *const *prompts;
    enum status status;
    const char *param, *says;
  } refused[] = {
      {ENCODERS "/dino", NULL, prompts, STATUS_MODEL_INVALID, "image.clip_model",
       "\"vit\" is not supported here; clip"},
      {NULL, ENCODERS "/clip", prompts, STATUS_MODEL_INVALID, "image.dino_model",
       "\"clip\" is not supported here; vit is"},
      {"tests/golden/cases/clip-model/model", NULL, prompts, STATUS_MODEL_INVALID, "image.clip_model",
       "no preprocessor_config.json"},
      {"tests/golden/cases/bert-hra/model", NULL, prompts, STATUS_MODEL_INVALID, "image.clip_model", "\"bert\""},
      {ENCODERS "/clip", NULL, long_prompt, STATUS_INVALID_VALUE, "image.validation_prompts", "reads 20"},
  };
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    const struct task task = task_of(refused[i].clip, refused[i].dino, refused[i].prompts, 1);
    struct image_metrics m;
    struct error err;
    assert_int_equal(image_metrics_open(&m, &task, &backend, &err), refused[i].status);
    assert_string_equal(err.param, refused[i].param);
    if (!strstr(err.text, refused[i].says))
      fail_msg("%s, not %s", err.text, refused[i].says);
  }
}

static void processors_that_differ_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *change, *says;
  } refused[] = {
      {"{'size':{'shortest_edge':11}}", "crop_size"},
      {"{'size':{'height':12,'width':14}}", "size must be"},
      {"{'size':0}", "size must be"},
      {"{'resample':1}", "resample"},
      {"{'do_resize':false}", "do_resize"},
      {"{'do_rescale':7}", "do_rescale must be true or false"},
      {"{'do_center_crop':false}", "do_center_crop"},
      {"{'image_mean':[0.5,0.5]}", "image_mean"},
      {"{'image_std':[1,0,1]}", "image_std"},
      {"{'rescale_factor':'a'}", "rescale_factor"},
      {"{'size':{'shortest_edge':'a'}}", "size must be"},
  };
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    char text[100], path[100];
    json_t *config;
    struct image_processor processor;
    struct error err;
    snprintf(text, sizeof text, "%s", refused[i].change);
    for (char *c = text; *c; c++)
      *c = *c == '\'' ? '"' : *c;
    snprintf(path, sizeof path, PROCESSOR, "clip");
    assert_int_equal(json_parse_file(&config, path, NULL, NULL), STATUS_OK);
    json_t *change = json_loads(text, 0, NULL);
    assert_int_equal(json_object_update(config, change), 0);
    assert_int_equal(image_processor_read(&processor, config, &err), STATUS_MODEL_INVALID);
    if (!strstr(err.text, refused[i].says))
      fail_msg("%s: %s", text, err.text);
    json_decref(change);
    json_decref(config);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pixels_are_those_of_the_processors), cmocka_unit_test(metrics_are_those_of_transformers),
      cmocka_unit_test(one_of_them_measures_alone),         cmocka_unit_test(what_cannot_measure_is_refused),
      cmocka_unit_test(processors_that_differ_are_refused), cmocka_unit_test(the_second_dino_measures_too),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
