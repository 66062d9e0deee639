/* Proves: exports are a queue of their own, one row a job and format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/tenant.h"
#include "storage/db_export.h"
#include "storage/db_job.h"
#include "tests/storage/store.h"

static int set_up(void **state) {
  struct fixture *f = store_new();
  *state = f;
  return 0;
}

/* Handed out oldest first, queued again after a failure or a crash. */
static void exports_are_a_queue(void **state) {
  struct fixture *f = *state;
  struct export_row *rows, row;
  struct error why = {.status = STATUS_IO, .text = "the disk is gone"};
  size_t count;
  int64_t queued;
  bool found;
  struct job_row job = {.id = "ftjob-x",
                        .tenant = TENANT_DEFAULT,
                        .model = "tiny",
                        .training_file = "file-1",
                        .fine_tuned_model = "ft:x",
                        .spec = "{}",
                        .body_sha256 = "aa",
                        .state = JOB_QUEUED};
  assert_int_equal(db_job_insert(f->db, &job, &f->err), STATUS_OK);
  static const char *const formats[] = {"lora", "gguf:f16", "lora"};
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(db_export_add(f->db, "ftjob-x", formats[i], EXPORT_QUEUED, 10, &f->err), STATUS_OK);
  assert_int_equal(db_export_queued(&queued, f->db, &f->err), STATUS_OK);
  assert_int_equal(queued, 2);
  assert_int_equal(db_export_claim(&row, &found, f->db, &f->arena, &f->err), STATUS_OK);
  assert_true(found && strcmp(row.format, "lora") == 0 && row.state == EXPORT_RUNNING);
  assert_int_equal(db_export_end(f->db, row.seq, EXPORT_FAILED, &why, 20, &f->err), STATUS_OK);
  assert_int_equal(db_export_claim(&row, &found, f->db, &f->arena, &f->err), STATUS_OK);
  assert_string_equal(row.format, "gguf:f16");
  assert_int_equal(db_export_requeue(f->db, &f->err), STATUS_OK);
  assert_int_equal(db_export_list(&rows, &count, f->db, "ftjob-x", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 2);
  assert_true(rows[0].state == EXPORT_FAILED && rows[0].finished_at == 20);
  assert_string_equal(rows[0].error_message, "the disk is gone");
  assert_true(rows[1].state == EXPORT_QUEUED && rows[1].finished_at == 0);
  assert_int_equal(db_export_add(f->db, "ftjob-x", "lora", EXPORT_QUEUED, 30, &f->err), STATUS_OK);
  assert_int_equal(db_export_claim(&row, &found, f->db, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(db_export_end(f->db, row.seq, EXPORT_SUCCEEDED, NULL, 40, &f->err), STATUS_OK);
  assert_int_equal(db_export_add(f->db, "ftjob-x", row.format, EXPORT_QUEUED, 50, &f->err), STATUS_OK);
  assert_int_equal(db_export_queued(&queued, f->db, &f->err), STATUS_OK);
  assert_int_equal(queued, 1); /* the one that succeeded stays */
  assert_int_equal(db_export_delete_of_job(f->db, "ftjob-x", &f->err), STATUS_OK);
  assert_int_equal(db_export_list(&rows, &count, f->db, "ftjob-x", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(exports_are_a_queue, set_up, store_done)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
