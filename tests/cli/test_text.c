/* Proves the formats for people, and that text from a server cannot drive the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cli/text.h"

#define ASSERT_TEXT(call, expected)          \
  do {                                       \
    struct str out;                          \
    str_init(&out, 4000);                    \
    call;                                    \
    assert_string_equal(out.text, expected); \
    str_done(&out);                          \
  } while (0)

static void controls_are_replaced(void **state) {
  (void)state;
  ASSERT_TEXT(text_clean(&out, "plain \xc3\xa9\xe2\x82\xac"), "plain \xc3\xa9\xe2\x82\xac");
  ASSERT_TEXT(text_clean(&out, "a\x1b[31mb\r\nc\x7f"), "a?[31mb??c?");
  ASSERT_TEXT(text_clean(&out, "c1 \xc2\x9b" "31m"), "c1 ?31m");
  ASSERT_TEXT(text_clean(&out, "bad \xff\x9b utf-8"), "bad ?? utf-8");
}

static void sizes_are_short(void **state) {
  (void)state;
  ASSERT_TEXT(text_bytes(&out, 0), "0 B");
  ASSERT_TEXT(text_bytes(&out, 999), "999 B");
  ASSERT_TEXT(text_bytes(&out, 1000), "1.0 kB");
  ASSERT_TEXT(text_bytes(&out, 999949), "999.9 kB");
  ASSERT_TEXT(text_bytes(&out, 999951), "1.0 MB");
  ASSERT_TEXT(text_bytes(&out, UINT64_MAX), "18.4 EB");
}

static void durations_and_counts(void **state) {
  (void)state;
  ASSERT_TEXT(text_duration(&out, 0), "0:00");
  ASSERT_TEXT(text_duration(&out, 59.6), "1:00");
  ASSERT_TEXT(text_duration(&out, 3723), "1:02:03");
  ASSERT_TEXT(text_duration(&out, -1), "-");
  ASSERT_TEXT(text_count(&out, 999), "999");
  ASSERT_TEXT(text_count(&out, 1000), "1,000");
  ASSERT_TEXT(text_count(&out, 1234005), "1,234,005");
  ASSERT_TEXT(text_time(&out, 0), "-");
}

static void cell_name(struct str *out, const json_t *item) {
  text_clean(out, text_member(item, "name", "-"));
}
static void cell_size(struct str *out, const json_t *item) {
  text_bytes(out, (uint64_t)json_integer_value(json_object_get(item, "size")));
}

static void tables_are_aligned(void **state) {
  static const struct text_column columns[] = {{"NAME", cell_name}, {"SIZE", cell_size}};
  json_t *items = json_pack("[{s:s,s:i}, {s:n,s:i}]", "name", "caf\xc3\xa9-long", "size", 5, "name", "size", 2500);
  (void)state;
  assert_non_null(items);
  ASSERT_TEXT(text_table(&out, columns, COUNT_OF(columns), items),
              "NAME       SIZE\ncaf\xc3\xa9-long  5 B\n-          2.5 kB\n");
  json_decref(items);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(controls_are_replaced),
    cmocka_unit_test(sizes_are_short),
    cmocka_unit_test(durations_and_counts),
    cmocka_unit_test(tables_are_aligned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
