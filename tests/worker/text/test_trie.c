/* A trie finds the longest key and nothing else, keeps its sets apart, and stays right while it grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/text/trie.h"

static void finds_the_longest_key(void **state) {
  (void)state;
  struct trie trie;
  uint32_t one, two;
  size_t matched = 99;
  trie_init(&trie);
  assert_int_equal(trie_longest(&trie, 0, "a", 0, &matched), -1);
  assert_true(trie_root(&trie, &one) && trie_root(&trie, &two));
  assert_int_equal(trie_longest(&trie, one, "abc", 3, &matched), -1);
  assert_true(trie_set(&trie, one, "ab", 2, 1) && trie_set(&trie, one, "abcd", 4, 2));
  assert_true(trie_set(&trie, two, "a\0b", 3, 3));
  assert_int_equal(trie_longest(&trie, one, "abcde", 5, &matched), 2);
  assert_int_equal(matched, 4);
  assert_int_equal(trie_longest(&trie, one, "abcde", 3, &matched), 1);
  assert_int_equal(matched, 2);
  assert_int_equal(trie_longest(&trie, one, "a", 1, &matched), -1);
  assert_int_equal(trie_longest(&trie, two, "a\0bc", 4, &matched), 3);
  assert_int_equal(matched, 3);
  assert_int_equal(trie_get(&trie, one, "abc", 3), -1);
  assert_int_equal(trie_get(&trie, two, "ab", 2), -1);
  assert_true(trie_set(&trie, one, "ab", 2, 7));
  assert_int_equal(trie_get(&trie, one, "ab", 2), 7);
  trie_done(&trie);
}

static void keeps_every_key_while_it_grows(void **state) {
  (void)state;
  struct trie trie;
  uint32_t root;
  char key[32];
  trie_init(&trie);
  assert_true(trie_root(&trie, &root));
  for (int i = 0; i < 50000; i++) {
    int n = snprintf(key, sizeof key, "%x-%d", (unsigned)i * 2654435761u, i);
    assert_true(trie_set(&trie, root, key, (size_t)n, i));
  }
  for (int i = 0; i < 50000; i++) {
    int n = snprintf(key, sizeof key, "%x-%d", (unsigned)i * 2654435761u, i);
    assert_int_equal(trie_get(&trie, root, key, (size_t)n), i);
    assert_int_equal(trie_get(&trie, root, key, (size_t)n - 1) == i, 0);
  }
  trie_done(&trie);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_the_longest_key),
      cmocka_unit_test(keeps_every_key_while_it_grows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
