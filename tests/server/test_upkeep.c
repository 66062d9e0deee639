/* Proves what becomes of a job that was running when the daemon before this one died: its state, what is said of it,
   what it goes on from, and which of its files stay. */
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
#include "base/file.h"
#include "server/upkeep.h"
#include "storage/db_checkpoint.h"
#include "storage/db_event.h"
#include "storage/db_removal.h"
#include "storage/db_state.h"

static const char JOB[] = "ftjob-a";

struct fixture {
  char folder[64];
  struct config config;
  struct server server;
  struct arena arena;
  struct lease lease;
  struct error err;
};

static void put(struct fixture *f, const char *path) {
  char full[160];
  snprintf(full, sizeof full, "%s/%s", f->folder, path);
  char *slash = strrchr(full, '/');
  *slash = '\0';
  assert_int_equal(file_mkdirs(full, &f->err), STATUS_OK);
  *slash = '/';
  assert_int_equal(file_put(full, path, strlen(path), &f->err), STATUS_OK);
}

static bool there(struct fixture *f, const char *path) {
  char full[160];
  snprintf(full, sizeof full, "%s/%s", f->folder, path);
  return access(full, F_OK) == 0;
}

static struct job_row job_of(struct fixture *f) {
  struct job_row job;
  assert_int_equal(db_job_get(&job, f->server.db, TENANT_DEFAULT, JOB, &f->arena, &f->err), STATUS_OK);
  return job;
}

/* A job that runs with its first lease. */
static int set_up(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  char path[96];
  snprintf(f->folder, sizeof f->folder, "/tmp/test_upkeep.XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(path, sizeof path, "%s/store.db", f->folder);
  f->config.data = f->folder;
  f->server.config = &f->config;
  arena_init(&f->arena, 64 << 20);
  assert_int_equal(db_open(&f->server.db, path, true, &f->err), STATUS_OK);
  put(f, "files/.tmp-x");
  struct job_row job, row = {.id = JOB,
                             .tenant = TENANT_DEFAULT,
                             .created_at = 100,
                             .model = "tiny",
                             .training_file = "file-1",
                             .fine_tuned_model = "ft:a",
                             .spec = "{}",
                             .body_sha256 = "aa",
                             .state = JOB_QUEUED};
  bool found;
  assert_int_equal(db_job_insert(f->server.db, &row, &f->err), STATUS_OK);
  const struct job_place place = {INT64_MAX, "[]", true, 0, 0};
  assert_int_equal(db_job_claim(&job, &found, f->server.db, &place, 5, &f->arena, &f->err), STATUS_OK);
  assert_true(found);
  f->lease = (struct lease){JOB, 1};
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  struct fixture *f = *state;
  db_close(f->server.db);
  arena_done(&f->arena);
  assert_int_equal(file_remove_tree(f->folder, NULL), STATUS_OK);
  free(f);
  return 0;
}

static void add_state(struct fixture *f, int64_t step, const char *path) {
  struct state_row row = {.step = step, .path = path, .bytes = 1, .sha256 = "00"};
  bool held;
  put(f, path);
  assert_int_equal(db_state_add(f->server.db, &f->lease, &row, &held, &f->err), STATUS_OK);
  assert_true(held);
}

static void told(struct fixture *f, const char *progress) {
  bool held;
  assert_int_equal(db_job_set_progress(f->server.db, &f->lease, progress, -1, &held, &f->err), STATUS_OK);
  assert_true(held);
}

static bool to_be_removed(struct fixture *f, const char *path) {
  bool noted;
  assert_int_equal(db_removal_noted(&noted, f->server.db, path, &f->err), STATUS_OK);
  return noted;
}

static void test_goes_on(void **state) {
  struct fixture *f = *state;
  struct state_row *states;
  size_t count;
  add_state(f, 4, "jobs/ftjob-a/1/state-4.safetensors");
  add_state(f, 8, "jobs/ftjob-a/1/state-8.safetensors");
  put(f, "jobs/ftjob-a/1/state-11.safetensors"); /* its worker saw that the daemon was gone */
  told(f, "{\"phase\":\"train\",\"step\":11}");
  put(f, "jobs/ftjob-a/1/state-12.safetensors.x");
  put(f, "jobs/ftjob-a/1/state-0013.safetensors");
  put(f, "jobs/ftjob-a/1/.tmp-99");
  put(f, "jobs/ftjob-a/1/adapter_model.safetensors"); /* it will be made again */
  struct checkpoint_row row = {.job_id = JOB, .step = 8, .path = "jobs/ftjob-a/1/checkpoint-8", .metrics = "{}"};
  put(f, "jobs/ftjob-a/1/checkpoint-8/adapter_model.safetensors");
  assert_int_equal(db_checkpoint_add(f->server.db, &row, &f->err), STATUS_OK);
  assert_int_equal(upkeep_recover(&f->server, &f->err), STATUS_OK);
  struct job_row job = job_of(f);
  assert_true(job.state == JOB_QUEUED && job.restarts == 1 && job.attempts == 0 && job.furthest_step == 11);
  assert_int_equal(db_state_list(&states, &count, f->server.db, JOB, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 2);
  assert_string_equal(states[0].path, "jobs/ftjob-a/1/state-11.safetensors");
  assert_string_equal(states[1].path, "jobs/ftjob-a/1/state-8.safetensors");
  static const struct {
    const char *name;
    bool removed;
  } files[] = {{"state-4.safetensors", true},
               {"state-8.safetensors", false},
               {"state-11.safetensors", false},
               {"state-12.safetensors.x", true},
               {"checkpoint-8", false},
               {"state-0013.safetensors", true},
               {"adapter_model.safetensors", true},
               {".tmp-99", true}};
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    char path[80];
    snprintf(path, sizeof path, "jobs/ftjob-a/1/%s", files[i].name);
    if (to_be_removed(f, path) != files[i].removed)
      fail_msg("%s", path);
  }
  assert_false(to_be_removed(f, "jobs/ftjob-a/1") || there(f, "lost+found"));
}

/* What the worker told of step 11 was not heard: the next run tells it. */
static void test_untold_is_left(void **state) {
  struct fixture *f = *state;
  struct state_row *states;
  size_t count;
  static const char *const progress[] = {"{\"phase\":\"train\",\"step\":10}", "{\"phase\":\"evaluate\",\"step\":11}"};
  add_state(f, 8, "jobs/ftjob-a/1/state-8.safetensors");
  put(f, "jobs/ftjob-a/1/state-11.safetensors");
  for (size_t i = 0; i < COUNT_OF(progress); i++) {
    struct job_row job;
    bool found;
    const struct job_place place = {INT64_MAX, "[]", true, 0, 0};
    told(f, progress[i]);
    assert_int_equal(upkeep_recover(&f->server, &f->err), STATUS_OK);
    assert_int_equal(db_state_list(&states, &count, f->server.db, JOB, &f->arena, &f->err), STATUS_OK);
    assert_true(count == 1 && states[0].step == 8);
    assert_int_equal(db_job_claim(&job, &found, f->server.db, &place, 5, &f->arena, &f->err), STATUS_OK);
    f->lease.token = job.lease_token;
  }
}

/* Of a finished adapter that cannot be made again from a state nothing is lost, and no row names what has moved. */
static void test_finished_is_kept(void **state) {
  struct fixture *f = *state;
  int64_t checkpoints;
  struct checkpoint_row row = {.job_id = JOB, .step = 8, .path = "jobs/ftjob-a/1/checkpoint-8", .metrics = "{}"};
  put(f, "jobs/ftjob-a/1/adapter_model.safetensors");
  assert_int_equal(db_checkpoint_add(f->server.db, &row, &f->err), STATUS_OK);
  assert_int_equal(upkeep_recover(&f->server, &f->err), STATUS_OK);
  assert_int_equal(job_of(f).state, JOB_QUEUED);
  assert_true(there(f, "lost+found/jobs-ftjob-a-1/adapter_model.safetensors"));
  assert_int_equal(db_checkpoint_count(&checkpoints, f->server.db, JOB, &f->err), STATUS_OK);
  assert_int_equal(checkpoints, 0);
}

static void test_orders_hold(void **state) {
  struct fixture *f = *state;
  add_state(f, 4, "jobs/ftjob-a/1/state-4.safetensors");
  assert_int_equal(db_job_request_pause(f->server.db, JOB, 9, &f->err), STATUS_OK);
  assert_int_equal(upkeep_recover(&f->server, &f->err), STATUS_OK);
  struct job_row job = job_of(f);
  assert_true(job.state == JOB_PAUSED && job.pause_requested_at == 0);
  assert_false(to_be_removed(f, "jobs/ftjob-a/1/state-4.safetensors"));
}

static void test_cancel_holds(void **state) {
  struct fixture *f = *state;
  add_state(f, 4, "jobs/ftjob-a/1/state-4.safetensors");
  assert_int_equal(db_job_request_pause(f->server.db, JOB, 9, &f->err), STATUS_OK);
  assert_int_equal(db_job_request_cancel(f->server.db, JOB, 9, &f->err), STATUS_OK);
  assert_int_equal(upkeep_recover(&f->server, &f->err), STATUS_OK);
  assert_int_equal(job_of(f).state, JOB_CANCELLED);
  assert_true(to_be_removed(f, "jobs/ftjob-a/1"));
}

/* The daemon dies again and again while the job runs: that is no attempt of its own, but it is not begun without end.
 */
static void test_kills_daemons(void **state) {
  struct fixture *f = *state;
  const struct job_place now = {INT64_MAX, "[]", true, 0, 0}, later = {INT64_MAX, "[]", true, 0, INT64_MAX};
  struct job_row job;
  bool found;
  int deaths = 0;
  for (; deaths < 100; deaths++) {
    assert_int_equal(upkeep_recover(&f->server, &f->err), STATUS_OK);
    job = job_of(f);
    assert_int_equal(job.attempts, 0);
    if (job.state == JOB_FAILED)
      break;
    assert_int_equal(db_job_claim(&job, &found, f->server.db, &now, 5, &f->arena, &f->err), STATUS_OK);
    assert_int_equal(found, deaths < 3); /* then others go first for a while */
    if (!found)
      assert_int_equal(db_job_claim(&job, &found, f->server.db, &later, 5, &f->arena, &f->err), STATUS_OK);
    assert_true(found);
  }
  assert_int_equal(deaths + 1, 20);
  assert_string_equal(job.error_code, "worker_crashed");
  assert_non_null(strstr(job.error_message, "the server died 20 times while the job ran"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_goes_on),     TEST(test_finished_is_kept), TEST(test_untold_is_left),
                                     TEST(test_orders_hold), TEST(test_cancel_holds),     TEST(test_kills_daemons)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
