/* Every log line is one valid JSON object on one line, whatever text goes in; lines that are gathered stay whole. */
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
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
  const struct log_member members[] = {{"status", NULL, 200},  {"duration_s", NULL, 0.0125},
                                       {"little", NULL, 4e-7}, {"carried", NULL, 1.9999997},
                                       {"below", NULL, -0.25}, {"large", NULL, 2.5e12},
                                       {"key_id", NULL, NAN},  {"tenant", "a\"b", NAN},
                                       {"long", text, NAN},    {"last", "y", NAN}};
  capturing = members;
  capturing_count = COUNT_OF(members);
  capture(line, LOG_INFO, text);
  capturing = NULL;
  object = parsed(line);
  assert_int_equal(json_integer_value(json_object_get(object, "status")), 200);
  assert_true(json_real_value(json_object_get(object, "duration_s")) == 0.0125);
  assert_true(json_real_value(json_object_get(object, "little")) == 0);
  assert_true(json_real_value(json_object_get(object, "carried")) == 2);
  assert_true(json_real_value(json_object_get(object, "below")) == -0.25);
  assert_true(json_number_value(json_object_get(object, "large")) == 2.5e12);
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

/* What is gathered comes in whole lines, in its order: when it is asked for, at a warning, and before it has more bytes
   than a pipe takes whole. */
static void gathers_lines(void **state) {
  enum { LINES = 100 };
  char text[PIPE_BUF + 1], *line;
  int ends[2], old = dup(STDERR_FILENO), lines = 0;
  ssize_t n;
  (void)state;
  assert_int_equal(pipe2(ends, O_NONBLOCK | O_DIRECT), 0); /* a read gives what one write gave */
  dup2(ends[1], STDERR_FILENO);
  log_gather(true);
  log_info("first");
  assert_int_equal(read(ends[0], text, sizeof text), -1);
  log_flush();
  assert_true(read(ends[0], text, sizeof text) > 0);
  log_flush(); /* there is nothing more */
  assert_int_equal(read(ends[0], text, sizeof text), -1);
  log_info("before");
  log_warn("it");
  n = read(ends[0], text, sizeof text);
  assert_true(n > 0);
  text[n] = '\0';
  assert_non_null(strstr(text, "\"before\"}\n{"));
  assert_non_null(strstr(text, "\"it\"}\n"));
  for (int i = 0; i < LINES; i++)
    log_info("line %d", i);
  log_gather(false);
  dup2(old, STDERR_FILENO);
  close(old);
  while ((n = read(ends[0], text, sizeof text)) > 0) {
    assert_true(n <= PIPE_BUF && text[n - 1] == '\n');
    text[n - 1] = '\0';
    for (char *rest = text; (line = strtok_r(rest, "\n", &rest)); lines++) {
      char want[24];
      snprintf(want, sizeof want, "line %d", lines);
      json_t *object = json_loads(line, 0, NULL);
      assert_string_equal(json_string_value(json_object_get(object, "msg")), want);
      json_decref(object);
    }
  }
  assert_int_equal(lines, LINES);
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(escapes_everything),  cmocka_unit_test(replaces_what_is_not_utf8),
                                     cmocka_unit_test(cuts_long_texts),     cmocka_unit_test(scopes_and_drops),
                                     cmocka_unit_test(members_and_numbers), cmocka_unit_test(gathers_lines)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
