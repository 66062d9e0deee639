/* Proves: what is stored of a job of any method is the body of the same job again; changes are laid over it as a merge
   patch; and what belongs to one method does not follow to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/job.h"
#include "base/json.h"

/* ' for ". */
static json_t *value(const char *text) {
  char copy[600];
  json_t *out;
  struct error err;
  snprintf(copy, sizeof copy, "%s", text);
  for (char *p = copy; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  assert_int_equal(json_parse(&out, copy, strlen(copy), NULL, &err), STATUS_OK);
  return out;
}

static json_t *stored(const json_t *body) {
  struct arena arena;
  struct job_spec spec;
  struct fault_list faults = {0};
  arena_init(&arena, 1 << 20);
  job_spec_parse(&spec, body, 7, &arena, &faults);
  if (faults.count)
    fail_msg("%s", faults.item[0].text);
  json_t *out = job_spec_json(&spec);
  arena_done(&arena);
  return out;
}

static const char *const adapters[] = {
    "{'peft_type':'HRA','r':4,'apply_GS':true}", "{'peft_type':'LORA','r':4,'use_rslora':true}",
    "{'peft_type':'OFT','oft_block_size':16}",   "{'peft_type':'OFT','r':4}",
    "{'peft_type':'BOFT','boft_block_size':8}",  "{'peft_type':'BOFT','boft_block_num':4}"};

static json_t *job_of(const char *adapter) {
  AUTO(json_release)
  json_t *body = value("{'model':'m','training_file':'file-1','suffix':'s','metadata':{'a':'b','c':'d'}}");
  json_object_set_new(body, "adapter", value(adapter));
  return stored(body);
}

static void test_same(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(adapters); i++) {
    AUTO(json_release) json_t *job = job_of(adapters[i]);
    AUTO(json_release) json_t *none = json_object();
    AUTO(json_release) json_t *body = job_spec_derive(job, none);
    AUTO(json_release) json_t *again = stored(body);
    if (!json_equal(job, again))
      fail_msg("%s is another job as it is stored: %s", adapters[i], json_dumps(again, JSON_COMPACT));
  }
}

static void test_changes(void **state) {
  (void)state;
  AUTO(json_release) json_t *job = job_of(adapters[0]);
  AUTO(json_release)
  json_t *changes = value("{'metadata':{'a':null,'e':'f'},'suffix':null,'seed':3,'method':"
                          "{'supervised':{'hyperparameters':{'learning_rate':0.01}}}}");
  AUTO(json_release) json_t *body = job_spec_derive(job, changes);
  AUTO(json_release) json_t *new = stored(body);
  AUTO(json_release) json_t *metadata = value("{'c':'d','e':'f'}");
  assert_true(json_equal(json_object_get(new, "metadata"), metadata));
  assert_true(json_is_null(json_object_get(new, "suffix")));
  assert_int_equal(json_integer_value(json_object_get(new, "seed")), 3);
  assert_true(json_equal(json_object_get(new, "adapter"), json_object_get(job, "adapter")));
}

static double rate_of(const json_t *job) {
  const json_t *method = json_object_get(json_object_get(job, "method"), "supervised");
  return json_number_value(json_object_get(json_object_get(method, "hyperparameters"), "learning_rate"));
}

static void test_methods(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(adapters); i++)
    for (size_t k = 0; k < COUNT_OF(adapters); k++) {
      AUTO(json_release) json_t *job = job_of(adapters[i]);
      AUTO(json_release) json_t *adapter = value(adapters[k]);
      AUTO(json_release) json_t *changes = json_pack("{s:O}", "adapter", adapter);
      const char *from = json_string_value(json_object_get(json_object_get(job, "adapter"), "peft_type"));
      const char *to = json_string_value(json_object_get(adapter, "peft_type"));
      if (strcmp(from, to) == 0)
        continue;
      AUTO(json_release) json_t *body = job_spec_derive(job, changes);
      AUTO(json_release) json_t *new = stored(body);
      AUTO(json_release) json_t *want = job_of(adapters[k]);
      assert_true(json_equal(json_object_get(new, "adapter"), json_object_get(want, "adapter")));
      assert_true(rate_of(new) == rate_of(want));
    }
}

static size_t amend(json_t *job, const char *text, char *what, size_t size) {
  AUTO(json_release) json_t *changes = value(text);
  struct arena arena;
  struct job_spec spec;
  struct fault_list faults = {0};
  arena_init(&arena, 1 << 20);
  job_spec_amend(&spec, job, changes, &arena, &faults);
  snprintf(what, size, "%s", faults.count ? faults.item[0].param : "");
  arena_done(&arena);
  return faults.count;
}

static void test_amend(void **state) {
  (void)state;
  static const struct {
    const char *changes, *param; /* "": it is allowed */
  } rows[] = {{"{'scheduling':{'priority':5},'display_name':'d','metadata':{'a':null}}", ""},
              {"{'suffix':null,'metadata':null}", ""},
              {"{'seed':1}", "seed"},
              {"{'adapter':{'r':9}}", "adapter"},
              {"{'scheduling':{'threads':9}}", "scheduling.threads"},
              {"{'scheduling':5}", "scheduling"},
              {"{'scheduling':null}", "scheduling"},
              {"{'scheduling':{'priority':101}}", "scheduling.priority"},
              {"{'scheduling':{'priority':'high'}}", "scheduling.priority"},
              {"{'suffix':'a b'}", "suffix"},
              {"{'display_name':''}", "display_name"},
              {"{'metadata':{'a':5}}", "metadata.a"},
              {"{'metadata':'a'}", "metadata"}};
  char param[100];
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    AUTO(json_release) json_t *job = job_of(adapters[0]);
    assert_int_equal(amend(job, rows[i].changes, param, sizeof param) > 0, rows[i].param[0] != 0);
    assert_string_equal(param, rows[i].param);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_same), cmocka_unit_test(test_changes),
                                     cmocka_unit_test(test_methods), cmocka_unit_test(test_amend)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
