/* Proves that the metrics of a step make the progress of a job newer, its phase among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cli/watch_view.h"

static void a_step_ends_the_phase_before_it(void **state) {
  struct cli cli = {.json = false};
  struct watch_view view;
  (void)state;
  watch_view_init(&view, &cli);
  watch_view_job(&view, json_pack("{s:s, s:{s:s, s:i, s:i}}", "status", "running", "progress", "phase", "tokenise",
                                  "step", 0, "total_steps", 6));
  json_t *step =
      json_pack("{s:s, s:s, s:{s:i, s:f}}", "id", "ftevent-1", "type", "metrics", "data", "step", 1, "train_loss", 0.5);
  watch_view_event(&view, step);
  const json_t *progress = json_object_get(view.job, "progress");
  assert_string_equal(json_string_value(json_object_get(progress, "phase")), "train");
  assert_int_equal(json_integer_value(json_object_get(progress, "step")), 1);
  assert_int_equal(json_integer_value(json_object_get(progress, "total_steps")), 6);
  json_decref(step);
  watch_view_done(&view);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_ends_the_phase_before_it)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
