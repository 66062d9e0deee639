/* Worker speech goes through the pipe unchanged, and nothing malformed is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/event.h"

static struct arena arena;

static enum status parse(struct event *out, const char *line, struct error *err) {
  return event_parse(out, line, strlen(line), &arena, err);
}

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void goes_through_unchanged(void **state) {
  (void)state;
  arena_init(&arena, 1 << 20);
  const struct event events[] = {
      {.kind = EVENT_MESSAGE, .level = LOG_WARN, .message = "say \"x\"\n\xC3\xA9"},
      {.kind = EVENT_METRICS,
       .level = LOG_INFO,
       .message = "step 3",
       .data = json_pack("{si sf}", "step", 3, "train_loss", 0.25)},
      {.kind = EVENT_PROGRESS, .level = LOG_INFO, .message = "", .data = json_pack("{ss}", "phase", "train")},
      {.kind = EVENT_TELEMETRY,
       .level = LOG_INFO,
       .message = "",
       .data = json_pack("{si s[ss] s[fi] s[fn]}", "step", 3, "modules", "a", "b", "angle", 0.5, 0, "defect", 0.25)},
      {.kind = EVENT_CHECKPOINT,
       .level = LOG_INFO,
       .message = "",
       .data = json_pack("{si ss s{} s[ii]}", "step", 0, "path", "ckpt/3", "metrics", "removed_steps", 1, 2)},
      {.kind = EVENT_STATE,
       .level = LOG_INFO,
       .message = "",
       .data = json_pack("{si ss si ss}", "step", 8, "path", "state-8", "bytes", 99, "sha256", HEX)},
      {.kind = EVENT_ERROR,
       .level = LOG_ERROR,
       .message = "line 3",
       .code = STATUS_DATASET_INVALID,
       .param = "training_file",
       .data = json_pack("{si}", "line", 3)},
      {.kind = EVENT_ALIVE, .level = LOG_INFO, .message = ""},
      {.kind = EVENT_REPORT, .level = LOG_INFO, .message = "", .data = json_pack("{si}", "lines", 9)},
  };
  for (size_t i = 0; i < COUNT_OF(events); i++) {
    struct str line;
    struct event got;
    struct error err;
    str_init(&line, EVENT_LINE_MAX);
    assert_true(event_write(&line, &events[i]));
    assert_ptr_equal(strchr(line.text, '\n'), line.text + line.length - 1);
    assert_int_equal(event_parse(&got, line.text, line.length - 1, &arena, &err), STATUS_OK);
    assert_int_equal(got.kind, events[i].kind);
    assert_int_equal(got.level, events[i].level);
    assert_int_equal(got.code, events[i].code);
    assert_string_equal(got.message, events[i].message);
    assert_int_equal(got.param != NULL, events[i].param != NULL);
    assert_true(events[i].data ? json_equal(got.data, events[i].data) : !got.data);
    json_decref(got.data);
    json_decref(events[i].data);
    str_done(&line);
  }
  arena_done(&arena);
}

#define STATE(step, path, sha)                                                                                         \
  "{\"event\":\"state\",\"data\":{\"step\":" step ",\"path\":" path ",\"bytes\":1,\"sha256\":" sha "}}"
#define ARTIFACT(name, path, bytes, sha)                                                                               \
  "{\"event\":\"artifact\",\"data\":{\"name\":" name ",\"path\":" path ",\"bytes\":" bytes ",\"sha256\":" sha "}}"

#define TELEMETRY(step, modules, angle, defect)                                                                        \
  "{\"event\":\"telemetry\",\"data\":{\"step\":" step ",\"modules\":" modules ",\"angle\":" angle                     \
  ",\"defect\":" defect "}}"

static void believes_nothing_malformed(void **state) {
  (void)state;
  static const char *const lines[] = {
      "",
      "x",
      "[]",
      "{}",
      "{\"event\":\"nonsense\"}",
      "{\"event\":3}",
      "{\"event\":\"message\",\"level\":\"loud\"}",
      "{\"event\":\"message\",\"message\":3}",
      "{\"event\":\"message\",\"data\":[]}",
      "{\"event\":\"metrics\"}",
      "{\"event\":\"metrics\",\"data\":{}}",
      "{\"event\":\"metrics\",\"data\":{\"step\":-1}}",
      "{\"event\":\"progress\",\"data\":{\"phase\":\"\"}}",
      "{\"event\":\"error\"}",
      "{\"event\":\"error\",\"code\":\"ok\"}",
      "{\"event\":\"error\",\"code\":\"zz\"}",
      "{\"event\":\"checkpoint\",\"data\":{\"step\":1,\"path\":\"/etc\"}}",
      "{\"event\":\"checkpoint\",\"data\":{\"step\":1,\"path\":\"a\",\"metrics\":3}}",
      ARTIFACT("\"a/b\"", "\"a\"", "1", "\"" HEX "\""),
      ARTIFACT("\"\"", "\"a\"", "1", "\"" HEX "\""),
      ARTIFACT("\"a\\n\"", "\"a\"", "1", "\"" HEX "\""),
      ARTIFACT("\"a\"", "\"../a\"", "1", "\"" HEX "\""),
      ARTIFACT("\"a\"", "\"b/../../a\"", "1", "\"" HEX "\""),
      ARTIFACT("\"a\"", "\"b//a\"", "1", "\"" HEX "\""),
      ARTIFACT("\"a\"", "\"b/.\"", "1", "\"" HEX "\""),
      ARTIFACT("\"a\"", "\"b/\"", "1", "\"" HEX "\""),
      ARTIFACT("\"a\"", "\"a\"", "-1", "\"" HEX "\""),
      ARTIFACT("\"a\"", "\"a\"", "1.5", "\"" HEX "\""),
      ARTIFACT("\"a\"", "\"a\"", "1", "\"abc\""),
      ARTIFACT("\"a\"", "\"a\"", "1", "null"),
      STATE("-1", "\"a\"", "\"" HEX "\""),
      STATE("1", "\"../a\"", "\"" HEX "\""),
      STATE("1", "\"a\"", "\"ABC\""),
      "{\"event\":\"checkpoint\",\"data\":{\"step\":1,\"path\":\"a\",\"removed_steps\":3}}",
      "{\"event\":\"checkpoint\",\"data\":{\"step\":1,\"path\":\"a\",\"removed_steps\":[-1]}}",
      TELEMETRY("-1", "[\"a\"]", "[1]", "[1]"),
      TELEMETRY("1", "[]", "[]", "[]"),
      TELEMETRY("1", "{}", "[]", "[]"),
      TELEMETRY("1", "[3]", "[1]", "[1]"),
      TELEMETRY("1", "[\"a\\n\"]", "[1]", "[1]"),
      TELEMETRY("1", "[\"a\"]", "[1,2]", "[1]"),
      TELEMETRY("1", "[\"a\"]", "[1]", "[\"1\"]"),
      TELEMETRY("1", "[\"a\"]", "[1]", "1"),
      "{\"event\":\"message\",\"data\":{\"a\":[[[[[[[[1]]]]]]]]}}"};
  arena_init(&arena, 1 << 20);
  for (size_t i = 0; i < COUNT_OF(lines); i++) {
    struct event event;
    struct error err;
    if (parse(&event, lines[i], &err) == STATUS_OK)
      fail_msg("believed: %s", lines[i]);
    assert_null(event.data);
  }
  struct event event;
  struct error err;
  assert_int_equal(parse(&event, ARTIFACT("\"a.csv\"", "\"out/..a/b.csv\"", "1", "\"" HEX "\""), &err), STATUS_OK);
  json_decref(event.data);
  arena_done(&arena);
}

static void bounds_lines(void **state) {
  (void)state;
  struct str line;
  struct event event = {.kind = EVENT_MESSAGE, .level = LOG_INFO};
  char *message = malloc(EVENT_LINE_MAX + 1);
  assert_non_null(message);
  memset(message, 'x', EVENT_LINE_MAX);
  message[EVENT_LINE_MAX] = '\0';
  event.message = message;
  str_init(&line, 2 * EVENT_LINE_MAX);
  assert_false(event_write(&line, &event));
  assert_int_equal(line.length, 0);
  message[100] = '\0';
  assert_true(event_write(&line, &event));
  str_done(&line);
  arena_init(&arena, 64);
  struct error err;
  struct event got;
  assert_int_equal(parse(&got,
                         "{\"event\":\"message\",\"message\":\"0123456789012345678901234567890123456789"
                         "0123456789012345678901234567890123456789\",\"data\":{}}",
                         &err),
                   STATUS_OUT_OF_MEMORY);
  assert_null(got.data);
  arena_done(&arena);
  free(message);
}

static void replaces_bytes_that_are_not_utf8(void **state) {
  (void)state;
  struct str line;
  str_init(&line, EVENT_LINE_MAX);
  assert_true(event_write(&line, &(struct event){.kind = EVENT_MESSAGE, .level = LOG_INFO, .message = "a\xFFz\xC3"}));
  assert_non_null(strstr(line.text, "\"a?z?\""));
  str_done(&line);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(goes_through_unchanged),
                                     cmocka_unit_test(believes_nothing_malformed), cmocka_unit_test(bounds_lines),
                                     cmocka_unit_test(replaces_bytes_that_are_not_utf8)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
