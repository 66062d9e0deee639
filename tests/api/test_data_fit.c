/* Settings that do not fit the data of a job are refused when it is created, by name; those that do are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/data_fit.h"
#include "base/json.h"
#include "tests/api/body.h"

/* The first fault's param, or "", of a job with these members on data with that report; ' for ". */
static const char *judged(const char *members, enum data_use use, const char *report) {
  char text[1000];
  struct error err;
  json_t *known;
  parse_body("'training_file':'f','validation_file':'v'", members, 1);
  if (faults.count)
    fail_msg("%s: %s", members, faults.item[0].text);
  snprintf(text, sizeof text, "%s", report);
  for (char *c = text; *c; c++)
    *c = *c == '\'' ? '"' : *c;
  assert_int_equal(json_parse(&known, text, strlen(text), NULL, &err), STATUS_OK);
  const struct data_file file = {.id = "file-1", .param = "training_file", .report = known};
  data_fit_judge(&spec, use, &file, &faults);
  json_decref(known);
  return faults.count ? faults.item[0].param : "";
}

#define CLASSES(names) "{'examples':40,'facts':{'label':{'labels':{'kind':'class','classes':{" names "}}}}}"
static const char two[] = CLASSES("'a':'line 1','b':'line 2'"), three[] = CLASSES("'a':'1','b':'2','c':'3'"),
                  ones[] = CLASSES("'1':'1','1.0':'2','2':'3'"),
                  numbers[] = "{'examples':40,'facts':{'label':{'labels':{'kind':'float'}}}}";

static void metrics(void **state) {
  (void)state;
  assert_string_equal(judged(",'evaluation':{'metric':'f1'}", USE_LABELLED, two), "");
  assert_string_equal(judged(",'evaluation':{'metric':'f1'}", USE_LABELLED, ones), ""); /* 1 and 1.0 are one */
  assert_string_equal(judged(",'evaluation':{'metric':'f1'}", USE_LABELLED, three), "evaluation.metric");
  assert_string_equal(judged(",'task':'classification','evaluation':{'metric':'f1'}", USE_LABELLED, three),
                      "evaluation.metric");
  assert_string_equal(judged(",'evaluation':{'metric':'accuracy'}", USE_LABELLED, three), "");
  assert_string_equal(judged(",'evaluation':{'metric':'accuracy'}", USE_LABELLED, numbers), "evaluation.metric");
  assert_string_equal(judged(",'evaluation':{'metric':'pearson'}", USE_LABELLED, numbers), "");
  assert_string_equal(judged(",'evaluation':{'metric':'perplexity'}", USE_CHAT, "{'examples':40}"), "");
  assert_string_equal(judged(",'evaluation':{'metric':'accuracy'}", USE_TEXT, "{'examples':40}"), "evaluation.metric");
  assert_string_equal(judged(",'evaluation':{'metric':'f1'}", USE_TAGS, "{'examples':40}"), "");
}

static void negatives(void **state) {
  (void)state;
#define PAIRS(more) "{'examples':9,'facts':{'anchor':{'first':true},'positive':{'first':true}" more "}}"
  static const char one[] = ",'hyperparameters':{'batch_size':1}";
  assert_string_equal(judged(one, USE_EMBEDDING, PAIRS("")), "batch_size");
  assert_string_equal(judged("", USE_EMBEDDING, PAIRS("")), "");
  assert_string_equal(judged(one, USE_EMBEDDING, PAIRS(",'negative':{'first':true}")), "");
  assert_string_equal(judged("", USE_EMBEDDING, "{'examples':1,'facts':{}}"), "training_file");
}

static void warm_ups(void **state) {
  (void)state;
  static const char once[] = ",'hyperparameters':{'n_epochs':1,'batch_size':%d,'warmup_steps':2}";
  char members[200];
  snprintf(members, sizeof members, once, 40);
  assert_string_equal(judged(members, USE_LABELLED, two), "warmup_steps"); /* one step */
  assert_string_equal(judged(members, USE_TEXT, two), "");                 /* texts may be left out or joined */
  snprintf(members, sizeof members, once, 20);
  assert_string_equal(judged(members, USE_LABELLED, two), "");
  assert_string_equal(
      judged(",'hyperparameters':{'n_epochs':1,'batch_size':10,'gradient_accumulation_steps':4,'warmup_steps':2}",
             USE_LABELLED, two),
      "warmup_steps");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(metrics), cmocka_unit_test(negatives),
                                     cmocka_unit_test(warm_ups)};
  return cmocka_run_group_tests(tests, NULL, close_body);
}
