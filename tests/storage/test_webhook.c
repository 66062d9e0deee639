/* Proves: a job's change of state is a row for each endpoint of its tenant that asked for it, and for no other, in the
   same transaction; what is due is found, of endpoints in turn; what was tried is kept until it ends. */
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
#include "storage/db_tenant.h"
#include "storage/db_webhook.h"
#include "tests/storage/store.h"

enum { FAR = 2000000000 };

static void add_endpoint(struct fixture *f, const char *id, const char *tenant, const char *types) {
  const struct webhook_row row = {.id = id,
                                  .tenant = tenant,
                                  .created_at = 1,
                                  .name = "n",
                                  .url = "https://example.com/",
                                  .event_types = types,
                                  .secret = "s"};
  assert_int_equal(db_webhook_insert(f->db, &row, &f->err), STATUS_OK);
}

static void add_job(struct fixture *f, const char *id, const char *tenant) {
  const struct job_row row = store_job(id, tenant);
  assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
}

static void cancel(struct fixture *f, const char *id) {
  bool moved;
  assert_int_equal(db_job_move(f->db, id, JOB_QUEUED, JOB_CANCELLED, NULL, 1, &moved, &f->err), STATUS_OK);
  assert_true(moved);
}

static int set_up(void **state) {
  struct fixture *f = store_new();
  assert_int_equal(db_tenant_add(f->db, "b", 1, &f->err), STATUS_OK);
  add_endpoint(f, "we_all", TENANT_DEFAULT, "[\"fine_tuning.job.cancelled\",\"fine_tuning.job.failed\"]");
  add_endpoint(f, "we_paused", TENANT_DEFAULT, "[\"fine_tuning.job.paused\"]");
  add_endpoint(f, "we_b", "b", "[\"fine_tuning.job.cancelled\"]");
  *state = f;
  return 0;
}

static size_t deliveries(struct webhook_delivery **out, struct fixture *f, const char *endpoint) {
  struct page page = {.limit = 10};
  size_t count;
  bool more;
  assert_int_equal(db_webhook_deliveries(out, &count, &more, f->db, endpoint, &page, &f->arena, &f->err), STATUS_OK);
  return count;
}

static void who_is_told(void **state) {
  struct fixture *f = *state;
  struct webhook_delivery *rows;
  bool moved;
  add_job(f, "ftjob-1", TENANT_DEFAULT);
  add_job(f, "ftjob-2", TENANT_DEFAULT);
  assert_int_equal(db_begin(f->db, &f->err), STATUS_OK);
  cancel(f, "ftjob-1");
  db_rollback(f->db);
  assert_int_equal(deliveries(&rows, f, "we_all"), 0); /* nothing was stored, nothing is told */
  cancel(f, "ftjob-1");
  assert_int_equal(deliveries(&rows, f, "we_all"), 1);
  assert_string_equal(rows[0].event_type, "fine_tuning.job.cancelled");
  assert_string_equal(rows[0].job_id, "ftjob-1");
  assert_int_equal(strncmp(rows[0].event_id, "evt_", 4), 0);
  assert_int_equal(strlen(rows[0].event_id), 28);
  assert_int_equal(rows[0].status, DELIVERY_PENDING);
  assert_int_equal(deliveries(&rows, f, "we_paused"), 0);
  assert_int_equal(deliveries(&rows, f, "we_b"), 0);
  assert_int_equal(db_job_move(f->db, "ftjob-2", JOB_QUEUED, JOB_PAUSED, NULL, 1, &moved, &f->err), STATUS_OK);
  assert_int_equal(deliveries(&rows, f, "we_paused"), 1);
}

static void what_is_due(void **state) {
  struct fixture *f = *state;
  struct webhook_row *endpoints;
  struct webhook_delivery row, *rows;
  size_t count;
  bool found;
  assert_int_equal(db_webhook_due(&endpoints, &count, f->db, FAR, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
  add_job(f, "ftjob-1", TENANT_DEFAULT);
  add_job(f, "ftjob-2", TENANT_DEFAULT);
  add_job(f, "ftjob-3", "b");
  cancel(f, "ftjob-1");
  cancel(f, "ftjob-2");
  cancel(f, "ftjob-3");
  assert_int_equal(db_webhook_due(&endpoints, &count, f->db, FAR, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 2);
  assert_int_equal(db_webhook_due(&endpoints, &count, f->db, 5, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0); /* that was before */

  /* The one that was tried goes behind the other, and its delivery behind its next one. */
  assert_int_equal(db_webhook_next(&row, &found, f->db, "we_all", FAR, &f->arena, &f->err), STATUS_OK);
  assert_true(found && strcmp(row.job_id, "ftjob-1") == 0);
  row.status_code = 503;
  row.due_at = FAR;
  assert_int_equal(db_webhook_tried(f->db, &row, FAR - 1, &f->err), STATUS_OK);
  assert_int_equal(db_webhook_due(&endpoints, &count, f->db, FAR, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 2);
  assert_string_equal(endpoints[0].id, "we_b");
  assert_int_equal(db_webhook_next(&row, &found, f->db, "we_all", FAR, &f->arena, &f->err), STATUS_OK);
  assert_true(found && strcmp(row.job_id, "ftjob-2") == 0);
  row.status = DELIVERY_DELIVERED;
  row.status_code = 204;
  assert_int_equal(db_webhook_tried(f->db, &row, FAR - 1, &f->err), STATUS_OK);
  assert_int_equal(db_webhook_due(&endpoints, &count, f->db, FAR - 1, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 1); /* what is left of it waits */
  assert_int_equal(deliveries(&rows, f, "we_all"), 2);
  assert_true(rows[0].status == DELIVERY_DELIVERED && rows[0].status_code == 204 && rows[0].finished_at == FAR - 1);
  assert_true(rows[1].status == DELIVERY_PENDING && rows[1].attempts == 1 && rows[1].status_code == 503);
  assert_int_equal(db_webhook_forget(f->db, FAR, 10, &f->err), STATUS_OK);
  assert_int_equal(deliveries(&rows, f, "we_all"), 1); /* what is not over stays */
}

static void whose_they_are(void **state) {
  struct fixture *f = *state;
  struct webhook_row row, *rows;
  struct webhook_delivery *told;
  struct page page = {.limit = 10};
  size_t count;
  bool more;
  assert_int_equal(db_webhook_get(&row, f->db, "b", "we_all", &f->arena, &f->err), STATUS_WEBHOOK_NOT_FOUND);
  assert_int_equal(db_webhook_get(&row, f->db, TENANT_DEFAULT, "we_all", &f->arena, &f->err), STATUS_OK);
  row.name = "other";
  row.tenant = "b";
  assert_int_equal(db_webhook_update(f->db, &row, &f->err), STATUS_OK);
  assert_int_equal(db_webhook_list(&rows, &count, &more, f->db, TENANT_DEFAULT, &page, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 2);
  assert_string_equal(rows[0].id, "we_paused");
  assert_string_equal(rows[1].name, "n"); /* no update of another's */
  assert_int_equal(db_webhook_delete(f->db, "b", "we_all", &f->err), STATUS_OK);
  add_job(f, "ftjob-1", TENANT_DEFAULT);
  cancel(f, "ftjob-1");
  assert_int_equal(deliveries(&told, f, "we_all"), 1);
  assert_int_equal(db_webhook_delete(f->db, TENANT_DEFAULT, "we_all", &f->err), STATUS_OK);
  assert_int_equal(deliveries(&told, f, "we_all"), 0); /* with what it was not told yet */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(who_is_told, set_up, store_done),
                                     cmocka_unit_test_setup_teardown(what_is_due, set_up, store_done),
                                     cmocka_unit_test_setup_teardown(whose_they_are, set_up, store_done)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
