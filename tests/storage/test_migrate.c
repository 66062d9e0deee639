/* Proves: a database of each older version opens with its rows and the schema of today, and a newer one is refused
   untouched; and no statement of the daemon's walks through a whole table or sorts what it finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/tenant.h"
#include "base/file.h"
#include "storage/db_artifact.h"
#include "storage/db_audit.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_export.h"
#include "storage/db_file.h"
#include "storage/db_job.h"
#include "storage/db_key.h"
#include "storage/db_queue.h"
#include "storage/db_state.h"
#include "storage/db_tenant.h"
#include "storage/db_webhook.h"
#include "storage/stmt.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
static const char *const schemas[] = {
#include "storage/schema.sql.inc"
    ,
#include "storage/schema_2.sql.inc"
    ,
#include "storage/schema_3.sql.inc"
    ,
#include "storage/schema_4.sql.inc"
};
#pragma GCC diagnostic pop

struct fixture {
  char folder[64];
  char path[96];
  struct arena arena;
  struct error err;
};

static int set_up(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  snprintf(f->folder, sizeof f->folder, "/tmp/test_migrate.XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->path, sizeof f->path, "%s/store.db", f->folder);
  arena_init(&f->arena, 64 << 20);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  struct fixture *f = *state;
  arena_done(&f->arena);
  assert_int_equal(file_remove_tree(f->folder, NULL), STATUS_OK);
  free(f);
  return 0;
}

static void run(sqlite3 *handle, const char *sql) {
  char *text = NULL;
  if (sqlite3_exec(handle, sql, NULL, NULL, &text) != SQLITE_OK)
    fail_msg("%s: %s", sql, text);
}

/* A database as the program of that version left it: a job that waits, and one that has ended. */
static void make_old(struct fixture *f, int version) {
  sqlite3 *handle;
  char stamp[80];
  assert_int_equal(sqlite3_open(f->path, &handle), SQLITE_OK);
  for (int i = 0; i < version && i < (int)COUNT_OF(schemas); i++)
    run(handle, schemas[i]);
  run(handle, "INSERT INTO job (id, created_at, model, training_file, fine_tuned_model, spec, priority, body_sha256,"
              " state, finished_at, metadata) VALUES"
              " ('ftjob-a', 1, 'm', 'file-1', 'ft:a', '{}', 0, 'aa', 'queued', NULL, '{'),"
              " ('ftjob-b', 2, 'm', 'file-1', 'ft:b', '{}', 0, 'bb', 'succeeded', 9, '{\"k\":\"v\",\"n\":1}')");
  snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d", 0x7265666C, version);
  run(handle, stamp);
  sqlite3_close(handle);
}

static void test_older(void **state) {
  struct fixture *f = *state;
  for (int version = 1; version <= (int)COUNT_OF(schemas); version++) {
    struct db *db;
    struct job_row job, *jobs;
    struct job_model *models;
    struct page page = {.limit = 5};
    int64_t waiting;
    size_t count;
    bool found, more;
    make_old(f, version);
    assert_int_equal(db_open(&db, f->path, true, &f->err), STATUS_OK);
    assert_int_equal(db_queue_waiting(&waiting, db, &f->err), STATUS_OK);
    assert_int_equal(waiting, 1);
    assert_int_equal(db_job_claim(&job, &found, db, &(struct job_place){0, "[]", true, 0, 0}, 5, &f->arena, &f->err),
                     STATUS_OK);
    assert_true(found);
    assert_string_equal(job.id, "ftjob-a");
    assert_true(job.needs_memory == -1 && !job.waiting_for); /* nobody was asked */
    assert_int_equal(db_job_models(&models, &count, &more, db, TENANT_DEFAULT, &f->arena, &f->err), STATUS_OK);
    assert_int_equal(count, 1);
    assert_string_equal(models[0].name, "ft:b");
    assert_int_equal(db_job_list(&jobs, &count, &more, db, TENANT_DEFAULT, &page,
                                 &(struct job_filter){.metadata = "{\"k\":\"v\"}"}, &f->arena, &f->err),
                     STATUS_OK);
    assert_int_equal(count, 1);
    assert_string_equal(jobs[0].id, "ftjob-b");
    db_close(db);
    assert_int_equal(db_open(&db, f->path, true, &f->err), STATUS_OK); /* and once more, as it is now */
    db_close(db);
    assert_int_equal(remove(f->path), 0);
  }
}

static void test_newer(void **state) {
  struct fixture *f = *state;
  struct db *db;
  make_old(f, 99);
  assert_int_not_equal(db_open(&db, f->path, true, &f->err), STATUS_OK);
  assert_non_null(strstr(f->err.text, "version 99"));
}

static int see_plan(void *context, int columns, char **values, char **names) {
  (void)names;
  const char *sql = context, *detail = values[columns - 1];
  /* Just the rows that are asked for: what waits, the pairs of a filter, what another line of the plan finds. */
  static const char *const fine[] = {"INDEX file_unchecked", "CONSTANT ROW",   "SCAN want",
                                     "SCAN json_each",       "SCAN (subquery", "SCAN tenant",
                                     "SCAN lane"};
  bool walks = strncmp(detail, "SCAN ", 5) == 0 && !strstr(sql, "FROM job_finished"); /* a sum of counts */
  bool sorts = strstr(detail, "TEMP B-TREE") && !strstr(sql, "job_id = ") &&
               !strstr(sql, "json_each(?1) AS want ORDER BY") && /* what belongs to one job or filter is little */
               !strstr(sql, "ORDER BY sent_at") && /* endpoints that have something due */
               !strstr(sql, "ORDER BY first.priority");          /* a job a tenant */
  for (size_t i = 0; i < COUNT_OF(fine); i++)
    walks &= !strstr(detail, fine[i]);
  if (walks || sorts)
    fail_msg("%s: %s", detail, sql);
  return 0;
}

/* Every statement that was prepared since the database was opened. */
static void check_plans(struct db *db) {
  struct stmt stmt;
  struct error err;
  assert_int_equal(stmt_open(&stmt, db, "SELECT 1", &err), STATUS_OK);
  sqlite3 *handle = sqlite3_db_handle(stmt.handle);
  size_t seen = 0;
  for (sqlite3_stmt *each = NULL; (each = sqlite3_next_stmt(handle, each));) {
    const char *sql = sqlite3_sql(each);
    if (strncmp(sql, "PRAGMA", 6) == 0 || strstr(sql, "sqlite_schema"))
      continue;
    char *question = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(sqlite3_exec(handle, question, see_plan, (void *)(uintptr_t)sql, NULL), SQLITE_OK);
    sqlite3_free(question);
    seen++;
  }
  assert_true(seen > 20);
  stmt_done(&stmt);
}

static int ask_for_files(struct db *db, struct arena *arena, struct error *err) {
  struct page page = {.limit = 5}, up = {.limit = 5, .ascending = true};
  struct file_row *files, file;
  size_t count;
  bool more;
  int bad = db_file_list(&files, &count, &more, db, TENANT_DEFAULT, &page, NULL, 0, arena, err);
  bad |= db_file_list(&files, &count, &more, db, TENANT_DEFAULT, &up, NULL, 0, arena, err);
  bad |= db_file_list(&files, &count, &more, db, TENANT_DEFAULT, &page, "fine-tune", 0, arena, err);
  bad |= db_file_list(&files, &count, &more, db, TENANT_DEFAULT, &up, "fine-tune", 0, arena, err);
  bad |= db_file_same(&file, &more, db, TENANT_DEFAULT, "key", "aa", 0, arena, err);
  bad |= db_file_same(&file, &more, db, TENANT_DEFAULT, NULL, "aa", 0, arena, err);
  bad |= db_file_unchecked(&files, &count, db, 5, arena, err);
  bad |= db_file_expired(&files, &count, db, 5, 5, arena, err);
  bad |= db_file_known(&more, db, "file-1", err);
  bad |= db_file_delete(db, TENANT_DEFAULT, "file-1", err);
  bad |= db_file_delete_of_job(db, "ftjob-a", err);
  return bad;
}

static int ask_for_states(struct db *db, const struct lease *lease, struct arena *arena, struct error *err) {
  struct state_row *states, state = {.step = 1, .path = "p", .sha256 = "00"};
  struct event_row event = {.job_id = lease->job_id, .message = "x"};
  const char *text;
  int64_t number;
  size_t count;
  bool yes;
  int bad = db_state_add(db, lease, &state, &yes, err);
  bad |= db_state_list(&states, &count, db, lease->job_id, arena, err);
  bad |= db_path_named(&yes, db, lease->job_id, "p", err);
  bad |= db_event_last(&number, db, lease->job_id, err);
  bad |= db_event_metrics(&text, db, lease->job_id, 1, arena, err);
  bad |= db_event_said(&yes, db, &event, 1, err);
  bad |= db_checkpoint_drop(db, lease->job_id, 1, err);
  bad |= db_checkpoint_forget_dropped(db, &number, err);
  bad |= db_checkpoint_delete_in(db, lease->job_id, "p", err);
  bad |= db_job_request_pause(db, lease->job_id, 1, err);
  bad |= db_job_withdraw_pause(db, lease->job_id, err);
  bad |= db_job_refund(db, lease->job_id, err);
  bad |= db_job_interrupted(db, lease->job_id, err);
  bad |= db_job_wait_until(db, lease->job_id, 1, err);
  bad |= db_job_forget_waits(db, err);
  return bad;
}

static int ask_for_tenants(struct db *db, struct arena *arena, struct error *err) {
  struct page page = {.limit = 5};
  struct tenant_row *tenants, tenant;
  int64_t queued, running;
  struct audit_row *audits;
  struct key_row *keys;
  size_t count;
  bool more;
  int64_t open[JOB_STATE_COUNT], finished[JOB_STATE_COUNT][PEFT_COUNT];
  int bad = db_queue_count(open, finished, db, err);
  bad |= db_audit_list(&audits, &count, &more, db, TENANT_DEFAULT, &page, arena, err);
  bad |= db_key_list(&keys, &count, &more, db, TENANT_DEFAULT, &page, arena, err);
  bad |= db_key_any(&more, db, err);
  bad |= db_tenant_get(&tenant, db, TENANT_DEFAULT, arena, err);
  bad |= db_queue_of_tenant(&queued, &running, db, TENANT_DEFAULT, err);
  bad |= db_tenant_list(&tenants, &count, &more, db, arena, err);
  return bad;
}

static int ask_for_webhooks(struct db *db, struct arena *arena, struct error *err) {
  struct page page = {.limit = 5};
  struct webhook_row *rows, row = {.id = "we", .tenant = TENANT_DEFAULT, .name = "n", .url = "u", .secret = "s",
                                   .event_types = "[]"};
  struct webhook_delivery *told, delivery = {.endpoint_id = "we"};
  int64_t number;
  size_t count;
  bool yes;
  int bad = db_webhook_insert(db, &row, err);
  bad |= db_webhook_list(&rows, &count, &yes, db, TENANT_DEFAULT, &page, arena, err);
  bad |= db_webhook_count(&number, db, TENANT_DEFAULT, err);
  bad |= db_webhook_update(db, &row, err);
  bad |= db_webhook_deliveries(&told, &count, &yes, db, "we", &page, arena, err);
  bad |= db_webhook_due(&rows, &count, db, 1, 5, arena, err);
  bad |= db_webhook_next(&delivery, &yes, db, "we", 1, arena, err);
  delivery.endpoint_id = "we";
  bad |= db_webhook_tried(db, &delivery, 1, err);
  bad |= db_webhook_forget(db, 1, 5, err);
  bad |= db_webhook_get(&row, db, TENANT_DEFAULT, "we", arena, err);
  bad |= db_webhook_delete(db, TENANT_DEFAULT, "we", err);
  return bad;
}

static void test_plans(void **state) {
  struct fixture *f = *state;
  struct db *db;
  struct arena *arena = &f->arena;
  struct error *err = &f->err;
  struct job_row *jobs, job;
  struct job_model *models;
  struct file_row file;
  struct event_row *events;
  struct checkpoint_row *checkpoints;
  struct export_row *exports, export;
  struct artifact_row *artifacts, preview = {.job_id = "ftjob-a", .name = "a", .path = "p", .sha256 = "00"};
  struct error why = {.status = STATUS_IO};
  int64_t number;
  size_t count;
  bool more;
  assert_int_equal(db_open(&db, f->path, true, err), STATUS_OK);
  struct page page = {.limit = 5};
  struct job_row row = {.id = "ftjob-a",
                        .tenant = TENANT_DEFAULT,
                        .model = "m",
                        .training_file = "file-1",
                        .fine_tuned_model = "ft:a",
                        .spec = "{}",
                        .body_sha256 = "aa",
                        .state = JOB_QUEUED};
  struct event_row event = {.job_id = "ftjob-a", .message = "x"};
  int bad = db_job_insert(db, &row, err);
  bad |= db_event_add(db, &event, err);
  bad |= db_queue_waiting(&number, db, err);
  bad |= ask_for_tenants(db, arena, err);
  bad |= ask_for_webhooks(db, arena, err);
  bad |= db_job_same(&job, &more, db, TENANT_DEFAULT, "key", "aa", 0, arena, err);
  bad |= db_job_same(&job, &more, db, TENANT_DEFAULT, NULL, "aa", 0, arena, err);
  bad |= db_job_list(&jobs, &count, &more, db, TENANT_DEFAULT, &page, &(struct job_filter){0}, arena, err);
  bad |= db_job_list(&jobs, &count, &more, db, TENANT_DEFAULT, &page, &(struct job_filter){.metadata = "{\"a\":\"b\"}"},
                     arena, err);
  bad |= db_job_list(&jobs, &count, &more, db, TENANT_DEFAULT, &page, &(struct job_filter){.metadata_null = true},
                     arena, err);
  bad |= db_queue_positions(&number, db, TENANT_DEFAULT, jobs, count, err);
  bad |= db_job_next(&job, &more, db, JOB_VALIDATING, 0, arena, err);
  bad |= db_job_models(&models, &count, &more, db, TENANT_DEFAULT, arena, err);
  bad |= db_job_first(&job, &more, db, &(struct job_place){1, "[]", true, 0, 0}, arena, err);
  bad |= db_job_claim(&job, &more, db, &(struct job_place){1, "[]", true, 0, 0}, 5, arena, err);
  struct lease lease = {.job_id = "ftjob-a", .token = 1};
  bad |= db_job_set_progress(db, &lease, "{}", 1, &more, err);
  bad |= db_job_set_needs(db, "ftjob-a", 1, err);
  bad |= db_job_set_waiting(db, "ftjob-a", "memory", err);
  bad |= ask_for_states(db, &lease, arena, err);
  bad |= db_job_unclaim(db, &lease, &more, err);
  bad |= db_job_release(db, &lease, JOB_QUEUED, NULL, 5, &more, err);
  bad |= db_job_move(db, "ftjob-a", JOB_QUEUED, JOB_CANCELLED, NULL, 5, &more, err);
  bad |= ask_for_files(db, arena, err);
  bad |= db_event_list(&events, &count, &more, db, "ftjob-a", &page, arena, err);
  bad |= db_checkpoint_list(&checkpoints, &count, &more, db, "ftjob-a", &page, arena, err);
  bad |= db_checkpoint_delete_of_job(db, "ftjob-a", err);
  bad |= db_artifact_list(&artifacts, &count, db, "ftjob-a", arena, err);
  bad |= db_artifact_add_preview(db, &preview, 1, &number, err);
  bad |= db_export_add(db, "ftjob-a", "lora", EXPORT_QUEUED, 1, err);
  bad |= db_export_queued(&number, db, err);
  bad |= db_export_list(&exports, &count, db, "ftjob-a", arena, err);
  bad |= db_export_claim(&export, &more, db, arena, err);
  bad |= db_export_end(db, 1, EXPORT_FAILED, &why, 1, err);
  bad |= db_export_requeue(db, err);
  assert_int_equal(bad, 0);
  assert_int_equal(db_file_get(&file, db, TENANT_DEFAULT, "file-1", 0, arena, err), STATUS_FILE_NOT_FOUND);
  check_plans(db);
  db_close(db);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_older), TEST(test_newer), TEST(test_plans)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
