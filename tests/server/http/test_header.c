/* Proves what a request's header decides: which Range is answered how, and what a query means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/query.h"
#include "server/http/range.h"

static void test_range(void **state) {
  static const struct {
    const char *header;
    uint64_t size;
    enum range_kind kind;
    uint64_t first, length;
  } cases[] = {
      {NULL, 10, RANGE_WHOLE, 0, 10},
      {"bytes=0-0", 10, RANGE_PART, 0, 1},
      {"Bytes=2-", 10, RANGE_PART, 2, 8},
      {"bytes=2-4", 10, RANGE_PART, 2, 3},
      {"bytes=2-99", 10, RANGE_PART, 2, 8},
      {"bytes=9-9", 10, RANGE_PART, 9, 1},
      {"bytes=10-", 10, RANGE_BEYOND, 0, 0},
      {"bytes=-3", 10, RANGE_PART, 7, 3},
      {"bytes=-30", 10, RANGE_PART, 0, 10},
      {"bytes=-0", 10, RANGE_BEYOND, 0, 0},
      {"bytes=0-", 0, RANGE_BEYOND, 0, 0},
      {"bytes=-1", 0, RANGE_BEYOND, 0, 0},
      {"bytes=5-2", 10, RANGE_WHOLE, 0, 10},
      {"bytes=-", 10, RANGE_WHOLE, 0, 10},
      {"bytes=1-2,4-5", 10, RANGE_WHOLE, 0, 10},
      {"bytes=a-b", 10, RANGE_WHOLE, 0, 10},
      {"lines=0-1", 10, RANGE_WHOLE, 0, 10},
      {"bytes=99999999999999999999999-", 10, RANGE_BEYOND, 0, 0},
      {"bytes=0-99999999999999999999999", 10, RANGE_PART, 0, 10},
      {"bytes=-99999999999999999999999", 10, RANGE_PART, 0, 10},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct range range;
    assert_int_equal(range_parse(&range, cases[i].header, cases[i].size), cases[i].kind);
    assert_int_equal(range.length, cases[i].length);
    if (range.length)
      assert_int_equal(range.first, cases[i].first);
  }
}

static void test_query(void **state) {
  AUTO(arena_done) struct arena arena;
  struct query query;
  struct page page;
  struct error err;
  int64_t number;
  (void)state;
  arena_init(&arena, 1 << 20);
  assert_int_equal(query_parse(&query, "/p?a=1&metadata%5Bte+am%5D=x+y%26&empty=&flag&&a=2#f=1", &arena, &err),
                   STATUS_OK);
  assert_int_equal(query.count, 5);
  assert_string_equal(query_get(&query, "a"), "2");
  assert_string_equal(query_get(&query, "metadata[te am]"), "x y&");
  assert_string_equal(query_get(&query, "empty"), "");
  assert_string_equal(query_get(&query, "flag"), "");
  assert_null(query_get(&query, "f"));
  assert_int_equal(query_parse(&query, "/p", &arena, &err), STATUS_OK);
  assert_int_equal(query.count, 0);
  static const char *const bad[] = {"?a=%", "?a=%4", "?a=%zz", "?a=%00", "?%ff=1", "?a=%C0%AF"};
  for (size_t i = 0; i < COUNT_OF(bad); i++)
    assert_int_equal(query_parse(&query, bad[i], &arena, &err), STATUS_INVALID_VALUE);
  assert_int_equal(query_parse(&query, "?limit=7&order=asc&after=x", &arena, &err), STATUS_OK);
  assert_int_equal(query_page(&page, &query, OP_files_list, &err), STATUS_OK);
  assert_int_equal(page.limit, 7);
  assert_true(page.ascending);
  assert_string_equal(page.after, "x");
  static const char *const numbers[] = {"?n=",  "?n=0",   "?n=101",
                                        "?n=1x", "?n=+5", "?n=%205", "?n=99999999999999999999"};
  for (size_t i = 0; i < COUNT_OF(numbers); i++) {
    assert_int_equal(query_parse(&query, numbers[i], &arena, &err), STATUS_OK);
    assert_int_equal(query_int(&number, &query, "n", 5, 1, 100, &err), STATUS_INVALID_VALUE);
    assert_string_equal(err.param, "n");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_range), cmocka_unit_test(test_query)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
