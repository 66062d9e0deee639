/* Proves: what was told of the modules is kept by steps, the first word holds, and it goes with its job alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/tenant.h"
#include "storage/db_job_change.h"
#include "storage/db_telemetry.h"
#include "tests/storage/store.h"

static void add(struct fixture *f, const char *job, int64_t step, const char *data) {
  const struct telemetry_row row = {.step = step, .data = data};
  assert_int_equal(db_telemetry_add(f->db, job, &row, &f->err), STATUS_OK);
}

static size_t listed(struct fixture *f, struct telemetry_row **rows, const char *job, int64_t first, int64_t limit,
                     bool *more) {
  size_t count;
  assert_int_equal(db_telemetry_list(rows, &count, more, f->db, job, first, limit, &f->arena, &f->err), STATUS_OK);
  return count;
}

static int set_up(void **state) {
  struct fixture *f = store_new();
  for (int i = 0; i < 2; i++) {
    struct job_row row = store_job(i ? "ftjob-b" : "ftjob-a", TENANT_DEFAULT);
    row.state = JOB_VALIDATING;
    assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
  }
  for (int64_t step = 9; step >= 1; step--)
    add(f, "ftjob-a", step, "{}");
  add(f, "ftjob-b", 4, "{\"b\":1}");
  *state = f;
  return 0;
}

static void is_listed_by_steps(void **state) {
  struct fixture *f = *state;
  struct telemetry_row *rows;
  bool more;
  assert_int_equal(listed(f, &rows, "ftjob-a", 3, 4, &more), 4);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(rows[i].step, 3 + (int64_t)i);
  assert_true(more);
  assert_int_equal(listed(f, &rows, "ftjob-a", 6, 4, &more), 4);
  assert_false(more);
  assert_int_equal(listed(f, &rows, "ftjob-a", 10, 4, &more), 0);
}

static void the_first_word_holds(void **state) {
  struct fixture *f = *state;
  struct telemetry_row *rows;
  bool more;
  add(f, "ftjob-b", 4, "{\"b\":2}");
  assert_int_equal(listed(f, &rows, "ftjob-b", 0, 9, &more), 1);
  assert_string_equal(rows[0].data, "{\"b\":1}");
}

static void goes_with_its_job(void **state) {
  struct fixture *f = *state;
  struct telemetry_row *rows;
  bool more, moved;
  assert_int_equal(db_job_move(f->db, "ftjob-a", JOB_VALIDATING, JOB_CANCELLED, NULL, 200, &moved, &f->err), STATUS_OK);
  assert_int_equal(db_job_delete(f->db, TENANT_DEFAULT, "ftjob-a", &f->err), STATUS_OK);
  assert_int_equal(listed(f, &rows, "ftjob-a", 0, 9, &more), 0);
  assert_int_equal(listed(f, &rows, "ftjob-b", 0, 9, &more), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(is_listed_by_steps, set_up, store_done),
      cmocka_unit_test_setup_teardown(the_first_word_holds, set_up, store_done),
      cmocka_unit_test_setup_teardown(goes_with_its_job, set_up, store_done),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
