/* The task decides what can be asked beside it: settings that contradict it are refused by name, those at their default
   follow it, and the written spec keeps it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/job_task.h"
#include "base/json.h"
#include "tests/api/body.h"

static void parse(const char *members) {
  parse_body("'training_file':'f','validation_file':'v'", members, 1);
}

static void decides_what_follows(void **state) {
  (void)state;
  static const struct {
    const char *members;
    enum job_task task;
    enum problem_type type;
  } cases[] = {
      {"", JOB_TASK_AUTO, PROBLEM_AUTO},
      {",'task':null", JOB_TASK_AUTO, PROBLEM_AUTO},
      {",'dataset':{'problem_type':'regression'}", JOB_TASK_AUTO, PROBLEM_REGRESSION},
      {",'task':'classification'", JOB_TASK_CLASSIFICATION, PROBLEM_SINGLE_LABEL},
      {",'task':'regression','dataset':{'problem_type':'regression'}", JOB_TASK_REGRESSION, PROBLEM_REGRESSION},
      {",'task':'regression','evaluation':{'metric':'spearman'}", JOB_TASK_REGRESSION, PROBLEM_REGRESSION},
      {",'task':'multi_label','evaluation':{'metric':'f1_micro'}", JOB_TASK_MULTI_LABEL, PROBLEM_MULTI_LABEL},
      {",'dataset':{'problem_type':'multi_label_classification'}", JOB_TASK_MULTI_LABEL, PROBLEM_MULTI_LABEL},
      {",'task':'token_classification','evaluation':{'metric':'recall'}", JOB_TASK_TOKEN_CLASSIFICATION, PROBLEM_AUTO},
      {",'task':'language_model','evaluation':{'metric':'perplexity'}", JOB_TASK_LANGUAGE_MODEL, PROBLEM_AUTO},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    parse(cases[i].members);
    if (faults.count)
      fail_msg("%s: %s", cases[i].members, faults.item[0].text);
    assert_int_equal(spec.task, cases[i].task);
    assert_int_equal(spec.columns.problem_type, cases[i].type);
    json_t *written = job_spec_json(&spec);
    assert_string_equal(json_string_value(json_object_get(written, "task")), job_task_names[cases[i].task]);
    json_decref(written);
  }
}

static void refuses_what_contradicts(void **state) {
  (void)state;
  static const struct {
    const char *members, *param, *says;
  } cases[] = {
      {",'task':'summarization'", "task", "task"},
      {",'task':'token_classification','evaluation':{'metric':'matthews_correlation'}", "evaluation.metric",
       "it measures loss, accuracy, f1, precision, recall"},
      {",'task':'classification','dataset':{'problem_type':'regression'}", "dataset.problem_type",
       "dataset.problem_type is regression, which is not what the task classification learns"},
      {",'task':'language_model','dataset':{'problem_type':'single_label_classification'}", "dataset.problem_type",
       "the task language_model"},
      {",'task':'classification','evaluation':{'metric':'pearson'}", "evaluation.metric",
       "evaluation.metric is pearson, which the task classification does not measure; it measures loss, accuracy, f1, "
       "matthews_correlation"},
      {",'task':'language_model','evaluation':{'metric':'accuracy'}", "evaluation.metric", "loss, perplexity"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    parse(cases[i].members);
    if (faults.count != 1 || strcmp(faults.item[0].param, cases[i].param) != 0 ||
        !strstr(faults.item[0].text, cases[i].says))
      fail_msg("%s: %zu faults, %s: %s", cases[i].members, faults.count, faults.item[0].param, faults.item[0].text);
  }
}

/* Each row is whole: a task without metrics could not be judged by more than its loss. */
static void rows_are_whole(void **state) {
  (void)state;
  for (int i = JOB_TASK_AUTO + 1; i < JOB_TASK_COUNT; i++) {
    const struct job_output_row *row = job_output_of(job_task_output((enum job_task)i));
    assert_non_null(job_task_names[i]);
    assert_true(row->words && row->needs && row->pipeline_tag);
    bool images = job_task_output((enum job_task)i) == OUTPUT_IMAGE; /* whose models are no classes of Transformers */
    assert_int_equal(row->peft_task_type && row->class_suffix, !images);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(decides_what_follows), cmocka_unit_test(refuses_what_contradicts),
                                     cmocka_unit_test(rows_are_whole)};
  return cmocka_run_group_tests(tests, NULL, close_body);
}
