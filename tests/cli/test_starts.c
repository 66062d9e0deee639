/* Proves that every beginning is one of a task that jobs know, and that its records are JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/job_task.h"
#include "base/json.h"
#include "cli/starts.h"

static bool is_task(const char *name) {
  for (int i = 0; i < JOB_TASK_COUNT; i++)
    if (strcmp(job_task_names[i], name) == 0)
      return true;
  return false;
}

static void every_start_is_of_a_task(void **state) {
  (void)state;
  assert_true(start_count >= 7);
  for (size_t i = 0; i < start_count; i++) {
    assert_true(is_task(starts[i].task));
    assert_ptr_equal(start_find(starts[i].task), &starts[i]);
    if (starts[i].alias)
      assert_ptr_equal(start_find(starts[i].alias), &starts[i]);
    for (size_t r = 0; r < START_RECORDS; r++) {
      struct error err;
      json_t *record = NULL;
      assert_non_null(starts[i].record[r]);
      assert_null(strchr(starts[i].record[r], '\n'));
      assert_int_equal(json_parse(&record, starts[i].record[r], strlen(starts[i].record[r]), NULL, &err), STATUS_OK);
      assert_true(json_is_object(record));
      json_decref(record);
    }
  }
  assert_ptr_equal(start_find("classify"), start_find("classification"));
  assert_null(start_find("dance"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_start_is_of_a_task)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
