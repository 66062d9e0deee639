/* Which names are those of a split file's parts, what the others are called, that a walk has each once and in order,
   and which of them come after one that is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/split_file.h"

static void parts_are_named(void **state) {
  struct split_file one;
  char path[PATH_MAX];
  (void)state;
  assert_true(split_file_named(&one, "models/a-b-00002-of-00003.gguf"));
  assert_true(one.stem == 10 && one.part == 2 && one.count == 3);
  split_file_path(path, "models/a-b-00002-of-00003.gguf", &one, 1);
  assert_string_equal(path, "models/a-b-00001-of-00003.gguf");
  split_file_path(path, "models/a-b-00002-of-00003.gguf", &one, 3);
  assert_string_equal(path, "models/a-b-00003-of-00003.gguf");
  assert_true(split_file_named(&one, "x-00001-of-00001.gguf"));
  assert_true(one.part == 1 && one.count == 1);
  split_file_path(path, "x-00001-of-00001.gguf", &one, 1);
  assert_string_equal(path, "x-00001-of-00001.gguf");
  assert_true(split_file_named(&one, "x-01024-of-01024.gguf"));
}

static void all_else_is_whole(void **state) {
  static const char *const names[] = {"",
                                      "a.gguf",
                                      "-00001-of-00002.gguf",
                                      "a/-00001-of-00002.gguf",
                                      "a-00000-of-00002.gguf",
                                      "a-00003-of-00002.gguf",
                                      "a-0001-of-0002.gguf",
                                      "a-00001-of-000002.gguf",
                                      "a-00001-of-00002.bin",
                                      "a-00001-of-00002.gguf.part",
                                      "a-+0001-of-00002.gguf",
                                      "a-00001-OF-00002.gguf",
                                      "a-00001-of-01025.gguf"};
  char path[PATH_MAX];
  (void)state;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    struct split_file one;
    if (split_file_named(&one, names[i]))
      fail_msg("%s", names[i]);
    assert_true(one.stem == strlen(names[i]) && one.part == 1 && one.count == 1);
    split_file_path(path, names[i], &one, 1);
    assert_string_equal(path, names[i]);
    assert_false(split_file_follows(names[i]));
  }
}

static void a_walk_has_each_part_once(void **state) {
  static const char *const from[] = {"m/a-00001-of-00003.gguf", "m/a-00002-of-00003.gguf"};
  struct split_walk walk;
  char want[32];
  (void)state;
  for (size_t i = 0; i < COUNT_OF(from); i++) {
    split_walk_begin(&walk, from[i]);
    for (unsigned part = 1; part <= 3; part++) {
      snprintf(want, sizeof want, "m/a-0000%u-of-00003.gguf", part);
      assert_true(split_walk_next(&walk));
      assert_int_equal(walk.part, part);
      assert_string_equal(walk.path, want);
    }
    assert_false(split_walk_next(&walk));
    assert_false(split_walk_next(&walk));
  }
  split_walk_begin(&walk, "models/folder");
  assert_true(split_walk_next(&walk));
  assert_string_equal(walk.path, "models/folder");
  assert_false(split_walk_next(&walk));
}

static void later_parts_follow(void **state) {
  char folder[] = "/tmp/test_split_file.XXXXXX", paths[4][64];
  (void)state;
  assert_non_null(mkdtemp(folder));
  for (unsigned i = 0; i < 4; i++)
    snprintf(paths[i], sizeof paths[i], "%s/a-%05u-of-00004.gguf", folder, i + 1);
  for (unsigned i = 1; i < 4; i++)
    assert_int_equal(file_put(paths[i], "", 0, NULL), STATUS_OK);
  assert_false(split_file_follows(paths[1])); /* the first one is missing, so this one is the first of all */
  assert_true(split_file_follows(paths[2]) && split_file_follows(paths[3]));
  assert_int_equal(file_put(paths[0], "", 0, NULL), STATUS_OK);
  assert_false(split_file_follows(paths[0]));
  assert_true(split_file_follows(paths[1]));
  assert_int_equal(file_remove_tree(folder, NULL), STATUS_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_are_named),
      cmocka_unit_test(all_else_is_whole),
      cmocka_unit_test(a_walk_has_each_part_once),
      cmocka_unit_test(later_parts_follow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
