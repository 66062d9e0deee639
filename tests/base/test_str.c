/* A str grows to its maximum and then fails for good until cleared; fields of CSV are quoted as they must be; UTF-8 is
   judged as Unicode defines it; edit distances are right and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void grows_and_stays_terminated(void **state) {
  (void)state;
  struct str s;
  str_init(&s, 100000);
  assert_string_equal(s.text, "");
  for (int i = 0; i < 1000; i++)
    assert_true(str_printf(&s, "%d,", i));
  assert_true(str_putc(&s, '\0'));
  assert_true(str_puts(&s, "end"));
  assert_int_equal(s.text[s.length], '\0');
  assert_memory_equal(s.text + s.length - 4, "\0end", 4);
  str_done(&s);
  assert_string_equal(s.text, "");
}

static void fails_beyond_its_maximum(void **state) {
  (void)state;
  struct str s;
  str_init(&s, 4);
  assert_true(str_puts(&s, "abc"));
  assert_false(str_puts(&s, "de"));
  assert_true(s.failed);
  assert_string_equal(s.text, "abc");
  assert_false(str_putc(&s, 'd'));
  assert_null(str_take(&s, NULL));
  str_clear(&s);
  assert_true(str_printf(&s, "%s", "wxyz"));
  assert_false(str_printf(&s, "%d", 1));
  str_done(&s);
}

static void quotes_fields(void **state) {
  static const struct {
    const char *text, *field;
  } cases[] = {
      {"", ""},          {"a b;'", "a b;'"}, {"a,b", "\"a,b\""}, {"\"a\"", "\"\"\"a\"\"\""}, {"a\nb", "\"a\nb\""},
      {"a\r", "\"a\r\""}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct str s;
    str_init(&s, 100);
    assert_true(str_csv(&s, cases[i].text));
    assert_string_equal(s.text, cases[i].field);
    str_done(&s);
  }
}

static void gives_its_text_away(void **state) {
  (void)state;
  struct str s;
  size_t length = 99;
  str_init(&s, 10);
  char *none = str_take(&s, &length);
  assert_string_equal(none, "");
  assert_int_equal(length, 0);
  free(none);
  str_puts(&s, "abc");
  char *text = str_take(&s, &length);
  assert_string_equal(text, "abc");
  assert_int_equal(length, 3);
  assert_int_equal(s.length, 0);
  free(text);
  str_done(&s);
}

static void judges_utf8(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int bad; /* -1: valid */
  } cases[] = {
      {"", -1},
      {"plain", -1},
      {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", -1},
      {"\xED\x9F\xBF\xEE\x80\x80", -1}, /* around the surrogates */
      {"\xF4\x8F\xBF\xBF", -1},         /* U+10FFFF */
      {"a\x80", 1},                     /* a lone continuation */
      {"ab\xC3", 2},                    /* cut */
      {"\xC0\xAF", 0},                  /* overlong '/' */
      {"\xE0\x80\xAF", 0},              /* overlong */
      {"\xF0\x80\x80\xAF", 0},          /* overlong */
      {"x\xED\xA0\x80", 1},             /* a surrogate */
      {"\xF4\x90\x80\x80", 0},          /* beyond U+10FFFF */
      {"\xF5\x80\x80\x80", 0},
      {"\xFF", 0},
      {"\xE2\x82z", 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    size_t bad = 999;
    bool valid = utf8_valid(cases[i].text, strlen(cases[i].text), &bad);
    assert_int_equal(valid, cases[i].bad < 0);
    if (!valid)
      assert_int_equal(bad, cases[i].bad);
  }
}

static void finds_names(void **state) {
  static const char *const names[] = {"one", "two", "three"};
  (void)state;
  assert_int_equal(str_index(names, 3, "one"), 0);
  assert_int_equal(str_index(names, 3, "three"), 2);
  assert_int_equal(str_index(names, 2, "three"), -1);
  assert_int_equal(str_index(names, 3, "thre"), -1);
  assert_int_equal(str_index(names, 3, ""), -1);
  assert_int_equal(str_index(names, 3, NULL), -1);
}

static void measures_edit_distance(void **state) {
  (void)state;
  assert_int_equal(str_distance("kitten", "sitting", 9), 3);
  assert_int_equal(str_distance("", "abc", 9), 3);
  assert_int_equal(str_distance("same", "same", 0), 0);
  assert_int_equal(str_distance("batch_size", "learning_rate", 3), 4);
  char longer[100];
  memset(longer, 'a', 99);
  longer[99] = '\0';
  assert_int_equal(str_distance(longer, "a", 5), 6);
  assert_int_equal(str_distance(longer, longer, 5), 0);
  static const char *const names[] = {"query", "key", "value"};
  const char *best = NULL;
  size_t distance = 3;
  for (size_t i = 0; i < COUNT_OF(names); i++)
    str_nearer(&best, &distance, names[i], "vlaue");
  assert_string_equal(best, "value");
  assert_int_equal(distance, 2);
  str_nearer(&best, &distance, "query", "vlaue"); /* not nearer: it stays */
  assert_string_equal(best, "value");
}

static void json_text_has_no_nul(void **state) {
  (void)state;
  struct str s;
  str_init(&s, 100);
  assert_true(str_add_json_text(&s, "\0a\0\0", 4));
  assert_string_equal(s.text, "\xEF\xBF\xBD"
                              "a\xEF\xBF\xBD\xEF\xBF\xBD");
  assert_true(str_add_json_text(&s, "", 0));
  assert_int_equal(s.length, 10);
  str_done(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(grows_and_stays_terminated),
                                     cmocka_unit_test(fails_beyond_its_maximum),
                                     cmocka_unit_test(gives_its_text_away),
                                     cmocka_unit_test(json_text_has_no_nul),
                                     cmocka_unit_test(quotes_fields),
                                     cmocka_unit_test(judges_utf8),
                                     cmocka_unit_test(measures_edit_distance),
                                     cmocka_unit_test(finds_names)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
