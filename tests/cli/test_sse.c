/* Proves that a stream of events is read as the standard says, however its bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/sse.h"

/* Each event as "name|id|data;". */
static enum status note(void *context, const struct sse_event *event, struct error *err) {
  struct str *seen = context;
  if (strcmp(event->name, "refuse") == 0)
    return error_set(err, STATUS_INVALID_JSON, NULL, "refused");
  str_printf(seen, "%s|%s|%s;", event->name, event->id, event->data);
  return STATUS_OK;
}

static void bytes_become_events_however_they_are_cut(void **state) {
  static const struct {
    const char *stream, *events;
    int retry_ms;
  } cases[] = {
      {"retry: 3000\n\nid: 7\nevent: metrics\ndata: {}\n\n", "metrics|7|{};", 3000},
      {"data: a\ndata:b\ndata:  c\n\n", "message||a\nb\n c;", -1},
      {"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", "message||a;message||b;message||c;", -1},
      {"\xef\xbb\xbf"
       "data: a\n\n",
       "message||a;", -1},
      {": keep-alive\n\nid: 1\n\ndata\n\nevent: x\n\ndata: y\n\n", "message|1|;message|1|y;", -1},
      {"id: 1\ndata: a\n\nid\ndata: b\n\n", "message|1|a;message||b;", -1},
      {"retry: 12x\nretry:\nretry: 9999999999\nnothing: 3\ndata: a\n\n", "message||a;", -1},
      {"data: never ended\n", "", -1},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    for (size_t piece = 1; piece < 9; piece++) {
      struct sse sse;
      struct str seen;
      struct error err;
      size_t length = strlen(cases[i].stream);
      str_init(&seen, 1000);
      sse_init(&sse, note, &seen);
      for (size_t at = 0; at < length; at += piece)
        assert_int_equal(sse_feed(&sse, cases[i].stream + at, at + piece < length ? piece : length - at, &err),
                         STATUS_OK);
      assert_string_equal(seen.text, cases[i].events);
      assert_int_equal(sse.retry_ms, cases[i].retry_ms);
      sse_done(&sse);
      str_done(&seen);
    }
}

static void a_name_and_an_id_have_no_zero_byte(void **state) {
  static const char stream[] = "id: 1\nid: \0002\nevent: \0x\ndata: a\n\n";
  struct sse sse;
  struct str seen;
  struct error err;
  (void)state;
  str_init(&seen, 1000);
  sse_init(&sse, note, &seen);
  assert_int_equal(sse_feed(&sse, stream, sizeof stream - 1, &err), STATUS_OK);
  assert_string_equal(seen.text, "message|1|a;");
  sse_done(&sse);
  str_done(&seen);
}

static void a_new_connection_begins_anew_with_the_last_id(void **state) {
  (void)state;
  struct sse sse;
  struct str seen;
  struct error err;
  str_init(&seen, 1000);
  sse_init(&sse, note, &seen);
  assert_int_equal(sse_feed(&sse, "id: 4\ndata: a\n\nevent: x\ndata: half", 35, &err), STATUS_OK);
  sse_begin(&sse);
  assert_int_equal(sse_feed(&sse, "data: b\n\n", 9, &err), STATUS_OK);
  assert_string_equal(seen.text, "message|4|a;message|4|b;");
  assert_int_equal(sse_feed(&sse, "event: refuse\ndata: c\n\ndata: d\n\n", 32, &err), STATUS_INVALID_JSON);
  assert_string_equal(seen.text, "message|4|a;message|4|b;");
  sse_done(&sse);
  str_done(&seen);
}

static void there_is_an_end_to_what_is_kept(void **state) {
  (void)state;
  struct sse sse;
  struct str seen;
  struct error err;
  size_t length = 1 << 20;
  char *much = malloc(length);
  enum status status = STATUS_OK;
  assert_non_null(much);
  memset(much, 'x', length);
  str_init(&seen, 1000);
  sse_init(&sse, note, &seen);
  for (int i = 0; i < 17 && !status; i++)
    status = sse_feed(&sse, much, length, &err);
  assert_int_equal(status, STATUS_TOO_LARGE);
  sse_begin(&sse);
  status = sse_feed(&sse, "id: ", 4, &err);
  for (int i = 0; i < 2 && !status; i++)
    status = sse_feed(&sse, much, 1000, &err);
  assert_int_equal(status, STATUS_OK);
  assert_int_equal(sse_feed(&sse, "\n", 1, &err), STATUS_TOO_LARGE);
  sse_done(&sse);
  str_done(&seen);
  free(much);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_become_events_however_they_are_cut),
                                     cmocka_unit_test(a_name_and_an_id_have_no_zero_byte),
                                     cmocka_unit_test(a_new_connection_begins_anew_with_the_last_id),
                                     cmocka_unit_test(there_is_an_end_to_what_is_kept)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
