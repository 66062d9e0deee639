/* A worker's order survives the way through JSON; a wrong one is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/task.h"
#include "base/json.h"

static struct arena arena;

static int start(void **state) {
  (void)state;
  arena_init(&arena, 1 << 20);
  return 0;
}

static int stop(void **state) {
  (void)state;
  arena_done(&arena);
  return 0;
}

/* No folder and no name: nothing is made. */
static void estimates_need_only_what_they_read(void **state) {
  (void)state;
  struct task task = {
      .kind = TASK_ESTIMATE, .model_dir = "/models/m", .training = {"file-1", "/data/files/1", "a.csv"}};
  struct fault_list faults = {0};
  struct error err;
  struct task got;
  json_t *body = json_pack("{ss ss}", "model", "m", "training_file", "file-1");
  job_spec_parse(&task.spec, body, 9, &arena, &faults);
  json_t *document = task_json(&task);
  assert_int_equal(task_parse(&got, document, &arena, &err), STATUS_OK);
  assert_int_equal(got.kind, TASK_ESTIMATE);
  assert_string_equal(got.spec.model, "m");
  json_object_del(document, "training");
  assert_int_equal(task_parse(&got, document, &arena, &err), STATUS_MISSING_PARAMETER);
  json_decref(document);
  json_decref(body);
}

static void train_orders_survive(void **state) {
  (void)state;
  struct task task = {.kind = TASK_TRAIN,
                      .job_id = "ftjob-1",
                      .fine_tuned_model = "ft:m:x:1",
                      .model_dir = "/models/m",
                      .output_dir = "/data/jobs/1",
                      .training = {"file-1", "/data/files/1", "a.jsonl"},
                      .resume = {2, (const char *[]){"/data/jobs/1/2/state-8", "/data/jobs/1/1/state-4"}},
                      .threads = 3,
                      .matmul = MATMUL_OPENBLAS};
  struct fault_list faults = {0};
  struct error err;
  json_t *body = json_pack("{ss ss s{ss}}", "model", "m", "training_file", "file-1", "metadata", "k", "v");
  job_spec_parse(&task.spec, body, 9, &arena, &faults);
  assert_int_equal(faults.count, 0);
  json_t *document = task_json(&task);
  struct task got;
  assert_int_equal(task_parse(&got, document, &arena, &err), STATUS_OK);
  assert_int_equal(got.kind, TASK_TRAIN);
  assert_string_equal(got.job_id, "ftjob-1");
  assert_string_equal(got.training.filename, "a.jsonl");
  assert_null(got.validation.path);
  assert_int_equal(got.threads, 3);
  assert_int_equal(got.resume.count, 2);
  assert_string_equal(got.resume.item[1], "/data/jobs/1/1/state-4");
  assert_int_equal(got.matmul, MATMUL_OPENBLAS);
  assert_int_equal(got.spec.seed, 9);
  json_t *again = task_json(&got);
  assert_true(json_equal(document, again));
  json_decref(again);
  json_decref(document);
  json_decref(body);
}

static void check_orders_need_no_job(void **state) {
  (void)state;
  struct task task = {.kind = TASK_CHECK, .training = {"file-1", "/data/files/1", "a.csv"}}, got;
  struct error err;
  json_t *document = task_json(&task);
  assert_int_equal(task_parse(&got, document, &arena, &err), STATUS_OK);
  assert_int_equal(got.kind, TASK_CHECK);
  assert_string_equal(got.training.path, "/data/files/1");
  json_decref(document);
}

static void comparisons_need_two_folders(void **state) {
  (void)state;
  struct task task = {.kind = TASK_COMPARE, .maps = {"/data/a", "/data/b", MAPS_LANDMARK, -1, 0.5}}, got;
  struct error err;
  json_t *document = task_json(&task);
  assert_int_equal(task_parse(&got, document, &arena, &err), STATUS_OK);
  assert_int_equal(got.kind, TASK_COMPARE);
  assert_string_equal(got.maps.truth_dir, "/data/a");
  assert_string_equal(got.maps.maps_dir, "/data/b");
  assert_int_equal(got.maps.kind, MAPS_LANDMARK);
  assert_int_equal(got.maps.ignore, -1);
  assert_true(got.maps.scale == 0.5);
  json_decref(document);
}

static void refused(const char *text, const char *param) {
  json_t *document;
  struct task task;
  struct error err;
  assert_int_equal(json_parse(&document, text, strlen(text), NULL, &err), STATUS_OK);
  if (task_parse(&task, document, &arena, &err) == STATUS_OK || strcmp(err.param, param) != 0)
    fail_msg("%s: %s: %s", text, err.param, err.text);
  json_decref(document);
}

static void refuses_wrong_orders(void **state) {
  (void)state;
#define FILE1 "{\"id\":\"f\",\"path\":\"/p\",\"filename\":\"n\"}"
  refused("[]", "");
  refused("{\"training\":" FILE1 "}", "kind");
  refused("{\"kind\":\"dance\",\"training\":" FILE1 "}", "kind");
  refused("{\"kind\":\"check\"}", "training");
  refused("{\"kind\":\"check\",\"training\":null}", "training");
  refused("{\"kind\":\"check\",\"training\":{\"id\":\"f\",\"path\":\"relative\",\"filename\":\"n\"}}", "training");
  refused("{\"kind\":\"check\",\"training\":{\"id\":\"f\",\"path\":\"/p\"}}", "training.filename");
  refused("{\"kind\":\"generate\",\"model_dir\":\"/m\"}", "output_dir");
  refused("{\"kind\":\"generate\",\"output_dir\":\"/o\"}", "model_dir");
  refused("{\"kind\":\"compare\"}", "maps");
#define MAPS(members) "{\"kind\":\"compare\",\"maps\":{\"truth_dir\":\"/a\"," members "}}"
  refused(MAPS("\"kind\":\"canny\""), "maps.maps_dir");
  refused(MAPS("\"maps_dir\":\"b\",\"kind\":\"canny\""), "maps.maps_dir");
  refused(MAPS("\"maps_dir\":\"/b\",\"kind\":\"depth\""), "maps.kind");
  refused(MAPS("\"maps_dir\":\"/b\",\"kind\":\"landmark\",\"scale\":0"), "maps.scale");
  refused("{\"kind\":\"train\",\"job_id\":\"j\",\"fine_tuned_model\":\"m\",\"output_dir\":\"/o\",\"training\":" FILE1
          "}",
          "model_dir");
  refused("{\"kind\":\"train\",\"job_id\":\"j\",\"fine_tuned_model\":\"m\",\"model_dir\":\"/m\",\"output_dir\":\"/o\","
          "\"training\":" FILE1 "}",
          "spec");
  refused("{\"kind\":\"train\",\"job_id\":\"j\",\"fine_tuned_model\":\"m\",\"model_dir\":\"/m\",\"output_dir\":\"/o\","
          "\"resume\":[\"/a\",\"b\"],\"training\":" FILE1 "}",
          "resume");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(estimates_need_only_what_they_read),
                                     cmocka_unit_test(train_orders_survive), cmocka_unit_test(check_orders_need_no_job),
                                     cmocka_unit_test(comparisons_need_two_folders),
                                     cmocka_unit_test(refuses_wrong_orders)};
  return cmocka_run_group_tests(tests, start, stop);
}
