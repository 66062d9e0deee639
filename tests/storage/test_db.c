/* Proves: the store survives closing and opening, refuses what is not its own, hands each queued job out once in
   the right order, takes a worker's writes only under the current lease, and pages without loss or repetition. */
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
#include "storage/db_removal.h"
#include "tests/storage/store.h"

static int set_up(void **state) {
  struct fixture *f = store_new();
  *state = f;
  return 0;
}

static void reopen(struct fixture *f) {
  db_close(f->db);
  assert_int_equal(db_open(&f->db, f->path, true, &f->err), STATUS_OK);
}

static void add_file(struct fixture *f, const char *id, enum file_status status, int64_t expires_at) {
  struct file_row row = {.id = id,
                         .tenant = TENANT_DEFAULT,
                         .created_at = 100,
                         .expires_at = expires_at,
                         .filename = "f.jsonl",
                         .purpose = "fine-tune",
                         .bytes = 5,
                         .sha256 = "00",
                         .path = id,
                         .status = status};
  assert_int_equal(db_file_insert(f->db, &row, &f->err), STATUS_OK);
}

static void add_job(struct fixture *f, const char *id, int64_t priority, const char *metadata) {
  const char *model = arena_format(&f->arena, "ft:tiny:local::%s", id);
  struct job_row row = {.id = id,
                        .tenant = TENANT_DEFAULT,
                        .created_at = 100,
                        .model = "tiny",
                        .training_file = "file-1",
                        .fine_tuned_model = model,
                        .spec = "{}",
                        .metadata = metadata,
                        .priority = priority,
                        .body_sha256 = "aa",
                        .state = JOB_QUEUED};
  assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
}

static const struct job_place anywhere = {INT64_MAX, "[]", true, 0, 0};

static struct job_row claim(struct fixture *f) {
  struct job_row job;
  bool found;
  assert_int_equal(db_job_claim(&job, &found, f->db, &anywhere, 200, &f->arena, &f->err), STATUS_OK);
  assert_true(found);
  return job;
}

static enum job_state state_of(struct fixture *f, const char *id) {
  struct job_row job;
  assert_int_equal(db_job_get(&job, f->db, TENANT_DEFAULT, id, &f->arena, &f->err), STATUS_OK);
  return job.state;
}

static void test_reopen(void **state) {
  struct fixture *f = *state;
  struct file_row file;
  add_file(f, "file-1", FILE_UPLOADED, 0);
  reopen(f);
  assert_int_equal(db_file_get(&file, f->db, TENANT_DEFAULT, "file-1", 0, &f->arena, &f->err), STATUS_OK);
  assert_string_equal(file.filename, "f.jsonl");
  assert_null(file.report);
  assert_int_equal(db_file_get(&file, f->db, TENANT_DEFAULT, "file-2", 0, &f->arena, &f->err), STATUS_FILE_NOT_FOUND);
}

/* What is not there is made only when that is wanted, and a store is known by its id. */
static void test_absent(void **state) {
  struct fixture *f = *state;
  struct db *other;
  char path[128], id[DB_ID_BYTES], again[DB_ID_BYTES];
  bool unused;
  snprintf(path, sizeof path, "%s/other.db", f->folder);
  assert_true(db_absent(path));
  assert_int_equal(db_open(&other, path, false, &f->err), STATUS_NOT_FOUND);
  assert_true(db_absent(path));
  assert_int_equal(file_put(path, "", 0, NULL), STATUS_OK);
  assert_true(db_absent(path));
  assert_int_equal(db_open(&other, path, false, &f->err), STATUS_NOT_FOUND);
  assert_int_equal(db_open(&other, path, true, &f->err), STATUS_OK);
  assert_int_equal(db_id(again, other, &f->err), STATUS_OK);
  db_close(other);
  assert_false(db_absent(path));
  assert_int_equal(db_open(&other, path, false, &f->err), STATUS_OK);
  assert_int_equal(db_id(id, other, &f->err), STATUS_OK);
  assert_string_equal(id, again);
  db_close(other);
  assert_int_equal(db_id(again, f->db, &f->err), STATUS_OK);
  assert_string_not_equal(id, again);
  assert_int_equal(db_unused(&unused, f->db, &f->err), STATUS_OK);
  assert_true(unused);
  add_file(f, "file-1", FILE_UPLOADED, 0);
  assert_int_equal(db_unused(&unused, f->db, &f->err), STATUS_OK);
  assert_false(unused);
}

static enum status add_removal(struct db *db, const void *what, struct error *err) {
  enum status status = db_removal_add(db, what, err);
  return status || strcmp(what, "bad") != 0 ? status : error_set(err, STATUS_INVALID_VALUE, NULL, "bad");
}

/* Notes of what is to be removed come in order, and only with their transaction. */
static void test_removals(void **state) {
  struct fixture *f = *state;
  const char *path;
  bool noted;
  assert_int_equal(db_apply(f->db, add_removal, "files/b", true, &f->err), STATUS_OK);
  assert_int_equal(db_apply(f->db, add_removal, "files/a", false, &f->err), STATUS_OK);
  assert_int_equal(db_apply(f->db, add_removal, "files/a", false, &f->err), STATUS_OK);
  assert_int_equal(db_apply(f->db, add_removal, "bad", true, &f->err), STATUS_INVALID_VALUE);
  reopen(f);
  assert_int_equal(db_removal_noted(&noted, f->db, "bad", &f->err), STATUS_OK);
  assert_false(noted);
  assert_int_equal(db_removal_next(&path, f->db, "", &f->arena, &f->err), STATUS_OK);
  assert_string_equal(path, "files/a");
  assert_int_equal(db_removal_next(&path, f->db, path, &f->arena, &f->err), STATUS_OK);
  assert_string_equal(path, "files/b");
  assert_int_equal(db_removal_done(f->db, "files/b", &f->err), STATUS_OK);
  assert_int_equal(db_removal_next(&path, f->db, "files/a", &f->arena, &f->err), STATUS_OK);
  assert_null(path);
  assert_int_equal(db_removal_noted(&noted, f->db, "files/a", &f->err), STATUS_OK);
  assert_true(noted);
}

static void test_rollback(void **state) {
  struct fixture *f = *state;
  struct file_row file;
  assert_int_equal(db_begin(f->db, &f->err), STATUS_OK);
  add_file(f, "file-1", FILE_UPLOADED, 0);
  db_rollback(f->db);
  assert_int_equal(db_file_get(&file, f->db, TENANT_DEFAULT, "file-1", 0, &f->arena, &f->err), STATUS_FILE_NOT_FOUND);
  assert_int_equal(db_probe(f->db, &f->err), STATUS_OK);
}

static void test_foreign_database(void **state) {
  struct fixture *f = *state;
  struct db *other;
  char path[128];
  snprintf(path, sizeof path, "%s/other", f->folder);
  assert_int_equal(file_put(path, "this is no database, whatever its name may be", 45, NULL), STATUS_OK);
  assert_int_not_equal(db_open(&other, path, true, &f->err), STATUS_OK);
  assert_null(other);
  assert_non_null(strstr(f->err.text, path));
}

static void test_claim_order(void **state) {
  struct fixture *f = *state;
  struct job_row job;
  bool found;
  struct job_row *jobs;
  int64_t positions[3];
  size_t count;
  bool more;
  add_job(f, "ftjob-a", 0, NULL);
  add_job(f, "ftjob-b", 5, NULL);
  add_job(f, "ftjob-c", 0, NULL);
  struct page page = {.limit = 3};
  assert_int_equal(
      db_job_list(&jobs, &count, &more, f->db, TENANT_DEFAULT, &page, &(struct job_filter){0}, &f->arena, &f->err),
      STATUS_OK);
  assert_int_equal(db_queue_positions(positions, f->db, TENANT_DEFAULT, jobs, count, &f->err), STATUS_OK);
  assert_true(positions[0] == 2 && positions[1] == 0 && positions[2] == 1); /* c, b, a */
  assert_int_equal(db_queue_positions(positions, f->db, TENANT_DEFAULT, jobs, 1, &f->err), STATUS_OK);
  assert_int_equal(positions[0], 2);
  job = claim(f);
  assert_string_equal(job.id, "ftjob-b");
  assert_int_equal(job.state, JOB_RUNNING);
  assert_int_equal(job.lease_token, 1);
  assert_string_equal(claim(f).id, "ftjob-a");
  assert_int_equal(db_queue_positions(positions, f->db, TENANT_DEFAULT, &job, 1, &f->err), STATUS_OK);
  assert_int_equal(positions[0], -1); /* it runs */
  assert_string_equal(claim(f).id, "ftjob-c");
  assert_int_equal(db_job_claim(&job, &found, f->db, &anywhere, 200, &f->arena, &f->err), STATUS_OK);
  assert_false(found);
}

static void test_lease(void **state) {
  struct fixture *f = *state;
  bool held;
  add_job(f, "ftjob-a", 0, NULL);
  struct lease old = {.job_id = "ftjob-a", .token = claim(f).lease_token};
  assert_int_equal(db_job_set_progress(f->db, &old, "{}", 7, &held, &f->err), STATUS_OK);
  assert_true(held);
  assert_int_equal(db_job_release(f->db, &old, JOB_QUEUED, NULL, 300, &held, &f->err), STATUS_OK);
  assert_true(held);
  struct job_row again = claim(f);
  assert_int_equal(again.lease_token, 2);
  assert_int_equal(again.restarts, 1);
  assert_int_equal(again.trained_tokens, -1);
  /* The first worker comes back late: nothing it writes counts. */
  assert_int_equal(db_job_set_progress(f->db, &old, "{\"late\":1}", 9, &held, &f->err), STATUS_OK);
  assert_false(held);
  assert_int_equal(db_job_set_worker(f->db, &old, "1 2 3", &held, &f->err), STATUS_OK);
  assert_false(held);
  assert_int_equal(db_job_release(f->db, &old, JOB_SUCCEEDED, NULL, 300, &held, &f->err), STATUS_OK);
  assert_false(held);
  assert_int_equal(db_job_held(&held, f->db, &old, &f->err), STATUS_OK);
  assert_false(held);
  assert_int_equal(state_of(f, "ftjob-a"), JOB_RUNNING);
  struct lease now = {.job_id = "ftjob-a", .token = 2};
  assert_int_equal(db_job_release(f->db, &now, JOB_SUCCEEDED, NULL, 300, &held, &f->err), STATUS_OK);
  assert_true(held);
  assert_int_equal(state_of(f, "ftjob-a"), JOB_SUCCEEDED);
}

static void test_failure_is_kept(void **state) {
  struct fixture *f = *state;
  struct job_row job;
  struct error why;
  bool held, moved;
  add_job(f, "ftjob-a", 0, NULL);
  struct lease lease = {.job_id = "ftjob-a", .token = claim(f).lease_token};
  error_set(&why, STATUS_NAN_LOSS, "learning_rate", "not finite");
  assert_int_equal(db_job_release(f->db, &lease, JOB_FAILED, &why, 300, &held, &f->err), STATUS_OK);
  assert_int_equal(db_job_get(&job, f->db, TENANT_DEFAULT, "ftjob-a", &f->arena, &f->err), STATUS_OK);
  assert_string_equal(job.error_code, "nan_loss");
  assert_string_equal(job.error_param, "learning_rate");
  assert_string_equal(job.error_message, "not finite");
  assert_int_equal(job.finished_at, 300);
  /* A state that is not the job's moves nothing. */
  assert_int_equal(db_job_move(f->db, "ftjob-a", JOB_QUEUED, JOB_CANCELLED, NULL, 400, &moved, &f->err), STATUS_OK);
  assert_false(moved);
}

static void test_job_pages(void **state) {
  struct fixture *f = *state;
  struct job_row *jobs;
  size_t count, seen = 0;
  bool more = true;
  struct page page = {.limit = 2};
  char id[5][16];
  for (size_t i = 0; i < 5; i++) {
    snprintf(id[i], sizeof id[i], "ftjob-%zu", i);
    add_job(f, id[i], 0, i % 2 ? "{\"team\":\"a\",\"k\":\"\"}" : NULL);
  }
  while (more) {
    assert_int_equal(
        db_job_list(&jobs, &count, &more, f->db, TENANT_DEFAULT, &page, &(struct job_filter){0}, &f->arena, &f->err),
        STATUS_OK);
    for (size_t i = 0; i < count; i++)
      assert_string_equal(jobs[i].id, id[4 - seen++]);
    page.after = jobs[count - 1].id;
    /* A job that comes while somebody turns pages must not shift them. */
    if (seen == 2)
      add_job(f, "ftjob-new", 0, NULL);
  }
  assert_int_equal(seen, 5);
  page = (struct page){.limit = 10};
  static const struct {
    struct job_filter filter;
    size_t count;
  } cases[] = {{{.metadata = "{\"k\":\"\"}"}, 2},
               {{.metadata = "{\"k\":\"x\"}"}, 0},
               {{.metadata = "{\"team\":\"a\",\"k\":\"\"}"}, 2},
               {{.metadata = "{\"team\":\"a\",\"k\":\"x\"}"}, 0},
               {{.metadata = "{\"team\":\"a\",\"k\":\"\",\"other\":\"\"}"}, 0},
               {{.metadata_null = true}, 4},
               {{.metadata_null = true, .metadata = "{\"k\":\"\"}"}, 0}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    assert_int_equal(
        db_job_list(&jobs, &count, &more, f->db, TENANT_DEFAULT, &page, &cases[i].filter, &f->arena, &f->err),
        STATUS_OK);
    assert_int_equal(count, cases[i].count);
    assert_false(more);
  }
  page = (struct page){.limit = 1};
  for (size_t i = 0; i < 2; i++) { /* the newest first */
    assert_int_equal(
        db_job_list(&jobs, &count, &more, f->db, TENANT_DEFAULT, &page, &cases[2].filter, &f->arena, &f->err),
        STATUS_OK);
    assert_int_equal(count, 1);
    assert_string_equal(jobs[0].id, id[3 - 2 * i]);
    assert_int_equal(more, i == 0);
    page.after = jobs[0].id;
  }
  page.after = "ftjob-none";
  assert_int_equal(
      db_job_list(&jobs, &count, &more, f->db, TENANT_DEFAULT, &page, &(struct job_filter){0}, &f->arena, &f->err),
      STATUS_INVALID_CURSOR);
  assert_string_equal(f->err.param, "after");
}

/* A page ends before it is too large to be answered, whatever the limit says; turning on loses nothing. */
static void test_pages_are_bounded(void **state) {
  struct fixture *f = *state;
  struct job_row *jobs;
  size_t count, seen = 0;
  bool more = true;
  struct page page = {.limit = 100};
  char *spec = malloc((1 << 20) + 1);
  memset(spec, 'x', 1 << 20);
  spec[1 << 20] = '\0';
  for (size_t i = 0; i < 12; i++) {
    char id[16], name[24];
    snprintf(id, sizeof id, "ftjob-%zu", i);
    snprintf(name, sizeof name, "ft:%zu", i);
    struct job_row row = {.id = id,
                          .tenant = TENANT_DEFAULT,
                          .model = "tiny",
                          .training_file = "file-1",
                          .fine_tuned_model = name,
                          .spec = spec,
                          .body_sha256 = "aa",
                          .state = JOB_VALIDATING};
    assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
  }
  free(spec);
  while (more) {
    size_t used = f->arena.used;
    assert_int_equal(
        db_job_list(&jobs, &count, &more, f->db, TENANT_DEFAULT, &page, &(struct job_filter){0}, &f->arena, &f->err),
        STATUS_OK);
    assert_true(count > 0 && count < 6);
    assert_true(f->arena.used - used < 8 << 20);
    seen += count;
    page.after = jobs[count - 1].id;
  }
  assert_int_equal(seen, 12);
  /* And one by one, for those who need them all. */
  bool found = true;
  seen = 0;
  for (int64_t after = 0; found; seen += found) {
    struct arena arena;
    struct job_row job;
    arena_init(&arena, 2 << 20);
    assert_int_equal(db_job_next(&job, &found, f->db, JOB_VALIDATING, after, &arena, &f->err), STATUS_OK);
    after = found ? job.seq : after;
    arena_done(&arena);
  }
  assert_int_equal(seen, 12);
}

/* A claim can be given back, and a job that waits for room is passed over until there is some. */
static void test_unclaim_and_room(void **state) {
  struct fixture *f = *state;
  const struct job_place less = {999, "[]", true, 0, 0}, enough = {1000, "[]", true, 0, 0};
  struct job_row job;
  bool found, held;
  add_job(f, "ftjob-a", 5, NULL);
  add_job(f, "ftjob-b", 0, NULL);
  struct lease lease = {.job_id = "ftjob-a", .token = claim(f).lease_token};
  assert_int_equal(db_job_unclaim(f->db, &lease, &held, &f->err), STATUS_OK);
  assert_true(held);
  assert_int_equal(db_job_get(&job, f->db, TENANT_DEFAULT, "ftjob-a", &f->arena, &f->err), STATUS_OK);
  assert_true(job.state == JOB_QUEUED && job.restarts == 0 && job.started_at == 0 && job.lease_token == 1);
  assert_int_equal(db_job_unclaim(f->db, &lease, &held, &f->err), STATUS_OK);
  assert_false(held);
  assert_int_equal(db_job_wait_for_room(f->db, "ftjob-a", 1000, &f->err), STATUS_OK);
  assert_int_equal(db_job_claim(&job, &found, f->db, &less, 200, &f->arena, &f->err), STATUS_OK);
  assert_string_equal(job.id, "ftjob-b");
  assert_int_equal(db_job_claim(&job, &found, f->db, &less, 200, &f->arena, &f->err), STATUS_OK);
  assert_false(found);
  assert_int_equal(db_job_claim(&job, &found, f->db, &enough, 200, &f->arena, &f->err), STATUS_OK);
  assert_true(found && job.needs_free == 0 && job.lease_token == 2);
}

static void test_same_request(void **state) {
  struct fixture *f = *state;
  struct job_row job;
  bool found;
  add_job(f, "ftjob-a", 0, NULL);
  struct job_row keyed = {.id = "ftjob-b",
                          .tenant = TENANT_DEFAULT,
                          .created_at = 100,
                          .model = "tiny",
                          .training_file = "file-1",
                          .fine_tuned_model = "ft:b",
                          .spec = "{}",
                          .idempotency_key = "key",
                          .body_sha256 = "bb",
                          .state = JOB_QUEUED};
  assert_int_equal(db_job_insert(f->db, &keyed, &f->err), STATUS_OK);
  assert_int_equal(db_job_same(&job, &found, f->db, TENANT_DEFAULT, NULL, "aa", 50, &f->arena, &f->err), STATUS_OK);
  assert_true(found);
  assert_string_equal(job.id, "ftjob-a");
  assert_int_equal(db_job_same(&job, &found, f->db, TENANT_DEFAULT, NULL, "aa", 101, &f->arena, &f->err), STATUS_OK);
  assert_false(found);
  assert_int_equal(db_job_same(&job, &found, f->db, TENANT_DEFAULT, NULL, "bb", 50, &f->arena, &f->err), STATUS_OK);
  assert_false(found); /* it came with a key: only the key finds it */
  assert_int_equal(db_job_same(&job, &found, f->db, TENANT_DEFAULT, "key", "zz", 50, &f->arena, &f->err), STATUS_OK);
  assert_true(found);
  assert_string_equal(job.id, "ftjob-b");
}

static void test_events(void **state) {
  struct fixture *f = *state;
  struct event_row *events;
  size_t count;
  bool more;
  char after[40];
  add_job(f, "ftjob-a", 0, NULL);
  add_job(f, "ftjob-b", 0, NULL);
  for (int i = 0; i < 6; i++) {
    char text[32];
    snprintf(text, sizeof text, "event %d", i);
    struct event_row row = {.job_id = i % 2 ? "ftjob-b" : "ftjob-a", .created_at = i, .level = LOG_WARN,
                            .metrics = i == 4, .message = text, .data = i == 4 ? "{\"step\":1}" : NULL};
    assert_int_equal(db_event_add(f->db, &row, &f->err), STATUS_OK);
  }
  struct page page = {.limit = 2};
  assert_int_equal(db_event_list(&events, &count, &more, f->db, "ftjob-a", &page, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 2);
  assert_true(more);
  assert_string_equal(events[0].message, "event 4");
  assert_true(events[0].metrics);
  assert_string_equal(events[0].data, "{\"step\":1}");
  assert_int_equal(events[1].level, LOG_WARN);
  snprintf(after, sizeof after, "ftevent-%d", (int)events[1].seq);
  page.after = after;
  assert_int_equal(db_event_list(&events, &count, &more, f->db, "ftjob-a", &page, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 1);
  assert_false(more);
  assert_string_equal(events[0].message, "event 0");
  page.after = "ftevent-1x";
  assert_int_equal(db_event_list(&events, &count, &more, f->db, "ftjob-a", &page, &f->arena, &f->err),
                   STATUS_INVALID_CURSOR);
}

static void test_checkpoints(void **state) {
  struct fixture *f = *state;
  struct checkpoint_row *rows;
  size_t count;
  bool more;
  add_job(f, "ftjob-a", 0, NULL);
  for (int64_t step = 1; step <= 3; step++) {
    struct checkpoint_row row = {.job_id = "ftjob-a", .step = step == 3 ? 2 : step, .path = step == 3 ? "new" : "old",
                                 .metrics = "{}"};
    assert_int_equal(db_checkpoint_add(f->db, &row, &f->err), STATUS_OK);
  }
  struct page page = {.limit = 10};
  assert_int_equal(db_checkpoint_list(&rows, &count, &more, f->db, "ftjob-a", &page, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 2);
  assert_int_equal(rows[0].step, 2);
  assert_string_equal(rows[0].path, "new");
  bool found;
  assert_int_equal(db_checkpoint_of_name(rows, &found, f->db, TENANT_DEFAULT, "ft:tiny:local::ftjob-a:ckpt-step-2",
                                         &f->arena, &f->err),
                   STATUS_OK);
  assert_true(found && rows->step == 2);
  static const char *const wrong[] = {"ft:tiny:local::ftjob-a:ckpt-step-02", "ft:tiny:local::ftjob-b:ckpt-step-2",
                                      "ft:tiny:local::ftjob-a:ckpt-step-", "ft:tiny:local::ftjob-a"};
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    assert_int_equal(db_checkpoint_of_name(rows, &found, f->db, TENANT_DEFAULT, wrong[i], &f->arena, &f->err),
                     STATUS_OK);
    assert_false(found);
  }
  int64_t left;
  assert_int_equal(db_checkpoint_count(&left, f->db, "ftjob-a", &f->err), STATUS_OK);
  assert_int_equal(left, 2);
  assert_int_equal(db_checkpoint_delete_of_job(f->db, "ftjob-a", &f->err), STATUS_OK);
  assert_int_equal(db_checkpoint_list(&rows, &count, &more, f->db, "ftjob-a", &page, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
}

static void test_artifacts(void **state) {
  struct fixture *f = *state;
  struct artifact_row *rows, row = {.job_id = "ftjob-a", .name = "a.bin", .path = "p", .bytes = 3, .sha256 = "00"};
  size_t count;
  add_job(f, "ftjob-a", 0, NULL);
  assert_int_equal(db_artifact_add(f->db, &row, &f->err), STATUS_OK);
  assert_int_not_equal(db_artifact_add(f->db, &row, &f->err), STATUS_OK); /* a name once a job */
  assert_int_equal(db_artifact_list(&rows, &count, f->db, "ftjob-a", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 1);
  assert_int_equal(db_artifact_get(&row, f->db, "ftjob-a", "b", &f->arena, &f->err), STATUS_ARTIFACT_NOT_FOUND);
}

static void test_files(void **state) {
  struct fixture *f = *state;
  struct file_row *rows, file;
  size_t count;
  bool more, changed;
  add_file(f, "file-1", FILE_UPLOADED, 0);
  add_file(f, "file-2", FILE_PROCESSED, 500);
  add_job(f, "ftjob-a", 0, NULL); /* needs file-1 */
  assert_int_equal(db_file_delete(f->db, TENANT_DEFAULT, "file-1", &f->err), STATUS_FILE_IN_USE);
  assert_int_equal(db_file_unchecked(&rows, &count, f->db, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 1);
  assert_int_equal(db_file_checked(f->db, "file-1", FILE_ERROR, "line 2", "{}", &changed, &f->err), STATUS_OK);
  assert_true(changed);
  assert_int_equal(db_file_checked(f->db, "file-1", FILE_PROCESSED, NULL, NULL, &changed, &f->err), STATUS_OK);
  assert_false(changed); /* a verdict stands */
  assert_int_equal(db_file_get(&file, f->db, TENANT_DEFAULT, "file-1", 0, &f->arena, &f->err), STATUS_OK);
  assert_string_equal(file.status_details, "line 2");
  assert_int_equal(db_file_get(&file, f->db, TENANT_DEFAULT, "file-2", 499, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(db_file_get(&file, f->db, TENANT_DEFAULT, "file-2", 500, &f->arena, &f->err), STATUS_FILE_NOT_FOUND);
  assert_int_equal(db_file_expired(&rows, &count, f->db, 500, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 1);
  struct page page = {.limit = 1, .ascending = true};
  assert_int_equal(db_file_list(&rows, &count, &more, f->db, TENANT_DEFAULT, &page, "fine-tune", 0, &f->arena, &f->err),
                   STATUS_OK);
  assert_true(more);
  assert_string_equal(rows[0].id, "file-1");
  page.after = "file-1";
  assert_int_equal(db_file_list(&rows, &count, &more, f->db, TENANT_DEFAULT, &page, NULL, 0, &f->arena, &f->err),
                   STATUS_OK);
  assert_int_equal(count, 1);
  assert_string_equal(rows[0].id, "file-2");
}

/* Every move the table does not have must be refused by the schema or by a CHECK before it: here the schema. */
static void test_end_is_final(void **state) {
  struct fixture *f = *state;
  bool moved;
  add_job(f, "ftjob-a", 0, NULL);
  assert_int_equal(db_job_move(f->db, "ftjob-a", JOB_QUEUED, JOB_CANCELLED, NULL, 5, &moved, &f->err), STATUS_OK);
  assert_true(moved);
  assert_int_equal(db_job_request_cancel(f->db, "ftjob-a", 9, &f->err), STATUS_OK);
  assert_int_equal(state_of(f, "ftjob-a"), JOB_CANCELLED);
}

static void a_damaged_spec_names_its_job(void **state) {
  struct fixture *f = *state;
  struct job_row job;
  struct job_spec spec;
  json_t *document;
  add_job(f, "ftjob-1", 0, NULL);
  assert_int_equal(db_job_get(&job, f->db, TENANT_DEFAULT, "ftjob-1", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(db_job_spec(NULL, &document, &job, &f->arena, &f->err), STATUS_OK);
  json_decref(document);
  assert_int_equal(db_job_spec(&spec, &document, &job, &f->arena, &f->err), STATUS_DAMAGED);
  assert_non_null(strstr(f->err.text, "ftjob-1"));
  assert_null(document);
}

/* Equal versions: nothing changed between, by whomever. */
static void a_version_tells_changes(void **state) {
  struct fixture *f = *state;
  struct db_version first, then;
  struct db *beside;
  bool row;
  add_file(f, "file-1", FILE_PROCESSED, 0);
  assert_int_equal(db_version(&first, f->db, &f->err), STATUS_OK);
  assert_int_equal(db_file_known(&row, f->db, "file-1", &f->err), STATUS_OK);
  assert_int_equal(db_version(&then, f->db, &f->err), STATUS_OK);
  assert_true(db_version_same(&first, &then));
  add_file(f, "file-2", FILE_PROCESSED, 0);
  assert_int_equal(db_version(&then, f->db, &f->err), STATUS_OK);
  assert_false(db_version_same(&first, &then));
  first = then;
  assert_int_equal(db_open_beside(&beside, f->path, &f->err), STATUS_OK);
  assert_int_equal(db_removal_add(beside, "files/x", &f->err), STATUS_OK);
  db_close(beside);
  assert_int_equal(db_version(&then, f->db, &f->err), STATUS_OK);
  assert_false(db_version_same(&first, &then));
  /* what is taken back leaves no version that was there before or during it */
  struct db_version during;
  first = then;
  assert_int_equal(db_begin(f->db, &f->err), STATUS_OK);
  assert_int_equal(db_removal_add(f->db, "files/y", &f->err), STATUS_OK);
  assert_int_equal(db_version(&during, f->db, &f->err), STATUS_OK);
  assert_false(db_version_same(&first, &during));
  db_rollback(f->db);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, store_done)
  const struct CMUnitTest tests[] = {
      TEST(a_damaged_spec_names_its_job),
      TEST(test_reopen),  TEST(test_rollback),     TEST(test_foreign_database), TEST(test_claim_order),
      TEST(test_lease),   TEST(test_failure_is_kept), TEST(test_job_pages),     TEST(test_same_request),
      TEST(test_events),  TEST(test_checkpoints),  TEST(test_artifacts),        TEST(test_files),
      TEST(test_end_is_final), TEST(test_pages_are_bounded), TEST(test_unclaim_and_room),
      TEST(test_absent), TEST(test_removals), TEST(a_version_tells_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
