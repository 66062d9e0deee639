/* Proves which names a server answers to, and whose pages may change things. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/http/origin.h"

static struct config loopback = {.host = "127.0.0.1"}, everywhere = {.host = "0.0.0.0"},
                     named = {.host = "::1",
                              .allowed_hosts = "ft.example.org, box:8080",
                              .allowed_origins = "https://ui.example.org"},
                     open = {.host = "127.0.0.1", .allowed_hosts = "*"};

static void test_hosts(void **state) {
  static const struct {
    const struct config *config;
    const char *host;
    bool right;
  } cases[] = {
      {&loopback, "127.0.0.1", true},        {&loopback, "127.0.0.1:8080", true},
      {&loopback, "LocalHost:1", true},      {&loopback, "a.localhost", true},
      {&loopback, "[::1]:80", true},         {&loopback, "127.9.9.9", true},
      {&loopback, "10.0.0.1", false},        {&loopback, "evil.example", false},
      {&loopback, "evil.example:80", false}, {&loopback, "localhost.evil.example", false},
      {&loopback, "xlocalhost", false},      {&loopback, "127.0.0.1.evil.example", false},
      {&loopback, "", false},                {&loopback, "127.0.0.1@evil", false},
      {&loopback, "[::1", false},            {&loopback, "localhost:80x", false},
      {&loopback, "0.0.0.0", false},         {&everywhere, "10.0.0.1:8080", true},
      {&everywhere, "[2001:db8::1]", true},  {&everywhere, "evil.example", false},
      {&everywhere, "localhost", true},      {&named, "FT.example.org:443", true},
      {&named, "box:8080", true},            {&named, "box:8081", false},
      {&named, "example.org", false},        {&named, "[::1]", true},
      {&open, "evil.example", true},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct error err;
    enum status status = origin_check_host(cases[i].config, cases[i].host, &err);
    if (status != (cases[i].right ? STATUS_OK : STATUS_HOST_NOT_ALLOWED))
      fail_msg("%s: %s", cases[i].host, status ? err.text : "allowed");
  }
}

static void test_origins(void **state) {
  struct error err;
  (void)state;
  assert_int_equal(origin_check(&loopback, "http://localhost:8080", "localhost:8080", &err), STATUS_OK);
  assert_int_equal(origin_check(&loopback, "https://LOCALHOST", "localhost", &err), STATUS_OK);
  static const char *const foreign[] = {"http://localhost:3000", "null", "", "http://", "file://",
                                        "http://evil.example"};
  for (size_t i = 0; i < COUNT_OF(foreign); i++)
    assert_int_equal(origin_check(&loopback, foreign[i], "localhost:8080", &err), STATUS_ORIGIN_NOT_ALLOWED);
  assert_int_equal(origin_check(&loopback, "http://", "", &err), STATUS_ORIGIN_NOT_ALLOWED);
  assert_int_equal(origin_check(&named, "https://ui.example.org", "localhost", &err), STATUS_OK);
  assert_int_equal(origin_check(&named, "http://ui.example.org", "localhost", &err), STATUS_ORIGIN_NOT_ALLOWED);
  assert_true(origin_listed(&named, "https://ui.example.org"));
  assert_false(origin_listed(&named, "https://ui.example.org.evil.example"));
  assert_false(origin_listed(&loopback, "http://localhost:8080"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_hosts), cmocka_unit_test(test_origins)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
