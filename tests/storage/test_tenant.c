/* Proves: what is a tenant's is found with its name alone, by ids, names, cursors, keys, bodies and metadata; tenants
   of equal priority take turns and none starts more than it may; and what a tenant stores is counted. */
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
#include "storage/db_artifact.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_file.h"
#include "storage/db_job.h"
#include "storage/db_queue.h"
#include "storage/db_state.h"
#include "storage/db_tenant.h"
#include "tests/storage/store.h"

static int set_up(void **state) {
  struct fixture *f = store_new();
  assert_int_equal(db_tenant_add(f->db, "a", 1, &f->err), STATUS_OK);
  assert_int_equal(db_tenant_add(f->db, "b", 1, &f->err), STATUS_OK);
  *state = f;
  return 0;
}

static enum status try_job(struct fixture *f, const char *tenant, const char *id, int64_t priority) {
  struct job_row row = {.id = id,
                        .tenant = tenant,
                        .created_at = 100,
                        .model = "tiny",
                        .training_file = "file-1",
                        .fine_tuned_model = arena_format(&f->arena, "ft:%s", id),
                        .spec = "{}",
                        .metadata = "{\"k\":\"v\"}",
                        .priority = priority,
                        .idempotency_key = priority == 9 ? "key" : NULL,
                        .body_sha256 = "aa",
                        .state = JOB_QUEUED};
  return db_job_insert(f->db, &row, &f->err);
}

static void add_job(struct fixture *f, const char *tenant, const char *id, int64_t priority) {
  assert_int_equal(try_job(f, tenant, id, priority), STATUS_OK);
}

static enum status try_file(struct fixture *f, const char *tenant, const char *id, const char *job_id) {
  struct file_row row = {.id = id,
                         .tenant = tenant,
                         .filename = "f",
                         .purpose = "fine-tune",
                         .bytes = 5,
                         .sha256 = "00",
                         .path = id,
                         .job_id = job_id,
                         .status = FILE_UPLOADED};
  return db_file_insert(f->db, &row, &f->err);
}

/* The id of the job that starts next; "" none. */
static const char *claim(struct fixture *f, int64_t running_max) {
  const struct job_place place = {INT64_MAX, "[]", true, running_max, 0};
  struct job_row job;
  bool found;
  assert_int_equal(db_job_claim(&job, &found, f->db, &place, 200, &f->arena, &f->err), STATUS_OK);
  return found ? job.id : "";
}

static void a_stranger_finds_no_job(void **state) {
  struct fixture *f = *state;
  struct job_row job, *jobs;
  struct job_model *models;
  struct page page = {.limit = 5}, after = {.limit = 5, .after = "ftjob-1"};
  size_t count;
  bool found, more;
  add_job(f, "a", "ftjob-1", 9);
  const struct lease lease = {.job_id = claim(f, 0), .token = 1};
  assert_int_equal(db_job_release(f->db, &lease, JOB_SUCCEEDED, NULL, 9, &found, &f->err), STATUS_OK);
  static const struct job_filter filters[] = {{0}, {.metadata = "{\"k\":\"v\"}"}};
  const char *const tenants[] = {"a", "b", TENANT_DEFAULT, "none"};
  for (size_t i = 0; i < COUNT_OF(tenants); i++) {
    const char *tenant = tenants[i];
    bool own = i == 0;
    struct error other;
    assert_int_equal(db_job_get(&job, f->db, tenant, "ftjob-1", &f->arena, &f->err),
                     own ? STATUS_OK : STATUS_JOB_NOT_FOUND);
    assert_int_equal(db_job_get(&job, f->db, tenant, "ftjob-2", &f->arena, &other), STATUS_JOB_NOT_FOUND);
    if (!own) /* but for the id, the same words as for what is not there */
      assert_int_equal(strlen(f->err.text), strlen(other.text));
    assert_int_equal(db_job_of_model(&job, f->db, tenant, "ft:ftjob-1", &f->arena, &f->err),
                     own ? STATUS_OK : STATUS_MODEL_NOT_FOUND);
    assert_int_equal(db_job_models(&models, &count, &more, f->db, tenant, &f->arena, &f->err), STATUS_OK);
    assert_int_equal(count, own);
    for (size_t k = 0; k < COUNT_OF(filters); k++) {
      assert_int_equal(db_job_list(&jobs, &count, &more, f->db, tenant, &page, &filters[k], &f->arena, &f->err),
                       STATUS_OK);
      assert_int_equal(count, own);
      assert_int_equal(db_job_list(&jobs, &count, &more, f->db, tenant, &after, &filters[k], &f->arena, &f->err),
                       own ? STATUS_OK : STATUS_INVALID_CURSOR);
    }
    assert_int_equal(db_job_same(&job, &found, f->db, tenant, "key", "aa", 0, &f->arena, &f->err), STATUS_OK);
    assert_int_equal(found, own);
  }
  add_job(f, "b", "ftjob-3", 9); /* the same key, and no other's business */
  assert_int_equal(db_job_same(&job, &found, f->db, "b", "key", "aa", 0, &f->arena, &f->err), STATUS_OK);
  assert_string_equal(job.id, "ftjob-3");
  add_job(f, "b", "ftjob-4", 0);
  assert_int_equal(db_job_same(&job, &found, f->db, "a", NULL, "aa", 0, &f->arena, &f->err), STATUS_OK);
  assert_false(found);
}

static void a_stranger_finds_no_file(void **state) {
  struct fixture *f = *state;
  struct file_row file, *files;
  struct page page = {.limit = 5}, after = {.limit = 5, .after = "file-1"};
  size_t count;
  bool more;
  add_job(f, "a", "ftjob-1", 0);
  assert_int_equal(try_file(f, "a", "file-1", NULL), STATUS_OK);
  assert_int_equal(try_file(f, "b", "file-2", "ftjob-1"), STATUS_OK); /* what a job made is its tenant's */
  const char *const tenants[] = {"a", "b", TENANT_DEFAULT};
  for (size_t i = 0; i < COUNT_OF(tenants); i++) {
    enum status want = i == 0 ? STATUS_OK : STATUS_FILE_NOT_FOUND;
    assert_int_equal(db_file_get(&file, f->db, tenants[i], "file-1", 0, &f->arena, &f->err), want);
    assert_int_equal(db_file_get(&file, f->db, tenants[i], "file-2", 0, &f->arena, &f->err), want);
    for (int purpose = 0; purpose < 2; purpose++) {
      const char *name = purpose ? "fine-tune" : NULL;
      assert_int_equal(db_file_list(&files, &count, &more, f->db, tenants[i], &page, name, 0, &f->arena, &f->err),
                       STATUS_OK);
      assert_int_equal(count, i == 0 ? 2 : 0);
      assert_int_equal(db_file_list(&files, &count, &more, f->db, tenants[i], &after, name, 0, &f->arena, &f->err),
                       i == 0 ? STATUS_OK : STATUS_INVALID_CURSOR);
    }
  }
  assert_int_equal(db_file_delete(f->db, "b", "file-1", &f->err), STATUS_OK);
  assert_int_equal(db_file_get(&file, f->db, "a", "file-1", 0, &f->arena, &f->err), STATUS_OK); /* it is still there */
}

static void a_stranger_repeats_no_request(void **state) {
  struct fixture *f = *state;
  struct file_row file, row = {.id = "file-1",
                               .tenant = "a",
                               .created_at = 100,
                               .filename = "d",
                               .purpose = "fine-tune",
                               .sha256 = "00",
                               .path = "files/1",
                               .idempotency_key = "key",
                               .body_sha256 = "aa"};
  bool found;
  assert_int_equal(db_file_insert(f->db, &row, &f->err), STATUS_OK);
  row.id = "file-2";
  row.idempotency_key = NULL;
  assert_int_equal(db_file_insert(f->db, &row, &f->err), STATUS_OK);
  for (int own = 0; own < 2; own++)
    for (int keyed = 0; keyed < 2; keyed++) {
      const char *key = keyed ? "key" : NULL, *tenant = own ? "a" : "b";
      assert_int_equal(db_file_same(&file, &found, f->db, tenant, key, "aa", 100, &f->arena, &f->err), STATUS_OK);
      assert_int_equal(found, own);
      if (found)
        assert_string_equal(file.id, keyed ? "file-1" : "file-2");
      assert_int_equal(db_file_same(&file, &found, f->db, tenant, key, "aa", 101, &f->arena, &f->err), STATUS_OK);
      assert_false(found); /* it is too long ago */
    }
  assert_int_equal(db_file_same(&file, &found, f->db, "a", NULL, "bb", 0, &f->arena, &f->err), STATUS_OK);
  assert_false(found);
}

/* Their numbers count up over all jobs: the next one is easily guessed. */
static void a_stranger_finds_no_checkpoint(void **state) {
  struct fixture *f = *state;
  struct checkpoint_row row = {.job_id = "ftjob-1", .step = 2, .path = "p", .metrics = "{}"}, *rows;
  struct event_row event = {.job_id = "ftjob-1", .level = LOG_INFO, .message = "m"}, *events;
  struct page of_checkpoint = {.limit = 5, .after = "ftckpt-1"}, of_event = {.limit = 5, .after = "ftevent-1"};
  size_t count;
  bool found, more;
  add_job(f, "a", "ftjob-1", 0);
  add_job(f, "b", "ftjob-2", 0);
  assert_int_equal(db_checkpoint_add(f->db, &row, &f->err), STATUS_OK);
  assert_int_equal(db_event_add(f->db, &event, &f->err), STATUS_OK);
  for (int own = 0; own < 2; own++) {
    const char *tenant = own ? "a" : "b", *job = own ? "ftjob-1" : "ftjob-2";
    assert_int_equal(db_checkpoint_get(&row, &found, f->db, tenant, "ftckpt-1", &f->arena, &f->err), STATUS_OK);
    assert_int_equal(found, own);
    assert_int_equal(db_checkpoint_of_name(&row, &found, f->db, tenant, "ft:ftjob-1:ckpt-step-2", &f->arena, &f->err),
                     STATUS_OK);
    assert_int_equal(found, own);
    enum status want = own ? STATUS_OK : STATUS_INVALID_CURSOR;
    assert_int_equal(db_checkpoint_list(&rows, &count, &more, f->db, job, &of_checkpoint, &f->arena, &f->err), want);
    assert_int_equal(db_event_list(&events, &count, &more, f->db, job, &of_event, &f->arena, &f->err), want);
  }
}

static void tenants_take_turns(void **state) {
  struct fixture *f = *state;
  for (int i = 0; i < 4; i++) {
    char id[24];
    snprintf(id, sizeof id, "ftjob-a%d", i);
    add_job(f, "a", id, 0);
  }
  add_job(f, "b", "ftjob-b0", 0);
  add_job(f, "b", "ftjob-b1", 0);
  add_job(f, "a", "ftjob-a4", 1); /* priority comes before fairness */
  static const char *const order[] = {"ftjob-a4", "ftjob-b0", "ftjob-a0", "ftjob-b1",
                                      "ftjob-a1", "ftjob-a2", "ftjob-a3", ""};
  for (size_t i = 0; i < COUNT_OF(order); i++)
    assert_string_equal(claim(f, 0), order[i]);
}

/* A tenant at its limit is passed over, whatever the priority of its jobs; the others go on. */
static void no_tenant_runs_more_than_it_may(void **state) {
  struct fixture *f = *state;
  struct tenant_row tenant;
  int64_t queued, running;
  bool held;
  for (int i = 0; i < 3; i++) {
    char id[24];
    snprintf(id, sizeof id, "ftjob-a%d", i);
    add_job(f, "a", id, 5);
    snprintf(id, sizeof id, "ftjob-b%d", i);
    add_job(f, "b", id, 0);
  }
  tenant = (struct tenant_row){.name = "b", .queued_max = -1, .running_max = 2, .bytes_max = -1};
  assert_int_equal(db_tenant_limit(f->db, &tenant, &f->err), STATUS_OK);
  static const char *const order[] = {"ftjob-a0", "ftjob-b0", "ftjob-b1", ""};
  for (size_t i = 0; i < COUNT_OF(order); i++)
    assert_string_equal(claim(f, 1), order[i]);
  assert_int_equal(db_tenant_get(&tenant, f->db, "b", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(db_queue_of_tenant(&queued, &running, f->db, "b", &f->err), STATUS_OK);
  assert_true(queued == 1 && running == 2 && tenant.running_max == 2);
  assert_true(tenant.queued_max == TENANT_AS_CONFIGURED && tenant.bytes_max == TENANT_AS_CONFIGURED);
  const struct lease lease = {.job_id = "ftjob-b0", .token = 1};
  assert_int_equal(db_job_release(f->db, &lease, JOB_CANCELLED, NULL, 9, &held, &f->err), STATUS_OK);
  assert_string_equal(claim(f, 1), "ftjob-b2");
  tenant = (struct tenant_row){.name = "a", .queued_max = -1, .running_max = 0, .bytes_max = -1};
  assert_int_equal(db_tenant_limit(f->db, &tenant, &f->err), STATUS_OK); /* 0: no limit, whatever is configured */
  assert_string_equal(claim(f, 1), "ftjob-a1");
}

static int64_t stored(struct fixture *f, const char *name) {
  struct tenant_row tenant;
  assert_int_equal(db_tenant_get(&tenant, f->db, name, &f->arena, &f->err), STATUS_OK);
  return tenant.bytes;
}

static void what_is_stored_is_counted(void **state) {
  struct fixture *f = *state;
  struct artifact_row artifact = {.job_id = "ftjob-1", .name = "n", .path = "p", .bytes = 100, .sha256 = "00"};
  add_job(f, "a", "ftjob-1", 0);
  assert_int_equal(try_file(f, "a", "file-2", NULL), STATUS_OK);
  assert_int_equal(try_file(f, "b", "file-3", NULL), STATUS_OK);
  assert_int_equal(db_artifact_add(f->db, &artifact, &f->err), STATUS_OK);
  assert_int_equal(try_file(f, NULL, "file-4", "ftjob-1"), STATUS_OK); /* the artifact's other name */
  assert_true(stored(f, "a") == 105 && stored(f, "b") == 5 && stored(f, TENANT_DEFAULT) == 0);
  assert_int_equal(db_file_delete(f->db, "a", "file-2", &f->err), STATUS_OK);
  assert_int_equal(db_file_delete_of_job(f->db, "ftjob-1", &f->err), STATUS_OK);
  assert_int_equal(stored(f, "a"), 100);
  assert_int_equal(db_artifact_delete_of_job(f->db, "ftjob-1", &f->err), STATUS_OK);
  assert_int_equal(stored(f, "a"), 0);
}

static void checkpoints_and_states_are_counted(void **state) {
  struct fixture *f = *state;
  struct checkpoint_row checkpoint = {.job_id = "ftjob-1", .step = 2, .path = "c", .metrics = "{}", .bytes = 30};
  struct state_row training = {.step = 2, .path = "s", .bytes = 7, .sha256 = "00"};
  bool held;
  add_job(f, "a", "ftjob-1", 0);
  assert_int_equal(db_checkpoint_add(f->db, &checkpoint, &f->err), STATUS_OK);
  checkpoint.bytes = 40; /* made again */
  assert_int_equal(db_checkpoint_add(f->db, &checkpoint, &f->err), STATUS_OK);
  assert_int_equal(stored(f, "a"), 40);
  const struct lease lease = {.job_id = claim(f, 0), .token = 1};
  for (training.step = 2; training.step < 6; training.step++)
    assert_true(!db_state_add(f->db, &lease, &training, &held, &f->err) && held);
  assert_int_equal(stored(f, "a"), 40 + 2 * 7); /* the newest two are kept */
  training.step = 5;
  training.bytes = 9;
  assert_true(!db_state_add(f->db, &lease, &training, &held, &f->err) && held);
  assert_int_equal(stored(f, "a"), 40 + 7 + 9);
  assert_int_equal(db_checkpoint_delete(f->db, "ftjob-1", 2, &f->err), STATUS_OK);
  assert_int_equal(stored(f, "a"), 7 + 9);
  assert_int_equal(db_job_release(f->db, &lease, JOB_CANCELLED, NULL, 9, &held, &f->err), STATUS_OK); /* drops them */
  assert_int_equal(stored(f, "a"), 0);
}

static void rows_need_a_tenant(void **state) {
  struct fixture *f = *state;
  assert_int_not_equal(try_job(f, "none", "ftjob-1", 0), STATUS_OK);
  assert_int_not_equal(try_job(f, NULL, "ftjob-1", 0), STATUS_OK);
  assert_int_not_equal(try_file(f, "none", "file-1", NULL), STATUS_OK);
  assert_int_not_equal(try_file(f, NULL, "file-1", NULL), STATUS_OK);
}

static void names_of_tenants(void **state) {
  (void)state;
  assert_true(tenant_valid("default") && tenant_valid("0-a"));
  char text[TENANT_BYTES + 1];
  memset(text, 'x', TENANT_BYTES);
  text[TENANT_BYTES] = '\0';
  static const char *const bad[] = {"", "-a", "A", "a b", "a_b", "a\n", "\xc3\xa4"};
  assert_false(tenant_valid(text));
  assert_true(tenant_valid(text + 1));
  for (size_t i = 0; i < COUNT_OF(bad); i++)
    assert_false(tenant_valid(bad[i]));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, store_done)
  const struct CMUnitTest tests[] = {
      TEST(a_stranger_finds_no_job),
      TEST(a_stranger_finds_no_file),
      TEST(a_stranger_repeats_no_request),
      TEST(a_stranger_finds_no_checkpoint),
      TEST(tenants_take_turns),
      TEST(no_tenant_runs_more_than_it_may),
      TEST(what_is_stored_is_counted),
      TEST(checkpoints_and_states_are_counted),
      TEST(rows_need_a_tenant),
      TEST(names_of_tenants),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
