/* Proves: an upload takes parts while it is pending and in time, no more bytes than it was made for, and the same bytes
   once; however it ends, its parts are noted for removal and count for nobody; each tenant sees its own. */
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
#include "storage/db_file.h"
#include "storage/db_removal.h"
#include "storage/db_tenant.h"
#include "storage/db_upload.h"
#include "tests/storage/store.h"

static int set_up(void **state) {
  struct fixture *f = store_new();
  const struct upload_row row = {.id = "upload_1",
                                 .tenant = TENANT_DEFAULT,
                                 .created_at = 10,
                                 .expires_at = 20,
                                 .filename = "f",
                                 .purpose = "fine-tune",
                                 .bytes = 10,
                                 .file_expires_after = 3600};
  assert_int_equal(db_upload_insert(f->db, &row, &f->err), STATUS_OK);
  *state = f;
  return 0;
}

static bool add(struct fixture *f, const char *tenant, const char *id, int64_t bytes, int64_t now) {
  char path[64];
  bool added;
  snprintf(path, sizeof path, "files/%s", id);
  const struct part_row part = {
      .id = id, .upload_id = "upload_1", .created_at = now, .bytes = bytes, .sha256 = id + 5, .path = path};
  assert_int_equal(db_part_add(f->db, tenant, &part, &added, &f->err), STATUS_OK);
  return added;
}

static int64_t stored(struct fixture *f) {
  struct tenant_row tenant;
  assert_int_equal(db_tenant_get(&tenant, f->db, TENANT_DEFAULT, &f->arena, &f->err), STATUS_OK);
  return tenant.bytes;
}

static void parts_arrive(void **state) {
  struct fixture *f = *state;
  struct upload_row upload;
  struct part_row *parts, part;
  struct page page = {.limit = 1, .ascending = true};
  size_t count;
  bool more, found;
  assert_true(add(f, TENANT_DEFAULT, "part_a", 4, 11));
  assert_false(add(f, TENANT_DEFAULT, "part_a", 4, 11));
  assert_false(add(f, TENANT_DEFAULT, "part_b", 7, 11)); /* 11 of 10 bytes */
  assert_false(add(f, TENANT_DEFAULT, "part_b", INT64_MAX, 11));
  assert_false(add(f, "another", "part_b", 1, 11));
  assert_false(add(f, TENANT_DEFAULT, "part_b", 1, 20)); /* too late */
  assert_true(add(f, TENANT_DEFAULT, "part_b", 6, 19));
  assert_int_equal(stored(f), 10);
  assert_int_equal(db_upload_get(&upload, f->db, TENANT_DEFAULT, "upload_1", 19, &f->arena, &f->err), STATUS_OK);
  assert_true(upload.status == UPLOAD_PENDING && upload.arrived == 10 && upload.file_expires_after == 3600);
  assert_int_equal(db_upload_get(&upload, f->db, "another", "upload_1", 19, &f->arena, &f->err),
                   STATUS_UPLOAD_NOT_FOUND);
  assert_int_equal(db_part_list(&parts, &count, &more, f->db, TENANT_DEFAULT, "upload_1", &page, &f->arena, &f->err),
                   STATUS_OK);
  assert_true(count == 1 && more && strcmp(parts[0].id, "part_a") == 0);
  page.after = "part_a";
  assert_int_equal(db_part_list(&parts, &count, &more, f->db, TENANT_DEFAULT, "upload_1", &page, &f->arena, &f->err),
                   STATUS_OK);
  assert_true(count == 1 && !more && strcmp(parts[0].id, "part_b") == 0);
  page.after = NULL;
  assert_int_equal(db_part_list(&parts, &count, &more, f->db, "another", "upload_1", &page, &f->arena, &f->err),
                   STATUS_OK);
  assert_int_equal(count, 0);
  assert_int_equal(db_part_with(&part, &found, f->db, TENANT_DEFAULT, "upload_1", "b", &f->arena, &f->err), STATUS_OK);
  assert_true(found && part.bytes == 6);
  assert_int_equal(db_part_with(&part, &found, f->db, "another", "upload_1", "b", &f->arena, &f->err), STATUS_OK);
  assert_false(found);
  assert_int_equal(db_file_known(&found, f->db, "part_a", &f->err), STATUS_OK);
  assert_true(found);
}

static void an_end_drops_parts(void **state) {
  struct fixture *f = *state;
  struct upload_row upload;
  bool ended, noted;
  assert_true(add(f, TENANT_DEFAULT, "part_a", 4, 11));
  assert_int_equal(db_upload_end(f->db, "another", "upload_1", UPLOAD_CANCELLED, NULL, NULL, &ended, &f->err),
                   STATUS_OK);
  assert_false(ended);
  assert_int_equal(db_upload_end(f->db, TENANT_DEFAULT, "upload_1", UPLOAD_COMPLETED, "file-1", "aa", &ended, &f->err),
                   STATUS_OK);
  assert_true(ended);
  assert_int_equal(stored(f), 0);
  assert_int_equal(db_removal_noted(&noted, f->db, "files/part_a", &f->err), STATUS_OK);
  assert_true(noted);
  assert_false(add(f, TENANT_DEFAULT, "part_c", 1, 11));
  assert_int_equal(db_upload_end(f->db, TENANT_DEFAULT, "upload_1", UPLOAD_CANCELLED, NULL, NULL, &ended, &f->err),
                   STATUS_OK);
  assert_false(ended);
  assert_int_equal(db_upload_get(&upload, f->db, TENANT_DEFAULT, "upload_1", 99, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(upload.status, UPLOAD_COMPLETED);
  assert_string_equal(upload.file_id, "file-1");
  assert_string_equal(upload.completed_by, "aa");
  assert_int_equal(db_upload_forget(f->db, 20, &f->err), STATUS_OK);
  assert_int_equal(db_upload_get(&upload, f->db, TENANT_DEFAULT, "upload_1", 99, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(db_upload_forget(f->db, 21, &f->err), STATUS_OK);
  assert_int_equal(db_upload_get(&upload, f->db, TENANT_DEFAULT, "upload_1", 99, &f->arena, &f->err),
                   STATUS_UPLOAD_NOT_FOUND);
}

static void time_passes(void **state) {
  struct fixture *f = *state;
  struct upload_row upload, *due;
  struct page page = {.limit = 10};
  size_t count;
  bool ended, more;
  assert_int_equal(db_upload_due(&due, &count, f->db, 19, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
  assert_int_equal(db_upload_due(&due, &count, f->db, 20, 10, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 1);
  assert_int_equal(db_upload_get(&upload, f->db, TENANT_DEFAULT, "upload_1", 20, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(upload.status, UPLOAD_EXPIRED); /* before its row says so */
  assert_int_equal(db_upload_end(f->db, due->tenant, due->id, UPLOAD_EXPIRED, NULL, NULL, &ended, &f->err), STATUS_OK);
  assert_true(ended);
  assert_int_equal(db_upload_list(&due, &count, &more, f->db, TENANT_DEFAULT, &page, 20, &f->arena, &f->err),
                   STATUS_OK);
  assert_true(count == 1 && !more && due[0].status == UPLOAD_EXPIRED);
  assert_int_equal(db_upload_list(&due, &count, &more, f->db, "another", &page, 20, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(parts_arrive, set_up, store_done),
                                     cmocka_unit_test_setup_teardown(an_end_drops_parts, set_up, store_done),
                                     cmocka_unit_test_setup_teardown(time_passes, set_up, store_done)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
