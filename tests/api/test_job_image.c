/* Jobs that learn from pictures: the settings that their task gives, what contradicts in `image`, and which files and
   models belong to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/data_use.h"
#include "base/json.h"
#include "tests/api/body.h"

#define TASK ",'task':'subject-driven'"
#define CONTROL ",'task':'controllable'"

static void parse(const char *members) {
  parse_body("'training_file':'f'", members, 1);
}

static void the_task_gives_settings_that_a_body_may_change(void **state) {
  (void)state;
  parse(TASK);
  assert_int_equal(faults.count, 0);
  assert_int_equal(spec.hyperparameters.batch_size, 1);
  assert_int_equal(spec.hyperparameters.n_epochs, 100);
  assert_true(spec.hyperparameters.learning_rate == 1e-4 && spec.hyperparameters.weight_decay == 0.01);
  assert_int_equal(spec.hyperparameters.lr_scheduler_type, SCHEDULE_CONSTANT);
  assert_int_equal(job_warmup_steps(&spec.hyperparameters, 500), 0);
  assert_int_equal(spec.evaluation.every_steps, 100);
  assert_int_equal(spec.checkpointing.every_steps, 500);
  assert_int_equal(spec.image.num_class_images, 100);
  assert_true(spec.image.prior_loss_weight == 1 && spec.image.guidance_scale == 7.5);
  parse(TASK ",'evaluation':{'every_steps':7},'method':{'type':'supervised','supervised':{'hyperparameters':"
             "{'batch_size':3,'n_epochs':'auto'}}},'image':{'validation_prompt':'a','instance_prompt':'b'}");
  assert_int_equal(faults.count, 0);
  assert_int_equal(spec.hyperparameters.batch_size, 3);
  assert_int_equal(spec.hyperparameters.n_epochs, 100);
  assert_int_equal(spec.evaluation.every_steps, 7);
  assert_int_equal(spec.image.validation_prompts.count, 1);
  parse(CONTROL ",'image':{'conditioning':'canny'},'evaluation':{'metric':'canny_iou'}");
  assert_int_equal(faults.count, 0);
  assert_int_equal(spec.hyperparameters.batch_size, 8);
  assert_true(spec.hyperparameters.learning_rate == 9e-4 && spec.hyperparameters.weight_decay == 0.01);
  assert_int_equal(spec.image.conditioning, CONDITIONING_CANNY);
  assert_int_equal(spec.evaluation.metric, METRIC_CANNY_IOU);
  parse("");
  assert_int_equal(spec.hyperparameters.batch_size, 16);
}

static void what_contradicts_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *members, *param, *says;
  } cases[] = {
      {TASK ",'image':{'with_prior_preservation':true}", "image.class_prompt", "needs image.class_prompt"},
      {TASK ",'image':{'class_prompt':'a dog'}", "image.class_prompt", "which is false"},
      {TASK ",'image':{'prompt':'a dog'}", "image.prompt", "is not a known parameter"},
      {TASK ",'image':{'num_class_images':0}", "image.num_class_images", "num_class_images"},
      {TASK ",'exports':['merged','gguf-lora']", "exports", "is for language models, and this one is an image model"},
      {TASK ",'evaluation':{'metric':'accuracy'}", "evaluation.metric", "it measures loss"},
      {TASK ",'image':{'conditioning':'canny'}", "image.conditioning", "is for the task controllable alone"},
      {CONTROL ",'image':{'conditioning':'depth'}", "image.conditioning", "canny"},
      {CONTROL ",'image':{'with_prior_preservation':true,'class_prompt':'a'}", "image.with_prior_preservation",
       "have no hints"},
      {CONTROL ",'image':{'validation_prompts':['a']}", "image.validation_prompts", "hints of the validation file"},
      {CONTROL ",'evaluation':{'metric':'canny_f1'}", "evaluation.metric", "where image.conditioning is canny"},
      {TASK ",'evaluation':{'metric':'canny_f1'}", "evaluation.metric", "it measures loss"},
      {TASK ",'image':{'clip_model':'a'}", "image.clip_model", "needs image.validation_prompts"},
      {CONTROL ",'image':{'dino_model':'a'}", "image.dino_model", "is for the task subject-driven alone"},
      {CONTROL ",'image':{'clip_model':'a'}", "image.clip_model", "needs validation_file"},
      {TASK ",'method':{'type':'dpo'}", "task", "method.type dpo is preference tuning"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    bool found = false;
    parse(cases[i].members);
    for (size_t f = 0; f < faults.count; f++)
      found |= strcmp(faults.item[f].param, cases[i].param) == 0 && strstr(faults.item[f].text, cases[i].says);
    if (!found)
      fail_msg("%s: %zu faults, %s: %s", cases[i].members, faults.count, faults.item[0].param, faults.item[0].text);
  }
}

static void files_belong_to_tasks(void **state) {
  (void)state;
  static const struct {
    const char *members, *report, *param, *says;
    bool images;
  } cases[] = {
      {TASK ",'image':{'instance_prompt':'a'}", "{\"images\":{\"count\":3,\"with_text\":0}}", NULL, NULL, true},
      {TASK, "{\"images\":{\"count\":3,\"with_text\":3}}", NULL, NULL, true},
      {TASK, "{\"images\":{\"count\":3,\"with_text\":2}}", "image.instance_prompt", "not every image of f", true},
      {TASK, "{\"columns\":[\"text\"]}", "training_file", "f is no archive of images, which the task subject-driven",
       true},
      {"", "{\"images\":{\"count\":3,\"with_text\":3}}", "training_file", "f is an archive of images", false},
      {",'task':'classification'", "{\"images\":{\"count\":3,\"with_text\":3}}", "training_file",
       "which the tasks subject-driven and controllable learn from", false},
      {CONTROL, "{\"images\":{\"count\":3,\"with_text\":3,\"with_conditioning_image\":3}}", NULL, NULL, true},
      {CONTROL, "{\"images\":{\"count\":3,\"with_text\":3,\"with_conditioning_image\":2}}", "training_file",
       "not every image of f has a conditioning_image", true},
      {CONTROL ",'image':{'conditioning':'canny'}", "{\"images\":{\"count\":3,\"with_text\":3}}", NULL, NULL, true},
      {"", "{\"columns\":[\"text\"]}", NULL, NULL, false},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    bool images;
    struct fault_list found = {0};
    json_t *report = json_loads(cases[i].report, 0, NULL);
    parse(cases[i].members);
    data_judge_images(&images, &spec, &(struct data_file){"f", "training_file", report}, &found);
    assert_int_equal(images, cases[i].images);
    assert_int_equal(found.count, cases[i].param ? 1 : 0);
    if (cases[i].param &&
        (strcmp(found.item[0].param, cases[i].param) != 0 || !strstr(found.item[0].text, cases[i].says)))
      fail_msg("case %zu: %s: %s", i, found.item[0].param, found.item[0].text);
    json_decref(report);
  }
}

static void models_belong_to_tasks(void **state) {
  (void)state;
  const struct data_tasks pipeline = {.images = true}, encoder = {.classifier = true, .embeds = true, .tags = true};
  const struct {
    const char *members;
    struct data_tasks model;
    const char *says;
  } cases[] = {{TASK, pipeline, NULL},
               {"", encoder, NULL},
               {"", pipeline, "is a diffusion pipeline: task must say what it learns (subject-driven, controllable)"},
               {TASK, encoder, "cannot learn the task subject-driven; it can learn classification"},
               {",'task':'classification'", pipeline, "it can learn subject-driven"}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct fault_list found = {0};
    parse(cases[i].members);
    data_judge_task(&spec, cases[i].model, &found);
    assert_int_equal(found.count, cases[i].says ? 1 : 0);
    if (cases[i].says && !strstr(found.item[0].text, cases[i].says))
      fail_msg("case %zu: %s", i, found.item[0].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_task_gives_settings_that_a_body_may_change),
      cmocka_unit_test(what_contradicts_is_refused),
      cmocka_unit_test(files_belong_to_tasks),
      cmocka_unit_test(models_belong_to_tasks),
  };
  return cmocka_run_group_tests(tests, NULL, close_body);
}
