/* Proves: a key is a tenant's, once revoked stays so, and a rotated one ends no later than it would have; the audit log
   only grows; and what is to be stored with the next change is stored with it or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "storage/db_audit.h"
#include "storage/db_key.h"
#include "storage/db_tenant.h"
#include "tests/storage/store.h"

static int set_up(void **state) {
  struct fixture *f = store_new();
  assert_int_equal(db_tenant_add(f->db, "a", 1, &f->err), STATUS_OK);
  assert_int_equal(db_tenant_add(f->db, "b", 1, &f->err), STATUS_OK);
  *state = f;
  return 0;
}

static void add_key(struct fixture *f, const char *tenant, const char *id, int64_t expires_at) {
  struct key_row row = {.id = id,
                        .tenant = tenant,
                        .name = "n",
                        .scope = SCOPE_SUBMIT,
                        .sha256 = "00",
                        .created_at = 5,
                        .expires_at = expires_at};
  assert_int_equal(db_key_insert(f->db, &row, &f->err), STATUS_OK);
}

static struct key_row get(struct fixture *f, const char *id) {
  struct key_row row;
  assert_int_equal(db_key_get(&row, f->db, "a", id, &f->arena, &f->err), STATUS_OK);
  return row;
}

static void keys_are_a_tenants(void **state) {
  struct fixture *f = *state;
  struct key_row row, *rows;
  struct page page = {.limit = 1}, after = {.limit = 5, .after = "k1"};
  size_t count;
  bool any, found, more;
  assert_int_equal(db_key_any(&any, f->db, &f->err), STATUS_OK);
  assert_false(any);
  add_key(f, "a", "k1", 0);
  add_key(f, "a", "k2", 9);
  row = (struct key_row){.id = "k3", .tenant = "none", .name = "n", .scope = SCOPE_READ, .sha256 = "00"};
  assert_int_not_equal(db_key_insert(f->db, &row, &f->err), STATUS_OK);
  assert_int_equal(db_key_any(&any, f->db, &f->err), STATUS_OK);
  assert_true(any);
  assert_int_equal(db_key_get(&row, f->db, "b", "k1", &f->arena, &f->err), STATUS_KEY_NOT_FOUND);
  assert_int_equal(db_key_shown(&row, &found, f->db, "k1", &f->arena, &f->err), STATUS_OK);
  assert_true(found && strcmp(row.tenant, "a") == 0 && row.scope == SCOPE_SUBMIT && row.expires_at == 0);
  assert_int_equal(db_key_shown(&row, &found, f->db, "k3", &f->arena, &f->err), STATUS_OK);
  assert_false(found);
  assert_int_equal(db_key_list(&rows, &count, &more, f->db, "a", &page, &f->arena, &f->err), STATUS_OK);
  assert_true(count == 1 && more && strcmp(rows[0].id, "k2") == 0);
  assert_int_equal(db_key_list(&rows, &count, &more, f->db, "b", &page, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
  assert_int_equal(db_key_list(&rows, &count, &more, f->db, "b", &after, &f->arena, &f->err), STATUS_INVALID_CURSOR);
  assert_int_equal(db_key_revoke(f->db, "b", "k1", 7, &f->err), STATUS_OK); /* a stranger revokes nothing */
  assert_int_equal(get(f, "k1").revoked_at, 0);
}

static void keys_end(void **state) {
  struct fixture *f = *state;
  add_key(f, "a", "k1", 0);
  add_key(f, "a", "k2", 9);
  assert_int_equal(db_key_replace(f->db, "a", "k1", "k3", 50, &f->err), STATUS_OK);
  assert_int_equal(db_key_replace(f->db, "a", "k2", "k3", 50, &f->err), STATUS_OK);
  assert_int_equal(get(f, "k1").expires_at, 50);
  assert_int_equal(get(f, "k2").expires_at, 9);
  assert_string_equal(get(f, "k2").replaced_by, "k3");
  assert_int_equal(db_key_revoke(f->db, "a", "k1", 7, &f->err), STATUS_OK);
  assert_int_equal(db_key_revoke(f->db, "a", "k1", 8, &f->err), STATUS_OK);
  assert_int_equal(get(f, "k1").revoked_at, 7);
  assert_int_equal(db_key_used(f->db, "k1", 60, &f->err), STATUS_OK);
  assert_int_equal(get(f, "k1").last_used_at, 60);
}

static struct audit_row entry(const char *tenant, const char *type) {
  return (struct audit_row){.tenant = tenant,
                            .created_at = 5,
                            .type = type,
                            .object = "o",
                            .result = "success",
                            .actor = "api_key",
                            .actor_id = "k1",
                            .address = "::1",
                            .request = "req_1"};
}

/* Whether there is a key is remembered, but never longer than it holds: not over a change that is taken back, and not
   over one of another program. */
static void any_follows_changes(void **state) {
  struct fixture *f = *state;
  struct db *beside;
  bool any;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(db_key_any(&any, f->db, &f->err), STATUS_OK);
    assert_false(any);
  }
  assert_int_equal(db_begin(f->db, &f->err), STATUS_OK);
  add_key(f, "a", "undone", 0);
  assert_int_equal(db_key_any(&any, f->db, &f->err), STATUS_OK);
  assert_true(any);
  db_rollback(f->db);
  assert_int_equal(db_key_any(&any, f->db, &f->err), STATUS_OK);
  assert_false(any);
  assert_int_equal(db_open_beside(&beside, f->path, &f->err), STATUS_OK);
  struct fixture other = {.db = beside, .err = f->err};
  add_key(&other, "a", "beside", 0);
  assert_int_equal(db_key_any(&any, f->db, &f->err), STATUS_OK);
  assert_true(any);
  db_close(beside);
}

/* How many entries a tenant has. */
static size_t entries(struct fixture *f, const char *tenant) {
  struct audit_row *rows;
  struct page page = {.limit = 50};
  size_t count;
  bool more;
  assert_int_equal(db_audit_list(&rows, &count, &more, f->db, tenant, &page, &f->arena, &f->err), STATUS_OK);
  if (count > 0)
    assert_string_equal(rows[0].actor_id, "k1");
  return count;
}

static void the_audit_log_only_grows(void **state) {
  struct fixture *f = *state;
  struct audit_row row = entry("a", "jobs.create"), *rows;
  struct page page = {.limit = 5, .after = "audit_log-1"};
  size_t count;
  bool more;
  assert_int_equal(db_audit_add(f->db, &row, &f->err), STATUS_OK);
  assert_int_equal(db_audit_add(f->db, &row, &f->err), STATUS_OK);
  assert_int_equal(entries(f, "a"), 2);
  assert_int_equal(entries(f, "b"), 0);
  assert_int_equal(db_audit_list(&rows, &count, &more, f->db, "a", &page, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
  assert_int_equal(db_audit_list(&rows, &count, &more, f->db, "b", &page, &f->arena, &f->err), STATUS_INVALID_CURSOR);
  sqlite3 *handle;
  static const char *const changes[] = {"DELETE FROM audit", "UPDATE audit SET result = 'x'",
                                        "INSERT OR REPLACE INTO audit SELECT * FROM audit"};
  assert_int_equal(sqlite3_open(f->path, &handle), SQLITE_OK);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
  assert_int_equal(sqlite3_exec(handle, "PRAGMA recursive_triggers = ON", NULL, NULL, NULL), SQLITE_OK);
  for (size_t i = 0; i < COUNT_OF(changes); i++)
    assert_int_not_equal(sqlite3_exec(handle, changes[i], NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(handle);
  assert_int_equal(entries(f, "a"), 2);
}

static enum status add_tenant(struct db *db, const void *name, struct error *err) {
  enum status status = db_tenant_add(db, name, 1, err);
  return status || strcmp(name, "bad") != 0 ? status : error_set(err, STATUS_INVALID_VALUE, NULL, "bad");
}

static enum status refuse(struct db *db, const void *what, struct error *err) {
  (void)db;
  (void)what;
  return error_set(err, STATUS_IO, NULL, "no");
}

static void what_comes_with_the_next_change(void **state) {
  struct fixture *f = *state;
  struct audit_row row = entry("a", "x");
  struct tenant_row tenant;
  db_with_next(f->db, db_audit_add, &row);
  assert_int_equal(db_apply(f->db, add_tenant, "bad", false, &f->err), STATUS_INVALID_VALUE);
  assert_true(db_with_none(f->db)); /* nothing came */
  assert_int_equal(entries(f, "a"), 0);
  db_with_next(f->db, db_audit_add, &row);
  assert_int_equal(db_apply(f->db, add_tenant, "c", false, &f->err), STATUS_OK);
  assert_int_equal(db_apply(f->db, add_tenant, "d", false, &f->err), STATUS_OK);
  assert_false(db_with_none(f->db));
  assert_int_equal(entries(f, "a"), 1); /* once */
  db_with_next(f->db, refuse, NULL);
  assert_int_equal(db_apply(f->db, add_tenant, "e", false, &f->err), STATUS_IO);
  assert_true(db_with_none(f->db));
  assert_int_equal(db_tenant_get(&tenant, f->db, "e", &f->arena, &f->err), STATUS_TENANT_NOT_FOUND);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, store_done)
  const struct CMUnitTest tests[] = {TEST(keys_are_a_tenants), TEST(keys_end), TEST(the_audit_log_only_grows),
                                     TEST(what_comes_with_the_next_change), TEST(any_follows_changes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
