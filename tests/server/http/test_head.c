/* Proves what is a request's head and what is not: where it ends however it is cut, what is taken from it, and that all
   that two parsers could read in two ways is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "server/http/head.h"

/* `text` as it arrives in pieces of `piece` bytes. *end is 0 when it is no whole head. The text parsed is the caller's
   to free. */
static enum status read_head(struct head *head, char **copy, size_t *end, const char *text, size_t length, size_t piece,
                             struct error *err) {
  size_t scanned = 0;
  enum status status = STATUS_OK;
  *end = 0;
  *copy = NULL;
  for (size_t given = 0; !status && *end == 0 && given < length;) {
    given = given + piece < length ? given + piece : length;
    status = head_find(end, &scanned, text, given, err);
  }
  if (status || *end == 0)
    return status;
  *copy = malloc(*end + 1);
  assert_non_null(*copy);
  memcpy(*copy, text, *end);
  (*copy)[*end] = '\0';
  return head_parse(head, *copy, *end, err);
}

static enum status judge(const char *text, size_t length) {
  enum status first = STATUS_OK;
  for (size_t piece = 1; piece <= length; piece = piece < 4 ? piece + 1 : piece * 2 + 1) {
    struct head head;
    struct error err;
    char *copy;
    size_t end;
    enum status status = read_head(&head, &copy, &end, text, length, piece, &err);
    free(copy);
    if (piece == 1)
      first = status;
    assert_int_equal(status, first); /* however it is cut */
    assert_true(status || end > 0);
  }
  return first;
}

static void test_good(void **state) {
  static const char text[] = "POST /v1/files?a=b HTTP/1.1\r\nHost: x:1\r\nX-Empty:\r\nX-Blank: \t a b \t \r\n"
                             "content-LENGTH: 12\r\nConnection: a , close\r\nExpect: 100-continue\r\n\r\nbody follows";
  struct head head;
  struct error err;
  char *copy;
  size_t end;
  (void)state;
  assert_int_equal(read_head(&head, &copy, &end, text, sizeof text - 1, 7, &err), STATUS_OK);
  assert_int_equal(end, sizeof text - 1 - strlen("body follows"));
  assert_string_equal(head.method, "POST");
  assert_string_equal(head.target, "/v1/files?a=b");
  assert_int_equal(head.count, 6);
  assert_string_equal(head_field(&head, "x-empty"), "");
  assert_string_equal(head_field(&head, "X-BLANK"), "a b");
  assert_null(head_field(&head, "X"));
  assert_int_equal(head.guard.length, 12);
  assert_true(head.guard.close && head.guard.expects && !head.guard.keep && !head.guard.chunked);
  free(copy);
}

static void test_targets(void **state) {
  static const struct {
    const char *line, *target; /* NULL: refused */
  } cases[] = {
      {"GET / HTTP/1.1", "/"},
      {"OPTIONS * HTTP/1.1", "*"},
      {"GET http://h/a?b HTTP/1.1", "/a?b"},
      {"GET HTTPS://h:8/a HTTP/1.1", "/a"},
      {"GET http://h HTTP/1.1", "/"},
      {"GET http://h?a=/b HTTP/1.1", "/?a=/b"},
      {"GET /a HTTP/1.7", "/a"},
      {"GET http:///a HTTP/1.1", NULL},
      {"GET http://u@h/a HTTP/1.1", NULL},
      {"GET ftp://h/a HTTP/1.1", NULL},
      {"CONNECT h:443 HTTP/1.1", NULL},
      {"GET a HTTP/1.1", NULL},
      {"GET  /a HTTP/1.1", NULL},
      {"GET /a  HTTP/1.1", NULL},
      {"GET /a HTTP/1.1 ", NULL},
      {"GET /a b HTTP/1.1", NULL},
      {" GET /a HTTP/1.1", NULL},
      {"GET\t/a HTTP/1.1", NULL},
      {"GET /a\tHTTP/1.1", NULL},
      {"GET /a", NULL},
      {"GET /a http/1.1", NULL},
      {"GET /a HTTP/1.10", NULL},
      {"GET /a HTTP/1.", NULL},
      {"G(T /a HTTP/1.1", NULL},
      {"", NULL},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[128];
    struct head head;
    struct error err;
    char *copy;
    size_t end;
    int length = snprintf(text, sizeof text, "%s\r\n%s", cases[i].line, cases[i].line[0] ? "Host: h\r\n\r\n" : "");
    enum status status = read_head(&head, &copy, &end, text, (size_t)length, 1, &err);
    assert_int_equal(status, cases[i].target ? STATUS_OK : STATUS_INVALID_REQUEST);
    if (cases[i].target)
      assert_string_equal(head.target, cases[i].target);
    free(copy);
  }
}

static void test_refused(void **state) {
#define HEAD(status, text) {status, text, sizeof text - 1}
  static const struct {
    enum status status;
    const char *text;
    size_t length;
  } cases[] = {
      HEAD(STATUS_OK, "GET / HTTP/1.0\r\n\r\n"), /* which knows no Host */
      HEAD(STATUS_OK, "GET / HTTP/1.1\r\nHost: \xff\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\nHost: x\n\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\n\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\n\tHost: x\r\nHost: x\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\0" "6\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nA: \x1b[2J\r\n\r\n"),
      HEAD(STATUS_INVALID_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nA: \x7f\r\n\r\n"),
      HEAD(STATUS_HTTP_VERSION, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
      HEAD(STATUS_HTTP_VERSION, "PRI * HTTP/2.0\r\n\r\n"),
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    assert_int_equal(judge(cases[i].text, cases[i].length), cases[i].status);
}

/* Limits: on bytes, told apart by what was too long, and on the number of headers. */
static void test_limits(void **state) {
  char *text = malloc(HEAD_BYTES_MAX + 1);
  struct error err;
  size_t end, scanned = 0;
  (void)state;
  assert_non_null(text);
  memset(text, 'a', HEAD_BYTES_MAX);
  assert_int_equal(head_find(&end, &scanned, text, HEAD_BYTES_MAX - 1, &err), STATUS_OK);
  assert_int_equal(end, 0);
  assert_int_equal(head_find(&end, &scanned, text, HEAD_BYTES_MAX, &err), STATUS_TARGET_TOO_LONG);
  memcpy(text + 100, "\r\n", 2);
  scanned = 0;
  assert_int_equal(head_find(&end, &scanned, text, HEAD_BYTES_MAX, &err), STATUS_HEADER_TOO_LARGE);
  memcpy(text + HEAD_BYTES_MAX - 4, "\r\n\r\n", 4);
  scanned = 0;
  assert_int_equal(head_find(&end, &scanned, text, HEAD_BYTES_MAX, &err), STATUS_OK);
  assert_int_equal(end, HEAD_BYTES_MAX);
  for (size_t count = HEAD_FIELDS_MAX - 1; count <= HEAD_FIELDS_MAX; count++) {
    struct str lines;
    str_init(&lines, HEAD_BYTES_MAX);
    str_puts(&lines, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (size_t i = 0; i < count; i++)
      str_printf(&lines, "X%zu: y\r\n", i);
    str_puts(&lines, "\r\n");
    assert_int_equal(judge(lines.text, lines.length), count < HEAD_FIELDS_MAX ? STATUS_OK : STATUS_HEADER_TOO_LARGE);
    str_done(&lines);
  }
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_targets),
                                     cmocka_unit_test(test_refused), cmocka_unit_test(test_limits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
