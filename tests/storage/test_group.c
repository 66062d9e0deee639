/* Proves: what several have committed in a group is stored by one commit, and not before; what one does wrong is undone
   alone; and a group that cannot be stored, or that SQLite has undone by itself, leaves nothing. */
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
#include "storage/db_audit.h"
#include "storage/db_removal.h"
#include "storage/stmt.h"
#include "tests/storage/store.h"

static int set_up(void **state) {
  *state = store_new();
  return 0;
}

static sqlite3 *handle_of(struct db *db) {
  return db->handle;
}

/* Rows that another connection sees: what is stored. */
static int64_t stored(struct fixture *f, const char *table) {
  struct db *beside;
  int64_t rows = -1;
  char *sql = sqlite3_mprintf("SELECT count(*) FROM %s", table);
  assert_int_equal(db_open_reader(&beside, f->path, &f->err), STATUS_OK);
  assert_int_equal(stmt_number(&rows, beside, sql, NULL, &f->err), STATUS_OK);
  db_close(beside);
  sqlite3_free(sql);
  return rows;
}

static enum status add(struct db *db, const void *what, struct error *err) {
  return db_removal_add(db, what, err);
}

/* A change, and then one that no constraint allows. */
static enum status add_and_break(struct db *db, const void *what, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = db_removal_add(db, what, err);
  if (!status)
    status = stmt_open(&stmt, db, "INSERT INTO removal VALUES (NULL)", err);
  return status ? status : stmt_run(&stmt, NULL, err);
}

/* One, which has an entry in the audit log. */
static bool join(struct fixture *f, db_change *change, const char *path) {
  const struct audit_row audit = {
      .tenant = TENANT_DEFAULT, .created_at = 1, .type = "test", .result = "success", .actor = "anyone"};
  db_join(f->db);
  db_with_next(f->db, db_audit_add, &audit);
  enum status status = db_apply(f->db, change, path, false, &f->err);
  assert_true(db_with_none(f->db) == (status != STATUS_OK));
  return db_leave(f->db);
}

static int commits;
static int on_commit(void *refuse) {
  commits++;
  return refuse != NULL;
}

static void test_one_commit(void **state) {
  struct fixture *f = *state;
  commits = 0;
  sqlite3_commit_hook(handle_of(f->db), on_commit, NULL);
  assert_false(db_gathered(f->db));
  assert_true(join(f, add, "a"));
  assert_true(join(f, add, "b"));
  assert_true(db_gathered(f->db));
  assert_int_equal(stored(f, "removal"), 0);
  assert_false(join(f, add_and_break, "c")); /* with all that it did, and its entry in the log */
  assert_true(join(f, add, "d"));
  assert_int_equal(commits, 0);
  assert_int_equal(db_settle(f->db, &f->err), STATUS_OK);
  assert_false(db_gathered(f->db));
  assert_int_equal(commits, 1);
  assert_int_equal(stored(f, "removal"), 3);
  assert_int_equal(stored(f, "audit"), 3);
  assert_int_not_equal(db_apply(f->db, add_and_break, "c", false, &f->err), STATUS_OK); /* alone it is told why */
  assert_non_null(strstr(f->err.text, "NOT NULL"));
  assert_int_equal(stored(f, "removal"), 3);
}

/* Two transactions of one: both or none. */
static void test_all_of_one(void **state) {
  struct fixture *f = *state;
  assert_true(join(f, add, "a"));
  db_join(f->db);
  assert_int_equal(db_apply(f->db, add, "b", false, &f->err), STATUS_OK);
  assert_int_not_equal(db_apply(f->db, add_and_break, "c", false, &f->err), STATUS_OK);
  assert_false(db_leave(f->db));
  db_join(f->db);
  assert_int_equal(db_apply(f->db, add, "d", true, &f->err), STATUS_OK);
  assert_int_equal(db_apply(f->db, add, "e", false, &f->err), STATUS_OK);
  assert_true(db_leave(f->db));
  assert_int_equal(db_settle(f->db, &f->err), STATUS_OK);
  assert_int_equal(stored(f, "removal"), 3);
}

static void test_refused_commit(void **state) {
  struct fixture *f = *state;
  assert_true(join(f, add, "a"));
  assert_true(join(f, add, "b"));
  sqlite3_commit_hook(handle_of(f->db), on_commit, f);
  assert_int_not_equal(db_settle(f->db, &f->err), STATUS_OK);
  assert_false(db_gathered(f->db));
  sqlite3_commit_hook(handle_of(f->db), on_commit, NULL);
  assert_int_equal(stored(f, "removal"), 0);
  assert_int_equal(db_apply(f->db, add, "a", false, &f->err), STATUS_OK);
  assert_int_equal(stored(f, "removal"), 1);
  assert_int_equal(stored(f, "audit"), 0);
}

/* As SQLite does where it has no memory or no disk any more. */
static void test_undone(void **state) {
  struct fixture *f = *state;
  assert_true(join(f, add, "a"));
  assert_int_equal(sqlite3_exec(handle_of(f->db), "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
  assert_false(join(f, add, "b")); /* nor does anything else come into it */
  assert_true(db_gathered(f->db));
  assert_int_not_equal(db_settle(f->db, &f->err), STATUS_OK);
  assert_int_equal(stored(f, "removal"), 0);
  assert_true(join(f, add, "c"));
  assert_int_equal(db_settle(f->db, &f->err), STATUS_OK);
  assert_int_equal(stored(f, "removal"), 1);
}

static enum status add_much(struct db *db, const void *what, struct error *err) {
  enum status status = STATUS_OK;
  char path[1024];
  for (int i = 0; !status && i < 2000; i++) {
    snprintf(path, sizeof path, "%s%01000d", (const char *)what, i);
    status = db_removal_add(db, path, err);
  }
  return status;
}

/* A store that cannot grow refuses what is too large, and whatever it does to the others is seen by db_settle. */
static void test_full(void **state) {
  struct fixture *f = *state;
  int64_t pages;
  char *sql;
  assert_true(join(f, add, "a"));
  assert_int_equal(db_settle(f->db, &f->err), STATUS_OK);
  assert_int_equal(stmt_number(&pages, f->db, "PRAGMA page_count", NULL, &f->err), STATUS_OK);
  sql = sqlite3_mprintf("PRAGMA max_page_count = %lld", (long long)pages + 5);
  assert_int_equal(sqlite3_exec(handle_of(f->db), sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_free(sql);
  assert_true(join(f, add, "b"));
  assert_false(join(f, add_much, "c"));
  bool others = join(f, add, "d");
  bool settled = db_settle(f->db, &f->err) == STATUS_OK;
  assert_true(settled || !others || f->err.status == STATUS_DATABASE_BUSY);
  assert_int_equal(stored(f, "removal"), settled ? 2 + others : 1);
  assert_int_equal(db_apply(f->db, add_much, "c", true, &f->err), STATUS_NO_SPACE);
  assert_int_equal(db_apply(f->db, add, "e", true, &f->err), STATUS_OK);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, store_done)
  const struct CMUnitTest tests[] = {TEST(test_one_commit), TEST(test_all_of_one), TEST(test_refused_commit),
                                     TEST(test_undone), TEST(test_full)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
