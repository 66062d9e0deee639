/* The states have the client's names, terminal ones are never left, and every other state can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/job_state.h"

static void names_go_both_ways(void **state) {
  (void)state;
  enum job_state parsed;
  for (int s = 0; s < JOB_STATE_COUNT; s++) {
    assert_true(job_state_parse(&parsed, job_state_name((enum job_state)s)));
    assert_int_equal(parsed, s);
  }
  assert_string_equal(job_state_name(JOB_VALIDATING), "validating_files");
  assert_false(job_state_parse(&parsed, "RUNNING"));
}

static void terminal_means_no_way_out(void **state) {
  (void)state;
  for (int from = 0; from < JOB_STATE_COUNT; from++) {
    int ways = 0;
    for (int to = 0; to < JOB_STATE_COUNT; to++)
      ways += job_state_may_move((enum job_state)from, (enum job_state)to);
    assert_int_equal(ways == 0, job_state_terminal((enum job_state)from));
    assert_false(job_state_may_move((enum job_state)from, (enum job_state)from));
  }
}

static void moves_are_those_of_the_table(void **state) {
  (void)state;
  assert_true(job_state_may_move(JOB_QUEUED, JOB_RUNNING));
  assert_true(job_state_may_move(JOB_RUNNING, JOB_QUEUED));
  assert_true(job_state_may_move(JOB_PAUSED, JOB_QUEUED));
  assert_false(job_state_may_move(JOB_VALIDATING, JOB_RUNNING));
  assert_false(job_state_may_move(JOB_QUEUED, JOB_SUCCEEDED));
  assert_false(job_state_may_move(JOB_SUCCEEDED, JOB_CANCELLED));
  for (int from = 0; from < JOB_STATE_COUNT; from++)
    if (!job_state_terminal((enum job_state)from))
      assert_true(job_state_may_move((enum job_state)from, JOB_CANCELLED));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(names_go_both_ways), cmocka_unit_test(terminal_means_no_way_out),
                                     cmocka_unit_test(moves_are_those_of_the_table)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
