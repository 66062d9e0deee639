/* The table of a sweep: ranked by the metric of the adapter that each job has, what failed or is not known last; one
   row a line in each form, whatever is in a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/sweep_results.h"

static const struct sweep_row sweep = {
    .id = "sweep-1", .metric = "f1", .goal = "maximize", .fields = "[\"suffix\"]", .request = "{}"};

#define EVALUATED(last, best)                                                                                          \
  "{\"train_loss\":0.5,\"last\":{\"step\":9,\"valid_f1\":" last "},\"best\":{\"step\":3,\"valid_f1\":" best "}}"
static const struct sweep_member jobs[] = {
    {.id = "a", .state = JOB_QUEUED, .values = "{\"suffix\":\"a|b\"}"},
    {.id = "b",
     .state = JOB_SUCCEEDED,
     .values = "{\"suffix\":\"x,\\\"y\\\"\\nz\"}",
     .started_at = 5,
     .finished_at = 9,
     .estimate = "{\"trainable_parameters\":77}",
     .progress = EVALUATED("0.5", "0.9")},
    {.id = "c", .state = JOB_FAILED, .values = "{}", .error_code = "nan_loss", .progress = EVALUATED("1", "1")},
    {.id = "d", .state = JOB_RUNNING, .values = "{}", .started_at = 5, .progress = EVALUATED("0.6", "0.7")},
    {.id = "e", .state = JOB_SUCCEEDED, .values = "{}", .best_at_end = true, .progress = EVALUATED("0.1", "0.8")},
};

static void make(struct sweep_results *out, const struct sweep_row *row, struct arena *arena) {
  struct error err;
  arena_init(arena, 1 << 20);
  assert_int_equal(sweep_results_make(out, row, jobs, sizeof jobs / sizeof *jobs, 20, arena, &err), STATUS_OK);
}

static void order_is(const struct sweep_results *results, const char *ids, size_t ranked) {
  assert_int_equal(results->count, strlen(ids));
  for (size_t i = 0; i < results->count; i++) {
    assert_int_equal(results->item[i].job->id[0], ids[i]);
    assert_int_equal(results->item[i].rank, i < ranked ? i + 1 : 0);
  }
}

static void ranks(void **state) {
  struct arena arena;
  struct sweep_results results;
  (void)state;
  make(&results, &sweep, &arena);
  order_is(&results, "edbac", 3);
  assert_int_equal(results.item[1].duration, 15);
  assert_int_equal(results.item[2].duration, 4);
  assert_int_equal(results.item[2].parameters, 77);
  assert_int_equal(results.item[2].best_step, 3);
  AUTO(json_release) json_t *best = sweep_results_best(&results);
  assert_string_equal(json_string_value(json_object_get(best, "job_id")), "e");
  assert_true(json_real_value(json_object_get(best, "value")) == 0.8);
  sweep_results_done(&results);
  arena_done(&arena);
}

static void ranks_by_the_training_loss(void **state) {
  struct sweep_row row = sweep;
  struct arena arena;
  struct sweep_results results;
  (void)state;
  row.metric = "train_loss";
  row.goal = "minimize";
  make(&results, &row, &arena);
  order_is(&results, "bdeac", 3); /* of equal ones that which was made first */
  assert_true(results.item[0].value == 0.5);
  sweep_results_done(&results);
  arena_done(&arena);
}

static void writes_tables(void **state) {
  struct arena arena;
  struct sweep_results results;
  struct str text;
  (void)state;
  make(&results, &sweep, &arena);
  str_init(&text, 1 << 16);
  sweep_results_csv(&text, &results);
  assert_string_equal(text.text, "rank,job_id,status,suffix,trainable_parameters,f1,last,best,best_step,train_loss,"
                                 "duration_seconds\r\n"
                                 "1,e,succeeded,,,0.8,0.1,0.8,3,0.5,\r\n"
                                 "2,d,running,,,0.6,0.6,0.7,3,0.5,15\r\n"
                                 "3,b,succeeded,\"x,\"\"y\"\"\nz\",77,0.5,0.5,0.9,3,0.5,4\r\n"
                                 ",a,queued,a|b,,,,,,,\r\n"
                                 ",c,failed,,,1,1,1,3,0.5,\r\n");
  str_clear(&text);
  sweep_results_markdown(&text, &results);
  assert_string_equal(text.text, "| rank | job_id | status | suffix | trainable_parameters | f1 | last | best | "
                                 "best_step | train_loss | duration_seconds |\n"
                                 "|---|---|---|---|---|---|---|---|---|---|---|\n"
                                 "| 1 | e | succeeded |  |  | 0.8 | 0.1 | 0.8 | 3 | 0.5 |  |\n"
                                 "| 2 | d | running |  |  | 0.6 | 0.6 | 0.7 | 3 | 0.5 | 15 |\n"
                                 "| 3 | b | succeeded | x,\"y\" z | 77 | 0.5 | 0.5 | 0.9 | 3 | 0.5 | 4 |\n"
                                 "|  | a | queued | a\\|b |  |  |  |  |  |  |  |\n"
                                 "|  | c | failed |  |  | 1 | 1 | 1 | 3 | 0.5 |  |\n");
  str_done(&text);
  sweep_results_done(&results);
  arena_done(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranks),
      cmocka_unit_test(ranks_by_the_training_loss),
      cmocka_unit_test(writes_tables),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
