/* Every log line is one valid JSON object on one line, whatever text goes in. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

/* What `message` becomes on stderr. The caller has room for 8 KiB. */
static const struct log_member *capturing; /* members of the line; NULL: none */
static size_t capturing_count;

static void capture(char out[8192], enum log_level level, const char *message) {
  FILE *file = tmpfile();
  assert_non_null(file);
  int old = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  if (capturing)
    log_members(level, capturing, capturing_count, "%s", message);
  else
    log_line(level, "%s", message);
  dup2(old, STDERR_FILENO);
  close(old);
  rewind(file);
  size_t n = fread(out, 1, 8191, file);
  out[n] = '\0';
  fclose(file);
}

static json_t *parsed(const char *line) {
  json_error_t fault;
  json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &fault);
  if (!object)
    fail_msg("%s: %s", fault.text, line);
  assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
  return object;
}

static void escapes_everything(void **state) {
  (void)state;
  static const char *const texts[] = {"plain",       "a\nb", "\"},{\"level\":\"forged\"", "back\\slash\t\x01\x7F",
                                      "caf\xC3\xA9", ""};
  char line[8192];
  log_setup("test", LOG_INFO);
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    capture(line, LOG_WARN, texts[i]);
    json_t *object = parsed(line);
    assert_string_equal(json_string_value(json_object_get(object, "msg")), texts[i]);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(object, "component")), "test");
    json_decref(object);
  }
}

static void replaces_what_is_not_utf8(void **state) {
  (void)state;
  char line[8192];
  capture(line, LOG_ERROR, "bad \xFF\xC3 end");
  json_t *object = parsed(line);
  assert_string_equal(json_string_value(json_object_get(object, "msg")), "bad \xEF\xBF\xBD\xEF\xBF\xBD end");
  json_decref(object);
}

static void cuts_long_texts(void **state) {
  (void)state;
  static char text[20000];
  static const char *const units[] = {"\x01", "x", "\xE2\x82\xAC", "\""};
  char line[8192];
  for (size_t u = 0; u < COUNT_OF(units); u++) {
    size_t n = strlen(units[u]);
    for (size_t i = 0; i + n < sizeof text; i += n)
      memcpy(text + i, units[u], n);
    capture(line, LOG_INFO, text);
    json_decref(parsed(line));
  }
}

static void scopes_and_drops(void **state) {
  (void)state;
  char line[8192];
  log_scope("job", "ftjob-\"1\n");
  capture(line, LOG_INFO, "x");
  json_t *object = parsed(line);
  assert_string_equal(json_string_value(json_object_get(object, "job")), "ftjob-\"1\n");
  json_decref(object);
  log_scope("job", NULL);
  capture(line, LOG_INFO, "x");
  object = parsed(line);
  assert_null(json_object_get(object, "job"));
  json_decref(object);
  capture(line, LOG_DEBUG, "below the level");
  assert_string_equal(line, "");
  enum log_level level;
  assert_true(log_level_parse(&level, "error"));
  assert_int_equal(level, LOG_ERROR);
  assert_false(log_level_parse(&level, "loud"));
}

/* Several scopes, numbers, members that are absent, and more text than fits: each line is an object. */
static void members_and_numbers(void **state) {
  (void)state;
  static char text[20000];
  char line[16384];
  memset(text, 1, sizeof text - 1);
  log_scope("job", "ftjob-1");
  log_scope("request_id", "req_1");
  log_scope_number("attempt", 2);
  capture(line, LOG_INFO, "x");
  json_t *object = parsed(line);
  assert_string_equal(json_string_value(json_object_get(object, "job")), "ftjob-1");
  assert_string_equal(json_string_value(json_object_get(object, "request_id")), "req_1");
  assert_int_equal(json_integer_value(json_object_get(object, "attempt")), 2);
  json_decref(object);
  const struct log_member members[] = {{"status", NULL, 200},   {"duration_s", NULL, 0.0125}, {"key_id", NULL, NAN},
                                       {"tenant", "a\"b", NAN}, {"long", text, NAN},          {"last", "y", NAN}};
  capturing = members;
  capturing_count = COUNT_OF(members);
  capture(line, LOG_INFO, text);
  capturing = NULL;
  object = parsed(line);
  assert_int_equal(json_integer_value(json_object_get(object, "status")), 200);
  assert_true(json_real_value(json_object_get(object, "duration_s")) == 0.0125);
  assert_null(json_object_get(object, "key_id"));
  assert_string_equal(json_string_value(json_object_get(object, "tenant")), "a\"b");
  json_decref(object);
  log_scope("job", NULL);
  log_scope("request_id", NULL);
  log_scope_number("attempt", -1);
  log_scope("request_id", NULL); /* once more is no matter */
  capture(line, LOG_INFO, "x");
  object = parsed(line);
  assert_int_equal(json_object_size(object), 4);
  json_decref(object);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(escapes_everything), cmocka_unit_test(replaces_what_is_not_utf8),
                                     cmocka_unit_test(cuts_long_texts), cmocka_unit_test(scopes_and_drops),
                                     cmocka_unit_test(members_and_numbers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
