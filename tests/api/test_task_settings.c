/* A setting that only other tasks read is refused by its name, whichever member of a section it is; at its default, and
   of a job that reads it, it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/data_fit.h"
#include "api/job_fields.h"
#include "tests/api/body.h"

/* The text of the first fault of that param, or NULL. */
static const char *fault_of(const char *param) {
  for (size_t i = 0; i < faults.count; i++)
    if (strcmp(faults.item[i].param, param) == 0)
      return faults.item[i].text;
  return NULL;
}

static void parse(const char *members) {
  parse_body("'training_file':'f','validation_file':'v'", members, 1);
}

/* Another value than its default. */
static void other_value(char out[40], const struct field *field) {
  switch (field->kind) {
  case FIELD_BOOL: snprintf(out, 40, "%s", field->initial && *field->initial == 't' ? "false" : "true"); return;
  case FIELD_CHOICE:
    snprintf(out, 40, "'%s'", field->choices[field->initial && strcmp(field->choices[0], field->initial) == 0]);
    return;
  case FIELD_STRING: snprintf(out, 40, "'x'"); return;
  case FIELD_STRING_LIST: snprintf(out, 40, "['x']"); return;
  case FIELD_INT:
  case FIELD_NUMBER: snprintf(out, 40, "%g", (field->initial ? strtod(field->initial, NULL) : 0) + 1); return;
  case FIELD_INT_LIST:
  case FIELD_NUMBER_MAP: break;
  }
  fail_msg("%s: no value of such a field", field->name);
}

static void each_member_of_a_section(void **state) {
  (void)state;
  static const struct {
    const char *path, *task, *own;
  } sections[] = {{"image", ",'task':'classification'", ",'task':'subject-driven'"},
                  {"image", "", ",'task':'subject-driven'"},
                  {"embedding", ",'task':'subject-driven'", ",'task':'embedding'"},
                  {"embedding", ",'method':{'type':'orpo'}", ",'task':'embedding'"}};
  for (size_t s = 0; s < COUNT_OF(sections); s++) {
    size_t at = 0;
    while (strcmp(job_sections[at].path, sections[s].path) != 0)
      at++;
    const struct field_table *fields = &job_sections[at].fields;
    for (size_t i = 0; i < fields->count; i++) {
      char value[40], members[200], param[80];
      other_value(value, &fields->fields[i]);
      snprintf(param, sizeof param, "%s.%s", sections[s].path, fields->fields[i].name);
      snprintf(members, sizeof members, "%s,'%s':{'%s':%s}", sections[s].task, sections[s].path, fields->fields[i].name,
               value);
      parse(members);
      if (!fault_of(param) || !strstr(fault_of(param), " is for "))
        fail_msg("%s: %zu faults, %s", members, faults.count, faults.item[0].text);
      snprintf(members, sizeof members, "%s,'%s':{'%s':%s}", sections[s].own, sections[s].path, fields->fields[i].name,
               value);
      parse(members);
      if (fault_of(param) && strstr(fault_of(param), "; the task is "))
        fail_msg("%s: %s", members, fault_of(param));
    }
  }
}

static void others(void **state) {
  (void)state;
  static const struct {
    const char *members, *param, *says; /* says NULL: nothing is wrong */
  } cases[] = {
      {",'task':'regression','image':{'resolution':64}", "image.resolution", "the task is regression"},
      {",'image':{'resolution':64}", "image.resolution", "no task is named"},
      {",'method':{'type':'dpo'},'image':{'resolution':64}", "image.resolution", "the task is preference"},
      {",'task':'classification','evaluation':{'generate':{}}", "evaluation.generate",
       "for language models; the task is classification"},
      {",'task':'subject-driven','evaluation':{'generate':{}}", "evaluation.generate", "the task is subject-driven"},
      {",'task':'classification','hyperparameters':{'train_on_inputs':true}", "train_on_inputs", "language models"},
      {",'task':'language_model','hyperparameters':{'train_head':false}", "train_head", "classifiers"},
      {",'task':'reranking','hyperparameters':{'train_head':false}", "train_head", NULL},
      {",'task':'token_classification','hyperparameters':{'train_head':false}", "train_head", NULL},
      {",'task':'language_model','hyperparameters':{'train_on_inputs':true}", "train_on_inputs", NULL},
      {",'task':'classification','image':{'num_inference_steps':25,'clip_model':null}", "image.num_inference_steps",
       NULL},
      {",'task':'classification','embedding':{'scale':20}", "embedding.scale", NULL},
      {",'embedding':{'scale':3},'hyperparameters':{'train_head':false}", "embedding.scale", NULL}, /* data decide */
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    parse(cases[i].members);
    const char *text = fault_of(cases[i].param);
    if (cases[i].says ? !text || !strstr(text, cases[i].says) : faults.count > 0)
      fail_msg("%s: %zu faults, %s", cases[i].members, faults.count, faults.count ? faults.item[0].text : "");
  }
}

/* Where no task is named, what the data are for decides. */
static void data_decide(void **state) {
  (void)state;
  static const struct {
    const char *members;
    enum data_use use;
    const char *param; /* NULL: nothing is wrong */
  } cases[] = {{",'embedding':{'scale':3}", USE_LABELLED, "embedding.scale"},
               {",'embedding':{'scale':3}", USE_EMBEDDING, NULL},
               {",'hyperparameters':{'train_head':false}", USE_LABELLED, NULL},
               {",'hyperparameters':{'train_head':false}", USE_TEXT, "train_head"},
               {",'hyperparameters':{'train_on_inputs':true}", USE_CHAT, NULL},
               {",'hyperparameters':{'train_on_inputs':true}", USE_TAGS, "train_on_inputs"}};
  AUTO(json_release) json_t *report = json_pack("{s:i}", "examples", 40);
  const struct data_file file = {.id = "f", .param = "training_file", .report = report};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    parse(cases[i].members);
    assert_int_equal(faults.count, 0);
    data_fit_judge(&spec, cases[i].use, &file, &faults);
    if (cases[i].param ? !fault_of(cases[i].param) : faults.count > 0)
      fail_msg("%s: %zu faults, %s", cases[i].members, faults.count, faults.count ? faults.item[0].text : "");
  }
}

/* A job that is shown can be sent again: what others read stands in it at its default. */
static void a_written_job_is_a_body(void **state) {
  (void)state;
  parse(",'task':'classification'");
  assert_int_equal(faults.count, 0);
  AUTO(json_release) json_t *written = job_spec_json(&spec);
  assert_non_null(json_object_get(written, "image"));
  struct job_spec again;
  job_spec_parse(&again, written, 1, &arena, &faults);
  if (faults.count)
    fail_msg("%s", faults.item[0].text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_member_of_a_section),
      cmocka_unit_test(others),
      cmocka_unit_test(data_decide),
      cmocka_unit_test(a_written_job_is_a_body),
  };
  return cmocka_run_group_tests(tests, NULL, close_body);
}
