/* Proves: whatever happened to the bytes of the database, its log or the file that readers share, the store is opened
   and works, or is refused with a word of why; nothing crashes, and a damaged database is not changed by being refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "storage/db_check.h"
#include "storage/db_event.h"
#include "storage/db_job.h"
#include <cmocka.h>

enum { PAGE = 4096, FLIPS = 200, BYTES_MAX = 4 << 20 };
static const char *const suffixes[] = {"", "-wal", "-shm"};

struct image {
  char *bytes;
  size_t length;
};

struct fixture {
  char folder[64], path[96];
  struct image part[3]; /* the database in the middle of its life: with a log that is not yet in it */
  size_t refused, opened;
};

static void part_path(char out[128], const struct fixture *f, size_t i) {
  snprintf(out, 128, "%s%s", f->path, suffixes[i]);
}

static void fill(struct db *db) {
  struct error err;
  for (int i = 0; i < 60; i++) {
    char id[32], model[48];
    snprintf(id, sizeof id, "ftjob-%02d", i);
    snprintf(model, sizeof model, "ft:%s", id);
    struct job_row job = {.id = id,
                          .tenant = "default",
                          .created_at = i,
                          .model = "tiny",
                          .training_file = "file-1",
                          .fine_tuned_model = model,
                          .spec = "{}",
                          .metadata = i % 2 ? "{\"k\":\"v\"}" : NULL,
                          .body_sha256 = "aa",
                          .state = i % 3 ? JOB_QUEUED : JOB_VALIDATING};
    struct event_row event = {.job_id = id, .created_at = i, .message = "what happened", .data = "{\"step\":1}"};
    assert_int_equal(db_job_insert(db, &job, &err), STATUS_OK);
    for (int n = 0; n < 5; n++)
      assert_int_equal(db_event_add(db, &event, &err), STATUS_OK);
  }
}

/* A copy of all its files while it is open is what a crash would leave. */
static int set_up(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  struct db *db;
  struct error err;
  /* In memory where that can be: nothing is to be synced. */
  snprintf(f->folder, sizeof f->folder, "%s/test_damage.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->path, sizeof f->path, "%s/store.db", f->folder);
  assert_int_equal(db_open(&db, f->path, true, &err), STATUS_OK);
  fill(db);
  db_close(db);
  assert_int_equal(db_open(&db, f->path, false, &err), STATUS_OK);
  assert_int_equal(db_event_add(db, &(struct event_row){.job_id = "ftjob-01", .message = "in the log"}, &err),
                   STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
    char path[128];
    part_path(path, f, i);
    assert_int_equal(file_read(&f->part[i].bytes, &f->part[i].length, path, BYTES_MAX, &err), STATUS_OK);
    assert_true(f->part[i].length > 0);
  }
  db_close(db);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  struct fixture *f = *state;
  for (size_t i = 0; i < COUNT_OF(suffixes); i++)
    free(f->part[i].bytes);
  assert_int_equal(file_remove_tree(f->folder, NULL), STATUS_OK);
  free(f);
  return 0;
}

static void put(const char *path, const char *bytes, size_t length) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, length, file), length);
  fclose(file);
}

static void restore(const struct fixture *f) {
  for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
    char path[128];
    part_path(path, f, i);
    put(path, f->part[i].bytes, f->part[i].length);
  }
}

static void ignore(void *context, const char *what, const char *text) {
  assert_non_null(what);
  assert_non_null(text);
  (void)context;
}

/* What a daemon does with a store; each call may fail, none may crash. */
static void use(struct db *db) {
  struct arena arena;
  struct job_row job, *jobs;
  struct event_row *events;
  struct error err;
  size_t count;
  bool more, found;
  arena_init(&arena, 16 << 20);
  const struct page page = {.limit = 100};
  const struct job_filter all = {0};
  (void)!db_job_list(&jobs, &count, &more, db, "default", &page, &all, &arena, &err);
  for (int state = 0; state < JOB_STATE_COUNT; state++)
    (void)!db_job_next(&job, &found, db, (enum job_state)state, 0, &arena, &err);
  (void)!db_event_list(&events, &count, &more, db, "ftjob-01", &page, &arena, &err);
  (void)!db_event_add(db, &(struct event_row){.job_id = "ftjob-02", .message = "more"}, &err);
  (void)!db_check_pages(db, ignore, NULL, &err);
  (void)!db_check_rows(db, ignore, NULL, &err);
  arena_done(&arena);
}

static void open_and_use(struct fixture *f, const char *what) {
  struct db *db;
  struct error err = {0};
  if (db_open(&db, f->path, false, &err) == STATUS_OK) {
    f->opened++;
    use(db);
  } else {
    f->refused++;
    if (!err.text[0])
      fail_msg("%s: refused without a word", what);
  }
  db_close(db);
}

/* Each page of each file: overwritten with zeros, with noise, and the file cut there. */
static void every_page(void **state) {
  struct fixture *f = *state;
  uint32_t noise = 1;
  for (size_t i = 0; i < COUNT_OF(suffixes); i++)
    for (size_t at = 0; at < f->part[i].length; at += PAGE)
      for (int how = 0; how < 3; how++) {
        char path[128], what[64];
        size_t n = f->part[i].length - at < PAGE ? f->part[i].length - at : PAGE;
        char *bytes = malloc(f->part[i].length);
        memcpy(bytes, f->part[i].bytes, f->part[i].length);
        for (size_t k = 0; k < n && how < 2; k++)
          bytes[at + k] = how ? (char)((noise = noise * 1664525 + 1013904223) >> 24) : 0;
        restore(f);
        part_path(path, f, i);
        snprintf(what, sizeof what, "db%s, byte %zu, way %d", suffixes[i], at, how);
        put(path, bytes, how == 2 ? at : f->part[i].length);
        free(bytes);
        open_and_use(f, what);
      }
  assert_true(f->refused > 20);
  assert_true(f->opened > 20);
}

static void flipped_bits(void **state) {
  struct fixture *f = *state;
  uint32_t noise = 7;
  for (int i = 0; i < FLIPS; i++) {
    char path[128], what[64];
    size_t part = i % 4 == 3;
    noise = noise * 1664525 + 1013904223;
    size_t bit = (noise >> 4) % (f->part[part].length * 8);
    restore(f);
    f->part[part].bytes[bit / 8] ^= (char)(1 << bit % 8);
    part_path(path, f, part);
    put(path, f->part[part].bytes, f->part[part].length);
    f->part[part].bytes[bit / 8] ^= (char)(1 << bit % 8);
    snprintf(what, sizeof what, "db%s, bit %zu", suffixes[part], bit);
    open_and_use(f, what);
  }
  assert_true(f->opened > 0);
}

/* The same while it is open: pages that are read again, words that are none any more. */
static void damaged_while_open(void **state) {
  struct fixture *f = *state;
  struct error err;
  uint32_t noise = 3;
  for (int round = 0; round < 40; round++) {
    struct db *db;
    restore(f);
    assert_int_equal(db_open(&db, f->path, false, &err), STATUS_OK);
    FILE *file = fopen(f->path, "r+b");
    assert_non_null(file);
    for (size_t at = PAGE; at + 16 < f->part[0].length; at++)
      if (memcmp(f->part[0].bytes + at, "queuedauto", 10) == 0 ||
          memcmp(f->part[0].bytes + at, "validating", 10) == 0) {
        fseek(file, (long)at, SEEK_SET);
        fputc('Q', file);
      }
    for (int n = 0; n < round; n++) {
      noise = noise * 1664525 + 1013904223;
      fseek(file, (long)(PAGE + noise % (f->part[0].length - PAGE)), SEEK_SET);
      fputc((int)(noise >> 24), file);
    }
    fclose(file);
    use(db);
    db_close(db);
  }
}

static void a_refused_one_is_not_changed(void **state) {
  struct fixture *f = *state;
  struct db *db;
  struct error err;
  struct image after;
  restore(f);
  char path[128];
  for (size_t i = 1; i < COUNT_OF(suffixes); i++) {
    part_path(path, f, i);
    assert_int_equal(unlink(path), 0);
  }
  char *bytes = malloc(f->part[0].length);
  memcpy(bytes, f->part[0].bytes, f->part[0].length);
  memset(bytes + 2 * PAGE, 0xAB, PAGE);
  put(f->path, bytes, f->part[0].length);
  assert_int_equal(db_open(&db, f->path, false, &err), STATUS_INTERNAL);
  assert_non_null(strstr(err.text, "damaged"));
  assert_non_null(strstr(err.text, "reflectd restore"));
  assert_int_equal(file_read(&after.bytes, &after.length, f->path, BYTES_MAX, &err), STATUS_OK);
  assert_int_equal(after.length, f->part[0].length);
  assert_memory_equal(after.bytes, bytes, after.length);
  free(after.bytes);
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(every_page, set_up, tear_down),
                                     cmocka_unit_test_setup_teardown(flipped_bits, set_up, tear_down),
                                     cmocka_unit_test_setup_teardown(damaged_while_open, set_up, tear_down),
                                     cmocka_unit_test_setup_teardown(a_refused_one_is_not_changed, set_up, tear_down)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
