/* Proves: a file that a worker announced is opened only below its folder, never through a link, and accepted only
   with the size and the hash that were announced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "storage/artifact.h"

static char folder[] = "/tmp/test_artifact.XXXXXX";

static void test_names(void **state) {
  (void)state;
  assert_true(artifact_name_valid("adapter_model.safetensors"));
  assert_true(artifact_path_valid("a/b/c.bin"));
  static const char *const bad[] = {"", ".", "..", ".hidden", "a/../b", "/a", "a//b", "a/", "a\nb", "a\\b", "\xff"};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    assert_false(artifact_name_valid(bad[i]));
    assert_false(artifact_path_valid(bad[i]));
  }
  assert_false(artifact_name_valid("a/b"));
  static const char *const inside[] = {".tmp-1", "a/.b", "a/...", "..a"}, *const outside[] = {".",    "..",    "a/..",
                                                                                              "../a", "a/./b", "",
                                                                                              "/a",   "a//b",  "a\nb"};
  for (size_t i = 0; i < COUNT_OF(inside); i++)
    assert_true(artifact_path_stays(inside[i]) && !artifact_path_valid(inside[i]));
  for (size_t i = 0; i < COUNT_OF(outside); i++)
    assert_false(artifact_path_stays(outside[i]));
}

static void test_open(void **state) {
  struct error err;
  char path[128];
  int fd;
  int64_t bytes;
  (void)state;
  assert_int_equal(artifact_open(&fd, &bytes, folder, "good", &err), STATUS_OK);
  assert_int_equal(bytes, 5);
  close(fd);
  char name[181] = "", deep[600], full[800];
  memset(name, 'd', 180);
  snprintf(deep, sizeof deep, "%s/%s/%s/good", name, name, name);
  snprintf(full, sizeof full, "%s/%.542s", folder, deep);
  assert_int_equal(file_mkdirs(full, &err), STATUS_OK);
  snprintf(full, sizeof full, "%s/%s", folder, deep);
  assert_int_equal(file_put(full, "hello, deep", 11, &err), STATUS_OK);
  assert_int_equal(artifact_open(&fd, &bytes, folder, deep, &err), STATUS_OK);
  assert_int_equal(bytes, 11);
  close(fd);
  snprintf(path, sizeof path, "%s/link", folder);
  assert_int_equal(symlink("good", path), 0);
  snprintf(path, sizeof path, "%s/out", folder);
  assert_int_equal(symlink("/etc", path), 0);
  snprintf(path, sizeof path, "%s/pipe", folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  static const char *const refused[] = {"link", "out/hostname", "../x",  "/etc/hostname", "pipe", ".", "none",
                                        "",     "good/none",    "good/", "link/none"};
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    assert_int_equal(artifact_open(&fd, &bytes, folder, refused[i], &err), STATUS_DAMAGED);
    assert_int_equal(fd, -1);
  }
}

static void test_verify(void **state) {
  struct error err;
  char sha256[HASH_HEX];
  (void)state;
  hash_bytes(sha256, "hello", 5);
  assert_int_equal(artifact_verify(folder, "good", 5, sha256, &err), STATUS_OK);
  assert_int_equal(artifact_verify(folder, "good", 6, sha256, &err), STATUS_DAMAGED);
  sha256[0] = sha256[0] == '0' ? '1' : '0';
  assert_int_equal(artifact_verify(folder, "good", 5, sha256, &err), STATUS_DAMAGED);
}

static int set_up(void **state) {
  char path[128];
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/good", folder);
  return file_put(path, "hello", 5, NULL) != STATUS_OK;
}

static int tear_down(void **state) {
  (void)state;
  return file_remove_tree(folder, NULL) != STATUS_OK;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_open),
                                     cmocka_unit_test(test_verify)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
