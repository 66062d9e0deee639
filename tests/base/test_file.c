/* New files appear whole or not at all; trees are removed without leaving them; reading is bounded. */
#include <dirent.h>
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

static char folder[64];

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/test_file_XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return (int)file_remove_tree(folder, NULL);
}

static const char *in_folder(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static size_t entries(void) {
  DIR *dir = opendir(folder);
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(dir));)
    count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  closedir(dir);
  return count;
}

static void assert_content(const char *path, const char *want) {
  char *text;
  size_t length;
  assert_int_equal(file_read(&text, &length, path, 1000, NULL), STATUS_OK);
  assert_int_equal(length, strlen(want));
  assert_string_equal(text, want);
  free(text);
}

static void publishes_whole_files(void **state) {
  (void)state;
  struct file_new file;
  struct error err;
  char sha256[HASH_HEX], again[HASH_HEX];
  uint64_t bytes;
  struct stat info;
  assert_int_equal(file_create(&file, in_folder("a"), &err), STATUS_OK);
  assert_int_equal(file_write(&file, "ab", 2, &err), STATUS_OK);
  assert_int_equal(file_write(&file, "", 0, &err), STATUS_OK);
  assert_int_equal(file_write(&file, "c", 1, &err), STATUS_OK);
  assert_int_equal(access(in_folder("a"), F_OK), -1);
  assert_int_equal(file_publish(&file, sha256, &err), STATUS_OK);
  assert_content(in_folder("a"), "abc");
  assert_string_equal(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_int_equal(file_hash(again, &bytes, in_folder("a"), &err), STATUS_OK);
  assert_string_equal(again, sha256);
  assert_int_equal(bytes, 3);
  assert_int_equal(stat(in_folder("a"), &info), 0);
  assert_int_equal(info.st_mode & 0777, 0600);
  assert_int_equal(file_put(in_folder("a"), "newer", 5, &err), STATUS_OK);
  assert_content(in_folder("a"), "newer");
  assert_int_equal(entries(), 1);
}

static void discards_without_a_trace(void **state) {
  (void)state;
  struct file_new file;
  struct error err;
  assert_int_equal(file_create(&file, in_folder("a"), &err), STATUS_OK);
  assert_int_equal(file_write(&file, "abc", 3, &err), STATUS_OK);
  assert_int_equal(entries(), 1);
  file_discard(&file);
  file_discard(&file);
  assert_int_equal(entries(), 0);
}

static void tells_why_it_cannot_create(void **state) {
  (void)state;
  struct file_new file;
  struct error err;
  char path[2000];
  assert_int_equal(file_create(&file, in_folder("none/a"), &err), STATUS_IO);
  assert_non_null(strstr(err.text, "No such file"));
  file_discard(&file);
  memset(path, 'x', sizeof path);
  path[sizeof path - 1] = '\0';
  assert_int_equal(file_create(&file, path, &err), STATUS_IO);
}

static void fails_to_publish_over_a_folder(void **state) {
  (void)state;
  struct file_new file;
  struct error err;
  assert_int_equal(file_mkdirs(in_folder("taken/x"), &err), STATUS_OK);
  assert_int_equal(file_create(&file, in_folder("taken"), &err), STATUS_OK);
  assert_int_equal(file_publish(&file, NULL, &err), STATUS_IO);
  assert_int_equal(entries(), 1);
}

static void bounds_what_it_reads(void **state) {
  (void)state;
  struct error err;
  char *text;
  size_t length;
  assert_int_equal(file_put(in_folder("a"), "12345", 5, &err), STATUS_OK);
  assert_int_equal(file_read(&text, &length, in_folder("a"), 4, &err), STATUS_TOO_LARGE);
  assert_int_equal(file_read(&text, &length, in_folder("a"), 5, &err), STATUS_OK);
  free(text);
  assert_int_equal(file_read(&text, &length, folder, 5, &err), STATUS_IO);
  assert_non_null(strstr(err.text, "not a regular file"));
  assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
  assert_int_equal(file_read(&text, &length, in_folder("pipe"), 5, &err), STATUS_IO);
}

static void maps_files(void **state) {
  (void)state;
  struct file_map map;
  struct error err;
  assert_int_equal(file_put(in_folder("a"), "mapped", 6, &err), STATUS_OK);
  assert_int_equal(file_map_open(&map, in_folder("a"), &err), STATUS_OK);
  assert_int_equal(map.length, 6);
  assert_memory_equal(map.bytes, "mapped", 6);
  file_map_close(&map);
  assert_null(map.bytes);
  assert_int_equal(file_put(in_folder("a"), "", 0, &err), STATUS_OK);
  assert_int_equal(file_map_open(&map, in_folder("a"), &err), STATUS_OK);
  assert_null(map.bytes);
  file_map_close(&map);
  assert_int_equal(file_map_open(&map, in_folder("none"), &err), STATUS_IO);
}

static void makes_and_removes_trees(void **state) {
  (void)state;
  struct error err;
  char target[256], link[256];
  snprintf(target, sizeof target, "%s", in_folder("keep"));
  snprintf(link, sizeof link, "%s", in_folder("tree/a/link"));
  assert_int_equal(file_mkdirs(in_folder("keep"), &err), STATUS_OK);
  assert_int_equal(file_put(in_folder("keep/file"), "x", 1, &err), STATUS_OK);
  assert_int_equal(file_mkdirs(in_folder("tree/a/b/c"), &err), STATUS_OK);
  assert_int_equal(file_mkdirs(in_folder("tree/a/b/c"), &err), STATUS_OK);
  assert_int_equal(file_put(in_folder("tree/a/b/file"), "x", 1, &err), STATUS_OK);
  assert_int_equal(symlink(target, link), 0);
  assert_int_equal(file_remove_tree(in_folder("tree"), &err), STATUS_OK);
  assert_int_equal(access(in_folder("tree"), F_OK), -1);
  assert_content(in_folder("keep/file"), "x");
  assert_int_equal(file_remove_tree(in_folder("tree"), &err), STATUS_OK);
  assert_int_equal(file_mkdirs(in_folder("keep/file"), &err), STATUS_IO);
  assert_int_equal(file_mkdirs(in_folder("keep/file/below"), &err), STATUS_IO);
  assert_int_equal(file_mkdirs("", &err), STATUS_IO);
  assert_int_equal(file_sync_dir(folder, &err), STATUS_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(publishes_whole_files, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(discards_without_a_trace, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(tells_why_it_cannot_create, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(fails_to_publish_over_a_folder, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(bounds_what_it_reads, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(maps_files, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(makes_and_removes_trees, make_folder, remove_folder)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
