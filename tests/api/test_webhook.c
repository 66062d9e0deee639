/* Proves: which addresses a client may have webhooks sent to, as far as their text tells, and which events there are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/webhook.h"
#include "base/attr.h"

static void urls(void **state) {
  (void)state;
  static const struct {
    const char *url;
    bool any, open, plain; /* with any address, with public ones, with http */
  } cases[] = {
      {"https://example.com", true, true, true},
      {"https://example.com:8443/a/b?c=d", true, true, true},
      {"HTTPS://EXAMPLE.COM/", true, true, true},
      {"https://8.8.8.8/", true, true, true},
      {"https://[2606:4700::1111]:443/x", true, true, true},
      {"https://127.0.0.1/", true, false, true},
      {"https://localhost", true, false, true},
      {"https://a.LocalHost:9", true, false, true},
      {"https://[::1]/", true, false, true},
      {"https://[::ffff:10.0.0.1]/", true, false, true},
      {"https://localhost./", true, false, true},
      {"https://127.0.0.1./", true, false, true},
      {"https://2130706433/", true, false, true},
      {"https://0177.1/", true, false, true},
      {"https://0x7f.0.0.1/", true, false, true},
      {"https://134744072/", true, true, true},
      {"https://%31%32%37.0.0.1/", false, false, false},
      {"https://./", false, false, false},
      {"https://exa\"mple.com/", false, false, false},
      {"https://[127.0.0.1]/", false, false, false},
      {"https://[fe80::1%25eth0]/", false, false, false},
      {"http://example.com/", false, false, true},
      {"ftp://example.com/", false, false, false},
      {"file:///etc/passwd", false, false, false},
      {"example.com", false, false, false},
      {"", false, false, false},
      {"https://", false, false, false},
      {"https:///path", false, false, false},
      {"https://:80/", false, false, false},
      {"https://user@example.com/", false, false, false},
      {"https://example.com@127.0.0.1/", false, false, false},
      {"https://example.com#@127.0.0.1/", false, false, false},
      {"https://example.com\\@127.0.0.1/", false, false, false},
      {"https://exa mple.com/", false, false, false},
      {"https://example.com/\r\nHost: x", false, false, false},
      {"https://ex\xC3\xA4mple.com/", false, false, false},
      {"https://example.com:0/", false, false, false},
      {"https://example.com:65536/", false, false, false},
      {"https://example.com:/", false, false, false},
      {"https://example.com:80a/", false, false, false},
      {"https://[::1/", false, false, false},
      {"https://[::1]x/", false, false, false},
  };
  struct error err;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    bool any = webhook_check_url(cases[i].url, false, WEBHOOK_ANY, &err) == STATUS_OK;
    bool open = webhook_check_url(cases[i].url, false, WEBHOOK_PUBLIC, &err) == STATUS_OK;
    bool plain = webhook_check_url(cases[i].url, true, WEBHOOK_ANY, &err) == STATUS_OK;
    if (any != cases[i].any || open != cases[i].open || plain != cases[i].plain)
      fail_msg("%s: %d %d %d", cases[i].url, any, open, plain);
  }
  char url[WEBHOOK_URL_MAX + 20] = "https://example.com/";
  memset(url + 20, 'a', sizeof url - 21);
  assert_int_equal(webhook_check_url(url, false, WEBHOOK_ANY, &err), STATUS_INVALID_VALUE);
  assert_string_equal(err.param, "url");
}

static void events(void **state) {
  (void)state;
  struct error err;
  for (const char *const *event = webhook_events; *event; event++)
    assert_int_equal(webhook_check_event(*event, "event_types", &err), STATUS_OK);
  assert_int_equal(webhook_check_event("batch.completed", "event_types", &err), STATUS_UNSUPPORTED_VALUE);
  assert_string_equal(err.param, "event_types");
  assert_non_null(strstr(err.text, "fine_tuning.job.paused"));
  json_t *event = webhook_event("evt_1", webhook_events[0], 7, "ftjob-1");
  assert_string_equal(json_string_value(json_object_get(event, "object")), "event");
  assert_string_equal(json_string_value(json_object_get(json_object_get(event, "data"), "id")), "ftjob-1");
  json_decref(event);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(urls), cmocka_unit_test(events)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
