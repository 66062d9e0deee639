/* An arena hands out zeroed, aligned, separate memory up to its maximum and never beyond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void hands_out_zeroed_aligned_memory(void **state) {
  (void)state;
  struct arena arena;
  arena_init(&arena, 1 << 20);
  unsigned char *before = NULL;
  for (size_t size = 0; size < 3000; size += 97) {
    unsigned char *p = arena_alloc(&arena, size);
    assert_non_null(p);
    assert_true((uintptr_t)p % 16 == 0);
    assert_ptr_not_equal(p, before);
    for (size_t i = 0; i < size; i++)
      assert_int_equal(p[i], 0);
    memset(p, 0xFF, size);
    before = p;
  }
  arena_done(&arena);
}

static void stops_at_its_maximum(void **state) {
  (void)state;
  struct arena arena;
  arena_init(&arena, 64);
  assert_non_null(arena_alloc(&arena, 48));
  assert_null(arena_alloc(&arena, 17));
  assert_non_null(arena_alloc(&arena, 16));
  assert_null(arena_alloc(&arena, 0));
  arena_done(&arena);
  assert_null(arena.head);
}

static void refuses_sizes_that_overflow(void **state) {
  (void)state;
  struct arena arena;
  arena_init(&arena, SIZE_MAX);
  assert_null(arena_alloc(&arena, SIZE_MAX));
  assert_null(arena_alloc(&arena, SIZE_MAX - 8));
  assert_null(arena_array(&arena, SIZE_MAX / 2, 3));
  assert_null(arena_copy(&arena, "x", SIZE_MAX));
  arena_done(&arena);
}

static void copies_text(void **state) {
  (void)state;
  struct arena arena;
  arena_init(&arena, 4096);
  assert_string_equal(arena_copy(&arena, "abcdef", 3), "abc");
  assert_string_equal(arena_copy(&arena, NULL, 0), "");
  assert_string_equal(arena_string(&arena, "text"), "text");
  assert_string_equal(arena_format(&arena, "%s-%d", "job", 7), "job-7");
  int64_t *numbers = arena_array(&arena, 10, sizeof *numbers);
  assert_non_null(numbers);
  assert_int_equal(numbers[9], 0);
  arena_done(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(hands_out_zeroed_aligned_memory),
                                     cmocka_unit_test(stops_at_its_maximum),
                                     cmocka_unit_test(refuses_sizes_that_overflow), cmocka_unit_test(copies_text)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
