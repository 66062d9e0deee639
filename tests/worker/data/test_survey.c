/* What a survey finds: repeats, other labels, texts of another file, every bad line with its place; in each kind of
 * data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/job_fields.h"
#include "base/file.h"
#include "base/json.h"
#include "worker/data/survey.h"

static char folder[] = "/tmp/reflectd-test-XXXXXX";

static int start(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  struct error err;
  return file_remove_tree(folder, &err) != STATUS_OK;
}

static struct survey_file put(char path[300], const char *name, const char *text) {
  struct error err;
  snprintf(path, 300, "%s/%s", folder, name);
  assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
  return (struct survey_file){path, name};
}

static json_t *survey(const char *name, const char *text, const char *against, enum data_use use) {
  char path[300], other_path[300];
  struct job_spec spec = {0};
  struct error err;
  json_t *report;
  field_defaults(&job_sections[0].fields, &spec.columns);
  const struct survey_file file = put(path, name, text);
  struct survey_file other = {NULL, NULL};
  if (against)
    other = put(other_path, "against.jsonl", against);
  if (survey_data(&report, &file, against ? &other : NULL, &spec, use, &err))
    fail_msg("%s", err.text);
  return report;
}

/* The report's members that `want` has. */
static void has(json_t *report, const char *want) {
  char text[2000];
  const char *name;
  json_t *value;
  snprintf(text, sizeof text, "%s", want);
  for (char *c = text; *c; c++)
    *c = *c == '\'' ? '"' : *c;
  AUTO(json_release) json_t *wanted = json_loads(text, 0, NULL);
  assert_non_null(wanted);
  json_object_foreach(wanted, name, value) if (!json_equal(value, json_object_get(report, name)))
      fail_msg("%s: %s", name, json_dumps(json_object_get(report, name), JSON_ENCODE_ANY));
  json_decref(report);
}

static void labelled_texts(void **state) {
  (void)state;
  has(survey("a.jsonl",
             "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\"}\n{bad\n{\"text\":\"a\",\"label\":\"y\"}\n"
             "{\"text\":\"c\",\"label\":\"x\"}\n{\"text\":\"c\",\"label\":\"x\"}\n{\"text\":5,\"label\":\"x\"}\n",
             "{\"text\":\"z\"}\n{\"text\":\"c\"}\n", USE_LABELLED),
      "{'examples':6,'label_count':2,'label_counts':[{'label':'x','count':3},{'label':'y','count':1}],"
      "'duplicates':{'count':1,'first':[{'line':6,'other_line':5}]},"
      "'conflicts':{'count':1,'first':[{'line':4,'other_line':1,'label':'y','other_label':'x'}]},"
      "'overlap':{'count':2,'first':[{'line':5,'other_line':2},{'line':6,'other_line':2}],'share':0.33333333333333331},"
      "'error_count':3,'errors':["
      "{'line':2,'column':1,'param':'label','code':'dataset_invalid','message':'no member label'},"
      "{'line':3,'column':4,'param':null,'code':'dataset_invalid','message':'a name in double quotes, or }, is "
      "expected here'},"
      "{'line':7,'column':9,'param':'text','code':'dataset_invalid','message':'text is no text'}]}");
}

/* One label however a number is written; a row of another width is passed over. */
static void tables(void **state) {
  (void)state;
  has(survey("a.csv", "text,label\na,1\na,1.0\nb,2\nc\nd,2\n", NULL, USE_LABELLED),
      "{'examples':4,'label_count':2,'label_counts':[{'label':'1','count':2},{'label':'2','count':2}],"
      "'duplicates':{'count':1,'first':[{'line':3,'other_line':2}]},'conflicts':{'count':0,'first':[]},"
      "'overlap':null,'error_count':1}");
}

static void other_kinds(void **state) {
  (void)state;
  has(survey("chat.jsonl",
             "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]}\n"
             "{\"messages\":[{\"content\":\"q\",\"role\":\"user\"},{\"role\":\"assistant\",\"content\":\"a\"}]}\n"
             "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}\n",
             NULL, USE_CHAT),
      "{'duplicates':{'count':1,'first':[{'line':2,'other_line':1}]},'error_count':1,'label_counts':null}");
  has(survey(
          "tags.jsonl",
          "{\"tokens\":[\"Ada\",\"spoke\"],\"tags\":[\"B-PER\",\"O\"]}\n{\"tokens\":[\"x\"],\"tags\":[\"O\",\"O\"]}\n",
          NULL, USE_TAGS),
      "{'error_count':1,'label_counts':[{'label':'B-PER','count':1},{'label':'O','count':1}]}");
  has(survey("lists.jsonl", "{\"text\":\"a\",\"labels\":[\"p\",\"q\"]}\n{\"text\":\"b\",\"labels\":[\"q\"]}\n", NULL,
             USE_LABELS),
      "{'error_count':0,'label_counts':[{'label':'q','count':2},{'label':'p','count':1}]}");
  has(survey("pairs.jsonl", "{\"anchor\":\"a\",\"positive\":\"b\"}\n{\"anchor\":\"a\"}\n", NULL, USE_EMBEDDING),
      "{'examples':2,'error_count':1}");
  has(survey("done.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}\n", NULL,
             USE_COMPLETION),
      "{'duplicates':{'count':1,'first':[{'line':2,'other_line':1}]}}");
}

/* All are counted, a hundred are shown; texts are known however many there are. */
static void large_files(void **state) {
  (void)state;
  struct str text;
  str_init(&text, 8 << 20);
  for (int i = 0; i < 20000; i++)
    str_printf(&text, i % 100 == 7 ? "{\"text\":\"t%d\"}\n" : "{\"text\":\"t%d\",\"label\":\"l%d\"}\n", i / 2,
               i / 2 % 7);
  json_t *report = survey("many.jsonl", text.text, NULL, USE_LABELLED);
  assert_int_equal(json_array_size(json_object_get(report, "errors")), SURVEY_SHOWN);
  assert_int_equal(json_integer_value(json_object_get(report, "error_count")), 200);
  assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "duplicates"), "count")), 9800);
  json_decref(report);
  str_done(&text);
}

/* A quote that never ends: what is before it is told. */
static void what_has_no_end(void **state) {
  (void)state;
  json_t *report = survey("open.csv", "text,label\na,x\n\"b,y\nc,z\n", NULL, USE_LABELLED);
  assert_int_equal(json_integer_value(json_object_get(report, "examples")), 1);
  assert_int_equal(json_integer_value(json_object_get(report, "error_count")), 1);
  json_decref(report);
  report = survey("empty.jsonl", "", NULL, USE_NOTHING);
  assert_int_equal(json_integer_value(json_object_get(report, "error_count")), 1);
  json_decref(report);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(labelled_texts), cmocka_unit_test(tables),
                                     cmocka_unit_test(other_kinds), cmocka_unit_test(large_files),
                                     cmocka_unit_test(what_has_no_end)};
  return cmocka_run_group_tests(tests, start, stop);
}
