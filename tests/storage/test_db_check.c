/* Proves: rows that fit together give no finding; each rule finds the row that breaks it and names it; a store is read
   and copied beside one that writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "api/job.h"
#include "base/file.h"
#include "storage/db_check.h"
#include "storage/db_content.h"
#include "storage/db_removal.h"

struct fixture {
  char folder[64], path[96];
  struct db *db;
  sqlite3 *raw;
  char found[4096];
  struct error err;
};

static void run(struct fixture *f, const char *sql) {
  char *text = NULL;
  if (sqlite3_exec(f->raw, sql, NULL, NULL, &text) != SQLITE_OK)
    fail_msg("%s: %s", sql, text);
}

#define FILE_ROW(id, job)                                                                                              \
  "INSERT INTO file (id, created_at, filename, purpose, bytes, sha256, path, job_id, status) VALUES ('" id             \
  "', 1, 'f', 'fine-tune', 5, '00', 'files/" id "', " job ", 'processed');"
#define JOB_ROW(id, state, finished, token, started)                                                                   \
  "INSERT INTO job (id, created_at, model, training_file, fine_tuned_model, spec, priority, body_sha256, state,"       \
  " finished_at, lease_token, started_at) VALUES ('" id "', 1, 'm', 'file-1', 'ft:" id                                 \
  "', (SELECT text FROM spec), 0,"                                                                                     \
  " 'aa', '" state "', " finished ", " token ", " started ");"
#define ARTIFACT_ROW(job)                                                                                              \
  "INSERT INTO artifact (job_id, name, path, bytes, sha256, created_at) VALUES ('" job "', 'a', 'jobs/" job            \
  "/1/a', 7, '00', 1);"

#define UPLOAD_ROWS                                                                                                    \
  "INSERT INTO upload (id, tenant, created_at, expires_at, filename, purpose, bytes, status)"                          \
  " VALUES ('upload_1', 'default', 1, 2, 'f', 'fine-tune', 6, 'pending');"                                             \
  "INSERT INTO upload_part (id, upload_id, created_at, bytes, sha256, path)"                                           \
  " VALUES ('part_1', 'upload_1', 1, 5, '00', 'files/part_1');"

/* What each job asks for, as the daemon would have stored it: the table `spec`. */
static void add_spec(struct fixture *f) {
  struct arena arena;
  struct job_spec spec;
  struct fault_list faults = {0};
  json_t *body = json_pack("{ss ss}", "model", "m", "training_file", "file-1");
  arena_init(&arena, 1 << 16);
  job_spec_parse(&spec, body, 1, &arena, &faults);
  assert_int_equal(faults.count, 0);
  json_t *document = job_spec_json(&spec);
  char *text = json_dumps(document, JSON_COMPACT);
  char *sql = sqlite3_mprintf("CREATE TEMP TABLE spec AS SELECT %Q AS text", text);
  run(f, sql);
  sqlite3_free(sql);
  free(text);
  json_decref(document);
  json_decref(body);
  arena_done(&arena);
}

/* A file, and a job of each kind, as the daemon would have left them. */
static int set_up(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  snprintf(f->folder, sizeof f->folder, "/tmp/test_db_check.XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->path, sizeof f->path, "%s/store.db", f->folder);
  assert_int_equal(db_open(&f->db, f->path, true, &f->err), STATUS_OK);
  db_close(f->db);
  assert_int_equal(sqlite3_open(f->path, &f->raw), SQLITE_OK);
  add_spec(f);
  run(f, FILE_ROW("file-1", "NULL"));
  run(f, JOB_ROW("ftjob-queued", "queued", "NULL", "0", "NULL"));
  run(f, JOB_ROW("ftjob-running", "running", "NULL", "1", "2"));
  run(f, JOB_ROW("ftjob-done", "succeeded", "3", "1", "2") ARTIFACT_ROW("ftjob-done"));
  assert_int_equal(db_open_reader(&f->db, f->path, &f->err), STATUS_OK);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  struct fixture *f = *state;
  db_close(f->db);
  sqlite3_close(f->raw);
  assert_int_equal(file_remove_tree(f->folder, NULL), STATUS_OK);
  free(f);
  return 0;
}

static void note(void *context, const char *what, const char *text) {
  struct fixture *f = context;
  size_t length = strlen(f->found);
  snprintf(f->found + length, sizeof f->found - length, "%s: %s\n", what, text);
}

static const char *check(struct fixture *f) {
  f->found[0] = '\0';
  assert_int_equal(db_check_pages(f->db, note, f, &f->err), STATUS_OK);
  assert_int_equal(db_check_rows(f->db, note, f, &f->err), STATUS_OK);
  return f->found;
}

static void test_rules(void **state) {
  struct fixture *f = *state;
  static const struct {
    const char *sql, *found;
  } cases[] = {
      {"UPDATE job SET lease_token = 0 WHERE id = 'ftjob-running'", "ftjob-running: is running without a lease"},
      {"UPDATE job SET restarts = 2 WHERE id = 'ftjob-running'",
       "ftjob-running: has more restarts (2) than leases (1)"},
      {"DELETE FROM artifact", "ftjob-done: has succeeded and has no artifact"},
      {ARTIFACT_ROW("ftjob-queued"), "ftjob-queued: has artifacts and is queued"},
      {"UPDATE job SET model_deleted = 1 WHERE id = 'ftjob-done'",
       "ftjob-done: has artifacts, but its model was deleted"},
      {JOB_ROW("ftjob-failed", "failed", "3", "1", "2"), "ftjob-failed: has failed without a reason"},
      {"DELETE FROM file", "ftjob-queued: needs the file file-1, which is gone"},
      {FILE_ROW("file-2", "'ftjob-done'"), "file-2: is a result of ftjob-done, which has no such artifact"},
      {"INSERT INTO export (job_id, format, created_at, state) VALUES ('ftjob-queued', 'lora', 1, 'queued')",
       "export 1: is of ftjob-queued, which has not succeeded"},
      {"UPDATE tenant SET bytes = bytes + 1", "tenant default: has 13 bytes by its row, and 12 by what it has stored"},
      {"UPDATE job_count SET jobs = jobs + 1 WHERE state = 'queued'",
       "tenant default: has 2 jobs that are queued by their count (priority 0, block 0), and 1 by their rows"},
      {"DELETE FROM job_count WHERE state = 'running'", "has 0 jobs that are running by their count"},
      {"INSERT INTO removal VALUES ('files/file-1')", "files/file-1: is to be removed, and file-1 names it"},
      {"INSERT INTO removal VALUES ('jobs/ftjob-done/1')",
       "jobs/ftjob-done/1: is to be removed, and ftjob-done has a in it"},
      {UPLOAD_ROWS "UPDATE tenant SET bytes = bytes + 4",
       "tenant default: has 21 bytes by its row, and 17 by what it has stored"},
      {UPLOAD_ROWS "INSERT INTO removal VALUES ('files/part_1')",
       "files/part_1: is to be removed, and part_1 names it"},
      {UPLOAD_ROWS "UPDATE upload SET bytes = 4", "upload_1: was made for 4 bytes, has 5 by its row and 5 in parts"},
      {UPLOAD_ROWS "DROP TRIGGER upload_end_drops_parts; UPDATE upload SET status = 'cancelled'",
       "part_1: is a part of upload_1, which is cancelled"},
      {"DROP TRIGGER job_end_is_final", "job_end_is_final: the trigger is gone"},
      {"UPDATE job SET spec = '{\"model\":7}' WHERE id = 'ftjob-queued'",
       "the stored specification of ftjob-queued is damaged"},
      {"PRAGMA foreign_keys = OFF; DELETE FROM job WHERE id = 'ftjob-done'", "names a row of job that is gone"},
  };
  assert_string_equal(check(f), "");
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    /* Each is tried on the rows as they were: the change is stored, looked at by the reader, and taken back. */
    char saved[128];
    snprintf(saved, sizeof saved, "%s/saved%zu.db", f->folder, i);
    assert_int_equal(db_copy(f->db, saved, &f->err), STATUS_OK);
    run(f, cases[i].sql);
    if (!strstr(check(f), cases[i].found))
      fail_msg("%s: found only: %s", cases[i].sql, f->found);
    sqlite3 *from;
    assert_int_equal(sqlite3_open(saved, &from), SQLITE_OK);
    sqlite3_backup *back = sqlite3_backup_init(f->raw, "main", from, "main");
    assert_non_null(back);
    assert_int_equal(sqlite3_backup_step(back, -1), SQLITE_DONE);
    sqlite3_backup_finish(back);
    sqlite3_close(from);
    assert_string_equal(check(f), "");
  }
}

static void test_content(void **state) {
  struct fixture *f = *state;
  struct arena arena;
  struct content_row row;
  bool found, known, running;
  arena_init(&arena, 1 << 16);
  assert_int_equal(db_content_next(&row, &found, f->db, CONTENT_UPLOAD, 0, &arena, &f->err), STATUS_OK);
  assert_true(found);
  assert_string_equal(row.path, "files/file-1");
  assert_int_equal(row.bytes, 5);
  assert_int_equal(db_content_next(&row, &found, f->db, CONTENT_UPLOAD, row.seq, &arena, &f->err), STATUS_OK);
  assert_false(found);
  assert_int_equal(db_content_next(&row, &found, f->db, CONTENT_ARTIFACT, 0, &arena, &f->err), STATUS_OK);
  assert_string_equal(row.owner, "ftjob-done");
  assert_int_equal(db_content_next(&row, &found, f->db, CONTENT_CHECKPOINT, 0, &arena, &f->err), STATUS_OK);
  assert_false(found);
  assert_int_equal(db_content_job(&known, &running, f->db, "ftjob-running", &f->err), STATUS_OK);
  assert_true(known && running);
  assert_int_equal(db_content_job(&known, &running, f->db, "ftjob-nobody", &f->err), STATUS_OK);
  assert_false(known || running);
  assert_int_equal(db_content_of_run(&known, f->db, "ftjob-done", 1, &f->err), STATUS_OK);
  assert_true(known);
  assert_int_equal(db_content_of_run(&known, f->db, "ftjob-done", 2, &f->err), STATUS_OK);
  assert_false(known);
  run(f, "INSERT INTO removal VALUES ('jobs/ftjob-done/2')");
  assert_int_equal(db_content_of_run(&known, f->db, "ftjob-done", 2, &f->err), STATUS_OK);
  assert_true(known);
  arena_done(&arena);
}

static void test_reader(void **state) {
  struct fixture *f = *state;
  struct db *db;
  struct error err;
  assert_int_equal(db_removal_add(f->db, "files/file-1", &err), STATUS_INTERNAL); /* it cannot write */
  assert_int_equal(db_open_reader(&db, "/tmp/there_is_no_store.db", &err), STATUS_NOT_FOUND);
  run(f, "PRAGMA user_version = 1");
  assert_int_equal(db_open_reader(&db, f->path, &err), STATUS_INTERNAL);
  assert_non_null(strstr(err.text, "schema version 1"));
  run(f, "PRAGMA user_version = 1000");
  assert_int_equal(db_open_reader(&db, f->path, &err), STATUS_INTERNAL);
  assert_non_null(strstr(err.text, "schema version 1000"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_rules, set_up, tear_down),
                                     cmocka_unit_test_setup_teardown(test_content, set_up, tear_down),
                                     cmocka_unit_test_setup_teardown(test_reader, set_up, tear_down)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
