/* Proves where a body ends and what its bytes are, however it is cut, and that malformed chunks are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/str.h"
#include "server/http/body.h"

/* Feeds pieces of `piece` bytes; the body's bytes go to *out. Returns how it ended; *taken: the bytes it took. */
static enum body_step feed(struct str *out, size_t *taken, struct body body, const char *text, size_t length,
                           size_t piece) {
  size_t at = 0;
  enum body_step step = BODY_MORE;
  for (size_t given = 0; step != BODY_END && step != BODY_BAD && given < length;) {
    given = given + piece < length ? given + piece : length;
    do {
      size_t used, data;
      step = body_next(&body, text + at, given - at, &used, &data);
      assert_true(used <= given - at && data <= used && (step == BODY_DATA) == (data > 0));
      at += used;
      assert_true(str_add(out, text + at - data, data));
    } while (step == BODY_DATA);
    assert_true(step != BODY_MORE || at == given);
  }
  *taken = at;
  return step;
}

static void check(struct body body, const char *text, size_t length, enum body_step want, const char *data,
                  size_t rest) {
  for (size_t piece = 1; piece <= length; piece++) {
    AUTO(str_done) struct str out;
    size_t taken;
    str_init(&out, 1 << 16);
    assert_int_equal(feed(&out, &taken, body, text, length, piece), want);
    if (want == BODY_BAD)
      continue;
    assert_string_equal(out.text, data);
    assert_int_equal(length - taken, rest);
  }
}

static void test_counted(void **state) {
  struct body body;
  size_t used, data;
  (void)state;
  body_init(&body, false, 5);
  check(body, "abcdeGET", 8, BODY_END, "abcde", 3);
  check(body, "abc", 3, BODY_MORE, "abc", 0);
  body_init(&body, false, 0);
  assert_int_equal(body_next(&body, "GET", 3, &used, &data), BODY_END);
  assert_int_equal(used, 0);
}

static void test_chunks(void **state) {
  static const struct {
    const char *text;
    enum body_step step;
    const char *data;
    size_t rest;
  } cases[] = {
      {"5\r\nabcde\r\n0\r\n\r\nGET", BODY_END, "abcde", 3},
      {"1\r\na\r\n02\r\nbc\r\n00\r\n\r\n", BODY_END, "abc", 0},
      {"a;x=y;z=\"q\"\r\n0123456789\r\n0;end\r\n\r\n", BODY_END, "0123456789", 0},
      {"B\r\n01234567890\r\n0\r\nX-A: b\r\nX-B: c\r\n\r\n", BODY_END, "01234567890", 0},
      {"0\r\n\r\n", BODY_END, "", 0},
      {"2\r\nab", BODY_MORE, "ab", 0},
      {"2\nab\r\n0\r\n\r\n", BODY_BAD, NULL, 0},
      {"2\r\nab\n0\r\n\r\n", BODY_BAD, NULL, 0},
      {"2\r\nab0\r\n\r\n", BODY_BAD, NULL, 0},
      {"2\r\nabc\r\n0\r\n\r\n", BODY_BAD, NULL, 0},
      {"2\r\nab\r\n0\n\n", BODY_BAD, NULL, 0},
      {"0\r\nA: b\nC: d\r\n\r\n", BODY_BAD, NULL, 0},
      {"0\r\n folded\r\n\r\n", BODY_BAD, NULL, 0},
      {"\r\n", BODY_BAD, NULL, 0},
      {";a\r\n", BODY_BAD, NULL, 0},
      {"g\r\n", BODY_BAD, NULL, 0},
      {"-2\r\nab\r\n", BODY_BAD, NULL, 0},
      {"+2\r\nab\r\n", BODY_BAD, NULL, 0},
      {"0x2\r\nab\r\n", BODY_BAD, NULL, 0},
      {" 2\r\nab\r\n", BODY_BAD, NULL, 0},
      {"2 \r\nab\r\n", BODY_BAD, NULL, 0},
      {"2;a\x01\r\nab\r\n", BODY_BAD, NULL, 0},
      {"7fffffffffffffff\r\n", BODY_BAD, NULL, 0},
      {"10000000000000002\r\n", BODY_BAD, NULL, 0},
  };
  struct body body;
  (void)state;
  body_init(&body, true, 0);
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    check(body, cases[i].text, strlen(cases[i].text), cases[i].step, cases[i].data, cases[i].rest);
}

/* Framing has a bound of its own: it is no body that a limit counts. */
static void test_limits(void **state) {
  char text[20000];
  struct body body;
  AUTO(str_done) struct str out;
  size_t taken;
  (void)state;
  str_init(&out, 16);
  body_init(&body, true, 0);
  memset(text, '0', sizeof text);
  assert_int_equal(feed(&out, &taken, body, text, sizeof text, sizeof text), BODY_BAD);
  memcpy(text, "2;", 2);
  assert_int_equal(feed(&out, &taken, body, text, sizeof text, sizeof text), BODY_BAD);
  memcpy(text, "0\r\nA:", 5);
  assert_int_equal(feed(&out, &taken, body, text, sizeof text, sizeof text), BODY_BAD);
  assert_true(taken < 10000);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_counted), cmocka_unit_test(test_chunks),
                                     cmocka_unit_test(test_limits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
