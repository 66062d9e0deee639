/* Proves: what the queue's counts say is what counting the rows says, whatever happens to jobs; a position is the
   number of jobs that go before; and a device finds its job behind any number of others'. */
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
#include "storage/db_check.h"
#include "storage/db_file.h"
#include "storage/db_queue.h"
#include "storage/db_tenant.h"
#include "tests/storage/store.h"

enum { JOBS = 1500, PAGE = 100 };

static int set_up(void **state) {
  struct fixture *f = store_new();
  assert_int_equal(db_tenant_add(f->db, "b", 1, &f->err), STATUS_OK);
  *state = f;
  return 0;
}

static uint32_t draw(uint32_t *seed, uint32_t below) {
  *seed = *seed * 1664525u + 1013904223u;
  return (*seed >> 8) % below;
}

static void add(struct fixture *f, int n, const char *tenant, int64_t priority, enum job_state state,
                const char *device) {
  char id[24];
  snprintf(id, sizeof id, "ftjob-%d", n);
  struct job_row row = store_job(id, tenant);
  row.priority = priority;
  row.state = state;
  row.device_wanted = device;
  row.peft_type = n % 3 ? "LORA" : "HRA";
  assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
}

/* Jobs of two tenants in any state. */
static void fill(struct fixture *f) {
  uint32_t seed = 1;
  bool moved;
  assert_int_equal(db_begin(f->db, &f->err), STATUS_OK);
  for (int n = 0; n < JOBS; n++) {
    char id[24];
    snprintf(id, sizeof id, "ftjob-%d", n);
    add(f, n, draw(&seed, 3) ? TENANT_DEFAULT : "b", draw(&seed, 3), draw(&seed, 9) ? JOB_QUEUED : JOB_VALIDATING,
        NULL);
    if (draw(&seed, 6) == 0)
      assert_int_equal(db_job_move(f->db, id, JOB_QUEUED, JOB_PAUSED, NULL, 1, &moved, &f->err), STATUS_OK);
    if (draw(&seed, 6) == 0)
      assert_int_equal(db_job_move(f->db, id, JOB_QUEUED, JOB_CANCELLED, NULL, 1, &moved, &f->err), STATUS_OK);
    if (draw(&seed, 3) == 0)
      assert_int_equal(db_job_move(f->db, id, JOB_PAUSED, JOB_QUEUED, NULL, 1, &moved, &f->err), STATUS_OK);
  }
  for (int i = 0; i < 50; i++) {
    const struct job_place place = {INT64_MAX, "[]", true, 0, 0};
    struct job_row job;
    bool found, held;
    assert_int_equal(db_job_claim(&job, &found, f->db, &place, 1, &f->arena, &f->err), STATUS_OK);
    const struct lease lease = {job.id, job.lease_token};
    if (i % 3)
      assert_int_equal(db_job_release(f->db, &lease, i % 2 ? JOB_QUEUED : JOB_CANCELLED, NULL, 1, &held, &f->err),
                       STATUS_OK);
  }
  assert_int_equal(db_commit(f->db, &f->err), STATUS_OK);
}

/* All jobs of a tenant, newest first. */
static size_t read_all(struct job_row *out, struct fixture *f, const char *tenant) {
  struct page page = {.limit = PAGE};
  size_t n = 0, count;
  bool more = true;
  while (more) {
    struct job_row *jobs;
    assert_int_equal(
        db_job_list(&jobs, &count, &more, f->db, tenant, &page, &(struct job_filter){0}, &f->arena, &f->err),
        STATUS_OK);
    memcpy(out + n, jobs, count * sizeof *out);
    n += count;
    page.after = count ? out[n - 1].id : NULL;
  }
  return n;
}

static int64_t position(const struct job_row *of, const struct job_row *all, size_t count) {
  int64_t n = 0;
  for (size_t i = 0; i < count; i++)
    n += all[i].state == JOB_QUEUED &&
         (all[i].priority > of->priority || (all[i].priority == of->priority && all[i].place < of->place));
  return of->state == JOB_QUEUED ? n : -1;
}

static void check_positions(struct fixture *f, const char *tenant, const struct job_row *all, size_t count) {
  int64_t got[PAGE];
  for (size_t from = 0; from < count; from += PAGE) { /* pages */
    size_t n = count - from < PAGE ? count - from : PAGE;
    assert_int_equal(db_queue_positions(got, f->db, tenant, all + from, n, &f->err), STATUS_OK);
    for (size_t i = 0; i < n; i++)
      assert_int_equal(got[i], position(&all[from + i], all, count));
  }
  struct job_row some[PAGE] = {0}; /* of a filter: far apart */
  size_t n = 0;
  for (size_t i = 0; i < count && n < PAGE; i += 37)
    some[n++] = all[i];
  assert_int_equal(db_queue_positions(got, f->db, tenant, some, n, &f->err), STATUS_OK);
  for (size_t i = 0; i < n; i++) {
    int64_t alone;
    assert_int_equal(got[i], position(&some[i], all, count));
    assert_int_equal(db_queue_positions(&alone, f->db, tenant, &some[i], 1, &f->err), STATUS_OK);
    assert_int_equal(alone, got[i]);
  }
}

static void complain(void *context, const char *what, const char *text) {
  (void)context;
  if (strstr(text, "count"))
    fail_msg("%s %s", what, text);
}

static void check_count(struct fixture *f, const int64_t in_state[JOB_STATE_COUNT]) {
  int64_t open[JOB_STATE_COUNT], finished[JOB_STATE_COUNT][PEFT_COUNT];
  assert_int_equal(db_queue_count(open, finished, f->db, &f->err), STATUS_OK);
  for (int i = 0; i < JOB_STATE_COUNT; i++) {
    int64_t ended = 0;
    for (int type = 0; type < PEFT_COUNT; type++)
      ended += finished[i][type];
    assert_int_equal(job_state_terminal((enum job_state)i) ? ended : open[i], in_state[i]);
  }
}

static void test_counts(void **state) {
  struct fixture *f = *state;
  static const char *const tenants[] = {TENANT_DEFAULT, "b"};
  int64_t in_state[JOB_STATE_COUNT] = {0}, counted, running;
  struct job_row *all = malloc(JOBS * sizeof *all);
  size_t total = 0;
  fill(f);
  for (size_t t = 0; t < COUNT_OF(tenants); t++) {
    int64_t own[JOB_STATE_COUNT] = {0};
    size_t count = read_all(all, f, tenants[t]);
    total += count;
    for (size_t i = 0; i < count; i++) {
      in_state[all[i].state]++;
      own[all[i].state]++;
    }
    assert_int_equal(db_queue_of_tenant(&counted, &running, f->db, tenants[t], &f->err), STATUS_OK);
    assert_int_equal(counted, own[JOB_VALIDATING] + own[JOB_QUEUED] + own[JOB_PAUSED]);
    assert_int_equal(running, own[JOB_RUNNING]);
    assert_true(own[JOB_QUEUED] > 100 && own[JOB_PAUSED] > 20 && own[JOB_CANCELLED] > 20 && own[JOB_VALIDATING] > 20);
    check_positions(f, tenants[t], all, count);
  }
  assert_int_equal(total, JOBS);
  for (int i = 0; i < JOB_STATE_COUNT; i++)
    if (!job_state_terminal((enum job_state)i)) {
      assert_int_equal(db_queue_jobs(&counted, f->db, (enum job_state)i, &f->err), STATUS_OK);
      assert_int_equal(counted, in_state[i]);
    }
  assert_int_equal(db_queue_waiting(&counted, f->db, &f->err), STATUS_OK);
  assert_int_equal(counted, in_state[JOB_QUEUED] + in_state[JOB_VALIDATING]);
  check_count(f, in_state);
  assert_int_equal(db_check_rows(f->db, complain, NULL, &f->err), STATUS_OK);
  free(all);
}

/* What ends counts once and for ever, under its adapter. */
static void test_finished(void **state) {
  struct fixture *f = *state;
  int64_t open[JOB_STATE_COUNT], finished[JOB_STATE_COUNT][PEFT_COUNT];
  bool moved;
  for (int n = 0; n < 4; n++)
    add(f, n, TENANT_DEFAULT, 0, JOB_QUEUED, NULL);
  assert_int_equal(db_job_move(f->db, "ftjob-0", JOB_QUEUED, JOB_CANCELLED, NULL, 1, &moved, &f->err), STATUS_OK);
  assert_int_equal(db_job_move(f->db, "ftjob-0", JOB_QUEUED, JOB_CANCELLED, NULL, 1, &moved, &f->err), STATUS_OK);
  assert_false(moved);
  assert_int_equal(db_job_move(f->db, "ftjob-1", JOB_QUEUED, JOB_PAUSED, NULL, 1, &moved, &f->err), STATUS_OK);
  assert_int_equal(db_job_move(f->db, "ftjob-2", JOB_QUEUED, JOB_CANCELLED, NULL, 1, &moved, &f->err), STATUS_OK);
  assert_int_equal(db_queue_count(open, finished, f->db, &f->err), STATUS_OK);
  assert_int_equal(open[JOB_PAUSED], 1);
  assert_int_equal(open[JOB_QUEUED], 1);
  assert_int_equal(finished[JOB_CANCELLED][PEFT_HRA], 1);
  assert_int_equal(finished[JOB_CANCELLED][PEFT_LORA], 1);
  assert_int_equal(finished[JOB_FAILED][PEFT_LORA], 0);
}

/* A device finds what may run on it behind what may not; of two tenants the one whose turn it is. */
static void test_far_behind(void **state) {
  struct fixture *f = *state;
  const struct job_place gpu = {INT64_MAX, "[\"auto\",\"cuda:0\"]", false, 0, 0};
  static const char *const ids[] = {"ftjob-1500", "ftjob-1501", "ftjob-1502", NULL};
  struct job_row job;
  bool found;
  assert_int_equal(db_begin(f->db, &f->err), STATUS_OK);
  for (int n = 0; n < JOBS; n++)
    add(f, n, TENANT_DEFAULT, 5, JOB_QUEUED, "cpu");
  add(f, JOBS, TENANT_DEFAULT, 0, JOB_QUEUED, "cuda:0");
  add(f, JOBS + 1, "b", 0, JOB_QUEUED, NULL);
  add(f, JOBS + 2, TENANT_DEFAULT, 0, JOB_QUEUED, NULL);
  assert_int_equal(db_commit(f->db, &f->err), STATUS_OK);
  assert_int_equal(db_file_delete(f->db, TENANT_DEFAULT, "file-1", &f->err), STATUS_FILE_IN_USE);
  assert_non_null(strstr(f->err.text, "more than 1000 jobs that have not ended"));
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    assert_int_equal(db_job_first(&job, &found, f->db, &gpu, &f->arena, &f->err), STATUS_OK); /* and stays queued */
    assert_true(found == (ids[i] != NULL) && (!found || strcmp(job.id, ids[i]) == 0));
    assert_int_equal(db_job_claim(&job, &found, f->db, &gpu, 1, &f->arena, &f->err), STATUS_OK);
    assert_int_equal(found, ids[i] != NULL);
    if (found)
      assert_string_equal(job.id, ids[i]);
  }
}

/* The tenant's queued jobs of a priority in the order in which they start, by pages. */
static size_t read_order(struct job_row *out, struct fixture *f, int64_t priority) {
  struct job_row *jobs, last;
  size_t n = 0, count;
  bool more = true, any = false;
  while (more) {
    assert_int_equal(
        db_queue_list(&jobs, &count, &more, f->db, TENANT_DEFAULT, any ? &last : NULL, 70, &f->arena, &f->err),
        STATUS_OK);
    for (size_t i = 0; i < count; i++)
      if (jobs[i].priority == priority)
        out[n++] = jobs[i];
    any = count > 0;
    if (any)
      last = jobs[count - 1];
  }
  return n;
}

static void move_in(struct job_row *order, size_t count, size_t from, size_t to) {
  struct job_row job = order[from];
  memmove(&order[from], &order[from + 1], (count - from - 1) * sizeof *order);
  to -= to > from;
  memmove(&order[to + 1], &order[to], (count - 1 - to) * sizeof *order);
  order[to] = job;
}

/* Moved any number of times, most often before the same job, the queue is in the order that was asked for. */
static void test_moves(void **state) {
  struct fixture *f = *state;
  struct job_row *order = malloc(JOBS * sizeof *order), *got = malloc(JOBS * sizeof *got);
  uint32_t seed = 7;
  fill(f);
  size_t count = read_order(order, f, 1);
  assert_true(count > 100);
  assert_int_equal(db_begin(f->db, &f->err), STATUS_OK);
  for (int i = 0; i < 1500; i++) {
    size_t from = draw(&seed, (uint32_t)count), to = i % 3 ? count / 2 : draw(&seed, (uint32_t)count + 1);
    struct job_row job, before;
    if (from == to)
      continue;
    assert_int_equal(db_job_of_any(&job, f->db, order[from].id, &f->arena, &f->err), STATUS_OK);
    if (to < count)
      assert_int_equal(db_job_of_any(&before, f->db, order[to].id, &f->arena, &f->err), STATUS_OK);
    assert_int_equal(db_queue_move(f->db, &job, 1, to < count ? &before : NULL, &f->err), STATUS_OK);
    move_in(order, count, from, to);
  }
  assert_int_equal(db_commit(f->db, &f->err), STATUS_OK);
  assert_int_equal(read_order(got, f, 1), count);
  for (size_t i = 0; i < count; i++)
    assert_string_equal(got[i].id, order[i].id);
  size_t all = read_all(got, f, TENANT_DEFAULT);
  check_positions(f, TENANT_DEFAULT, got, all);
  assert_int_equal(db_check_rows(f->db, complain, NULL, &f->err), STATUS_OK);
  free(order);
  free(got);
}

/* What a job starts from is a file that it needs: it is neither deleted nor does it expire before the job has ended. */
static void test_source(void **state) {
  struct fixture *f = *state;
  struct file_row *rows;
  size_t count;
  bool moved;
  const struct file_row file = {.id = "file-2",
                                .tenant = TENANT_DEFAULT,
                                .created_at = 100,
                                .expires_at = 500,
                                .filename = "adapter.tar",
                                .purpose = "fine-tune",
                                .sha256 = "00",
                                .path = "files/file-2",
                                .status = FILE_PROCESSED};
  const struct job_row job = {.id = "ftjob-1",
                              .tenant = TENANT_DEFAULT,
                              .created_at = 100,
                              .model = "tiny",
                              .training_file = "file-1",
                              .fine_tuned_model = "ft:1",
                              .spec = "{}",
                              .body_sha256 = "aa",
                              .state = JOB_QUEUED,
                              .from_checkpoint = "file-2"};
  assert_int_equal(db_file_insert(f->db, &file, &f->err), STATUS_OK);
  assert_int_equal(db_job_insert(f->db, &job, &f->err), STATUS_OK);
  assert_int_equal(db_file_delete(f->db, TENANT_DEFAULT, "file-2", &f->err), STATUS_FILE_IN_USE);
  assert_int_equal(db_file_expired(&rows, &count, f->db, 500, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
  assert_int_equal(db_job_move(f->db, "ftjob-1", JOB_QUEUED, JOB_CANCELLED, NULL, 1, &moved, &f->err), STATUS_OK);
  assert_int_equal(db_file_expired(&rows, &count, f->db, 500, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 1);
  assert_int_equal(db_file_delete(f->db, TENANT_DEFAULT, "file-2", &f->err), STATUS_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_counts, set_up, store_done),
                                     cmocka_unit_test_setup_teardown(test_finished, set_up, store_done),
                                     cmocka_unit_test_setup_teardown(test_moves, set_up, store_done),
                                     cmocka_unit_test_setup_teardown(test_far_behind, set_up, store_done),
                                     cmocka_unit_test_setup_teardown(test_source, set_up, store_done)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
