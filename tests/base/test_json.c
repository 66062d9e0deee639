/* JSON from strangers is read within limits, with the place of a fault; typed members are checked;
   numbers are written as people write them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"

static void refused(const char *text, enum status want, const char *says) {
  json_t *value;
  struct error err;
  assert_int_equal(json_parse(&value, text, strlen(text), NULL, &err), want);
  assert_null(value);
  if (!strstr(err.text, says))
    fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void names_the_place_of_a_fault(void **state) {
  (void)state;
  refused("{\"a\": 1,\n \"b\": }", STATUS_INVALID_JSON, "line 2, column");
  refused("", STATUS_INVALID_JSON, "line 1");
  refused("{\"a\":1,\"a\":2}", STATUS_INVALID_JSON, "duplicate");
  refused("{} x", STATUS_INVALID_JSON, "line 1");
  refused("\"\xFF\"", STATUS_INVALID_JSON, "byte 0xff");
  refused("\"a\\u0000b\"", STATUS_INVALID_JSON, "line 1");
  refused("1e999", STATUS_INVALID_JSON, "line 1");
}

/* What people and other programs write for JSON is called by its name. */
static void says_it_in_plain_words(void **state) {
  static const struct {
    const char *text, *says;
  } cases[] = {
      {"", "the text ends before its JSON is complete"},
      {"{\"a\":1", "the text ends before its JSON is complete"},
      {"{\"a\":\"b", "the text ends before its JSON is complete"},
      {"{'a': 1}", "line 1, column 2: a single quote; JSON's strings are in double quotes"},
      {"{\"a\": 'b'}", "a single quote"},
      {"{\"a\": None}", "None is Python's; JSON's is null"},
      {"[True, 1]", "True is Python's; JSON's is true"},
      {"[NaN]", "NaN is no JSON"},
      {"[1, -Infinity]", "-Infinity is no JSON"},
      {"[nancy]", "invalid token near 'nancy'"},
      {"{\"a\":1, }", "line 1, column 9: a comma with nothing behind it"},
      {"[1,\n]", "line 2, column 1: a comma with nothing behind it"},
      {"{\"a\": }", "a member has no value"},
      {"{a:1}", "line 1, column 2: a name in double quotes, or }, is expected here"},
      {"{\"a\":1 \"b\":2}", "a comma or } is expected here"},
      {"[1 2]", "a comma or ] is expected here"},
      {"[\"b\nc\"]", "a line ends inside a string"},
      {"[\"b\\x\"]", "a backslash in a string that begins no escape"},
      {"[\"\\u0000\"]", ": \\u0000, the character NUL, is not allowed in a string"},
      {"{\"a\\u0000\":1}", "the character NUL, is not allowed in a name"},
      {"\xEF\xBB\xBF{}", "line 1, column 1: a byte order mark (U+FEFF)"},
      {"{} \xEF\xBB\xBF{}", "a byte order mark (U+FEFF)"},
      {"{} {}", "more text behind the end of the JSON value"},
      {"[1] // x", "a comment"},
      {"[\xE2\x80\x9C"
       "a]",
       "a typographic quote"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    refused(cases[i].text, STATUS_INVALID_JSON, cases[i].says);
}

/* jansson quotes up to the byte it stopped at, which may be the first of several. */
static void a_cut_quote_stays_utf8(void **state) {
  struct error err;
  json_t *value;
  const char text[] = "{\"key\\\xdb\x9d}l";
  (void)state;
  assert_int_equal(json_parse(&value, text, sizeof text - 1, NULL, &err), STATUS_INVALID_JSON);
  assert_true(utf8_valid(err.text, strlen(err.text), NULL));
  assert_non_null(strstr(err.text, "line 1, column "));
}

static void keeps_its_limits(void **state) {
  (void)state;
  static const struct json_limits limits = {.bytes_max = 64, .depth_max = 3, .values_max = 8};
  json_t *value;
  struct error err;
  assert_int_equal(json_parse(&value, "[[[1]]]", 7, &limits, &err), STATUS_OK);
  json_decref(value);
  assert_int_equal(json_parse(&value, "[[[[1]]]]", 9, &limits, &err), STATUS_INVALID_JSON);
  assert_non_null(strstr(err.text, "column 4: more than 3 nested"));
  assert_int_equal(json_parse(&value, "[1,2,3,4,5,6,7,8]", 17, &limits, &err), STATUS_TOO_LARGE);
  static const char quoted[] = "\"[[[[[[,,,,,,,,,\\\"[[[\"";
  assert_int_equal(json_parse(&value, quoted, strlen(quoted), &limits, &err), STATUS_OK);
  json_decref(value);
  char many[80];
  memset(many, ' ', sizeof many);
  assert_int_equal(json_parse(&value, many, sizeof many, &limits, &err), STATUS_TOO_LARGE);
}

static void reads_members_by_type(void **state) {
  (void)state;
  static const char text[] = "{\"s\":\"x\",\"i\":7,\"n\":2.5,\"b\":true,\"z\":null}";
  json_t *object;
  struct error err;
  const char *s;
  int64_t i;
  double n;
  bool b;
  assert_int_equal(json_parse(&object, text, strlen(text), NULL, &err), STATUS_OK);
  assert_int_equal(json_get_string(&s, object, "s", NULL, &err), STATUS_OK);
  assert_string_equal(s, "x");
  assert_int_equal(json_get_string(&s, object, "z", "fallback", &err), STATUS_OK);
  assert_string_equal(s, "fallback");
  assert_int_equal(json_get_int(&i, object, "i", 0, 0, 7, &err), STATUS_OK);
  assert_int_equal(i, 7);
  assert_int_equal(json_get_int(&i, object, "i", 0, 0, 6, &err), STATUS_INVALID_VALUE);
  assert_string_equal(err.param, "i");
  assert_int_equal(json_get_int(&i, object, "n", 0, 0, 9, &err), STATUS_INVALID_VALUE);
  assert_int_equal(json_get_number(&n, object, "i", 0, &err), STATUS_OK);
  assert_true(n == 7);
  assert_int_equal(json_get_bool(&b, object, "b", false, &err), STATUS_OK);
  assert_true(b);
  assert_int_equal(json_get_bool(&b, object, "s", false, &err), STATUS_INVALID_VALUE);
  assert_string_equal(err.text, "s must be true or false, not a string");
  json_decref(object);
}

static void integers_beyond_64_bits_are_reals(void **state) {
  (void)state;
  const char text[] =
      "{\"max\": 1000000000000000019884624838656, \"id\": -12345678901234567890, \"edge\": 9223372036854775808,\n"
      " \"kept\": [9223372036854775807, -9223372036854775807, 1.5e3], \"text\": \"12345678901234567890\"}";
  json_t *value;
  struct error err;
  assert_int_equal(json_parse(&value, text, strlen(text), NULL, &err), STATUS_OK);
  assert_true(fabs(json_real_value(json_object_get(value, "max")) / 1e30 - 1.00000000000000002) < 1e-15);
  assert_true(fabs(json_real_value(json_object_get(value, "id")) / -12345678901234567890.0 - 1) < 1e-15);
  assert_true(json_real_value(json_object_get(value, "edge")) == 9223372036854775808.0);
  const json_t *kept = json_object_get(value, "kept");
  assert_true(json_integer_value(json_array_get(kept, 0)) == INT64_MAX);
  assert_true(json_integer_value(json_array_get(kept, 1)) == -INT64_MAX);
  assert_true(json_real_value(json_array_get(kept, 2)) == 1500);
  assert_string_equal(json_string_value(json_object_get(value, "text")), "12345678901234567890");
  json_decref(value);
  refused("[12345678901234567890,\n 1e999]", STATUS_INVALID_JSON, "line 2");
  refused("[12345678901234567890, x]", STATUS_INVALID_JSON, "line 1, column 24");
}

static void writes_numbers_as_people_do(void **state) {
  (void)state;
  json_t *value = json_pack("[f,f,f,i]", 0.06, 2e-3, 1e-8, 3);
  struct str out;
  str_init(&out, 100);
  assert_true(json_append(&out, value));
  assert_string_equal(out.text, "[0.06,0.002,1e-8,3]");
  str_done(&out);
  str_init(&out, 5);
  assert_false(json_append(&out, value));
  str_done(&out);
  json_decref(value);
}

static void prefixes_faults_of_a_file(void **state) {
  (void)state;
  char path[] = "/tmp/test_json_XXXXXX";
  int fd = mkstemp(path);
  struct error err;
  json_t *value;
  assert_true(fd >= 0);
  assert_int_equal(file_put(path, "{\n!", 3, &err), STATUS_OK);
  assert_int_equal(json_parse_file(&value, path, NULL, &err), STATUS_INVALID_JSON);
  assert_int_equal(strncmp(err.text, path, strlen(path)), 0);
  assert_non_null(strstr(err.text, "line 2"));
  assert_int_equal(file_remove_tree(path, &err), STATUS_OK);
  assert_int_equal(json_parse_file(&value, path, NULL, &err), STATUS_IO);
}

static void a_list_has_a_text(void **state) {
  (void)state;
  AUTO(json_release) json_t *list = json_pack("[s, i, n, s]", "ab", 1, "c");
  assert_true(json_list_has(list, "ab") && json_list_has(list, "c"));
  assert_false(json_list_has(list, "a") || json_list_has(list, "1") || json_list_has(list, ""));
  assert_false(json_list_has(NULL, "ab"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_the_place_of_a_fault),  cmocka_unit_test(keeps_its_limits),
      cmocka_unit_test(says_it_in_plain_words),      cmocka_unit_test(a_cut_quote_stays_utf8),
      cmocka_unit_test(reads_members_by_type),       cmocka_unit_test(integers_beyond_64_bits_are_reals),
      cmocka_unit_test(writes_numbers_as_people_do), cmocka_unit_test(prefixes_faults_of_a_file),
      cmocka_unit_test(a_list_has_a_text)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
