/* A field table reads, checks, suggests and writes each kind of member; every fault is reported with
   the member's path; what was written reads back the same. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/field.h"
#include "base/json.h"

struct thing {
  bool flag;
  int64_t count, limit;
  double rate;
  const char *name;
  int colour;
  struct string_list words;
  struct int_list layers;
  struct number_map ranks;
  int start;
};

static const char *const colours[] = {"red", "green", "blue", NULL};
static const char *const starts[] = {"true", "false", "odd", NULL};
#define AT(member) offsetof(struct thing, member)
static const struct field rows[] = {
    {"flag", NULL, FIELD_BOOL, AT(flag), .initial = "true"},
    {"count", "n", FIELD_INT, AT(count), FIELD_AUTO, 1, 10, .initial = "3"},
    {"limit", NULL, FIELD_INT, AT(limit), FIELD_NULLABLE, .max = INFINITY},
    {"rate", NULL, FIELD_NUMBER, AT(rate), FIELD_EXCLUSIVE, 0, 1, .initial = "0.5"},
    {"name", NULL, FIELD_STRING, AT(name), FIELD_REQUIRED, .min = 1, .max = 5},
    {"colour", NULL, FIELD_CHOICE, AT(colour), .choices = colours, .initial = "green"},
    {"words", NULL, FIELD_STRING_LIST, AT(words), .max = 3},
    {"layers", NULL, FIELD_INT_LIST, .offset = AT(layers)},
    {"ranks", NULL, FIELD_NUMBER_MAP, AT(ranks), .min = 0.5, .max = 64},
    {"start", NULL, FIELD_CHOICE, AT(start), FIELD_BOOL_WORDS, .choices = starts, .initial = "true"},
};
static const struct field_table table = {.fields = rows, .count = COUNT_OF(rows)};

static struct arena arena;

static int start(void **state) {
  (void)state;
  arena_init(&arena, 1 << 16);
  return 0;
}

static int stop(void **state) {
  (void)state;
  arena_done(&arena);
  return 0;
}

static struct fault_list read_text(struct thing *out, const char *text, const char *path) {
  struct fault_list faults = {0};
  struct error err;
  json_t *object;
  if (json_parse(&object, text, strlen(text), NULL, &err))
    fail_msg("%s", err.text);
  field_read(&table, out, object, path, (const char *const[]){"nested", NULL}, &arena, &faults);
  json_decref(object);
  return faults;
}

static void fault(const char *text, enum status status, const char *param, const char *says) {
  struct thing thing;
  struct fault_list faults = read_text(&thing, text, "");
  if (faults.count != 1 || faults.item[0].status != status || strcmp(faults.item[0].param, param) != 0 ||
      !strstr(faults.item[0].text, says))
    fail_msg("%s: %zu faults, first %s %s: %s", text, faults.count, status_code(faults.item[0].status),
             faults.item[0].param, faults.item[0].text);
}

static void starts_with_defaults(void **state) {
  (void)state;
  struct thing thing;
  memset(&thing, 0xFF, sizeof thing);
  field_defaults(&table, &thing);
  assert_true(thing.flag && thing.count == 3 && thing.limit == 0 && thing.rate == 0.5 && thing.colour == 1);
  assert_null(thing.name);
  assert_true(thing.words.count == 0 && !thing.words.item && thing.layers.count == 0);
  assert_true(thing.ranks.count == 0 && thing.start == 0);
}

static void reads_every_kind(void **state) {
  (void)state;
  struct thing thing;
  struct fault_list faults = read_text(&thing,
                                       "{\"flag\":false,\"n\":10,\"limit\":7,\"rate\":1,\"name\":\"\xC3\xA9\","
                                       "\"colour\":\"blue\",\"words\":[\"a\",\"b\"],"
                                       "\"layers\":[0,-4],\"ranks\":{\"z\":4,\"a\":0.5},\"start\":\"odd\","
                                       "\"nested\":{}}",
                                       "");
  assert_int_equal(faults.count, 0);
  assert_true(!thing.flag && thing.count == 10 && thing.limit == 7 && thing.rate == 1 && thing.colour == 2);
  assert_string_equal(thing.name, "\xC3\xA9");
  assert_int_equal(thing.words.count, 2);
  assert_string_equal(thing.words.item[1], "b");
  assert_int_equal(thing.layers.item[1], -4);
  assert_int_equal(thing.ranks.count, 2);
  assert_string_equal(thing.ranks.item[0].key, "z");
  assert_true(thing.ranks.item[0].value == 4 && thing.ranks.item[1].value == 0.5 && thing.start == 2);
}

/* The words true and false of such a choice are JSON's own, both ways; a string says the same. */
static void truth_is_a_choice(void **state) {
  (void)state;
  struct thing thing;
  static const struct {
    const char *text, *written;
    int start;
  } cases[] = {{"{\"name\":\"x\",\"start\":true}", "true", 0},
               {"{\"name\":\"x\",\"start\":false}", "false", 1},
               {"{\"name\":\"x\",\"start\":\"false\"}", "false", 1},
               {"{\"name\":\"x\",\"start\":\"odd\"}", "\"odd\"", 2}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct fault_list faults = read_text(&thing, cases[i].text, "");
    assert_int_equal(faults.count, 0);
    assert_int_equal(thing.start, cases[i].start);
    json_t *object = field_write(&table, &thing);
    struct str text;
    str_init(&text, 100);
    assert_true(json_append(&text, json_object_get(object, "start")));
    assert_string_equal(text.text, cases[i].written);
    str_done(&text);
    json_decref(object);
  }
}

static void accepts_friendly_spellings(void **state) {
  (void)state;
  struct thing thing;
  struct fault_list faults = read_text(
      &thing,
      "{\"count\":\"auto\",\"limit\":4.0,\"name\":\"x\",\"words\":\"one\",\"layers\":5,\"flag\":null,\"colour\":null}",
      "");
  assert_int_equal(faults.count, 0);
  assert_true(thing.count == 3 && thing.limit == 4 && thing.flag && thing.colour == 1);
  assert_string_equal(thing.words.item[0], "one");
  assert_true(thing.layers.count == 1 && thing.layers.item[0] == 5);
}

static void names_each_fault(void **state) {
  (void)state;
  fault("{}", STATUS_MISSING_PARAMETER, "name", "name is required");
  fault("{\"name\":null}", STATUS_MISSING_PARAMETER, "name", "required");
  fault("{\"name\":\"\"}", STATUS_INVALID_VALUE, "name", "at least 1");
  fault("{\"name\":\"123456\"}", STATUS_INVALID_VALUE, "name", "has 6 bytes");
  fault("{\"name\":3}", STATUS_INVALID_VALUE, "name", "a string, not an integer");
  fault("{\"name\":\"x\",\"count\":0}", STATUS_INVALID_VALUE, "count",
        "count is 0; it must be at least 1 and at most 10");
  fault("{\"name\":\"x\",\"n\":11}", STATUS_INVALID_VALUE, "n", "n is 11");
  fault("{\"name\":\"x\",\"n\":2,\"count\":2}", STATUS_INVALID_VALUE, "count", "other name n");
  fault("{\"name\":\"x\",\"count\":2.5}", STATUS_INVALID_VALUE, "count", "an integer, not a number");
  fault("{\"name\":\"x\",\"count\":1e300}", STATUS_INVALID_VALUE, "count", "an integer");
  fault("{\"name\":\"x\",\"limit\":-1}", STATUS_INVALID_VALUE, "limit", "it must be at least 0");
  fault("{\"name\":\"x\",\"limit\":\"auto\"}", STATUS_INVALID_VALUE, "limit", "an integer, not a string");
  fault("{\"name\":\"x\",\"rate\":0}", STATUS_INVALID_VALUE, "rate", "more than 0");
  fault("{\"name\":\"x\",\"flag\":1}", STATUS_INVALID_VALUE, "flag", "true or false");
  fault("{\"name\":\"x\",\"colour\":\"pink\"}", STATUS_UNSUPPORTED_VALUE, "colour", "red, green, blue");
  fault("{\"name\":\"x\",\"words\":[\"a\",\"\"]}", STATUS_INVALID_VALUE, "words", "item 1");
  fault("{\"name\":\"x\",\"words\":[\"a\",\"b\",\"c\",\"d\"]}", STATUS_INVALID_VALUE, "words", "has 4 items");
  fault("{\"name\":\"x\",\"layers\":[1,\"2\"]}", STATUS_INVALID_VALUE, "layers", "item 1");
  fault("{\"name\":\"x\",\"ranks\":[1]}", STATUS_INVALID_VALUE, "ranks", "an object of numbers, not an array");
  fault("{\"name\":\"x\",\"ranks\":{\"q\":1,\"k\":true}}", STATUS_INVALID_VALUE, "ranks[\"k\"]", "a number");
  fault("{\"name\":\"x\",\"ranks\":{\"q\":0}}", STATUS_INVALID_VALUE, "ranks[\"q\"]", "at least 0.5");
  fault("{\"name\":\"x\",\"ranks\":{\"q\":65}}", STATUS_INVALID_VALUE, "ranks[\"q\"]", "at most 64");
  fault("{\"name\":\"x\",\"start\":1}", STATUS_INVALID_VALUE, "start", "a string, true or false, not an integer");
  fault("{\"name\":\"x\",\"start\":\"no\"}", STATUS_UNSUPPORTED_VALUE, "start", "true, false, odd");
  fault("{\"name\":\"x\",\"colour\":true}", STATUS_INVALID_VALUE, "colour", "a string, not");
  fault("{\"name\":\"x\",\"color\":\"red\"}", STATUS_UNKNOWN_PARAMETER, "color", "did you mean colour?");
  fault("{\"name\":\"x\",\"neste\":1}", STATUS_UNKNOWN_PARAMETER, "neste", "did you mean nested?");
  fault("{\"name\":\"x\",\"zzzzzz\":1}", STATUS_UNKNOWN_PARAMETER, "zzzzzz", "not a known parameter");
  fault("[]", STATUS_INVALID_VALUE, "", "must be an object, not an array");
}

/* A null beside the other name says nothing. */
static void null_is_not_given(void **state) {
  (void)state;
  struct thing thing;
  struct fault_list faults = read_text(&thing, "{\"name\":\"x\",\"n\":null,\"count\":2}", "");
  assert_int_equal(faults.count, 0);
  assert_int_equal(thing.count, 2);
  faults = read_text(&thing, "{\"name\":\"x\",\"n\":3,\"count\":null}", "");
  assert_int_equal(faults.count, 0);
  assert_int_equal(thing.count, 3);
}

static void gathers_all_faults_under_a_path(void **state) {
  (void)state;
  struct thing thing;
  char text[600] = "{\"count\":99,\"rate\":2,\"";
  memset(text + strlen(text), '\x7F', 300);
  snprintf(text + strlen(text), 100, "\":1}");
  struct fault_list faults = read_text(&thing, text, "outer.inner");
  assert_int_equal(faults.count, 4);
  assert_string_equal(faults.item[0].param, "outer.inner.count");
  assert_string_equal(faults.item[1].param, "outer.inner.rate");
  assert_string_equal(faults.item[2].param, "outer.inner.name");
  assert_string_equal(faults.item[3].param, "outer.inner.(a long name)");
}

static void set(struct thing *thing, const char *name, const char *text, enum status want) {
  struct error err = {.param = ""};
  enum status status = field_set_text(field_find(&table, name), thing, text, &arena, &err);
  if (status != want)
    fail_msg("%s=%s: %s %s", name, text, status_code(status), err.text);
  if (status)
    assert_string_equal(err.param, strchr(text, ':') ? "ranks[\"q\"]" : field_find(&table, name)->name);
}

static void sets_from_text(void **state) {
  (void)state;
  struct thing thing;
  field_defaults(&table, &thing);
  set(&thing, "flag", "no", STATUS_OK);
  set(&thing, "n", "9", STATUS_OK);
  set(&thing, "rate", "1e-3", STATUS_OK);
  set(&thing, "name", "abc", STATUS_OK);
  set(&thing, "colour", "red", STATUS_OK);
  set(&thing, "words", "a,b", STATUS_OK);
  set(&thing, "layers", "1,2,3", STATUS_OK);
  set(&thing, "ranks", "{\"q\":8}", STATUS_OK);
  set(&thing, "start", "false", STATUS_OK);
  assert_true(!thing.flag && thing.count == 9 && thing.rate == 1e-3 && thing.colour == 0);
  assert_string_equal(thing.name, "abc");
  assert_string_equal(thing.words.item[1], "b");
  assert_int_equal(thing.layers.item[2], 3);
  assert_true(thing.ranks.count == 1 && thing.ranks.item[0].value == 8 && thing.start == 1);
  set(&thing, "count", "auto", STATUS_OK);
  assert_int_equal(thing.count, 3);
  set(&thing, "words", "", STATUS_OK);
  assert_int_equal(thing.words.count, 0);
  set(&thing, "flag", "maybe", STATUS_INVALID_VALUE);
  set(&thing, "count", "9x", STATUS_INVALID_VALUE);
  set(&thing, "count", "", STATUS_INVALID_VALUE);
  set(&thing, "count", "99999999999999999999", STATUS_INVALID_VALUE);
  set(&thing, "count", "11", STATUS_INVALID_VALUE);
  set(&thing, "rate", "nan", STATUS_INVALID_VALUE);
  set(&thing, "rate", "1e999", STATUS_INVALID_VALUE);
  set(&thing, "name", "\xFF", STATUS_INVALID_VALUE);
  set(&thing, "colour", "pink", STATUS_UNSUPPORTED_VALUE);
  set(&thing, "words", "a,,b", STATUS_INVALID_VALUE);
  set(&thing, "layers", "1,x", STATUS_INVALID_VALUE);
  set(&thing, "ranks", "q=8", STATUS_INVALID_VALUE);
  set(&thing, "ranks", "{\"q\":99}", STATUS_INVALID_VALUE);
  set(&thing, "start", "maybe", STATUS_UNSUPPORTED_VALUE);
  assert_true(thing.ranks.count == 1);
  assert_int_equal(thing.count, 3);
}

static void writes_what_it_read(void **state) {
  (void)state;
  struct thing thing;
  struct fault_list faults = read_text(
      &thing, "{\"name\":\"x\",\"rate\":0.06,\"layers\":[2],\"ranks\":{\"z\":4.0,\"a\":0.5},\"start\":false}", "");
  assert_int_equal(faults.count, 0);
  json_t *object = field_write(&table, &thing);
  struct str text;
  str_init(&text, 1000);
  assert_true(json_append(&text, object));
  assert_string_equal(text.text,
                      "{\"flag\":true,\"count\":3,\"limit\":null,\"rate\":0.06,\"name\":\"x\",\"colour\":\"green\","
                      "\"words\":null,\"layers\":[2],\"ranks\":{\"z\":4,\"a\":0.5},\"start\":false}");
  struct thing again;
  faults = read_text(&again, text.text, "");
  assert_int_equal(faults.count, 0);
  json_t *twice = field_write(&table, &again);
  assert_true(json_equal(object, twice));
  json_decref(twice);
  json_decref(object);
  str_done(&text);
}

static void reports_a_full_arena(void **state) {
  (void)state;
  arena_done(&arena);
  arena_init(&arena, 0);
  fault("{\"name\":\"x\"}", STATUS_OUT_OF_MEMORY, "name", "memory");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(starts_with_defaults),
                                     cmocka_unit_test(reads_every_kind),
                                     cmocka_unit_test(truth_is_a_choice),
                                     cmocka_unit_test(accepts_friendly_spellings),
                                     cmocka_unit_test(names_each_fault),
                                     cmocka_unit_test(null_is_not_given),
                                     cmocka_unit_test(gathers_all_faults_under_a_path),
                                     cmocka_unit_test(sets_from_text),
                                     cmocka_unit_test(writes_what_it_read),
                                     cmocka_unit_test(reports_a_full_arena)};
  return cmocka_run_group_tests(tests, start, stop);
}
