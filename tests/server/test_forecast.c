/* Proves: a forecast counts the jobs of others that go before by priorities and turns, and says when a place is free
   for the job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/forecast.h"

static struct queue_lane lanes[] = {
    {"a", 5, 2, 7}, {"a", 0, 10, 7}, {"b", 5, 3, 2}, {"b", 0, 4, 2}, {"c", 0, 1, 9}, {"c", -3, 50, 9},
};
static struct forecast forecast = {.lanes = lanes, .lane_count = COUNT_OF(lanes)};

static int64_t others(const char *tenant, int64_t priority, int64_t position) {
  return forecast_others(&forecast, &(struct job_row){.tenant = tenant, .priority = priority}, position);
}

static void test_others(void **state) {
  (void)state;
  assert_int_equal(others("a", 5, 0), 1); /* b's turn lies longer ago */
  assert_int_equal(others("a", 5, 1), 2);
  assert_int_equal(others("b", 5, 0), 0);
  assert_int_equal(others("b", 5, 2), 2);
  assert_int_equal(others("a", 0, 2), 3 + 1); /* its first of that priority */
  assert_int_equal(others("a", 0, 2 + 9), 3 + 4 + 1);
  assert_int_equal(others("c", -3, 1), 12 + 7);
  assert_int_equal(others("new", 9, 0), 0);
}

static int64_t position(const char *tenant, int64_t priority) {
  return forecast_position(&forecast, &(struct job_row){.tenant = tenant, .priority = priority});
}

static void test_position(void **state) {
  (void)state;
  assert_int_equal(position("a", 0), 12); /* behind those of its own priority */
  assert_int_equal(position("a", 1), 2);
  assert_int_equal(position("a", 6), 0);
  assert_int_equal(position("c", -3), 51);
  assert_int_equal(position("new", 0), 0);
}

static double seconds(const struct forecast *f, int64_t priority, const char *device, int64_t ahead) {
  return forecast_seconds(f, &(struct job_row){.device_wanted = device, .priority = priority}, INT64_MAX, ahead);
}

static const struct device_info gpu = {.name = "cuda:0", .gpu = true};

static void test_start(void **state) {
  (void)state;
  struct forecast f = {.places = 3, .job_seconds = 100};
  f.place[0].device = f.place[1].device = &forecast_cpu;
  f.place[2].device = &gpu;
  f.place[0].free_in = 50;
  f.place[1].free_in = 80;
  f.place[2].free_in = 400;
  assert_true(seconds(&f, 0, "cpu", 0) >= 50 && seconds(&f, 0, "cpu", 0) <= 51);
  assert_true(seconds(&f, 0, "cpu", 1) >= 80 && seconds(&f, 0, "cpu", 1) <= 81);
  assert_true(seconds(&f, 0, "cpu", 5) >= 280 && seconds(&f, 0, "cpu", 5) <= 281);
  assert_true(seconds(&f, 0, "cuda", 0) >= 400 && seconds(&f, 0, "cuda", 0) <= 401);
  assert_true(seconds(&f, 0, "opencl", 0) < 0);
  f.place[1].free_in = 0;
  assert_true(seconds(&f, 0, "auto", 0) == 0);
  f.job_seconds = -1; /* nobody knows how long the one will take that begins there */
  assert_true(seconds(&f, 0, "cpu", 0) == 0);
  assert_true(seconds(&f, 0, "cpu", 1) >= 50 && seconds(&f, 0, "cpu", 1) <= 51);
  assert_true(seconds(&f, 0, "cpu", 2) < 0);
  f.place[0].free_in = -1;
  assert_true(seconds(&f, 0, "cpu", 1) < 0);
}

/* A device that is no GPU is no place for jobs that name none. */
static void test_other_device(void **state) {
  (void)state;
  const struct device_info other = {.name = "opencl:0"};
  struct forecast f = {.places = 2, .job_seconds = 100};
  f.place[0].device = &forecast_cpu;
  f.place[0].free_in = 70;
  f.place[1].device = &other;
  assert_true(seconds(&f, 0, "auto", 0) >= 70 && seconds(&f, 0, "auto", 0) <= 71);
  assert_true(seconds(&f, 0, "opencl", 0) == 0);
  assert_true(seconds(&f, 0, "opencl:0", 0) == 0);
  f.place[1].device = &gpu;
  assert_true(seconds(&f, 0, "auto", 0) == 0);
}

/* A place whose job has to yield is free at once, also where nobody knows how long it would have taken. */
static void test_preemption(void **state) {
  (void)state;
  struct forecast f = {.places = 2, .job_seconds = 100, .preemption = 5};
  f.place[0].device = f.place[1].device = &forecast_cpu;
  f.place[0].busy = f.place[1].busy = true;
  f.place[0].free_in = -1;
  f.place[1].free_in = 300;
  f.place[1].priority = 3;
  assert_true(seconds(&f, 4, "cpu", 0) >= 300);
  assert_true(seconds(&f, 5, "cpu", 0) == 0);
  assert_true(seconds(&f, 5, "cpu", 1) >= 100 && seconds(&f, 5, "cpu", 1) <= 101);
  assert_true(seconds(&f, 8, "cpu", 1) == 0);
  f.preemption = 0;
  assert_true(seconds(&f, 100, "cpu", 0) >= 300);
}

/* Jobs of which the budget holds only some side by side wait until all but so many have ended. */
static void test_side_by_side(void **state) {
  (void)state;
  struct forecast f = {.places = 4, .job_seconds = 100};
  const struct job_row job = {.device_wanted = "cpu"};
  for (size_t i = 0; i < f.places; i++)
    f.place[i].device = &forecast_cpu;
  assert_true(forecast_seconds(&f, &job, 2, 1) == 0); /* nothing runs */
  double wait = forecast_seconds(&f, &job, 2, 2);
  assert_true(wait >= 100 && wait <= 101);
  f.place[1].free_in = 30;
  f.place[2].free_in = 50;
  f.place[3].free_in = 80;
  assert_true(forecast_seconds(&f, &job, 4, 0) == 0);
  wait = forecast_seconds(&f, &job, 2, 0); /* one of the three may go on beside it */
  assert_true(wait >= 50 && wait <= 51);
  wait = forecast_seconds(&f, &job, 1, 0);
  assert_true(wait >= 80 && wait <= 81);
  f.place[3].free_in = -1;
  assert_true(forecast_seconds(&f, &job, 1, 0) < 0);
  assert_true(forecast_seconds(&f, &(struct job_row){.device_wanted = "cuda"}, 1, 0) < 0);
  f.place[0].device = &gpu; /* takes nothing of it */
  assert_true(forecast_seconds(&f, &(struct job_row){.device_wanted = "auto"}, 1, 0) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_others), cmocka_unit_test(test_position),
                                     cmocka_unit_test(test_start), cmocka_unit_test(test_other_device),
                                     cmocka_unit_test(test_preemption), cmocka_unit_test(test_side_by_side)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
