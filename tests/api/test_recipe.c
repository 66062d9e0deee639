/* Recipes are written out: each member that the body gives stays, all others are the recipe's, and what was written
   reads back as itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/glue.h"
#include "api/job_fields.h"
#include "api/recipe.h"
#include "base/json.h"
#include "tests/api/body.h"

static void parse(const char *members) {
  parse_body("'training_file':'f'", members, 77);
}

static void accepted(const char *members) {
  parse(members);
  if (faults.count)
    fail_msg("%s: %s", members, faults.item[0].text);
  json_t *written = job_spec_json(&spec);
  struct job_spec again;
  job_spec_parse(&again, written, 5, &arena, &faults);
  json_t *rewritten = job_spec_json(&again);
  assert_int_equal(faults.count, 0);
  assert_true(json_equal(written, rewritten));
  json_decref(written);
  json_decref(rewritten);
}

#define VALID ",'validation_file':'v'"

static void writes_out_the_authors(void **state) {
  (void)state;
  const struct hyperparameters *h = &spec.hyperparameters;
  static const struct {
    const char *task;
    double rate;
    int epochs, warmup, tokens, evaluate;
  } cases[] = {{"mnli", 9e-4, 8, 1000, 256, 1000}, {"sst2", 1e-3, 16, 500, 128, 100}, {"cola", 8e-4, 28, 100, 64, 100},
               {"qqp", 9e-4, 10, 1000, 320, 500},  {"qnli", 1e-3, 12, 500, 512, 100}, {"rte", 1e-3, 20, 50, 320, 100},
               {"mrpc", 2e-3, 55, 50, 320, 100},   {"stsb", 3e-3, 43, 50, 128, 100}};
  assert_int_equal(COUNT_OF(cases), GLUE_COUNT);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char members[200];
    snprintf(members, sizeof members, VALID ",'recipe':'hra-glue','task':'glue/%s'", cases[i].task);
    accepted(members);
    assert_true(h->learning_rate == cases[i].rate);
    assert_int_equal(h->n_epochs, cases[i].epochs);
    assert_int_equal(h->warmup_steps, cases[i].warmup);
    assert_int_equal(h->max_seq_length, cases[i].tokens);
    assert_int_equal(spec.evaluation.every_steps, cases[i].evaluate);
    assert_int_equal(h->batch_size, 32);
    assert_int_equal(h->lr_scheduler_type, SCHEDULE_WARMUP_LINEAR);
    assert_true(h->weight_decay == 0.01 && h->adam_epsilon == 1e-6 && h->max_grad_norm == 1);
    assert_false(h->adam_bias_correction);
    assert_false(h->train_head);
    assert_int_equal(spec.seed, 1234);
    assert_int_equal(spec.adapter.peft_type, PEFT_HRA);
    assert_int_equal(spec.adapter.hra.r, 8);
    assert_non_null(spec.adapter.target_modules.pattern);
    assert_true(spec.checkpointing.keep_best && spec.checkpointing.load_best_at_end);
    bool swapped = strcmp(cases[i].task, "qnli") == 0;
    assert_string_equal(spec.columns.text, swapped ? "sentence" : glue_find(cases[i].task)->text[0]);
    assert_int_equal(spec.evaluation.metric, glue_metric(glue_find(cases[i].task)));
  }
}

static void leaves_what_is_given(void **state) {
  (void)state;
  const struct hyperparameters *h = &spec.hyperparameters;
  accepted(VALID ",'recipe':'hra-glue','task':'glue/SST-2','seed':3,'hyperparameters':{'train_head':true,'n_epochs':2,"
                 "'batch_size':'auto','learning_rate':null},'checkpointing':{'load_best_model_at_end':false}");
  assert_true(h->train_head);
  assert_int_equal(h->n_epochs, 2);
  assert_int_equal(h->batch_size, 32);
  assert_true(h->learning_rate == 1e-3);
  assert_int_equal(spec.seed, 3);
  assert_true(spec.checkpointing.keep_best);
  assert_false(spec.checkpointing.load_best_at_end);
  accepted(",'recipe':'hra-glue','task':'glue/rte','method':{'type':'hra','hra':{'hyperparameters':{'r':4,"
           "'max_steps':7}}}");
  assert_int_equal(spec.adapter.hra.r, 4);
  assert_int_equal(h->max_steps, 7);
  assert_false(spec.checkpointing.keep_best); /* nothing is evaluated */
  accepted(",'recipe':'hra-glue','task':'glue/rte','adapter':{'peft_type':'LORA'}");
  assert_int_equal(spec.adapter.peft_type, PEFT_LORA);
  assert_int_equal(spec.adapter.lora.r, 8);
  assert_non_null(spec.adapter.target_modules.pattern);
  accepted(",'recipe':'hra-glue','task':'glue/rte','adapter':{'target_modules':['query']}");
  assert_null(spec.adapter.target_modules.pattern);
  assert_int_equal(spec.adapter.target_modules.names.count, 1);
}

static void has_a_plain_one(void **state) {
  (void)state;
  const struct hyperparameters *h = &spec.hyperparameters;
  accepted(VALID ",'recipe':'glue','task':'glue/cola'");
  assert_int_equal(h->batch_size, 32);
  assert_int_equal(h->n_epochs, 10);
  assert_int_equal(h->max_seq_length, 64);
  assert_true(h->train_head && h->adam_bias_correction);
  assert_true(h->learning_rate == 2e-3);
  assert_true(spec.checkpointing.load_best_at_end);
  assert_int_equal(spec.seed, 77);
  accepted(",'task':'glue/cola'");
  assert_int_equal(spec.recipe, RECIPE_NONE);
  assert_int_equal(h->batch_size, 16);
}

static void refuses(void **state) {
  (void)state;
  static const struct {
    const char *members, *param;
  } cases[] = {
      {",'recipe':'glue'", "recipe"},
      {",'recipe':'hra-glue','task':'classification'", "recipe"},
      {",'recipe':'none-such','task':'glue/cola'", "recipe"},
      {",'recipe':7,'task':'glue/cola'", "recipe"},
      {VALID ",'recipe':'glue','task':'glue/cola','checkpointing':[]", "checkpointing"},
      {",'recipe':'hra-glue','task':'glue/cola','adapter':[]", "adapter"},
      {",'recipe':'hra-glue','task':'glue/cola','hyperparameters':{'n_epoch':3}", "hyperparameters.n_epoch"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    parse(cases[i].members);
    if (faults.count != 1 || strcmp(faults.item[0].param, cases[i].param) != 0)
      fail_msg("%s: %zu faults, %s", cases[i].members, faults.count, faults.item[0].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(writes_out_the_authors),
      cmocka_unit_test(leaves_what_is_given),
      cmocka_unit_test(has_a_plain_one),
      cmocka_unit_test(refuses),
  };
  return cmocka_run_group_tests(tests, NULL, close_body);
}
