/* Proves that the options of `jobs create` make a body that the server's own parser reads as meant, and
   that options go over a spec file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "api/job.h"
#include "api/objective.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/job_body.h"

enum { ARGUMENTS_MAX = 40 };

/* The body that the arguments (ended by NULL) make. The caller releases it. */
static json_t *body_of(const char *const *argv) {
  struct create_options options = {0};
  struct operands operands;
  struct error err = {0};
  json_t *document = json_object(), *body = NULL;
  const struct option_target target = {&create_option_table, &options, document};
  size_t argc = 0, used = 0;
  while (argv[argc])
    argc++;
  assert_int_equal(options_parse(&operands, &used, argv, argc, &target, 1, false, &err), STATUS_OK);
  assert_int_equal(job_body_make(&body, &options, document, &err), STATUS_OK);
  json_decref(document);
  return body;
}

#define BODY(...) body_of((const char *[ARGUMENTS_MAX]){__VA_ARGS__, NULL})

static void all_linear_is_no_module(void **state) {
  (void)state;
  json_t *body = BODY("--model", "m", "--method", "hra", "--target-modules", "all-linear");
  assert_string_equal(json_string_value(json_object_get(json_object_get(body, "adapter"), "target_modules")),
                      "all-linear");
  json_decref(body);
  body = BODY("--model", "m", "--method", "hra", "--target-modules", "query");
  assert_int_equal(json_array_size(json_object_get(json_object_get(body, "adapter"), "target_modules")), 1);
  json_decref(body);
}

static void the_server_reads_what_was_meant(void **state) {
  struct job_spec spec;
  struct fault_list faults = {0};
  struct arena arena;
  (void)state;
  json_t *body = BODY("--model", "m", "--method", "hra", "--r", "6", "--target-modules", "query,key", "--lr", "5e-3",
                      "--epochs", "2", "--batch", "32", "--schedule", "cosine", "--warmup-ratio", "0.1", "--clip",
                      "0.5", "--label-column", "category", "--eval-steps", "7", "--seed", "3", "--orth-lambda",
                      "1e-4", "--metadata", "team=a");
  json_object_set_new(body, "training_file", json_string("file-1"));
  arena_init(&arena, 1 << 20);
  job_spec_parse(&spec, body, 0, &arena, &faults);
  assert_int_equal(faults.count, 0);
  assert_string_equal(spec.model, "m");
  assert_int_equal(spec.adapter.peft_type, PEFT_HRA);
  assert_int_equal(spec.adapter.hra.r, 6);
  assert_true(spec.adapter.hra.orth_lambda == 1e-4);
  assert_int_equal(spec.adapter.target_modules.names.count, 2);
  assert_true(spec.hyperparameters.learning_rate == 5e-3);
  assert_int_equal(spec.hyperparameters.n_epochs, 2);
  assert_int_equal(spec.hyperparameters.batch_size, 32);
  assert_int_equal(spec.hyperparameters.lr_scheduler_type, SCHEDULE_COSINE);
  assert_true(spec.hyperparameters.warmup_ratio == 0.1);
  assert_true(spec.hyperparameters.max_grad_norm == 0.5);
  assert_string_equal(spec.columns.label, "category");
  assert_int_equal(spec.evaluation.every_steps, 7);
  assert_int_equal(spec.seed, 3);
  arena_done(&arena);
  json_decref(body);
}

/* Does the server know the option with this method and objective? A value may be refused for its bounds, never as
 * unknown. */
static bool is_known(const struct option_row *row, const char *method, const char *objective) {
  static const char *const sample[] = {
    [OPTION_FLAG] = "", [OPTION_BOOL] = "true", [OPTION_TEXT] = "x",
    [OPTION_INT] = "1", [OPTION_NUMBER] = "0.5", [OPTION_LIST] = "a,b", [OPTION_PAIR] = "k=v",
    [OPTION_MEMBER] = "seed=1",
  };
  struct job_spec spec;
  struct fault_list faults = {0};
  struct arena arena;
  char argument[128], about[64], towards[64];
  bool known = true;
  snprintf(about, sizeof about, "--method=%s", method);
  snprintf(argument, sizeof argument, "--%s%s%s", row->name, row->kind == OPTION_FLAG ? "" : "=", sample[row->kind]);
  snprintf(towards, sizeof towards, "--objective=%s", objective);
  json_t *body = BODY(about, towards, argument);
  arena_init(&arena, 1 << 20);
  job_spec_parse(&spec, body, 0, &arena, &faults);
  for (size_t f = 0; f < faults.count; f++)
    known = known && faults.item[f].status != STATUS_UNKNOWN_PARAMETER;
  assert_int_equal(faults.more, 0);
  arena_done(&arena);
  json_decref(body);
  return known;
}

/* Every option of the table is one that the server knows, with one method and objective at least. */
static void the_server_knows_every_option(void **state) {
  size_t checked = 0;
  (void)state;
  for (size_t i = 0; i < create_option_table.count; i++) {
    const struct option_row *row = &create_option_table.rows[i];
    bool known = !row->path;
    for (int m = 0; m < PEFT_COUNT * OBJECTIVE_COUNT && !known; m++)
      known = is_known(row, method_of((enum peft_type)(m % PEFT_COUNT))->name, objective_names[m / PEFT_COUNT]);
    if (!known)
      fail_msg("--%s: no method knows it", row->name);
    checked += row->path != NULL;
  }
  assert_true(checked > 20);
}

/* Every member can be set; hyperparameters are named as the server's answers name them. */
static void members_are_set(void **state) {
  (void)state;
  json_t *body = BODY("--set", "hyperparameters.adam_beta2=0.95", "--objective", "dpo", "--epochs", "1", "--set",
                      "checkpointing.every_seconds=60", "--set", "adapter.layers_to_transform=[0, 1]");
  json_t *want = json_pack("{s:{s:s,s:{s:{s:f,s:i}}}, s:{s:i}, s:{s:[i,i]}}", "method", "type", "dpo", "dpo",
                           "hyperparameters", "adam_beta2", 0.95, "n_epochs", 1, "checkpointing", "every_seconds", 60,
                           "adapter", "layers_to_transform", 0, 1);
  assert_non_null(want);
  assert_true(json_equal(body, want));
  json_decref(body);
  json_decref(want);
}

/* Hyperparameters stand below the objective, wherever that is said. */
static void options_are_the_objectives(void **state) {
  static const char text[] = "{\"method\": {\"type\": \"dpo\", \"dpo\": {\"hyperparameters\": {\"beta\": 0.5}}}}";
  char path[] = "/tmp/reflect-spec-XXXXXX";
  struct error err;
  (void)state;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  assert_int_equal(file_put(path, text, sizeof text - 1, &err), STATUS_OK);
  json_t *body = BODY("--spec", path, "--epochs", "1"), *said = BODY("--objective", "kto", "--beta", "0.25");
  json_t *want = json_pack("{s:{s:s,s:{s:{s:f,s:i}}}}", "method", "type", "dpo", "dpo", "hyperparameters", "beta", 0.5,
                           "n_epochs", 1);
  json_t *also = json_pack("{s:{s:s,s:{s:{s:f}}}}", "method", "type", "kto", "kto", "hyperparameters", "beta", 0.25);
  assert_true(json_equal(body, want) && json_equal(said, also));
  json_decref(body);
  json_decref(said);
  json_decref(want);
  json_decref(also);
  unlink(path);
}

static void options_go_over_a_spec_file(void **state) {
  static const char text[] = "{\"model\": \"m\", \"adapter\": {\"peft_type\": \"HRA\", \"r\": 4}, \"seed\": 1}";
  char path[] = "/tmp/reflect-spec-XXXXXX";
  struct error err;
  (void)state;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  assert_int_equal(file_put(path, text, sizeof text - 1, &err), STATUS_OK);
  json_t *body = BODY("--spec", path, "--r", "8", "--epochs", "1");
  json_t *expected =
      json_pack("{s:s, s:{s:s,s:i}, s:i, s:{s:s,s:{s:{s:i}}}}", "model", "m", "adapter", "peft_type", "HRA", "r", 8,
                "seed", 1, "method", "type", "supervised", "supervised", "hyperparameters", "n_epochs", 1);
  assert_non_null(expected);
  assert_true(json_equal(body, expected));
  json_decref(expected);
  json_decref(body);
  unlink(path);
}

static void a_spec_that_is_no_object_is_refused(void **state) {
  char path[] = "/tmp/reflect-spec-XXXXXX";
  struct error err;
  json_t *body = NULL, *document = json_object();
  (void)state;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  assert_int_equal(file_put(path, "[1]", 3, &err), STATUS_OK);
  const struct create_options options = {.spec = path};
  assert_int_equal(job_body_make(&body, &options, document, &err), STATUS_INVALID_VALUE);
  assert_null(body);
  assert_non_null(strstr(err.text, "expected an object, found an array"));
  assert_int_equal(file_put(path, "{\"a\":\n 1,}", 10, &err), STATUS_OK);
  assert_int_equal(job_body_make(&body, &options, document, &err), STATUS_INVALID_JSON);
  assert_non_null(strstr(err.text, "line 2"));
  json_decref(document);
  unlink(path);
}

static void ids_and_paths_differ(void **state) {
  (void)state;
  assert_true(job_body_is_file_id("file-abc123"));
  assert_false(job_body_is_file_id("./file-abc123"));
  assert_false(job_body_is_file_id("data/file-1.csv"));
  assert_false(job_body_is_file_id("train.csv"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_server_reads_what_was_meant),
      cmocka_unit_test(all_linear_is_no_module),
      cmocka_unit_test(the_server_knows_every_option),
      cmocka_unit_test(members_are_set),
    cmocka_unit_test(options_are_the_objectives),
      cmocka_unit_test(options_go_over_a_spec_file),
      cmocka_unit_test(a_spec_that_is_no_object_is_refused),
      cmocka_unit_test(ids_and_paths_differ),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
