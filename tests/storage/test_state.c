/* Proves: what training goes on from is kept, replaced and dropped with its bytes; attempts are counted, given back and
   forgotten when training gets further; pauses are noted; and what a later run tells again is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/tenant.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_removal.h"
#include "storage/db_state.h"
#include "tests/storage/store.h"

static const char JOB[] = "ftjob-a";

static int set_up(void **state) {
  struct fixture *f = store_new();
  struct job_row row = store_job(JOB, TENANT_DEFAULT);
  assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
  *state = f;
  return 0;
}

static bool claim_at(struct fixture *f, int64_t now_ms) {
  const struct job_place place = {INT64_MAX, "[]", true, 0, now_ms};
  struct job_row job;
  bool found;
  assert_int_equal(db_job_claim(&job, &found, f->db, &place, 200, &f->arena, &f->err), STATUS_OK);
  return found;
}

static struct job_row job_of(struct fixture *f) {
  struct job_row job;
  assert_int_equal(db_job_get(&job, f->db, TENANT_DEFAULT, JOB, &f->arena, &f->err), STATUS_OK);
  return job;
}

static struct lease claim(struct fixture *f) {
  assert_true(claim_at(f, 0));
  return (struct lease){.job_id = JOB, .token = job_of(f).lease_token};
}

static void release(struct fixture *f, struct lease lease, enum job_state to) {
  bool held;
  assert_int_equal(db_job_release(f->db, &lease, to, NULL, 300, &held, &f->err), STATUS_OK);
  assert_true(held);
}

/* Is it taken? */
static bool add(struct fixture *f, struct lease lease, int64_t step) {
  bool held;
  struct state_row row = {.step = step,
                          .path = arena_format(&f->arena, "jobs/a/%d/state-%d", (int)lease.token, (int)step),
                          .bytes = 9,
                          .sha256 = "00",
                          .created_at = 5};
  assert_int_equal(db_state_add(f->db, &lease, &row, &held, &f->err), STATUS_OK);
  return held;
}

/* The steps of the states, newest first, and the paths that wait for removal. */
static void expect(struct fixture *f, const char *steps, const char *removals) {
  struct state_row *rows;
  size_t count;
  char text[64] = "", paths[256] = "";
  assert_int_equal(db_state_list(&rows, &count, f->db, JOB, &f->arena, &f->err), STATUS_OK);
  for (size_t i = 0; i < count; i++)
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d@%d", i ? " " : "", (int)rows[i].step,
             (int)rows[i].lease_token);
  assert_string_equal(text, steps);
  const char *path = "";
  while (!db_removal_next(&path, f->db, path, &f->arena, &f->err) && path)
    snprintf(paths + strlen(paths), sizeof paths - strlen(paths), "%s%s", paths[0] ? " " : "", path);
  assert_string_equal(paths, removals);
}

static void test_newest_two(void **state) {
  struct fixture *f = *state;
  struct lease first = claim(f);
  assert_true(add(f, first, 4) && add(f, first, 8) && add(f, first, 12));
  expect(f, "12@1 8@1", ""); /* the worker itself deletes those of its run */
  release(f, first, JOB_QUEUED);
  struct lease second = claim(f);
  assert_false(add(f, first, 16)); /* a run that has lost its lease adds nothing */
  assert_true(add(f, second, 16));
  expect(f, "16@2 12@1", "jobs/a/1/state-8");
  assert_true(add(f, second, 16)); /* told again */
  expect(f, "16@2 12@1", "jobs/a/1/state-8");
}

/* The newest one was damaged: the run went on from the one before it, and what it writes is the newest now. */
static void test_went_back(void **state) {
  struct fixture *f = *state;
  struct lease first = claim(f);
  assert_true(add(f, first, 4) && add(f, first, 8));
  release(f, first, JOB_QUEUED);
  assert_true(add(f, claim(f), 6));
  expect(f, "6@2 4@1", "jobs/a/1/state-8");
  assert_int_equal(job_of(f).attempts, 2); /* it has been further before */
  assert_int_equal(job_of(f).furthest_step, 8);
}

static void test_end_drops_all(void **state) {
  struct fixture *f = *state;
  struct lease lease = claim(f);
  bool moved;
  assert_true(add(f, lease, 4) && add(f, lease, 8));
  release(f, lease, JOB_PAUSED);
  expect(f, "8@1 4@1", "");
  assert_int_equal(db_job_move(f->db, JOB, JOB_PAUSED, JOB_CANCELLED, NULL, 400, &moved, &f->err), STATUS_OK);
  expect(f, "", "jobs/a/1/state-4 jobs/a/1/state-8");
}

static void test_attempts(void **state) {
  struct fixture *f = *state;
  bool held;
  struct lease lease = claim(f);
  assert_int_equal(job_of(f).attempts, 1);
  release(f, lease, JOB_QUEUED);
  lease = claim(f);
  assert_int_equal(db_job_interrupted(f->db, JOB, &f->err), STATUS_OK);
  assert_true(job_of(f).attempts == 2 && job_of(f).interruptions == 1);
  assert_true(add(f, lease, 4)); /* further than ever: this attempt alone counts */
  assert_true(job_of(f).attempts == 1 && job_of(f).interruptions == 0);
  release(f, lease, JOB_QUEUED);
  assert_int_equal(db_job_refund(f->db, JOB, &f->err), STATUS_OK);
  assert_int_equal(job_of(f).attempts, 0);
  lease = claim(f);
  assert_int_equal(db_job_unclaim(f->db, &lease, &held, &f->err), STATUS_OK);
  assert_true(held && job_of(f).attempts == 0);
}

static void test_waits(void **state) {
  struct fixture *f = *state;
  assert_int_equal(db_job_wait_until(f->db, JOB, 5000, &f->err), STATUS_OK);
  assert_false(claim_at(f, 4999));
  assert_true(claim_at(f, 5000));
  release(f, (struct lease){JOB, 1}, JOB_QUEUED);
  assert_true(claim_at(f, 0)); /* once */
  release(f, (struct lease){JOB, 2}, JOB_QUEUED);
  assert_int_equal(db_job_wait_until(f->db, JOB, 5000, &f->err), STATUS_OK);
  assert_int_equal(db_job_forget_waits(f->db, &f->err), STATUS_OK); /* the clock began anew */
  assert_true(claim_at(f, 1));
}

static void test_pause(void **state) {
  struct fixture *f = *state;
  bool held;
  assert_int_equal(db_job_request_pause(f->db, JOB, 7, &f->err), STATUS_OK);
  assert_int_equal(job_of(f).pause_requested_at, 0); /* it does not run */
  struct lease lease = claim(f);
  assert_int_equal(db_job_request_pause(f->db, JOB, 8, &f->err), STATUS_OK);
  assert_int_equal(db_job_request_pause(f->db, JOB, 9, &f->err), STATUS_OK);
  assert_int_equal(job_of(f).pause_requested_at, 8);
  assert_int_equal(db_job_withdraw_pause(f->db, JOB, &f->err), STATUS_OK);
  assert_int_equal(job_of(f).pause_requested_at, 0);
  assert_int_equal(db_job_request_pause(f->db, JOB, 8, &f->err), STATUS_OK);
  assert_int_equal(db_job_unclaim(f->db, &lease, &held, &f->err), STATUS_OK);
  assert_true(job_of(f).state == JOB_PAUSED && job_of(f).pause_requested_at == 0);
}

static void test_told_again(void **state) {
  struct fixture *f = *state;
  struct event_row metrics = {.job_id = JOB, .metrics = true, .message = "step 3", .data = "{\"step\":3,\"a\":1}"};
  struct event_row said = {.job_id = JOB, .level = LOG_WARN, .message = "5 examples are cut"};
  int64_t none, last;
  const char *data;
  bool again;
  assert_int_equal(db_event_last(&none, f->db, JOB, &f->err), STATUS_OK);
  assert_int_equal(none, 0);
  assert_int_equal(db_event_add(f->db, &metrics, &f->err), STATUS_OK);
  assert_int_equal(db_event_add(f->db, &said, &f->err), STATUS_OK);
  assert_int_equal(db_event_last(&last, f->db, JOB, &f->err), STATUS_OK);
  assert_true(last > 0);
  assert_int_equal(db_event_metrics(&data, f->db, JOB, 3, &f->arena, &f->err), STATUS_OK);
  assert_string_equal(data, "{\"step\":3,\"a\":1}");
  assert_int_equal(db_event_metrics(&data, f->db, JOB, 4, &f->arena, &f->err), STATUS_OK);
  assert_null(data);
  assert_int_equal(db_event_said(&again, f->db, &said, last, &f->err), STATUS_OK);
  assert_true(again);
  assert_int_equal(db_event_said(&again, f->db, &said, last - 1, &f->err), STATUS_OK);
  assert_false(again);
  said.data = "{\"n\":5}";
  assert_int_equal(db_event_said(&again, f->db, &said, last, &f->err), STATUS_OK);
  assert_false(again);
}

/* A checkpoint that is made again is the same to clients. */
static void test_checkpoint_again(void **state) {
  struct fixture *f = *state;
  struct page page = {.limit = 5};
  struct checkpoint_row *rows, row = {.job_id = JOB, .created_at = 1, .step = 4, .path = "jobs/a/1/c", .metrics = "{}"};
  size_t count;
  bool more, named;
  assert_int_equal(db_checkpoint_add(f->db, &row, &f->err), STATUS_OK);
  row.step = 5, row.path = "jobs/a/1/d";
  assert_int_equal(db_checkpoint_add(f->db, &row, &f->err), STATUS_OK);
  row.created_at = 9, row.step = 4, row.path = "jobs/a/2/c", row.metrics = "{\"x\":1}";
  assert_int_equal(db_checkpoint_add(f->db, &row, &f->err), STATUS_OK);
  assert_int_equal(db_checkpoint_list(&rows, &count, &more, f->db, JOB, &page, &f->arena, &f->err), STATUS_OK);
  assert_true(count == 2 && rows[1].step == 4 && rows[1].created_at == 1);
  assert_string_equal(rows[1].path, "jobs/a/2/c");
  expect(f, "", "jobs/a/1/c");
  const struct {
    const char *path;
    bool named;
  } paths[] = {{"jobs/a/1", true}, {"jobs/a/2", true}, {"jobs/a/2/c", true}, {"jobs/a/2/c2", false},
               {"jobs/a/1/c", false}, {"jobs/a/20", false}};
  for (size_t i = 0; i < COUNT_OF(paths); i++) {
    assert_int_equal(db_path_named(&named, f->db, JOB, paths[i].path, &f->err), STATUS_OK);
    assert_int_equal(named, paths[i].named);
  }
  assert_int_equal(db_checkpoint_delete_in(f->db, JOB, "jobs/a/1", &f->err), STATUS_OK);
  assert_int_equal(db_checkpoint_list(&rows, &count, &more, f->db, JOB, &page, &f->arena, &f->err), STATUS_OK);
  assert_true(count == 1 && rows[0].step == 4);
}

static void forget(struct fixture *f, int64_t expected) {
  int64_t forgotten = -1;
  assert_int_equal(db_checkpoint_forget_dropped(f->db, &forgotten, &f->err), STATUS_OK);
  assert_int_equal(forgotten, expected);
}

/* One that its job keeps no more stays as long as a job that has not ended starts from it, by either of its names. */
static void test_checkpoint_dropped(void **state) {
  struct fixture *f = *state;
  struct checkpoint_row *rows, row = {.job_id = JOB, .path = "jobs/a/1/c", .metrics = "{}"};
  struct page page = {.limit = 10};
  struct job_row waits = store_job("waits", TENANT_DEFAULT), other = store_job("other", TENANT_DEFAULT);
  char id[40], name[80];
  size_t count;
  bool more, moved;
  for (row.step = 1; row.step <= 3; row.step++)
    assert_int_equal(db_checkpoint_add(f->db, &row, &f->err), STATUS_OK);
  assert_int_equal(db_checkpoint_list(&rows, &count, &more, f->db, JOB, &page, &f->arena, &f->err), STATUS_OK);
  snprintf(id, sizeof id, "ftckpt-%lld", (long long)rows[2].seq); /* of step 1; newest first */
  snprintf(name, sizeof name, "%s:ckpt-step-2", job_of(f).fine_tuned_model);
  waits.from_checkpoint = id;
  other.from_checkpoint = name;
  assert_int_equal(db_job_insert(f->db, &waits, &f->err), STATUS_OK);
  assert_int_equal(db_job_insert(f->db, &other, &f->err), STATUS_OK);
  for (int64_t step = 1; step <= 2; step++)
    assert_int_equal(db_checkpoint_drop(f->db, JOB, step, &f->err), STATUS_OK);
  forget(f, 0);
  assert_int_equal(db_job_move(f->db, "waits", JOB_QUEUED, JOB_CANCELLED, NULL, 9, &moved, &f->err), STATUS_OK);
  forget(f, 1);
  assert_int_equal(db_checkpoint_add(f->db, &(struct checkpoint_row){.job_id = JOB, .step = 2, .path = "jobs/a/2/c",
                                                                     .metrics = "{}"}, &f->err), STATUS_OK);
  assert_int_equal(db_job_move(f->db, "other", JOB_QUEUED, JOB_CANCELLED, NULL, 9, &moved, &f->err), STATUS_OK);
  forget(f, 0); /* it was made again */
  assert_int_equal(db_checkpoint_drop(f->db, JOB, 2, &f->err), STATUS_OK);
  forget(f, 1);
  assert_int_equal(db_checkpoint_list(&rows, &count, &more, f->db, JOB, &page, &f->arena, &f->err), STATUS_OK);
  assert_true(count == 1 && rows[0].step == 3);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, store_done)
  const struct CMUnitTest tests[] = {TEST(test_newest_two), TEST(test_went_back), TEST(test_end_drops_all),
                                     TEST(test_attempts),   TEST(test_waits),     TEST(test_pause),
                                     TEST(test_told_again), TEST(test_checkpoint_again),
                                     TEST(test_checkpoint_dropped)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
