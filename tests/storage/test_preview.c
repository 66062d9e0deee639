/* Proves: previews are a job's artifacts from when they are made; one that is made again takes its name's place, and
   the oldest of too many go with their bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/tenant.h"
#include "storage/db_artifact.h"
#include "storage/db_job.h"
#include "storage/db_removal.h"
#include "tests/storage/store.h"

static int set_up(void **state) {
  struct fixture *f = store_new();
  const struct job_row job = {.id = "ftjob-a",
                              .tenant = TENANT_DEFAULT,
                              .model = "tiny",
                              .training_file = "file-1",
                              .fine_tuned_model = "ft:a",
                              .spec = "{}",
                              .body_sha256 = "aa",
                              .state = JOB_QUEUED};
  const struct artifact_row row = {.job_id = "ftjob-a", .name = "b.bin", .path = "b", .bytes = 3, .sha256 = "00"};
  *state = f;
  return db_job_insert(f->db, &job, &f->err) || db_artifact_add(f->db, &row, &f->err);
}

static void add(struct fixture *f, const char *name, const char *path, int64_t noted) {
  const struct artifact_row row = {.job_id = "ftjob-a", .name = name, .path = path, .bytes = 3, .sha256 = "00"};
  int64_t gone = 0;
  assert_int_equal(db_artifact_add_preview(f->db, &row, 2, &gone, &f->err), STATUS_OK);
  assert_int_equal(gone, noted);
}

static void is_noted(struct fixture *f, const char *path, bool wanted) {
  bool noted;
  assert_int_equal(db_removal_noted(&noted, f->db, path, &f->err), STATUS_OK);
  assert_int_equal(noted, wanted);
}

static void the_newest_stay(void **state) {
  struct fixture *f = *state;
  struct artifact_row *rows;
  size_t count;
  add(f, "1.png", "run-1/1.png", 0);
  add(f, "2.png", "run-1/2.png", 0);
  add(f, "2.png", "run-1/2.png", 0); /* told again */
  is_noted(f, "run-1/2.png", false);
  add(f, "2.png", "run-2/2.png", 1); /* made again by a later run */
  is_noted(f, "run-1/2.png", true);
  is_noted(f, "run-1/1.png", false);
  add(f, "3.png", "run-2/3.png", 1); /* two stay */
  is_noted(f, "run-1/1.png", true);
  is_noted(f, "b", false);
  assert_int_equal(db_artifact_list(&rows, &count, f->db, "ftjob-a", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 3);
  assert_string_equal(rows[0].path, "b");
  assert_string_equal(rows[1].path, "run-2/2.png");
  assert_string_equal(rows[2].path, "run-2/3.png");
}

/* A name that an artifact has is no preview's. */
static void artifacts_are_not_replaced(void **state) {
  struct fixture *f = *state;
  const struct artifact_row row = {.job_id = "ftjob-a", .name = "b.bin", .path = "c", .bytes = 3, .sha256 = "00"};
  int64_t gone = 0;
  assert_int_not_equal(db_artifact_add_preview(f->db, &row, 2, &gone, &f->err), STATUS_OK);
  is_noted(f, "b", false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_newest_stay, set_up, store_done),
      cmocka_unit_test_setup_teardown(artifacts_are_not_replaced, set_up, store_done),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
