/* Proves: text is valid here exactly where jansson reads it, and members are found as they lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/attr.h"
#include "base/json_text.h"

static struct json_text of(const char *text) {
  return (struct json_text){text, strlen(text)};
}

static const char *const samples[] = {
    "{}",
    "[]",
    " {\"a\" : [1, 2.5e-3, -0, \"x\\u00e9\\n\", {\"b\":null}], \"c\":true} ",
    "1",
    "-",
    "01",
    "1.",
    ".5",
    "1e",
    "1e+",
    "1E5",
    "-0.0",
    "tru",
    "true",
    "nulll",
    "null x",
    "\"",
    "\"\\x\"",
    "\"\\u12g4\"",
    "\"\\u1234\"",
    "\"a\nb\"",
    "",
    " ",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{\"a\":1 \"b\":2}",
    "[[[[]]]]",
    "[",
    "]",
    "{\"a\":1}}",
    "\"\xc3\xa9\"",
    "\"\xff\"",
    "{\"\":{}}",
    "[false,null,\"\"]",
};

static void compare(const char *text, size_t length) {
  json_t *value = json_loadb(text, length, JSON_DECODE_ANY, NULL);
  bool valid = json_text_valid((struct json_text){text, length});
  if (valid != (value != NULL))
    fail_msg("%.*s: %d", (int)length, text, valid);
  json_decref(value);
}

static void test_valid(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(samples); i++)
    for (size_t length = 0; length <= strlen(samples[i]); length++) /* cut anywhere too */
      compare(samples[i], length);
}

/* Bytes changed at random: what is no JSON for jansson is none here, and the other way round. */
static void test_changed(void **state) {
  static const char bytes[] = "{}[]\":,\\u0e+-. tfn1";
  uint32_t seed = 1;
  (void)state;
  for (int n = 0; n < 200000; n++) {
    char text[80];
    seed = seed * 1664525u + 1013904223u;
    const char *from = samples[(seed >> 8) % COUNT_OF(samples)];
    size_t length = strlen(from);
    if (length == 0)
      continue;
    memcpy(text, from, length + 1);
    for (int i = 0; i < 2; i++) {
      seed = seed * 1664525u + 1013904223u;
      text[(seed >> 8) % length] = bytes[(seed >> 20) % (sizeof bytes - 1)];
    }
    if (!strstr(text, "\\u")) /* of surrogates jansson wants pairs, and no NUL */
      compare(text, length);
  }
}

static void test_depth(void **state) {
  char text[200];
  (void)state;
  memset(text, '[', 100);
  memset(text + 100, ']', 100);
  assert_false(json_text_valid((struct json_text){text, 200}));
  assert_true(json_text_valid((struct json_text){text + 70, 60}));
}

static void test_members(void **state) {
  struct json_text object = of(" { \"a\" : {\"b\":[1,{\"a\":2}]} , \"\\\"c\" : \"}\" ,\"d\":7 }"), name, value;
  static const char *const names[] = {"a", "\\\"c", "d"}, *const values[] = {"{\"b\":[1,{\"a\":2}]}", "\"}\"", "7"};
  size_t offset = 0, n = 0;
  (void)state;
  for (; json_text_next(&name, &value, &offset, object); n++) {
    assert_true(n < COUNT_OF(names));
    assert_int_equal(name.length, strlen(names[n]));
    assert_memory_equal(name.at, names[n], name.length);
    assert_int_equal(value.length, strlen(values[n]));
    assert_memory_equal(value.at, values[n], value.length);
  }
  assert_int_equal(n, COUNT_OF(names));
  assert_true(json_text_get(&value, object, "d") && value.length == 1 && value.at[0] == '7');
  assert_true(json_text_get(&value, object, "a") && json_text_get(&value, value, "b") && value.length == 11);
  assert_false(json_text_get(&value, object, "b"));
  assert_int_equal(value.length, 0);
  assert_false(json_text_get(&value, of("{}"), "b"));
  assert_false(json_text_get(&value, of("[1]"), "b"));
  assert_false(json_text_get(&value, of(""), "b"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_valid), cmocka_unit_test(test_changed),
                                     cmocka_unit_test(test_depth), cmocka_unit_test(test_members)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
