/* Tables of a comparison say what the runs came to: means, sample deviations, failures as rows; text of others neither
   breaks a row of Markdown nor a field of CSV. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/bench_results.h"

#define MEASURED(task_, method_, seed_, best_, last_, seconds_)                                                        \
  {                                                                                                                    \
    .task = (task_), .method = (method_), .size = "r 8", .seed = (seed_), .job = "ftjob-1", .status = "succeeded",     \
    .error = "", .measured = true, .metric = "accuracy", .best = (best_), .last = (last_), .best_step = 10,            \
    .last_step = 20, .parameters = 37634, .seconds = (seconds_)                                                        \
  }
#define FAILED(task_, method_, seed_, why)                                                                             \
  {                                                                                                                    \
    .task = (task_), .method = (method_), .size = "r 4", .seed = (seed_), .job = "ftjob-2", .status = "failed",        \
    .error = (why)                                                                                                     \
  }

static const struct bench_result results[] = {
    MEASURED("cola", "hra", 0, 0.5, 0.4, 10),
    MEASURED("cola", "hra", 1, 0.7, 0.5, 12),
    MEASURED("cola", "hra", 2, 0.6, 0.6, 14),
    MEASURED("cola", "lora", 0, 0.25, 0.125, 3),
    FAILED("cola", "lora", 1, "a \"b\", | c"),
    FAILED("sst2", "hra", 0, "lost\x1b[2J"),
    {.task = "sst2", .method = "hra", .size = "r 4", .seed = 1, .status = "waiting", .error = ""},
};

static void near(double got, double want) {
  if (!(fabs(got - want) < 1e-12))
    fail_msg("%.17g is not %.17g", got, want);
}

static void gathers_cells(void **state) {
  (void)state;
  struct bench_cell cells[COUNT_OF(results)];
  assert_int_equal(bench_cells(cells, results, COUNT_OF(results)), 3);
  assert_int_equal(cells[0].runs, 3);
  assert_int_equal(cells[0].best.count, 3);
  near(cells[0].best.mean, 0.6);
  near(cells[0].best.deviation, 0.1); /* statistics.stdev([0.5, 0.7, 0.6]) */
  near(cells[0].last.mean, 0.5);
  near(cells[0].seconds.mean, 12);
  near(cells[0].seconds.deviation, 2);
  assert_ptr_equal(cells[1].first, &results[3]);
  assert_int_equal(cells[1].runs, 2);
  assert_int_equal(cells[1].failed, 1);
  near(cells[1].best.mean, 0.25);
  assert_true(isnan(cells[1].best.deviation));
  assert_string_equal(cells[1].error, "a \"b\", | c");
  assert_int_equal(cells[2].best.count, 0);
  assert_int_equal(cells[2].runs, 2);
  assert_int_equal(cells[2].failed, 1);
  assert_null(cells[2].shown);
  assert_true(isnan(cells[2].best.mean));
}

static void writes_tables(void **state) {
  (void)state;
  struct bench_cell cells[COUNT_OF(results)];
  size_t count = bench_cells(cells, results, COUNT_OF(results));
  struct str out;
  str_init(&out, 1 << 16);
  bench_markdown(&out, cells, count);
  assert_string_equal(
      out.text,
      "| task | method | size | trainable | runs | metric | best on validation | after the last step | seconds | "
      "failures |\n"
      "|---|---|---|---:|---:|---|---:|---:|---:|---|\n"
      "| cola | hra | r 8 | 37,634 | 3 of 3 | accuracy | 0.6000 ± 0.1000 | 0.5000 ± 0.1000 | 12.0 ± 2.0 | |\n"
      "| cola | lora | r 8 | 37,634 | 1 of 2 | accuracy | 0.2500 | 0.1250 | 3.0 | 1: a \"b\", \\| c |\n"
      "| sst2 | hra | r 4 | – | 0 of 2 | – | – | – | – | 1: lost\\\\u001b[2J |\n");
  str_clear(&out);
  bench_csv(&out, cells, count);
  assert_string_equal(out.text,
                      "task,method,size,metric,trainable_parameters,runs,succeeded,failed,best_mean,best_sd,last_mean,"
                      "last_sd,seconds_mean,seconds_sd,error\r\n"
                      "cola,hra,r 8,accuracy,37634,3,3,0,0.6,0.1,0.5,0.1,12,2,\r\n"
                      "cola,lora,r 8,accuracy,37634,2,1,1,0.25,,0.125,,3,,\"a \"\"b\"\", | c\"\r\n"
                      "sst2,hra,r 4,,,2,0,1,,,,,,,lost\x1b[2J\r\n");
  str_clear(&out);
  bench_runs_csv(&out, results + 3, 2);
  assert_string_equal(out.text,
                      "task,method,size,seed,job,status,metric,best,best_step,last,last_step,trainable_parameters,"
                      "seconds,error\r\n"
                      "cola,lora,r 8,0,ftjob-1,succeeded,accuracy,0.25,10,0.125,20,37634,3,\r\n"
                      "cola,lora,r 4,1,ftjob-2,failed,,,,,,,,\"a \"\"b\"\", | c\"\r\n");
  str_done(&out);
}

static void has_nothing_of_nothing(void **state) {
  (void)state;
  struct bench_cell cells[1];
  struct str out;
  str_init(&out, 1 << 16);
  assert_int_equal(bench_cells(cells, results, 0), 0);
  bench_markdown(&out, cells, 0);
  assert_non_null(strstr(out.text, "| task |"));
  str_done(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gathers_cells),
      cmocka_unit_test(writes_tables),
      cmocka_unit_test(has_nothing_of_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
