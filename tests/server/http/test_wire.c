/* Proves where requests end and what is refused, whatever the pieces are that bytes come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/wire.h"

#define GET "GET /a HTTP/1.1\r\nHost: x\r\n"
#define POST "POST /a HTTP/1.1\r\nHost: x\r\n"

static const struct {
  const char *bytes;
  enum wire_state state;
  size_t ended;
  size_t good;        /* of the bytes; 0 and not BAD or LAST: all */
  enum status status; /* of BAD */
} cases[] = {
    {"", WIRE_IDLE, 0, 0, STATUS_OK},
    {"\r\n\r\n", WIRE_IDLE, 0, 0, STATUS_OK},
    {GET, WIRE_LINE, 0, 0, STATUS_OK},
    {GET "\r\n", WIRE_IDLE, 1, 0, STATUS_OK},
    {"\r\n" GET "\r\n\r\n" GET "\r\n", WIRE_IDLE, 2, 0, STATUS_OK},
    {GET "\r\nG", WIRE_METHOD, 1, 0, STATUS_OK},
    {GET "Connection: close\r\n\r\nrest", WIRE_LAST, 1, 46, STATUS_OK},
    {"GET /a HTTP/1.0\r\n\r\nrest", WIRE_LAST, 1, 19, STATUS_OK},
    {"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", WIRE_IDLE, 1, 0, STATUS_OK},
    {"GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n", WIRE_IDLE, 1, 0, STATUS_OK},
    {POST "Content-Length: 3\r\n\r\nab", WIRE_BODY, 0, 0, STATUS_OK},
    {POST "Content-Length: 3\r\n\r\nabc", WIRE_IDLE, 1, 0, STATUS_OK},
    {POST "content-length:3\r\n\r\nGET" GET "\r\n", WIRE_IDLE, 2, 0, STATUS_OK},
    {POST "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n", WIRE_IDLE, 1, 0,
     STATUS_OK},
    {POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", WIRE_SIZE, 0, 0, STATUS_OK},
    /* refused: nothing of it is good, all before it is */
    {"\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {"\rG", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {GET "\r\n\n", WIRE_BAD, 1, 27, STATUS_INVALID_REQUEST},
    {GET "\r\nGET /a\r\n", WIRE_BAD, 1, 27, STATUS_HTTP_VERSION},
    {"CONNECT x:1 HTTP/1.1\r\n", WIRE_BAD, 0, 0, STATUS_METHOD_NOT_ALLOWED},
    {GET "A: b\nC: d\r\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {GET "A: b\r\n c\r\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {GET "A : b\r\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {GET "\r\n" POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", WIRE_BAD, 1, 27, STATUS_INVALID_REQUEST},
    {POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {POST "Content-Length: 999999999999999999999999999999\r\n\r\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {POST "Transfer-Encoding: gzip\r\n\r\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {POST "Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {POST "Transfer-Encoding: chunked\r\n\r\n2\r\nabc", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
    {POST "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: y\r\n\r\n", WIRE_BAD, 0, 0, STATUS_INVALID_REQUEST},
};

static void test_cases(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    size_t length = strlen(cases[i].bytes);
    for (size_t piece = 1; piece <= length + 1; piece += piece < 3 ? 1 : length) {
      struct wire wire = {0};
      size_t good = 0;
      for (size_t at = 0; at < length; at += piece) {
        size_t n = length - at < piece ? length - at : piece;
        size_t took = wire_feed(&wire, cases[i].bytes + at, n);
        assert_true(took <= n);
        good += took;
      }
      if (wire.state != cases[i].state || wire.ended != cases[i].ended)
        fail_msg("case %zu: state %d, %zu ended", i, (int)wire.state, wire.ended);
      if (wire.state == WIRE_BAD)
        assert_int_equal(wire.fault.status, cases[i].status);
      if (piece > length && (wire.state == WIRE_BAD || wire.state == WIRE_LAST))
        assert_int_equal(good, cases[i].good);
      else if (wire.state != WIRE_BAD && wire.state != WIRE_LAST)
        assert_int_equal(good, length);
    }
  }
}

/* What is too long is refused before its end, and never kept. */
static void test_bounds(void **state) {
  static const struct {
    const char *head, *more;
    enum status status;
  } endless[] = {
      {"", "A", STATUS_INVALID_REQUEST},
      {"", "\r\n", STATUS_INVALID_REQUEST},
      {"GET /", "a", STATUS_TARGET_TOO_LONG},
      {"GET /?", "a&", STATUS_TARGET_TOO_LONG},
      {GET, "A: b\r\n", STATUS_HEADER_TOO_LARGE},
      {GET, "a", STATUS_HEADER_TOO_LARGE},
      {GET "A: ", " ", STATUS_HEADER_TOO_LARGE},
      {POST "Transfer-Encoding: chunked\r\n\r\n", "0", STATUS_INVALID_REQUEST},
      {POST "Transfer-Encoding: chunked\r\n\r\n1;", "a", STATUS_INVALID_REQUEST},
      {POST "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", STATUS_HEADER_TOO_LARGE},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(endless); i++) {
    struct wire wire = {0};
    assert_int_equal(wire_feed(&wire, endless[i].head, strlen(endless[i].head)), strlen(endless[i].head));
    for (size_t n = 0; n < 2 * WIRE_HEAD_BYTES_MAX && wire.state != WIRE_BAD; n++)
      assert_true(wire_feed(&wire, endless[i].more, strlen(endless[i].more)) <= strlen(endless[i].more));
    assert_int_equal(wire.state, WIRE_BAD);
    assert_int_equal(wire.fault.status, endless[i].status);
    assert_int_equal(wire_feed(&wire, GET "\r\n", strlen(GET "\r\n")), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_bounds)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
