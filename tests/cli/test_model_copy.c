/* Proves that a model is put there whole or not at all, over nothing, and readable by the daemon's user. */
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
#include "cli/model_copy.h"

static char folder[] = "/tmp/reflect-models-XXXXXX", source[64], models[64];

static const char *below(const char *base, const char *name) {
  static char paths[4][200];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", base, name);
  return path;
}

static void put(const char *path, const char *text) {
  struct error err;
  assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
}

static int set_up(void **state) {
  struct error err;
  (void)state;
  memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
  assert_non_null(mkdtemp(folder));
  snprintf(source, sizeof source, "%s/source", folder);
  snprintf(models, sizeof models, "%s/models", folder);
  assert_int_equal(file_mkdirs(below(source, "1_Pooling"), &err), STATUS_OK);
  assert_int_equal(file_mkdirs(below(source, ".git"), &err), STATUS_OK);
  assert_int_equal(file_mkdirs(models, &err), STATUS_OK);
  put(below(source, "1_Pooling/config.json"), "{}");
  put(below(source, "config.json"), "{\"a\": 1}");
  put(below(folder, "blob"), "weights");
  return symlink("../blob", below(source, "model.safetensors"));
}

static int tear_down(void **state) {
  struct error err;
  (void)state;
  return file_remove_tree(folder, &err) != STATUS_OK;
}

static void is_text(const char *path, const char *text) {
  struct error err;
  char *got;
  size_t length;
  assert_int_equal(file_read(&got, &length, path, 1000, &err), STATUS_OK);
  assert_string_equal(got, text);
  free(got);
}

static void all_of_it_is_there(void **state) {
  struct error err;
  struct stat info, original;
  uint64_t bytes;
  (void)state;
  assert_int_equal(model_copy(source, models, "org/name", false, &bytes, &err), STATUS_OK);
  assert_int_equal(bytes, 2 + 8 + 7);
  is_text(below(models, "org/name/1_Pooling/config.json"), "{}");
  is_text(below(models, "org/name/config.json"), "{\"a\": 1}");
  is_text(below(models, "org/name/model.safetensors"), "weights");
  assert_int_equal(lstat(below(models, "org/name/model.safetensors"), &info), 0);
  assert_true(S_ISREG(info.st_mode)); /* no link into somebody's home */
  assert_int_equal(info.st_mode & 0777, 0644);
  assert_int_equal(stat(below(folder, "blob"), &original), 0);
  assert_true(info.st_ino != original.st_ino);
  assert_int_equal(stat(below(models, "org/name"), &info), 0);
  assert_int_equal(info.st_mode & 0777, 0755);
  assert_int_not_equal(access(below(models, "org/name/.git"), F_OK), 0);
  assert_int_equal(model_copy(source, models, "linked", true, &bytes, &err), STATUS_OK);
  assert_int_equal(lstat(below(models, "linked/model.safetensors"), &info), 0);
  assert_true(S_ISREG(info.st_mode) && info.st_ino == original.st_ino);
}

static void parts_of_a_split_file_become_a_folder(void **state) {
  struct error err;
  uint64_t bytes;
  (void)state;
  put(below(source, "m-00001-of-00002.gguf"), "one");
  assert_int_equal(
      model_copy_parts(below(source, "m-00001-of-00002.gguf"), NULL, 0, models, "m", false, &bytes, &err), STATUS_IO);
  assert_non_null(strstr(err.text, "m-00002-of-00002.gguf: No such file"));
  assert_int_not_equal(access(below(models, "m"), F_OK), 0);
  put(below(source, "m-00002-of-00002.gguf"), "second");
  assert_int_equal(
      model_copy_parts(below(source, "m-00001-of-00002.gguf"), NULL, 0, models, "m", false, &bytes, &err), STATUS_OK);
  assert_int_equal(bytes, 3 + 6);
  is_text(below(models, "m/m-00001-of-00002.gguf"), "one");
  is_text(below(models, "m/m-00002-of-00002.gguf"), "second");
  assert_int_not_equal(access(below(models, "m/config.json"), F_OK), 0);
}

static void nothing_is_left_of_one_that_failed(void **state) {
  struct error err;
  uint64_t bytes;
  (void)state;
  assert_int_equal(model_copy(source, models, "name", false, &bytes, &err), STATUS_OK);
  assert_int_equal(model_copy(source, models, "name", false, &bytes, &err), STATUS_INVALID_VALUE);
  assert_non_null(strstr(err.text, "already"));
  assert_int_equal(symlink("nowhere", below(source, "vocab.txt")), 0);
  assert_int_equal(model_copy(source, models, "broken", false, &bytes, &err), STATUS_IO);
  assert_non_null(strstr(err.text, "vocab.txt: No such file"));
  assert_int_equal(unlink(below(source, "vocab.txt")), 0);
  assert_int_equal(mkfifo(below(source, "pipe"), 0600), 0);
  assert_int_equal(model_copy(source, models, "broken", false, &bytes, &err), STATUS_INVALID_VALUE);
  assert_int_equal(symlink(".", below(source, "a-loop")), 0);
  assert_int_equal(unlink(below(source, "pipe")), 0);
  assert_int_equal(model_copy(source, models, "broken", false, &bytes, &err), STATUS_INVALID_VALUE);
  assert_non_null(strstr(err.text, "too deep"));
  assert_int_equal(unlink(below(models, "name/model.safetensors")), 0);
  assert_int_equal(file_remove_tree(below(models, "name"), &err), STATUS_OK);
  assert_int_equal(rmdir(models), 0); /* it is empty */
  assert_int_equal(model_copy(source, models, "name", false, &bytes, &err), STATUS_IO);
}

static void ids_stay_in_the_folder(void **state) {
  static const char *const good[] = {"a", "a.gguf", "org/name", "A-1_b c"};
  static const char *const bad[] = {"", ".", "..", "../a", "/a", "a/", "a/..", "a/.b", "a/b/c", ".a", "a\xff"};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(good); i++)
    assert_true(model_id_valid(good[i]));
  for (size_t i = 0; i < COUNT_OF(bad); i++)
    assert_false(model_id_valid(bad[i]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(all_of_it_is_there, set_up, tear_down),
      cmocka_unit_test_setup_teardown(parts_of_a_split_file_become_a_folder, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nothing_is_left_of_one_that_failed, set_up, tear_down),
      cmocka_unit_test(ids_stay_in_the_folder)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
