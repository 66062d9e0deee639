/* Proves: each objective has its hyperparameters beside those of all, is written and read back, and what contradicts it
   is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/job_task.h"
#include "api/objective.h"
#include "base/json.h"

static struct arena arena;

static int setup(void **state) {
  (void)state;
  arena_init(&arena, 1 << 22);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  arena_done(&arena);
  return 0;
}

/* ' for ". */
static void parse(struct job_spec *out, struct fault_list *faults, const char *type, const char *hyper,
                  const char *more) {
  char text[2000];
  json_t *body;
  struct error err;
  *faults = (struct fault_list){0};
  snprintf(text, sizeof text,
           "{'model':'m','training_file':'file-1','validation_file':'file-2','method':{'type':'%s','%s':"
           "{'hyperparameters':{%s}}}%s}",
           type, type, hyper, more);
  for (char *c = text; *c; c++)
    *c = *c == '\'' ? '"' : *c;
  assert_int_equal(json_parse(&body, text, strlen(text), NULL, &err), STATUS_OK);
  job_spec_parse(out, body, 7, &arena, faults);
  json_decref(body);
  out->metadata = NULL;
}

static void has_its_own(void **state) {
  (void)state;
  static const struct {
    const char *type, *hyper;
    enum objective objective;
  } cases[] = {{"dpo", "'beta':'auto','loss_type':'ipo','label_smoothing':0.2,'rpo_alpha':1", OBJECTIVE_DPO},
               {"orpo", "'beta':0.5,'train_on_inputs':true", OBJECTIVE_ORPO},
               {"kto", "'desirable_weight':2,'undesirable_weight':0.5", OBJECTIVE_KTO}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct job_spec spec, again;
    struct fault_list faults;
    struct error err;
    json_t *document;
    parse(&spec, &faults, cases[i].type, cases[i].hyper, "");
    assert_int_equal(faults.count, 0);
    assert_int_equal(spec.objective, cases[i].objective);
    assert_int_equal(spec.task, JOB_TASK_PREFERENCE);
    assert_true(spec.hyperparameters.beta == (i == 1 ? 0.5 : 0.1));
    assert_true(spec.hyperparameters.learning_rate == 2e-4);
    AUTO(json_release) json_t *written = job_spec_json(&spec);
    char *text = json_dumps(written, JSON_COMPACT);
    assert_int_equal(job_spec_restore(&again, &document, text, &arena, &err), STATUS_OK);
    assert_memory_equal(&spec.hyperparameters, &again.hyperparameters, sizeof spec.hyperparameters);
    assert_int_equal(again.objective, spec.objective);
    assert_non_null(strstr(text, cases[i].type));
    free(text);
    json_decref(document);
  }
}

static void refuses(void **state) {
  (void)state;
  static const struct {
    const char *type, *hyper, *more, *param, *says;
  } cases[] = {
      {"dpo", "'beta':0", "", "method.dpo.hyperparameters.beta", "more than 0"},
      {"dpo", "'beta':2.5", "", "method.dpo.hyperparameters.beta", "at most 2"},
      {"dpo", "'label_smoothing':0.5", "", "method.dpo.hyperparameters.label_smoothing", "at most"},
      {"dpo", "'loss_type':'hinge'", "", "method.dpo.hyperparameters.loss_type", "sigmoid"},
      {"kto", "'rpo_alpha':1", "", "method.kto.hyperparameters.rpo_alpha", "not a known"},
      {"supervised", "'beta':0.1", "", "method.supervised.hyperparameters.beta", "not a known"},
      {"supervised", "", ",'task':'preference'", "task", "method.type dpo, orpo or kto"},
      {"dpo", "", ",'task':'embedding'", "task", "task is embedding, but method.type dpo"},
      {"dpo", "", ",'dataset':{'problem_type':'regression'}", "dataset.problem_type", "regression"},
      {"dpo", "'train_on_inputs':true", "", "train_on_inputs", "compares answers"},
      {"kto", "'batch_size':1", "", "batch_size", "there would be none"},
      {"kto", "", ",'dataset':{'label':'good'}", "dataset.label", "fixed names"},
      {"kto", "", ",'evaluation':{'metric':'rewards/accuracies'}", "evaluation.metric", "measured of pairs"},
      {"orpo", "", ",'evaluation':{'metric':'perplexity'}", "evaluation.metric", "rewards/margins"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct job_spec spec;
    struct fault_list faults;
    parse(&spec, &faults, cases[i].type, cases[i].hyper, cases[i].more);
    if (faults.count == 0 || strcmp(faults.item[0].param, cases[i].param) != 0 ||
        !strstr(faults.item[0].text, cases[i].says))
      fail_msg("%zu: %zu faults, %s: %s", i, faults.count, faults.count ? faults.item[0].param : "",
               faults.count ? faults.item[0].text : "");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(has_its_own), cmocka_unit_test(refuses)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
