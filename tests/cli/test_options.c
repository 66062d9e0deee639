/* Proves that option tables are read as they say: every kind of value into structs and documents, both
   spellings, operands in between, and a clear error for everything that does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "cli/options.h"

struct values {
  bool loud, sure;
  const char *name;
  int64_t count;
  double share;
};

static const struct option_row rows[] = {
  {"loud", OPTION_FLAG, offsetof(struct values, loud), NULL, NULL, ""},
  {"sure", OPTION_BOOL, offsetof(struct values, sure), NULL, "BOOL", ""},
  {"name", OPTION_TEXT, offsetof(struct values, name), NULL, "NAME", ""},
  {"count", OPTION_INT, offsetof(struct values, count), NULL, "N", ""},
  {"share", OPTION_NUMBER, offsetof(struct values, share), NULL, "X", ""},
  {"rank", OPTION_INT, 0, "adapter.r", "N", ""},
  {"rate", OPTION_NUMBER, 0, "method.supervised.rate", "X", ""},
  {"modules", OPTION_LIST, 0, "adapter.modules", "A,B", ""},
  {"gs", OPTION_FLAG, 0, "adapter.gs", NULL, ""},
  {"tag", OPTION_PAIR, 0, "tags", "KEY=VALUE", ""},
  {"set", OPTION_MEMBER, 0, "", "MEMBER=VALUE", ""},
};
static const struct option_table table = {rows, COUNT_OF(rows)};

struct reading {
  struct values values;
  json_t *document;
  struct operands operands;
  size_t used;
  struct error err;
  enum status status;
};

enum { ARGUMENTS_MAX = 16 };

/* Reads arguments ended by NULL. */
static void read_all(struct reading *reading, bool stop, const char *const *argv) {
  size_t argc = 0;
  while (argv[argc])
    argc++;
  *reading = (struct reading){.document = json_object()};
  const struct option_target target = {&table, &reading->values, reading->document};
  reading->status =
      options_parse(&reading->operands, &reading->used, argv, argc, &target, 1, stop, &reading->err);
}

#define READ(reading, stop, ...) read_all(reading, stop, (const char *[ARGUMENTS_MAX]){__VA_ARGS__, NULL})

static void members_are_set(void **state) {
  struct reading r;
  (void)state;
  READ(&r, false, "--loud", "--sure=true", "first", "--name", "x y", "--count=-3", "second", "--share", "0.25");
  assert_int_equal(r.status, STATUS_OK);
  assert_true(r.values.loud);
  assert_true(r.values.sure);
  assert_string_equal(r.values.name, "x y");
  assert_int_equal(r.values.count, -3);
  assert_true(r.values.share == 0.25);
  assert_int_equal(r.operands.count, 2);
  assert_string_equal(r.operands.item[0], "first");
  assert_string_equal(r.operands.item[1], "second");
  json_decref(r.document);
}

static void documents_are_made(void **state) {
  struct reading r;
  (void)state;
  READ(&r, false, "--rank", "8", "--rate", "5e-3", "--modules", "query,key", "--gs", "--tag", "a=1", "--tag", "b=x=y");
  assert_int_equal(r.status, STATUS_OK);
  json_t *expected = json_pack("{s:{s:i,s:[s,s],s:b}, s:{s:{s:f}}, s:{s:s,s:s}}", "adapter", "r", 8, "modules", "query",
                               "key", "gs", 1, "method", "supervised", "rate", 5e-3, "tags", "a", "1", "b", "x=y");
  assert_non_null(expected);
  assert_true(json_equal(r.document, expected));
  json_decref(expected);
  json_decref(r.document);
}

static void any_member_can_be_set(void **state) {
  struct reading r;
  (void)state;
  READ(&r, false, "--set", "adapter.r=4", "--set", "a.b.c=[1, null]", "--set=word=x=y", "--set", "empty=", "--set",
       "adapter.gs=true", "--set", "text=\"8\"");
  assert_int_equal(r.status, STATUS_OK);
  json_t *expected = json_pack("{s:{s:i,s:b}, s:{s:{s:[i,n]}}, s:s, s:s, s:s}", "adapter", "r", 4, "gs", 1, "a", "b",
                               "c", 1, "word", "x=y", "empty", "", "text", "8");
  assert_non_null(expected);
  assert_true(json_equal(r.document, expected));
  json_decref(expected);
  json_decref(r.document);
}

static void an_empty_value_is_a_value(void **state) {
  struct reading r;
  (void)state;
  READ(&r, false, "--name=", "--tag", "a=");
  assert_int_equal(r.status, STATUS_OK);
  assert_string_equal(r.values.name, "");
  assert_string_equal(json_string_value(json_object_get(json_object_get(r.document, "tags"), "a")), "");
  json_decref(r.document);
}

static void two_dashes_end_the_options(void **state) {
  struct reading r;
  (void)state;
  READ(&r, false, "--loud", "--", "--name", "-");
  assert_int_equal(r.status, STATUS_OK);
  assert_int_equal(r.operands.count, 2);
  assert_string_equal(r.operands.item[0], "--name");
  assert_string_equal(r.operands.item[1], "-");
  json_decref(r.document);
}

static void reading_stops_at_an_operand(void **state) {
  struct reading r;
  (void)state;
  READ(&r, true, "--count", "2", "jobs", "--unknown");
  assert_int_equal(r.status, STATUS_OK);
  assert_int_equal(r.used, 2);
  assert_int_equal(r.operands.count, 0);
  json_decref(r.document);
}

static void faults_name_the_option(void **state) {
  static const struct {
    const char *argument[2];
    enum status status;
    const char *text;
  } cases[] = {
    {{"--cuont", "1"}, STATUS_UNKNOWN_PARAMETER, "no option --cuont; did you mean --count?"},
    {{"--zzzzzzzz", "1"}, STATUS_UNKNOWN_PARAMETER, "no option --zzzzzzzz"},
    {{"-c", "1"}, STATUS_UNKNOWN_PARAMETER, "no option -c; options begin with two dashes"},
    {{"--count", NULL}, STATUS_INVALID_VALUE, "--count needs a value: N"},
    {{"--count", "1.5"}, STATUS_INVALID_VALUE, "--count takes a whole number, not \"1.5\""},
    {{"--count", "99999999999999999999"}, STATUS_INVALID_VALUE,
     "--count takes a whole number, not \"99999999999999999999\""},
    {{"--count", ""}, STATUS_INVALID_VALUE, "--count takes a whole number, not \"\""},
    {{"--share", "nan"}, STATUS_INVALID_VALUE, "--share takes a number, not \"nan\""},
    {{"--rate", "1e-3x"}, STATUS_INVALID_VALUE, "--rate takes a number, not \"1e-3x\""},
    {{"--sure", "yes"}, STATUS_INVALID_VALUE, "--sure takes true or false, not \"yes\""},
    {{"--loud=1", NULL}, STATUS_INVALID_VALUE, "--loud takes no value"},
    {{"--modules", "a,,b"}, STATUS_INVALID_VALUE, "--modules takes names separated by single commas, not \"a,,b\""},
    {{"--tag", "noequals"}, STATUS_INVALID_VALUE, "--tag takes key=value, the key without a dot, not \"noequals\""},
    {{"--tag", "=v"}, STATUS_INVALID_VALUE, "--tag takes key=value, the key without a dot, not \"=v\""},
    {{"--set", "a..b=1"}, STATUS_INVALID_VALUE,
     "--set takes member=value, the member as checkpointing.keep_last, not \"a..b=1\""},
    {{"--set", ".a=1"}, STATUS_INVALID_VALUE,
     "--set takes member=value, the member as checkpointing.keep_last, not \".a=1\""},
    {{"--set", "=1"}, STATUS_INVALID_VALUE,
     "--set takes member=value, the member as checkpointing.keep_last, not \"=1\""},
    {{"--set", "r"}, STATUS_INVALID_VALUE,
     "--set takes member=value, the member as checkpointing.keep_last, not \"r\""},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct reading r;
    char first[64], second[64];
    snprintf(first, sizeof first, "%s", cases[i].argument[0]);
    snprintf(second, sizeof second, "%s", cases[i].argument[1] ? cases[i].argument[1] : "");
    read_all(&r, false, (const char *[]){first, cases[i].argument[1] ? second : NULL, NULL});
    assert_int_equal(r.status, cases[i].status);
    assert_string_equal(r.err.text, cases[i].text);
    json_decref(r.document);
  }
}

static void a_path_through_no_object_is_refused(void **state) {
  struct error err;
  json_t *document = json_pack("{s:s}", "adapter", "hra");
  (void)state;
  assert_int_equal(options_set_path(document, "adapter.r", json_integer(8), &err), STATUS_INVALID_VALUE);
  assert_string_equal(err.text, "\"adapter\" must be an object to hold adapter.r");
  json_decref(document);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(members_are_set),
    cmocka_unit_test(documents_are_made),
    cmocka_unit_test(any_member_can_be_set),
    cmocka_unit_test(an_empty_value_is_a_value),
    cmocka_unit_test(two_dashes_end_the_options),
    cmocka_unit_test(reading_stops_at_an_operand),
    cmocka_unit_test(faults_name_the_option),
    cmocka_unit_test(a_path_through_no_object_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
