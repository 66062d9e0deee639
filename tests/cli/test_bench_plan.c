/* The runs of a comparison: sizes whose costs are nearest, each method's own members and what all share, keys that
   change with what is run, and options that are refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/bench_plan.h"

static char folder[64], training[128], validation[128];

static void put(const char *name, const char *text) {
  char path[128];
  struct error err;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
}

static int make(void **state) {
  struct error err;
  char path[128];
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/reflectd_bench.XXXXXX");
  if (!mkdtemp(folder))
    return -1;
  snprintf(training, sizeof training, "%s/CoLA/train.tsv", folder);
  snprintf(validation, sizeof validation, "%s/CoLA/dev.tsv", folder);
  snprintf(path, sizeof path, "%s/CoLA", folder);
  if (file_mkdirs(path, &err))
    return -1;
  put("CoLA/train.tsv", "a");
  put("CoLA/dev.tsv", "b");
  return 0;
}

static int clean(void **state) {
  struct error err;
  (void)state;
  return file_remove_tree(folder, &err) ? -1 : 0;
}

/* With `members` as the options' document, ' for ". */
static enum status plan(struct bench_plan *out, const struct bench_options *options, const char *members,
                        struct error *err) {
  char text[600];
  AUTO(json_release) json_t *document = NULL;
  snprintf(text, sizeof text, "{'model':'m'%s}", members);
  for (char *p = text; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  assert_int_equal(json_parse(&document, text, strlen(text), NULL, err), STATUS_OK);
  return bench_plan_make(out, options, document, err);
}

static const json_t *at(const struct bench_run *run, const char *object, const char *name) {
  return json_object_get(json_object_get(run->body, object), name);
}

static void matches_sizes(void **state) {
  (void)state;
  static const struct {
    const char *size, *member;
    int value;
  } want[] = {{"r 8", "r", 8},
              {"r 8", "r", 8},
              {"r 8", "r", 8},
              {"r 4", "r", 4},
              {"block 16", "oft_block_size", 16},
              {"block 8", "boft_block_size", 8}};
  struct bench_options options = {.glue = folder, .tasks = "CoLA", .seeds = "0-1,7"};
  struct bench_plan p;
  struct error err;
  assert_int_equal(plan(&p, &options, ",'adapter':{'target_modules':['query'],'bias':'all'}", &err), STATUS_OK);
  assert_int_equal(p.run_count, 18);
  for (size_t i = 0; i < COUNT_OF(want); i++) {
    const struct bench_run *run = &p.runs[3 * i + 2];
    assert_int_equal(run->seed, 7);
    assert_int_equal(json_integer_value(json_object_get(run->body, "seed")), 7);
    assert_string_equal(run->size, want[i].size);
    assert_int_equal(json_integer_value(at(run, "adapter", want[i].member)), want[i].value);
    assert_int_equal(json_array_size(at(run, "adapter", "target_modules")), 1);
    assert_null(at(run, "adapter", "bias"));
    assert_string_equal(json_string_value(json_object_get(run->body, "task")), "glue/cola");
    assert_string_equal(json_string_value(at(run, "metadata", "bench")), "bench");
    assert_string_equal(json_string_value(at(run, "metadata", "body")), run->key);
  }
  assert_true(json_is_true(at(&p.runs[3], "adapter", "apply_GS")));
  assert_true(json_real_value(at(&p.runs[6], "adapter", "orth_lambda")) == 1e-4);
  bench_plan_done(&p);
  options.r = 32;
  options.sizes = "lora=3";
  assert_int_equal(plan(&p, &options, "", &err), STATUS_OK);
  assert_string_equal(p.runs[9].size, "r 3");
  assert_string_equal(p.runs[12].size, "block 64"); /* 31.5 an input */
  assert_string_equal(p.runs[15].size, "block 32"); /* 33 */
  bench_plan_done(&p);
}

static void gives_each_method_its_rate(void **state) {
  (void)state;
  struct bench_options options = {.file = training, .validation = validation, .seeds = "0", .rates = "lora=5e-4,2e-3"};
  struct bench_plan p;
  struct error err;
  assert_int_equal(plan(&p, &options, "", &err), STATUS_OK);
  assert_int_equal(p.run_count, 6);
  for (size_t i = 0; i < p.run_count; i++) {
    const json_t *hyper = json_object_get(at(&p.runs[i], "method", "supervised"), "hyperparameters");
    assert_true(json_real_value(json_object_get(hyper, "learning_rate")) == (i == 3 ? 5e-4 : 2e-3));
    assert_string_equal(json_string_value(at(&p.runs[i], "method", "type")), "supervised");
    assert_null(json_object_get(p.runs[i].body, "task"));
    assert_string_equal(p.runs[i].task->name, "data");
  }
  bench_plan_done(&p);
}

/* A key is of all that is run: settings and the bytes of the files. */
static void knows_its_runs_again(void **state) {
  (void)state;
  struct bench_options options = {.glue = folder, .tasks = "cola", .seeds = "0", .methods = "hra"};
  char key[HASH_HEX];
  struct bench_plan p;
  struct error err;
  assert_int_equal(plan(&p, &options, ",'evaluation':{'every_steps':5}", &err), STATUS_OK);
  memcpy(key, p.runs[0].key, sizeof key);
  bench_plan_done(&p);
  options.name = "another";
  assert_int_equal(plan(&p, &options, ",'evaluation':{'every_steps':5}", &err), STATUS_OK);
  assert_string_equal(p.runs[0].key, key);
  bench_plan_done(&p);
  assert_int_equal(plan(&p, &options, ",'evaluation':{'every_steps':6}", &err), STATUS_OK);
  assert_string_not_equal(p.runs[0].key, key);
  bench_plan_done(&p);
  put("CoLA/dev.tsv", "c");
  assert_int_equal(plan(&p, &options, ",'evaluation':{'every_steps':5}", &err), STATUS_OK);
  assert_string_not_equal(p.runs[0].key, key);
  bench_plan_done(&p);
}

static void refuses_what_it_cannot_run(void **state) {
  (void)state;
  const struct {
    struct bench_options options;
    const char *param;
  } cases[] = {
      {{.seeds = "0"}, "glue"},
      {{.glue = folder, .file = training, .validation = validation}, "glue"},
      {{.file = training}, "glue"},
      {{.file = training, .validation = validation, .tasks = "a,b"}, "tasks"},
      {{.glue = folder, .tasks = "cola,CoLA"}, "tasks"},
      {{.glue = folder, .tasks = "cola,"}, "tasks"},
      {{.glue = folder, .tasks = "cola", .methods = "hra,dora"}, "methods"},
      {{.glue = folder, .tasks = "cola", .methods = "hra,hra"}, "methods"},
      {{.glue = folder, .tasks = "cola", .methods = ""}, "methods"},
      {{.glue = folder, .tasks = "cola", .seeds = "-1"}, "seeds"},
      {{.glue = folder, .tasks = "cola", .seeds = "0,0"}, "seeds"},
      {{.glue = folder, .tasks = "cola", .seeds = "0-"}, "seeds"},
      {{.glue = folder, .tasks = "cola", .seeds = "0-99999999"}, "seeds"},
      {{.glue = folder, .tasks = "cola", .rates = "dora=1"}, "lr"},
      {{.glue = folder, .tasks = "cola", .rates = "0"}, "lr"},
      {{.glue = folder, .tasks = "cola", .sizes = "lora=x"}, "size"},
      {{.glue = folder, .tasks = "cola", .sizes = "lora=2.5"}, "size"},
      {{.glue = folder, .tasks = "cola", .r = -3}, "r"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct bench_plan p;
    struct error err = {0};
    if (!plan(&p, &cases[i].options, "", &err))
      fail_msg("case %zu is accepted", i);
    assert_string_equal(err.param, cases[i].param);
  }
  struct bench_plan p;
  struct error err;
  const struct bench_options options = {.glue = folder, .tasks = "sst2"};
  assert_int_equal(plan(&p, &options, "", &err), STATUS_IO);
  assert_non_null(strstr(err.text, "training data of sst2"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matches_sizes),
      cmocka_unit_test(gives_each_method_its_rate),
      cmocka_unit_test(knows_its_runs_again),
      cmocka_unit_test(refuses_what_it_cannot_run),
  };
  return cmocka_run_group_tests(tests, make, clean);
}
