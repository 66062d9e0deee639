/* Proves: a sweep and its jobs are seen by their tenant alone, jobs come in the order in which they were made with what
   a comparison needs, a job that is deleted has left its sweep, a sweep that is deleted leaves its jobs, and
   one that was sent before is found by its key or, without one, by its body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/tenant.h"
#include "storage/db_job.h"
#include "storage/db_job_change.h"
#include "storage/db_sweep.h"
#include "storage/db_tenant.h"
#include "tests/storage/store.h"

static void add_sweep(struct fixture *f, const char *id, const char *tenant) {
  const struct sweep_row row = {.id = id,
                                .tenant = tenant,
                                .created_at = 5,
                                .metric = "accuracy",
                                .goal = "maximize",
                                .fields = "[\"seed\"]",
                                .request = "{}"};
  assert_int_equal(db_sweep_insert(f->db, &row, &f->err), STATUS_OK);
}

static void add_job(struct fixture *f, const char *id, const char *tenant, const char *sweep, const char *spec) {
  struct job_row row = store_job(id, tenant);
  row.spec = spec;
  row.sweep = sweep;
  row.sweep_values = sweep ? "{\"seed\":1}" : NULL;
  assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
}

static int setup(void **state) {
  struct fixture *f = *state = store_new();
  assert_int_equal(db_tenant_add(f->db, "acme", 1, &f->err), STATUS_OK);
  add_sweep(f, "sweep-1", TENANT_DEFAULT);
  add_sweep(f, "sweep-2", TENANT_DEFAULT);
  add_sweep(f, "sweep-3", "acme");
  add_job(f, "a", TENANT_DEFAULT, "sweep-1", "{\"checkpointing\":{\"load_best_at_end\":true}}");
  add_job(f, "b", TENANT_DEFAULT, NULL, "{}");
  add_job(f, "c", TENANT_DEFAULT, "sweep-1", "{}");
  add_job(f, "d", TENANT_DEFAULT, "sweep-1", "damaged");
  add_job(f, "e", "acme", "sweep-3", "{}");
  return 0;
}

/* The ids of its jobs as members and as a list of jobs, which is the other way round. */
static void has(struct fixture *f, const char *tenant, const char *sweep, const char *ids) {
  const struct page page = {.limit = 10};
  const struct job_filter filter = {.sweep = sweep};
  struct sweep_member *members;
  struct job_row *jobs;
  size_t count, listed;
  bool more;
  assert_int_equal(db_sweep_members(&members, &count, f->db, tenant, sweep, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(db_job_list(&jobs, &listed, &more, f->db, tenant, &page, &filter, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, strlen(ids));
  assert_int_equal(listed, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(members[i].id[0], ids[i]);
    assert_string_equal(jobs[count - 1 - i].id, members[i].id);
    assert_string_equal(jobs[i].sweep, sweep);
    assert_string_equal(members[i].values, "{\"seed\":1}");
    assert_int_equal(members[i].best_at_end, ids[i] == 'a');
  }
}

static void cancel(struct fixture *f, const char *id) {
  bool moved;
  assert_int_equal(db_job_move(f->db, id, JOB_QUEUED, JOB_CANCELLED, NULL, 9, &moved, &f->err), STATUS_OK);
  assert_true(moved);
}

static void belongs_to_a_tenant(void **state) {
  struct fixture *f = *state;
  struct sweep_row row, *rows;
  struct page page = {.limit = 1};
  size_t count;
  bool more;
  has(f, TENANT_DEFAULT, "sweep-1", "acd");
  has(f, TENANT_DEFAULT, "sweep-2", "");
  has(f, TENANT_DEFAULT, "sweep-3", "");
  has(f, "acme", "sweep-3", "e");
  has(f, "acme", "sweep-1", "");
  assert_int_equal(db_sweep_get(&row, f->db, TENANT_DEFAULT, "sweep-1", &f->arena, &f->err), STATUS_OK);
  assert_string_equal(row.metric, "accuracy");
  assert_null(row.name);
  assert_int_equal(db_sweep_get(&row, f->db, "acme", "sweep-1", &f->arena, &f->err), STATUS_SWEEP_NOT_FOUND);
  assert_string_equal(f->err.param, "sweep_id");
  assert_int_equal(db_sweep_list(&rows, &count, &more, f->db, TENANT_DEFAULT, &page, &f->arena, &f->err), STATUS_OK);
  assert_true(count == 1 && more && strcmp(rows[0].id, "sweep-2") == 0);
  page.after = "sweep-2";
  assert_int_equal(db_sweep_list(&rows, &count, &more, f->db, TENANT_DEFAULT, &page, &f->arena, &f->err), STATUS_OK);
  assert_true(count == 1 && !more && strcmp(rows[0].id, "sweep-1") == 0);
  page.after = "sweep-3";
  assert_int_equal(db_sweep_list(&rows, &count, &more, f->db, TENANT_DEFAULT, &page, &f->arena, &f->err),
                   STATUS_INVALID_CURSOR);
}

static void is_left_by_a_deleted_job(void **state) {
  struct fixture *f = *state;
  cancel(f, "c");
  assert_int_equal(db_job_delete(f->db, TENANT_DEFAULT, "c", &f->err), STATUS_OK);
  has(f, TENANT_DEFAULT, "sweep-1", "ad");
}

static void leaves_its_jobs(void **state) {
  struct fixture *f = *state;
  struct job_row job;
  assert_int_equal(db_sweep_delete(f->db, "acme", "sweep-1", &f->err), STATUS_OK); /* another's: nothing */
  has(f, TENANT_DEFAULT, "sweep-1", "acd");
  assert_int_equal(db_sweep_delete(f->db, TENANT_DEFAULT, "sweep-1", &f->err), STATUS_OK);
  has(f, TENANT_DEFAULT, "sweep-1", "");
  assert_int_equal(db_job_get(&job, f->db, TENANT_DEFAULT, "a", &f->arena, &f->err), STATUS_OK);
  assert_null(job.sweep);
}

static void same(struct fixture *f, const char *tenant, const char *key, const char *sha256, int64_t since,
                 const char *id) {
  struct sweep_row row;
  bool found;
  assert_int_equal(db_sweep_same(&row, &found, f->db, tenant, key, sha256, since, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(found, id != NULL);
  if (id)
    assert_string_equal(row.id, id);
}

static void is_found_when_sent_again(void **state) {
  struct fixture *f = *state;
  struct sweep_row row = {.id = "sweep-k",
                          .tenant = TENANT_DEFAULT,
                          .created_at = 5,
                          .metric = "accuracy",
                          .goal = "maximize",
                          .fields = "[]",
                          .request = "{}",
                          .idempotency_key = "k",
                          .body_sha256 = "hash"};
  assert_int_equal(db_sweep_insert(f->db, &row, &f->err), STATUS_OK);
  row.id = "sweep-b";
  row.idempotency_key = NULL;
  assert_int_equal(db_sweep_insert(f->db, &row, &f->err), STATUS_OK);
  same(f, TENANT_DEFAULT, "k", "hash", 5, "sweep-k");
  same(f, TENANT_DEFAULT, "k", "another", 5, "sweep-k"); /* whose body is compared by who asks */
  same(f, TENANT_DEFAULT, "k", "hash", 6, NULL);
  same(f, "acme", "k", "hash", 5, NULL);
  same(f, TENANT_DEFAULT, "other", "hash", 5, NULL);
  same(f, TENANT_DEFAULT, NULL, "hash", 5, "sweep-b");
  same(f, TENANT_DEFAULT, NULL, "another", 5, NULL);
  assert_int_equal(db_sweep_delete(f->db, TENANT_DEFAULT, "sweep-b", &f->err), STATUS_OK);
  same(f, TENANT_DEFAULT, NULL, "hash", 5, NULL); /* what came with a key is no retry without one */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(belongs_to_a_tenant, setup, store_done),
      cmocka_unit_test_setup_teardown(is_left_by_a_deleted_job, setup, store_done),
      cmocka_unit_test_setup_teardown(leaves_its_jobs, setup, store_done),
      cmocka_unit_test_setup_teardown(is_found_when_sent_again, setup, store_done),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
