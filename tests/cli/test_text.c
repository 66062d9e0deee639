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

static void what_is_hidden_is_shown(void **state) {
  (void)state;
  ASSERT_TEXT(text_clean(&out, "plain \xc3\xa9\xe2\x82\xac"), "plain \xc3\xa9\xe2\x82\xac");
  ASSERT_TEXT(text_clean(&out, "a\x1b[31mb\r\nc\x7f"), "a\\u001b[31mb\\r\\nc\\u007f");
  ASSERT_TEXT(text_clean(&out, "c1 \xc2\x9b" "31m"), "c1 \\u009b31m");
  ASSERT_TEXT(text_clean(&out, "bad \xff\x9b utf-8"), "bad \\xff\\x9b utf-8");
  ASSERT_TEXT(text_clean(&out, "caf\xc3\xa9 \xff" "caf\xc3\xa9"),
              "caf\xc3\xa9 \\xff" "caf\xc3\xa9");
  ASSERT_TEXT(text_clean(&out, "\xe2\x80\xaegnp.\xe2\x81\xa9\xd8\x9c\xe2\x80\xa8\xef\xbb\xbf"),
              "\\u202egnp.\\u2069\\u061c\\u2028\\ufeff");
  ASSERT_TEXT(text_clean(&out, "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac \xf3\xa0\x81\x81"),
              "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac \\udb40\\udc41");
}

static void json_stays_exact(void **state) {
  json_t *value = json_pack("{s:s}", "name", "\x1b\xc2\x9b\xe2\x80\xae caf\xc3\xa9\n");
  (void)state;
  assert_non_null(value);
  for (size_t indent = 0; indent <= 2; indent += 2) {
    struct str out;
    str_init(&out, 4000);
    text_json(&out, value, indent);
    assert_non_null(strstr(out.text, "\\u009b\\u202e caf\xc3\xa9\\n\""));
    json_t *back = json_loads(out.text, 0, NULL);
    assert_true(json_equal(back, value));
    json_decref(back);
    str_done(&out);
  }
  json_decref(value);
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

static void cells_are_members(void **state) {
  static const struct text_column columns[] = {
      {"ID", text_cell, "id"}, {"N", text_cell, "n"}, {"AT", text_cell_time, "at"}, {"SIZE", cell_size, NULL}};
  json_t *items =
      json_pack("[{s:s, s:i, s:i}, {s:b, s:f, s:i}]", "id", "a", "n", -3, "size", 5, "id", 1, "n", 0.25, "at", 0);
  (void)state;
  assert_non_null(items);
  ASSERT_TEXT(text_table(&out, columns, COUNT_OF(columns), items),
              "ID  N     AT  SIZE\na   -3    -   5 B\n-   0.25  -   0 B\n");
  json_decref(items);
}

static void tables_are_aligned(void **state) {
  static const struct text_column columns[] = {{"NAME", cell_name, NULL}, {"SIZE", cell_size, NULL}};
  json_t *items = json_pack("[{s:s,s:i}, {s:n,s:i}]", "name", "caf\xc3\xa9-long", "size", 5, "name", "size", 2500);
  (void)state;
  assert_non_null(items);
  ASSERT_TEXT(text_table(&out, columns, COUNT_OF(columns), items),
              "NAME       SIZE\ncaf\xc3\xa9-long  5 B\n-          2.5 kB\n");
  json_decref(items);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_hidden_is_shown), cmocka_unit_test(json_stays_exact),
      cmocka_unit_test(sizes_are_short),         cmocka_unit_test(durations_and_counts),
      cmocka_unit_test(cells_are_members),       cmocka_unit_test(tables_are_aligned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
