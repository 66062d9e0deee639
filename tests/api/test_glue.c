/* The eight tasks of GLUE by name: their columns and metric become the job's, whatever a file calls them; what a body
   gives stays; labels mean their class in each spelling; files without labels are refused with the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/data_use.h"
#include "api/glue.h"
#include "base/json.h"

static struct arena arena;
static json_t *body;
static struct job_spec spec;
static struct fault_list faults;

static json_t *json(const char *text) {
  json_t *out;
  struct error err;
  char quoted[4000];
  snprintf(quoted, sizeof quoted, "%s", text);
  for (char *p = quoted; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  if (json_parse(&out, quoted, strlen(quoted), NULL, &err))
    fail_msg("%s: %s", text, err.text);
  return out;
}

static void parse(const char *members) {
  char text[600];
  snprintf(text, sizeof text, "{'model':'m','training_file':'f','validation_file':'v'%s}", members);
  json_decref(body);
  arena_done(&arena);
  arena_init(&arena, 1 << 20);
  faults = (struct fault_list){0};
  body = json(text);
  job_spec_parse(&spec, body, 1, &arena, &faults);
}

static int stop(void **state) {
  (void)state;
  json_decref(body);
  arena_done(&arena);
  return 0;
}

static void gives_columns_and_metric(void **state) {
  (void)state;
  static const struct {
    const char *task, *text, *pair, *label, *metric;
    int type;
  } cases[] = {
      {"glue/cola", "sentence", "text_pair", "label", "matthews_correlation", PROBLEM_SINGLE_LABEL},
      {"glue/sst2", "sentence", "text_pair", "label", "accuracy", PROBLEM_SINGLE_LABEL},
      {"glue/mrpc", "sentence1", "sentence2", "label", "combined_score", PROBLEM_SINGLE_LABEL},
      {"glue/stsb", "sentence1", "sentence2", "label", "combined_score", PROBLEM_REGRESSION},
      {"glue/qqp", "question1", "question2", "label", "combined_score", PROBLEM_SINGLE_LABEL},
      {"glue/mnli", "premise", "hypothesis", "label", "accuracy", PROBLEM_SINGLE_LABEL},
      {"glue/qnli", "question", "sentence", "label", "accuracy", PROBLEM_SINGLE_LABEL},
      {"glue/rte", "sentence1", "sentence2", "label", "accuracy", PROBLEM_SINGLE_LABEL},
  };
  assert_int_equal(COUNT_OF(cases), GLUE_COUNT);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char members[64];
    snprintf(members, sizeof members, ",'task':'%s'", cases[i].task);
    parse(members);
    if (faults.count)
      fail_msg("%s: %s", cases[i].task, faults.item[0].text);
    assert_string_equal(job_task_names[spec.task], cases[i].task);
    assert_string_equal(spec.columns.text, cases[i].text);
    assert_string_equal(spec.columns.text_pair, cases[i].pair);
    assert_string_equal(spec.columns.label, cases[i].label);
    assert_int_equal(spec.columns.problem_type, cases[i].type);
    assert_string_equal(job_metric_names[spec.evaluation.metric], cases[i].metric);
    json_t *written = job_spec_json(&spec), *again;
    json_decref(body);
    body = written;
    job_spec_parse(&spec, body, 1, &arena, &faults);
    again = job_spec_json(&spec);
    assert_true(json_equal(written, again));
    json_decref(again);
  }
  parse(",'task':'glue/STS-B'");
  assert_int_equal(faults.count, 0);
  assert_string_equal(job_task_names[spec.task], "glue/stsb");
  parse(",'task':'glue/wnli'");
  assert_int_equal(faults.count, 1);
  assert_string_equal(faults.item[0].param, "task");
}

static void keeps_what_is_given(void **state) {
  (void)state;
  parse(",'task':'glue/mrpc','dataset':{'text':'a','label':'y'},'evaluation':{'metric':'loss'}");
  assert_int_equal(faults.count, 0);
  assert_string_equal(spec.columns.text, "a");
  assert_string_equal(spec.columns.text_pair, "sentence2");
  assert_string_equal(spec.columns.label, "y");
  assert_int_equal(spec.evaluation.metric, METRIC_LOSS);
  parse(",'task':'glue/mrpc','evaluation':{'metric_for_best_model':'f1'}");
  assert_int_equal(spec.evaluation.metric, METRIC_F1);
  parse(",'task':'glue/mnli','evaluation':{'metric':'f1'}");
  assert_int_equal(faults.count, 1);
  assert_string_equal(faults.item[0].param, "evaluation.metric");
}

static void names_columns_as_the_file_does(void **state) {
  (void)state;
  static const char *const mrpc[] = {"Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"};
  static const char *const mnli[] = {"index", "genre", "sentence1", "sentence2", "label1", "gold_label"};
  const struct glue_task *m = glue_find("mrpc"), *n = glue_find("mnli");
  assert_string_equal(glue_column(m, "sentence1", mrpc, COUNT_OF(mrpc)), "#1 String");
  assert_string_equal(glue_column(m, "sentence2", mrpc, COUNT_OF(mrpc)), "#2 String");
  assert_string_equal(glue_column(m, "label", mrpc, COUNT_OF(mrpc)), "Quality");
  assert_string_equal(glue_column(m, "other", mrpc, COUNT_OF(mrpc)), "other");
  assert_string_equal(glue_column(NULL, "label", mrpc, COUNT_OF(mrpc)), "label");
  assert_null(glue_column(m, NULL, mrpc, COUNT_OF(mrpc)));
  assert_string_equal(glue_column(n, "premise", mnli, COUNT_OF(mnli)), "sentence1");
  assert_string_equal(glue_column(n, "label", mnli, COUNT_OF(mnli)), "gold_label");
  assert_string_equal(glue_column(n, "label", mrpc, COUNT_OF(mrpc)), "label");
}

static void understands_labels(void **state) {
  (void)state;
  const struct glue_task *mnli = glue_find("MNLI");
  char text[200];
  assert_int_equal(glue_class(mnli, "entailment"), 0);
  assert_int_equal(glue_class(mnli, "neutral"), 1);
  assert_int_equal(glue_class(mnli, "2"), 2);
  assert_int_equal(glue_class(mnli, "2.0"), 2);
  assert_int_equal(glue_class(mnli, "3"), 3);
  assert_int_equal(glue_class(mnli, "-1"), 3);
  assert_int_equal(glue_class(mnli, "-"), 3);
  assert_int_equal(glue_class(glue_find("glue/qnli"), "not_entailment"), 1);
  glue_refusal(text, sizeof text, mnli, "-");
  assert_string_equal(text,
                      "the label - is none of glue/mnli's: entailment (or 0), neutral (or 1), contradiction (or 2)");
  glue_refusal(text, sizeof text, mnli, "-1");
  assert_non_null(strstr(text, "test files have no labels"));
  assert_null(glue_find("wnli"));
  assert_null(glue_find("mnli-and-more"));
  assert_null(glue_find(""));
}

static void knows_mnlis_genres(void **state) {
  (void)state;
  const struct glue_task *mnli = glue_find("mnli");
  assert_int_equal(glue_subset(mnli, "telephone"), GLUE_MATCHED);
  assert_int_equal(glue_subset(mnli, "verbatim"), GLUE_MISMATCHED);
  assert_int_equal(glue_subset(mnli, "poems"), GLUE_SUBSET_NONE);
  assert_int_equal(glue_subset(glue_find("stsb"), "telephone"), GLUE_SUBSET_NONE);
}

#define FACTS(name) "'" name "':{'first':true,'given':'line 2, column 1'}"
#define LABEL(name, classes)                                                                                           \
  "'" name "':{'first':true,'given':'line 2, column 1','labels':{'kind':'class','classes':{" classes "}}}"

/* The first fault of a training and a validation file, or "". */
static const char *judge(const char *task, const char *training, const char *validation) {
  char members[64];
  const struct data_tasks tasks = {.classifier = true};
  struct data_file files[] = {{.id = "t", .param = "training_file"}, {.id = "v", .param = "validation_file"}};
  snprintf(members, sizeof members, ",'task':'%s'", task);
  parse(members);
  AUTO(json_release) json_t *first = json(training);
  AUTO(json_release) json_t *second = json(validation);
  files[0].report = first;
  files[1].report = second;
  assert_int_equal(data_use(&spec, first, tasks), USE_LABELLED);
  for (size_t i = 0; i < COUNT_OF(files); i++)
    data_judge(&spec, &files[i], USE_LABELLED, tasks, &faults);
  if (faults.count == 0)
    data_judge_labels(&spec, USE_LABELLED, &files[0], &files[1], &faults);
  return faults.count ? faults.item[0].text : "";
}

static void judges_each_file_by_its_own_names(void **state) {
  (void)state;
  static const char jsonl[] = "{'format':'jsonl','columns':['premise','hypothesis','label','idx'],'facts':{" FACTS(
      "premise") "," FACTS("hypothesis") "," LABEL("label", "'0':'line 1','1':'line 2','2':'line 3'") "}}";
  static const char tsv[] = "{'format':'tsv','columns':['sentence1','sentence2','gold_label'],'facts':{" FACTS(
      "sentence1") "," FACTS("sentence2") "," LABEL("gold_label", "'neutral':'line 2'") "}}";
  static const char odd[] = "{'format':'tsv','columns':['sentence1','sentence2','gold_label'],'facts':{" FACTS(
      "sentence1") "," FACTS("sentence2") "," LABEL("gold_label", "'hidden':'line 2, column 9'") "}}";
  static const char test[] = "{'format':'tsv','columns':['index','sentence1','sentence2'],'facts':{" FACTS(
      "sentence1") "," FACTS("sentence2") "}}";
  static const char hidden[] = "{'format':'jsonl','columns':['premise','hypothesis','label'],'facts':{" FACTS(
      "premise") "," FACTS("hypothesis") "," LABEL("label", "'-1':'line 1, column 50'") "}}";
  assert_string_equal(judge("glue/mnli", jsonl, tsv), "");
  assert_string_equal(
      judge("glue/mnli", jsonl, odd),
      "v: line 2, column 9: the label hidden is none of glue/mnli's: entailment (or 0), neutral (or 1), "
      "contradiction (or 2)");
  assert_non_null(strstr(judge("glue/mnli", test, tsv), "t has no column \"label\""));
  assert_non_null(strstr(faults.item[0].text, "test files have no labels"));
  assert_non_null(strstr(judge("glue/mnli", jsonl, hidden), "v: line 1, column 50: the label is -1"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_columns_and_metric),
      cmocka_unit_test(keeps_what_is_given),
      cmocka_unit_test(names_columns_as_the_file_does),
      cmocka_unit_test(understands_labels),
      cmocka_unit_test(knows_mnlis_genres),
      cmocka_unit_test(judges_each_file_by_its_own_names),
  };
  return cmocka_run_group_tests(tests, NULL, stop);
}
