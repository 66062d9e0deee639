/* Calls that models write, in each of their ways, byte by byte and at once: what is told as text and as calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "worker/generate/tool_calls.h"

#define TOOLS                                                                                                          \
  "[{\"type\":\"function\",\"function\":{\"name\":\"add\"}},{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]"

/* The text, and behind it "#name(arguments)" of each call. */
static void told(char *out, size_t size, const char *written, const json_t *tools, size_t step) {
  struct tool_calls c;
  struct str text;
  char calls[500] = "";
  size_t length = strlen(written), expected = 0;
  tool_calls_init(&c, tools, 7);
  str_init(&text, 1000);
  *out = '\0';
  for (size_t from = 0; from < length || from == 0; from += step) {
    json_t *some, *one;
    size_t i, n = length - from < step ? length - from : step;
    str_clear(&text);
    str_add(&text, written + from, n);
    assert_true(tool_calls_next(&c, &text, &some, from + step >= length));
    snprintf(out + strlen(out), size - strlen(out), "%s", text.text);
    json_array_foreach(some, i, one) {
      const json_t *function = json_object_get(one, "function");
      assert_int_equal(json_integer_value(json_object_get(one, "index")), expected++);
      assert_int_equal(strlen(json_string_value(json_object_get(one, "id"))), 9);
      assert_string_equal(json_string_value(json_object_get(one, "type")), "function");
      snprintf(calls + strlen(calls), sizeof calls - strlen(calls), "#%s(%s)",
               json_string_value(json_object_get(function, "name")),
               json_string_value(json_object_get(function, "arguments")));
    }
    json_decref(some);
  }
  assert_int_equal(c.count, expected);
  snprintf(out + strlen(out), size - strlen(out), "%s", calls);
  tool_calls_done(&c);
  str_done(&text);
}

static void calls_are_found(void **state) {
  static const char *const rows[][2] = {
      {"<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>", "#add({\"a\":1})"},
      {"Let me "
       "see.\n<tool_call>{\"name\":\"now\"}</tool_call>\n<tool_call>{\"name\":\"add\",\"arguments\":{}}</tool_call>\n",
       "Let me see.\n#now({})#add({})"},
      {"[TOOL_CALLS][{\"name\":\"add\",\"arguments\":{\"a\":2}},{\"name\":\"now\",\"arguments\":{}}]",
       "#add({\"a\":2})#now({})"},
      {" [{\"name\":\"now\",\"arguments\":{}}]", "#now({})"},
      {"{\"name\": \"add\", \"parameters\": {\"a\": \"x\"}}", "#add({\"a\":\"x\"})"},
      {"{\"name\":\"add\",\"arguments\":\"{\\\"a\\\": 1}\"}", "#add({\"a\": 1})"},
      /* what is none */
      {"{\"name\": \"other\", \"parameters\": {}}", "{\"name\": \"other\", \"parameters\": {}}"},
      {"{\"name\": \"add\", \"parameters\": 5}", "{\"name\": \"add\", \"parameters\": 5}"},
      {"{\"name\": \"add\"", "{\"name\": \"add\""},
      {"[1, 2]", "[1, 2]"},
      {"[{\"name\":\"add\"},{\"name\":\"other\"}]", "[{\"name\":\"add\"},{\"name\":\"other\"}]"},
      {"a < b and <tool", "a < b and <tool"},
      {"<tool_call>{\"name\":\"add\"}", "<tool_call>{\"name\":\"add\"}"},
      {"<tool_call>no</tool_call> and on", "<tool_call>no</tool_call> and on"},
      {"text {\"name\":\"add\"}", "text {\"name\":\"add\"}"},
      {"</tool_call> <tool_call>{\"name\":\"now\"}</tool_call>", "</tool_call> #now({})"},
      {"  ", "  "},
      {"", ""},
  };
  char out[1000];
  AUTO(json_release) json_t *tools = json_loads(TOOLS, 0, NULL);
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    for (size_t step = 1; step < 200; step = step * 3 + 1) {
      told(out, sizeof out, rows[i][0], tools, step);
      if (strcmp(out, rows[i][1]) != 0)
        fail_msg("\"%s\" in steps of %zu: \"%s\"", rows[i][0], step, out);
    }
}

static void without_tools_all_is_text(void **state) {
  static const char text[] = "<tool_call>{\"name\":\"add\"}</tool_call>";
  char out[200];
  (void)state;
  told(out, sizeof out, text, NULL, 5);
  assert_string_equal(out, text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(calls_are_found), cmocka_unit_test(without_tools_all_is_text)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
