/* What forms are made from is what is accepted: every member of every section and method is taken at its default and at
   its bounds, and refused beyond them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/capabilities.h"
#include "api/job_task.h"
#include "api/objective.h"
#include "api/sweep.h"
#include "base/json.h"

static json_t *capabilities;

static int start(void **state) {
  (void)state;
  capabilities = capabilities_json();
  return capabilities ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  json_decref(capabilities);
  return 0;
}

static const char *text_of(const json_t *object, const char *name) {
  return json_string_value(json_object_get(object, name));
}

/* A body with `value` at `path`.`name`; takes its reference. */
static json_t *body_with(const char *path, const char *name, json_t *value) {
  json_t *body = json_pack("{s:s, s:s, s:s}", "model", "m", "training_file", "file-1", "validation_file", "file-2");
  json_t *at = body;
  char part[64];
  for (const char *from = path; *from;) {
    size_t length = strcspn(from, ".");
    snprintf(part, sizeof part, "%.*s", (int)length, from);
    json_t *next = json_object();
    json_object_set_new(at, part, next);
    if (strcmp(part, "method") == 0)
      json_object_set_new(next, "type", json_string("supervised"));
    at = next;
    from += length + (from[length] == '.');
  }
  json_object_set_new(at, name, value);
  if (strcmp(path, "image") == 0) /* of no other task's job */
    json_object_set_new(body, "task", json_string("controllable"));
  return body;
}

/* Takes the reference of `body`. The member at fault first, or "". */
static void parse(char param[96], json_t *body, struct job_spec *spec, struct arena *arena) {
  struct fault_list faults = {0};
  job_spec_parse(spec, body, 7, arena, &faults);
  snprintf(param, 96, "%s", faults.count ? faults.item[0].param : "");
  if (spec)
    spec->metadata = NULL; /* borrowed from the body */
  json_decref(body);
}

static bool taken(json_t *body) {
  AUTO(arena_done) struct arena arena;
  struct job_spec spec;
  char param[96];
  arena_init(&arena, 1 << 20);
  parse(param, body, &spec, &arena);
  return !param[0];
}

static json_t *copy(const json_t *value) {
  return json_deep_copy(value);
}

/* Values that other members must go with are not tried here. */
static bool alone(const char *path, const char *name) {
  static const char *const others[] = {"recipe",          "task",    "layers_pattern", "layers_to_transform",
                                       "from_checkpoint", "exports", "compat",         "extractor"};
  for (size_t i = 0; i < COUNT_OF(others); i++)
    if (strcmp(name, others[i]) == 0)
      return false;
  return strcmp(name, "metric") != 0 || strcmp(path, "evaluation") != 0;
}

static void try_bounds(const char *path, const json_t *member, json_t *(*body)(const char *, const char *, json_t *)) {
  const char *name = text_of(member, "name"), *type = text_of(member, "type");
  const json_t *low = json_object_get(member, "minimum"), *high = json_object_get(member, "maximum");
  bool real = type && strcmp(type, "number") == 0;
  if (!type || (!real && strcmp(type, "integer") != 0))
    return;
  if (high &&
      (!taken(body(path, name, copy(high))) || taken(body(path, name, json_real(json_number_value(high) * 2 + 1)))))
    fail_msg("%s.%s: maximum %g is not where it ends", path, name, json_number_value(high));
  if (low && taken(body(path, name, json_real(json_number_value(low) - 1))))
    fail_msg("%s.%s: minimum %g is not where it begins", path, name, json_number_value(low));
  const json_t *above = json_object_get(member, "exclusiveMinimum");
  if (above && taken(body(path, name, copy(above))))
    fail_msg("%s.%s: %g is taken", path, name, json_number_value(above));
}

static void try_member(const char *path, const json_t *member, json_t *(*body)(const char *, const char *, json_t *)) {
  const char *name = text_of(member, "name");
  const json_t *initial = json_object_get(member, "default"), *choices = json_object_get(member, "enum");
  json_t *choice;
  size_t i;
  assert_non_null(name);
  assert_true(strlen(text_of(member, "description")) > 10);
  if (!alone(path, name))
    return;
  if (initial && !taken(body(path, name, copy(initial))))
    fail_msg("%s.%s: its default is refused", path, name);
  json_array_foreach(choices, i, choice) if (!taken(body(path, name, copy(choice))))
      fail_msg("%s.%s: choice %zu is refused", path, name, i);
  if (choices && taken(body(path, name, json_string("something else"))))
    fail_msg("%s.%s: takes what is no choice", path, name);
  try_bounds(path, member, body);
}

static void every_member_is_taken_within_its_bounds(void **state) {
  (void)state;
  const json_t *section, *member;
  size_t i, j, count = 0;
  json_array_foreach(json_object_get(capabilities, "job"), i, section)
      json_array_foreach(json_object_get(section, "members"), j, member) {
    try_member(text_of(section, "path"), member, body_with);
    count++;
  }
  assert_true(count > 50);
}

static const char *peft_type;

static json_t *adapter_with(const char *path, const char *name, json_t *value) {
  json_t *body = body_with(path, name, value), *adapter = json_object_get(body, "adapter");
  json_object_set_new(adapter, "peft_type", json_string(peft_type));
  /* One of two sizes must be 0. */
  bool number = strcmp(name, "r") == 0 || strcmp(name, "boft_block_num") == 0;
  if (number && json_integer_value(json_object_get(adapter, name)) == 0 && strcmp(peft_type, "BOFT") == 0)
    json_object_set_new(adapter, "boft_block_size", json_integer(4));
  if (strcmp(name, "boft_block_size") == 0 && json_integer_value(value) == 0)
    json_object_set_new(adapter, "boft_block_num", json_integer(4));
  if (strcmp(name, "oft_block_size") == 0 && json_integer_value(value) == 0)
    json_object_set_new(adapter, "r", json_integer(4));
  return body;
}

static void every_method_is_whole(void **state) {
  (void)state;
  const json_t *method, *member;
  size_t i, j;
  assert_int_equal(json_array_size(json_object_get(capabilities, "methods")), PEFT_COUNT);
  json_array_foreach(json_object_get(capabilities, "methods"), i, method) {
    bool targets = false;
    peft_type = text_of(method, "peft_type");
    assert_true(json_number_value(json_object_get(method, "learning_rate")) > 0);
    json_array_foreach(json_object_get(method, "members"), j, member) {
      targets |= strcmp(text_of(member, "name"), "target_modules") == 0;
      try_member("adapter", member, adapter_with);
    }
    assert_true(targets);
  }
}

static void tasks_recipes_and_exports_are_taken(void **state) {
  (void)state;
  const json_t *row;
  json_t *name;
  const char *key;
  size_t i;
  assert_int_equal(json_array_size(json_object_get(capabilities, "tasks")), JOB_TASK_COUNT - 1);
  json_array_foreach(json_object_get(capabilities, "tasks"), i, row) {
    bool images = strcmp(text_of(row, "learns"), "image generation") == 0;
    assert_true(json_is_boolean(json_object_get(row, "images")));
    assert_int_equal(json_is_true(json_object_get(row, "images")), images);
    json_t *body = body_with("", "task", json_string(text_of(row, "name")));
    if (strcmp(text_of(row, "name"), "preference") == 0)
      json_object_set_new(body, "method", json_pack("{s:s}", "type", "dpo"));
    json_object_set_new(body, "evaluation", json_pack("{s:s}", "metric", text_of(row, "default_metric")));
    assert_true(taken(body));
  }
  json_array_foreach(json_object_get(capabilities, "recipes"), i, row)
      json_object_foreach(json_object_get(row, "members"), key, name) {
    json_t *body = body_with("", "task", json_string(key));
    json_object_set_new(body, "recipe", json_string(text_of(row, "name")));
    assert_true(taken(body) && json_object_size(name) > 0);
  }
  json_array_foreach(json_object_get(capabilities, "exports"), i, row)
      assert_true(taken(body_with("", "exports", json_pack("[s]", text_of(row, "name")))));
  assert_true(json_array_size(json_object_get(capabilities, "precisions")) == PRECISION_COUNT);
}

/* Each objective's own members are taken under its name, and each method that a sweep can compare by a sweep. */
static void objectives_and_sweeps_are_taken(void **state) {
  (void)state;
  const json_t *row, *member;
  size_t i, j;
  assert_int_equal(json_array_size(json_object_get(capabilities, "objectives")), OBJECTIVE_COUNT);
  json_array_foreach(json_object_get(capabilities, "objectives"), i, row)
      json_array_foreach(json_object_get(row, "members"), j, member) {
    const char *name = text_of(row, "name");
    json_t *own = json_pack("{s{sO}}", "hyperparameters", text_of(member, "name"), json_object_get(member, "default"));
    if (!taken(body_with("", "method", json_pack("{ss so}", "type", name, name, own))))
      fail_msg("%s: the default of %s is refused", name, text_of(member, "name"));
  }
  AUTO(arena_done) struct arena arena;
  struct sweep_spec spec;
  struct fault_list faults = {0};
  const json_t *sweep = json_object_get(capabilities, "sweep");
  AUTO(json_release) json_t *body = json_pack("{s{ss ss} sO}", "job", "model", "m", "training_file", "file-1",
                                              "methods", json_object_get(sweep, "methods"));
  arena_init(&arena, 1 << 20);
  sweep_parse(&spec, body, &arena, &faults);
  assert_int_equal(faults.count, 0);
  assert_int_equal(spec.count, json_array_size(json_object_get(sweep, "methods")));
  assert_int_equal(json_integer_value(json_object_get(sweep, "jobs_max")), SWEEP_JOBS_MAX);
}

static void models_have_tasks_by_what_they_can_be(void **state) {
  (void)state;
  AUTO(json_release) json_t *found = capabilities_tasks((struct data_tasks){.language = true});
  assert_int_equal(json_array_size(found), 2);
  assert_string_equal(json_string_value(json_array_get(found, 0)), "language_model");
  assert_string_equal(json_string_value(json_array_get(found, 1)), "preference");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_member_is_taken_within_its_bounds), cmocka_unit_test(every_method_is_whole),
      cmocka_unit_test(tasks_recipes_and_exports_are_taken), cmocka_unit_test(models_have_tasks_by_what_they_can_be),
      cmocka_unit_test(objectives_and_sweeps_are_taken)};
  return cmocka_run_group_tests(tests, start, stop);
}
