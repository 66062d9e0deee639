/* A packed archive is the same bytes every time, is read back by tar itself, and never takes a file
   from outside its directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/file.h"
#include "worker/file/tar.h"

static char dir[64], out[96];

static void put(const char *name, const char *bytes, size_t length) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  assert_int_equal(file_put(path, bytes, length, NULL), STATUS_OK);
}

static int set_up(void **state) {
  (void)state;
  char sub[96];
  snprintf(dir, sizeof dir, "/tmp/test_tar.XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(out, sizeof out, "%s/out.tar", dir);
  snprintf(sub, sizeof sub, "%s/sub", dir);
  return file_mkdirs(sub, NULL) ? -1 : 0;
}

static int tear_down(void **state) {
  (void)state;
  return file_remove_tree(dir, NULL) ? -1 : 0;
}

static void packs_the_same_bytes_every_time(void **state) {
  (void)state;
  static const char *const names[] = {"config.json", "sub/weights.bin", "empty"};
  static char big[100000];
  char hash[2][HASH_HEX], body[sizeof big];
  uint64_t bytes[2];
  struct error err;
  for (size_t i = 0; i < sizeof big; i++)
    big[i] = (char)(i * 7);
  put("config.json", "{}", 2);
  put("sub/weights.bin", big, sizeof big);
  put("empty", "", 0);
  for (int i = 0; i < 2; i++)
    assert_int_equal(tar_pack(out, dir, names, 3, hash[i], &bytes[i], &err), STATUS_OK);
  assert_string_equal(hash[0], hash[1]);
  assert_int_equal(bytes[0], bytes[1]);
  char of_file[HASH_HEX];
  uint64_t size;
  assert_int_equal(file_hash(of_file, &size, out, &err), STATUS_OK);
  assert_string_equal(of_file, hash[0]);
  assert_int_equal(size, bytes[0]);

  struct archive *archive = archive_read_new();
  struct archive_entry *entry;
  archive_read_support_format_tar(archive);
  assert_int_equal(archive_read_open_filename(archive, out, 10240), ARCHIVE_OK);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(entry), names[i]);
    assert_int_equal(archive_entry_mtime(entry), 0);
    assert_int_equal(archive_entry_uid(entry), 0);
    assert_int_equal(archive_entry_perm(entry), 0644);
    la_ssize_t n = archive_read_data(archive, body, sizeof body);
    assert_int_equal(n, i == 0 ? 2 : i == 1 ? (int)sizeof big : 0);
    if (i == 1)
      assert_memory_equal(body, big, sizeof big);
  }
  assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_EOF);
  archive_read_free(archive);
}

static void refuses_names_that_leave_the_directory(void **state) {
  (void)state;
  static const char *const bad[] = {"../x", "/etc/passwd", "a/../b", "", ".", "..", "a//b", "sub/", "./config.json"};
  unlink(out);
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    struct error err;
    assert_int_equal(tar_pack(out, dir, &bad[i], 1, NULL, NULL, &err), STATUS_INVALID_VALUE);
    assert_int_equal(access(out, F_OK), -1);
  }
}

static void says_which_file_cannot_be_read(void **state) {
  (void)state;
  static const char *const names[] = {"config.json", "missing.bin"};
  struct error err;
  put("config.json", "{}", 2);
  assert_int_equal(tar_pack(out, dir, names, 2, NULL, NULL, &err), STATUS_IO);
  assert_non_null(strstr(err.text, "missing.bin"));
  assert_int_equal(access(out, F_OK), -1);
  static const char *const directory[] = {"sub"};
  assert_int_equal(tar_pack(out, dir, directory, 1, NULL, NULL, &err), STATUS_IO);
  assert_int_equal(tar_pack("/nonexistent/x.tar", dir, names, 1, NULL, NULL, &err), STATUS_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(packs_the_same_bytes_every_time),
      cmocka_unit_test(refuses_names_that_leave_the_directory),
      cmocka_unit_test(says_which_file_cannot_be_read),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
