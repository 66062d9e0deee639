/* Proves: a job's events are told in their order from any place on, its metrics by their steps, and nothing of another
   job is among them; those of a deleted job go in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/tenant.h"
#include "storage/db_event.h"
#include "storage/db_job_change.h"
#include "tests/storage/store.h"

enum { STEPS = 9 };

static void add(struct fixture *f, const char *job, const char *message, int64_t step) {
  char data[40];
  snprintf(data, sizeof data, "{\"step\":%d}", (int)step);
  const struct event_row row = {.job_id = job,
                                .created_at = 7,
                                .level = LOG_INFO,
                                .metrics = step > 0,
                                .message = message,
                                .data = step > 0 ? data : NULL};
  assert_int_equal(db_event_add(f->db, &row, &f->err), STATUS_OK);
}

/* Two jobs that run side by side. The steps of the first are told from the last to the first, and one of them twice. */
static int set_up(void **state) {
  struct fixture *f = store_new();
  for (int i = 0; i < 2; i++) {
    const struct job_row row = store_job(i ? "ftjob-b" : "ftjob-a", TENANT_DEFAULT);
    assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
  }
  add(f, "ftjob-a", "begun", 0);
  for (int64_t step = STEPS; step >= 1; step--) {
    add(f, "ftjob-a", "trained", step);
    add(f, "ftjob-b", "trained", 100 + step);
  }
  add(f, "ftjob-a", "again", 3);
  *state = f;
  return 0;
}

static void test_after(void **state) {
  struct fixture *f = *state;
  struct event_row *rows;
  size_t count, all = 0;
  int64_t after = 0;
  do {
    assert_int_equal(db_event_after(&rows, &count, f->db, "ftjob-a", after, 4, &f->arena, &f->err), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
      assert_true(rows[i].seq > after);
      after = rows[i].seq;
      assert_string_equal(rows[i].job_id, "ftjob-a");
    }
    all += count;
  } while (count == 4);
  assert_int_equal(all, STEPS + 2);
  assert_string_equal(rows[count - 1].message, "again");
  assert_int_equal(db_event_after(&rows, &count, f->db, "ftjob-a", after, 4, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
  add(f, "ftjob-b", "of another", 0);
  assert_int_equal(db_event_after(&rows, &count, f->db, "ftjob-a", after, 4, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
  assert_int_equal(db_event_after(&rows, &count, f->db, "ftjob-none", 0, 4, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
}

static void test_series(void **state) {
  struct fixture *f = *state;
  struct metrics_row *rows;
  size_t count;
  bool more;
  assert_int_equal(db_event_series(&rows, &count, &more, f->db, "ftjob-a", 2, 5, 10, &f->arena, &f->err), STATUS_OK);
  static const int64_t steps[] = {2, 3, 3, 4, 5};
  assert_int_equal(count, COUNT_OF(steps));
  assert_false(more);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(rows[i].step, steps[i]);
  assert_string_equal(rows[1].data, "{\"step\":3}");
  assert_int_equal(db_event_series(&rows, &count, &more, f->db, "ftjob-a", 1, INT64_MAX, 4, &f->arena, &f->err),
                   STATUS_OK);
  assert_int_equal(count, 4);
  assert_true(more);
  assert_int_equal(rows[3].step, 3);
  assert_int_equal(db_event_series(&rows, &count, &more, f->db, "ftjob-a", STEPS + 1, 99, 4, &f->arena, &f->err),
                   STATUS_OK);
  assert_int_equal(count, 0);
  assert_false(more);
}

static int64_t count(struct fixture *f, const char *job) {
  struct event_row *rows;
  size_t n;
  assert_int_equal(db_event_after(&rows, &n, f->db, job, 0, 1000, &f->arena, &f->err), STATUS_OK);
  return (int64_t)n;
}

/* The events of a job that is deleted go piece by piece; those of others stay, and numbers are not used again. */
static void test_forget(void **state) {
  struct fixture *f = *state;
  struct event_row *rows;
  size_t n;
  bool moved, more = true;
  int64_t of_a = count(f, "ftjob-a"), last;
  assert_int_equal(db_event_last(&last, f->db, "ftjob-a", &f->err), STATUS_OK);
  assert_int_equal(db_job_move(f->db, "ftjob-a", JOB_QUEUED, JOB_CANCELLED, NULL, 9, &moved, &f->err), STATUS_OK);
  assert_int_equal(db_job_delete(f->db, TENANT_DEFAULT, "ftjob-a", &f->err), STATUS_OK);
  for (int64_t left = of_a; left > 0; left = left > 4 ? left - 4 : 0) {
    assert_int_equal(count(f, "ftjob-a"), left);
    assert_true(more);
    assert_int_equal(db_event_forget(&more, f->db, 4, &f->err), STATUS_OK);
  }
  while (more)
    assert_int_equal(db_event_forget(&more, f->db, 4, &f->err), STATUS_OK);
  assert_int_equal(count(f, "ftjob-a"), 0);
  assert_int_equal(count(f, "ftjob-b"), STEPS);
  add(f, "ftjob-b", "later", 0);
  assert_int_equal(db_event_after(&rows, &n, f->db, "ftjob-b", last, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(n, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_after, set_up, store_done),
      cmocka_unit_test_setup_teardown(test_series, set_up, store_done),
      cmocka_unit_test_setup_teardown(test_forget, set_up, store_done),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
