/* A store in a folder of its own, for the tests of storage/. */
#ifndef TESTS_STORAGE_STORE_H
#define TESTS_STORAGE_STORE_H

#include "base/file.h"
#include "storage/db_job.h"

struct fixture {
  char folder[64];
  char path[96];
  struct db *db;
  struct arena arena;
  struct error err;
};

static inline struct fixture *store_new(void) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  snprintf(f->folder, sizeof f->folder, "/tmp/test_store.XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->path, sizeof f->path, "%s/store.db", f->folder);
  arena_init(&f->arena, 64 << 20);
  assert_int_equal(db_open(&f->db, f->path, true, &f->err), STATUS_OK);
  return f;
}

/* A job that waits and has nothing of its own. `id` is borrowed; its adapter is called as the job. */
static inline struct job_row store_job(const char *id, const char *tenant) {
  return (struct job_row){.id = id,
                          .tenant = tenant,
                          .created_at = 100,
                          .model = "tiny",
                          .training_file = "file-1",
                          .fine_tuned_model = id,
                          .spec = "{}",
                          .body_sha256 = "aa",
                          .state = JOB_QUEUED};
}

static inline int store_done(void **state) {
  struct fixture *f = *state;
  db_close(f->db);
  arena_done(&f->arena);
  assert_int_equal(file_remove_tree(f->folder, NULL), STATUS_OK);
  free(f);
  return 0;
}

#endif
