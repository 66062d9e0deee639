/* Proves of jobs that learn from pictures: they learn, the same seed gives the same adapter on any number of threads, a
   training goes on from a state as if it had never stopped, pictures of the class are learnt beside the subject's,
   hints control what is made, and what cannot be learnt is refused by its name. On the tiny pipeline of
   tests/worker/diffusion. */
#include "tests/worker/pipeline.h"

#include <math.h>

#include "tests/worker/image_archive.h"
#include "worker/device.h"
#include "worker/file/safetensors.h"
#include "worker/image/image_decode.h"
#include "worker/train/image_samples.h"

#define TASK "\"task\":\"subject-driven\","
#define PROMPT "\"instance_prompt\":\"a photo of a red dog\""
#define IMAGES(rest) TASK "\"image\":{" PROMPT ",\"resolution\":16" rest "},"
#define STEPS "\"n_epochs\":6,\"batch_size\":2,\"learning_rate\":0.02"

static void pack(const char *name, const struct member *members) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", root, name);
  pack_images(path, true, members);
}

static int set_up(void **state) {
  char here[200], target[300], model[300];
  (void)state;
  log_setup("reflect-worker", LOG_WARN);
  assert_non_null(mkdtemp(root));
  assert_non_null(getcwd(here, sizeof here));
  snprintf(target, sizeof target, "%s/tests/worker/diffusion/pipeline", here);
  snprintf(model, sizeof model, "%s/model", root);
  assert_int_equal(symlink(target, model), 0);
  pack("dogs.zip", ARCHIVE(PICTURE("a.png", 20, 31), PICTURE("b.png", 40, 16), PICTURE("c.png", 16, 16)));
  pack("more.zip", ARCHIVE(PICTURE("d.png", 20, 20), PICTURE("e.png", 17, 30)));
  hyperparameters = STEPS;
  adapter_members = "\"r\":4";
  return 0;
}

static void run(struct outcome *o, const char *name, const char *spec, const char *validation) {
  more = spec;
  run_task(o, name, "dogs.zip", validation, "");
  if (o->status)
    fail_msg("%s: %s", name, o->err.text);
}

static void same_adapter(const struct outcome *a, const struct outcome *b, bool same) {
  const char *const name = "adapter/adapter_model.safetensors";
  char path[2][700], sha256[2][HASH_HEX];
  const struct outcome *const of[] = {a, b};
  for (int i = 0; i < 2; i++) {
    snprintf(path[i], sizeof path[i], "%s/%s", of[i]->output, name);
    assert_int_equal(file_hash(sha256[i], NULL, path[i], NULL), STATUS_OK);
  }
  assert_int_equal(strcmp(sha256[0], sha256[1]) == 0, same);
}

/* While previews are made it is told how far the training is. */
static void progress_stays(const struct outcome *o) {
  size_t shown = 0;
  for (size_t i = 0; i < json_array_size(o->events); i++) {
    const json_t *data = json_object_get(json_array_get(o->events, i), "data");
    const char *phase = json_string_value(json_object_get(data, "phase"));
    if (!phase || strcmp(phase, "preview") != 0)
      continue;
    shown++;
    assert_int_equal(json_integer_value(json_object_get(data, "total_steps")), 60);
    assert_true(json_is_integer(json_object_get(data, "step")));
  }
  assert_true(shown > 0);
}

static void it_learns_and_shows_previews(void **state) {
  (void)state;
  struct outcome o;
  hyperparameters = "\"n_epochs\":60,\"batch_size\":3,\"learning_rate\":0.02";
  run(&o, "learns",
      IMAGES(",\"validation_prompts\":[\"a dog\",\"a painting of a dog\"],\"num_validation_images\":2,"
             "\"num_inference_steps\":3,\"center_crop\":true") "\"evaluation\":{\"every_steps\":40},",
      "dogs.zip");
  hyperparameters = STEPS;
  /* adapter x3, adapter.tar, two curves, manifest; 3 times 4 previews: before, in between, at the end */
  assert_int_equal(artifacts(&o), 7 + 12);
  progress_stays(&o);
  const json_t *first = NULL, *last = newest(&o, "metrics", "valid_loss");
  for (size_t i = 0; !first && i < json_array_size(o.events); i++)
    if (json_object_get(json_object_get(json_array_get(o.events, i), "data"), "valid_loss"))
      first = json_object_get(json_array_get(o.events, i), "data");
  double before = json_number_value(json_object_get(first, "valid_loss"));
  double after = json_number_value(json_object_get(last, "valid_loss"));
  if (!(after < 0.95 * before))
    fail_msg("the loss went from %g to %g", before, after);
  struct image images[2];
  char path[2][700];
  for (int i = 0; i < 2; i++) {
    size_t length;
    char *bytes;
    snprintf(path[i], sizeof path[i], "%s/preview-%d-2-1.png", o.output, i ? 60 : 0);
    assert_int_equal(file_read(&bytes, &length, path[i], 1 << 20, NULL), STATUS_OK);
    assert_int_equal(image_decode(&images[i], (unsigned char *)bytes, length, NULL), STATUS_OK);
    assert_int_equal(images[i].width, 16);
    free(bytes);
  }
  assert_memory_not_equal(images[0].pixels, images[1].pixels, 3 * 16 * 16);
  image_done(&images[0]);
  image_done(&images[1]);
  char *config = file_of(&o, "adapter/adapter_config.json");
  assert_non_null(strstr(config, "\"task_type\": null"));
  assert_non_null(strstr(config, "\"to_out.0\""));
  free(config);
  json_decref(o.events);
}

#define MEASURED ",\"validation_prompts\":[\"a dog\"],\"num_validation_images\":2,\"num_inference_steps\":2"
#define ENCODERS "\"clip_dir\":\"%s/tests/worker/encoders/clip\",\"dino_dir\":\"%s/tests/worker/encoders/dino\","

/* At the start, in between and at the end, with a validation file or without; the adapter is the same. */
static void previews_are_measured(void **state) {
  (void)state;
  static const char *const names[] = {"valid_clip_t", "valid_clip_i", "valid_dino"};
#define EVALUATED "\"evaluation\":{\"every_steps\":6},"
  const char *spec = IMAGES(MEASURED ",\"clip_model\":\"clip\",\"dino_model\":\"dino\"") EVALUATED;
  char here[200], folders[600];
  struct outcome plain, o, with;
  run(&plain, "unmeasured", IMAGES(MEASURED) EVALUATED, NULL);
  assert_non_null(getcwd(here, sizeof here));
  snprintf(folders, sizeof folders, ENCODERS, here, here);
  encoders = folders;
  run(&o, "measured", spec, NULL);
  run(&with, "measured_too", spec, "more.zip");
  encoders = "";
  same_adapter(&plain, &o, true);
  assert_null(newest(&plain, "metrics", names[0]));
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    size_t count = 0;
    for (size_t e = 0; e < json_array_size(o.events); e++) {
      const json_t *data = json_object_get(json_array_get(o.events, e), "data");
      const json_t *value = json_object_get(data, names[i]);
      assert_true(!value || fabs(json_number_value(value)) <= 1.0001);
      count += value && json_integer_value(json_object_get(data, "step")) == (json_int_t)(6 * count);
    }
    assert_int_equal(count, 3);
    assert_non_null(json_object_get(newest(&with, "metrics", "valid_loss"), names[i]));
  }
  char *table = file_of(&o, "step_metrics.csv");
  assert_non_null(strstr(table, ",valid_clip_t,valid_clip_i,valid_dino"));
  free(table);
  json_decref(plain.events);
  json_decref(o.events);
  json_decref(with.events);
}

static void any_number_of_threads(void **state) {
  (void)state;
  struct outcome one, three;
  threads = 1;
  run(&one, "one", IMAGES(""), NULL);
  threads = 3;
  run(&three, "three", IMAGES(""), NULL);
  threads = 2;
  same_adapter(&one, &three, true);
  same_file(&one, &three, "step_metrics.csv");
  json_decref(one.events);
  json_decref(three.events);
}

static void it_goes_on_from_a_state(void **state) {
  (void)state;
  struct outcome whole, on;
  char path[400];
  const char *spec =
      IMAGES(",\"with_prior_preservation\":true,\"class_prompt\":\"a photo of a dog\","
             "\"num_class_images\":2,\"num_inference_steps\":2") "\"checkpointing\":{\"every_steps\":7},";
  run(&whole, "whole", spec, "more.zip");
  snprintf(path, sizeof path, "\"%s/state-7.safetensors\"", whole.output);
  resume = path;
  run(&on, "on", spec, "more.zip");
  assert_true(said(&on, "Training goes on after step 7 of 12"));
  same_adapter(&whole, &on, true);
  same_file(&whole, &on, "step_metrics.csv");
  json_decref(on.events);
  /* of other pictures it is refused */
  more = spec;
  run_task(&on, "other", "more.zip", "more.zip", "");
  assert_true(said(&on, "another number of steps") || said(&on, "it is of other training data"));
  resume = "";
  json_decref(on.events);
  json_decref(whole.events);
}

#define PRIOR(weight)                                                                                                  \
  IMAGES(",\"with_prior_preservation\":true,\"class_prompt\":\"a photo of a dog\",\"num_class_images\":2,"             \
         "\"num_inference_steps\":2,\"prior_loss_weight\":" weight)

/* Of weight 0 they are learnt from without any effect; of another they have one. */
static void pictures_of_the_class_have_their_weight(void **state) {
  (void)state;
  struct outcome none, zero, some;
  run(&none, "none", IMAGES(""), NULL);
  run(&zero, "zero", PRIOR("0"), NULL);
  run(&some, "some", PRIOR("2"), NULL);
  same_adapter(&none, &zero, true);
  same_adapter(&none, &some, false);
  json_decref(none.events);
  json_decref(zero.events);
  json_decref(some.events);
}

static void it_is_exported_as_asked(void **state) {
  (void)state;
  struct outcome o;
  run(&o, "exported", IMAGES("") "\"exports\":[\"lora\",\"merged:f16\",\"diffusers-lora\",\"kohya-lora\"],", NULL);
  static const char *const names[] = {"lora.tar", "merged-f16.tar", "pytorch_lora_weights.safetensors",
                                      "kohya_lora.safetensors"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    char path[700];
    snprintf(path, sizeof path, "%s/%s", o.output, names[i]);
    if (access(path, R_OK) != 0)
      fail_msg("no %s", names[i]);
  }
  json_decref(o.events);
}

/* An image's own text is its prompt. */
static void texts_are_prompts(void **state) {
  (void)state;
  struct outcome same, other, by_default;
#define LINE(name, text) "{\"file_name\":\"" name "\",\"text\":\"" text "\"}\n"
  pack("same.zip",
       ARCHIVE(PICTURE("a.png", 20, 31), PICTURE("b.png", 40, 16), PICTURE("c.png", 16, 16),
               TEXT("metadata.jsonl", LINE("a.png", "a photo of a red dog") LINE("b.png", "a photo of a red dog")
                                          LINE("c.png", "a photo of a red dog"))));
  pack("other.zip", ARCHIVE(PICTURE("a.png", 20, 31), PICTURE("b.png", 40, 16), PICTURE("c.png", 16, 16),
                            TEXT("metadata.jsonl", LINE("a.png", "two cats") "{\"file_name\":\"b.png\"}\n"
                                                                             "{\"file_name\":\"c.png\"}")));
  run(&by_default, "default", IMAGES(""), NULL);
  more = IMAGES("");
  run_task(&same, "same", "same.zip", NULL, "");
  run_task(&other, "other_text", "other.zip", NULL, "");
  assert_int_equal(same.status, STATUS_OK);
  assert_int_equal(other.status, STATUS_OK);
  same_adapter(&by_default, &same, true);
  same_adapter(&by_default, &other, false);
  json_decref(same.events);
  json_decref(other.events);
  json_decref(by_default.events);
}

#define HINTED(rest)                                                                                                   \
  "\"task\":\"controllable\",\"image\":{" PROMPT ",\"resolution\":16,\"num_inference_steps\":2" rest "},"
#define EMBEDDING "adapter/conditioning_embedding.safetensors"

static double first_of(const struct outcome *o, const char *member) {
  for (size_t i = 0; i < json_array_size(o->events); i++) {
    const json_t *data = json_object_get(json_array_get(o->events, i), "data");
    if (json_object_get(data, member))
      return json_number_value(json_object_get(data, member));
  }
  fail_msg("no %s", member);
  return 0;
}

static void hints_are_learnt_and_previews_follow_them(void **state) {
  (void)state;
  struct outcome o, one;
  hyperparameters = "\"n_epochs\":16,\"batch_size\":3,\"learning_rate\":0.02";
  run(&o, "edges", HINTED(",\"conditioning\":\"canny\"") "\"evaluation\":{\"every_steps\":8,\"metric\":\"canny_f1\"},",
      "dogs.zip");
  /* adapter x4, adapter.tar, two curves, manifest; previews of three pictures at three times, and their hints */
  assert_int_equal(artifacts(&o), 8 + 9 + 9);
  const json_t *last = newest(&o, "metrics", "valid_canny_iou");
  double iou = json_number_value(json_object_get(last, "valid_canny_iou")),
         f1 = json_number_value(json_object_get(last, "valid_canny_f1"));
  assert_true(iou >= 0 && iou <= f1 && f1 <= 1);
  assert_true(json_number_value(json_object_get(last, "valid_loss")) < 0.97 * first_of(&o, "valid_loss"));
  struct safetensors file;
  char path[700];
  snprintf(path, sizeof path, "%s/%s", o.output, EMBEDDING);
  assert_int_equal(safetensors_open(&file, path, NULL), STATUS_OK);
  assert_int_equal(file.count, 2 * 4); /* the VAE halves once: conv_in, two blocks, conv_out */
  const struct st_tensor *zero = safetensors_find(&file, "controlnet_cond_embedding.conv_out.weight");
  assert_true(zero && zero->rank == 4 && zero->shape[0] == 4 && zero->shape[1] == 32 && zero->shape[3] == 3);
  size_t moved = 0;
  for (size_t i = 0; i < zero->length; i++)
    moved += zero->bytes[i] != 0;
  assert_true(moved > zero->length / 2); /* they have learnt */
  safetensors_close(&file);
  /* On one thread it is the same. */
  threads = 1;
  run(&one, "edges-one",
      HINTED(",\"conditioning\":\"canny\"") "\"evaluation\":{\"every_steps\":8,\"metric\":\"canny_f1\"},", "dogs.zip");
  threads = 2;
  hyperparameters = STEPS;
  same_adapter(&o, &one, true);
  same_file(&o, &one, EMBEDDING);
  same_file(&o, &one, "step_metrics.csv");
  json_decref(o.events);
  json_decref(one.events);
}

static void hints_of_the_archive(void **state) {
  (void)state;
  struct outcome whole, on, other;
  char path[400];
#define HINT(name, hint) "{\"file_name\":\"" name "\",\"conditioning_image\":\"" hint "\"}\n"
  pack("hints.zip",
       ARCHIVE(PICTURE("y.png", 20, 31), PICTURE("a.png", 20, 31), PICTURE("b.png", 40, 16), PICTURE("x.png", 40, 16),
               TEXT("metadata.jsonl", HINT("a.png", "y.png") HINT("b.png", "x.png"))));
  pack("others.zip",
       ARCHIVE(PICTURE("z.png", 20, 31), PICTURE("a.png", 20, 31), PICTURE("b.png", 40, 16), PICTURE("x.png", 40, 16),
               TEXT("metadata.jsonl", HINT("a.png", "z.png") HINT("b.png", "x.png"))));
  more = HINTED(",\"num_validation_images\":1") "\"checkpointing\":{\"every_steps\":4},";
  run_task(&whole, "hinted", "hints.zip", "hints.zip", "");
  assert_int_equal(whole.status, STATUS_OK);
  assert_null(newest(&whole, "metrics", "valid_canny_iou"));
  snprintf(path, sizeof path, "\"%s/state-4.safetensors\"", whole.output);
  resume = path;
  run_task(&on, "hinted-on", "hints.zip", "hints.zip", "");
  assert_true(said(&on, "Training goes on after step 4 of 6"));
  same_adapter(&whole, &on, true);
  same_file(&whole, &on, EMBEDDING);
  json_decref(on.events);
  /* Another hint is other data. */
  run_task(&other, "hinted-other", "others.zip", "hints.zip", "");
  assert_true(said(&other, "it is of other training data"));
  resume = "";
  same_adapter(&whole, &other, false);
  json_decref(other.events);
  json_decref(whole.events);
}

static void what_cannot_be_learnt_is_named(void **state) {
  (void)state;
  static const struct {
    const char *spec, *data, *param, *why;
  } cases[] = {
      {TASK "\"image\":{" PROMPT ",\"resolution\":17},", "dogs.zip", "image.resolution", "is a multiple of"},
      {TASK "\"image\":{\"resolution\":16},", "dogs.zip", "image.instance_prompt", "no text of a.png"},
      {IMAGES(",\"validation_prompts\":\"a dog a dog a dog a dog a dog a dog a dog a dog a dog a dog a dog a dog\""),
       "dogs.zip", "image.validation_prompts", "the text encoder reads 20"},
      {IMAGES(",\"num_inference_steps\":1000"), "bad.zip", "", "training file bad.zip: b.png: the PNG is truncated"},
      {HINTED(""), "half.zip", "", "training file half.zip: metadata.jsonl has no conditioning_image of b.png"},
  };
  pack("half.zip", ARCHIVE(PICTURE("a.png", 20, 31), PICTURE("b.png", 20, 31), PICTURE("h.png", 20, 31),
                           TEXT("metadata.jsonl", HINT("a.png", "h.png") "{\"file_name\":\"b.png\"}\n")));
  pack("bad.zip", ARCHIVE(PICTURE("a.png", 20, 31), TEXT("b.png", "\x89PNG\r\n\x1a\n")));
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct outcome o;
    char name[20];
    snprintf(name, sizeof name, "bad-%zu", i);
    more = cases[i].spec;
    run_task(&o, name, cases[i].data, NULL, "");
    if (!o.status || strcmp(o.err.param, cases[i].param) != 0 || !strstr(o.err.text, cases[i].why))
      fail_msg("case %zu: %s: %s", i, o.err.param, o.err.text);
    json_decref(o.events);
  }
}

/* What previews take at a time, which the plan that the daemon counts with has. */
static void previews_are_planned_for(void **state) {
  (void)state;
  struct backend backend;
  struct diffusion_pipeline pipeline;
  struct image_training training = {0};
  const char *prompts[] = {"a dog"};
  struct task task = {.spec.image = {.guidance_scale = 1, .num_validation_images = 1}};
  size_t none, one, two, larger;
  assert_int_equal(device_open(&backend, NULL, 1, NULL), STATUS_OK);
  assert_int_equal(diffusion_pipeline_open(&pipeline, "tests/worker/diffusion/pipeline", &backend, NULL), STATUS_OK);
  assert_int_equal(image_encoder_init(&training.encoder, &pipeline, 16, NULL), STATUS_OK);
  assert_int_equal(image_samples_memory(&none, &training, &task, NULL), STATUS_OK);
  task.spec.image.validation_prompts = (struct string_list){1, prompts};
  assert_int_equal(image_samples_memory(&one, &training, &task, NULL), STATUS_OK);
  task.spec.image.guidance_scale = 7.5;
  assert_int_equal(image_samples_memory(&two, &training, &task, NULL), STATUS_OK);
  image_encoder_done(&training.encoder);
  assert_int_equal(image_encoder_init(&training.encoder, &pipeline, 64, NULL), STATUS_OK);
  assert_int_equal(image_samples_memory(&larger, &training, &task, NULL), STATUS_OK);
  assert_int_equal(none, 0);
  /* the decoder's feature maps have at least 4 channels at every pixel */
  assert_true(one > 0 && two > one && larger > two + 2 * 4 * (64 * 64 - 16 * 16) * sizeof(float));
  image_encoder_done(&training.encoder);
  diffusion_pipeline_close(&pipeline);
  backend_close(&backend);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_learns_and_shows_previews),
      cmocka_unit_test(previews_are_measured),
      cmocka_unit_test(any_number_of_threads),
      cmocka_unit_test(it_goes_on_from_a_state),
      cmocka_unit_test(pictures_of_the_class_have_their_weight),
      cmocka_unit_test(it_is_exported_as_asked),
      cmocka_unit_test(texts_are_prompts),
      cmocka_unit_test(hints_are_learnt_and_previews_follow_them),
      cmocka_unit_test(hints_of_the_archive),
      cmocka_unit_test(what_cannot_be_learnt_is_named),
      cmocka_unit_test(previews_are_planned_for),
  };
  return cmocka_run_group_tests(tests, set_up, teardown);
}
