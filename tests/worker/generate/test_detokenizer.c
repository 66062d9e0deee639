/* Whatever way tokens cut a text, what is told is whole characters, the same text in the end, and never a part of what
   ends it. The tokens are bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/generate/detokenizer.h"

static struct tokenizer *tokenizer;

/* Byte-level: the 256 characters that stand for bytes, ids in their order, and some longer tokens. */
static int start(void **state) {
  struct str json;
  struct error err = {0};
  (void)state;
  str_init(&json, 1 << 16);
  str_puts(&json,
           "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
           "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false},\"post_processor\":null,"
           "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
  for (unsigned byte = 0, more = 0; byte < 256; byte++) {
    bool own = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    str_printf(&json, "%s\"\\u%04x\":%u", byte ? "," : "", own ? byte : 256 + more, byte);
    more += !own;
  }
  str_puts(&json, "}}}");
  assert_false(json.failed);
  if (tokenizer_parse(&tokenizer, json.text, json.length, &err))
    fail_msg("%s", err.text);
  str_done(&json);
  return 0;
}

static int stop(void **state) {
  (void)state;
  tokenizer_free(tokenizer);
  return 0;
}

/* The text's bytes as tokens after a prompt of three; what was told when. */
static void told(struct str *out, bool *stopped, const char *text, size_t length, const char **stops,
                 size_t stop_count) {
  int32_t ids[256] = {'a', 'b', 'c'};
  size_t count = 3;
  struct detokenizer d;
  const struct string_list list = {stop_count, stops};
  detokenizer_init(&d, tokenizer, &list, count);
  str_init(out, 1000);
  for (size_t i = 0; i < length; i++) {
    size_t before = out->length;
    ids[count++] = (unsigned char)text[i];
    assert_true(detokenizer_next(&d, out, ids, count, i + 1 == length));
    assert_true(utf8_valid(out->text + before, out->length - before, NULL));
  }
  *stopped = d.stopped;
  detokenizer_done(&d);
}

static void gives(const char *text, const char **stops, size_t count, const char *want, bool stops_there) {
  struct str out;
  bool stopped;
  told(&out, &stopped, text, strlen(text), stops, count);
  assert_string_equal(out.text, want);
  assert_int_equal(stopped, stops_there);
  str_done(&out);
}

static void characters_are_whole(void **state) {
  (void)state;
  gives("caf\xC3\xA9 \xE2\x82\xAC\xF0\x9F\x98\x80!", NULL, 0, "caf\xC3\xA9 \xE2\x82\xAC\xF0\x9F\x98\x80!", false);
  gives("cut \xF0\x9F\x98", NULL, 0, "cut \xEF\xBF\xBD", false); /* the end of it */
}

/* A model may say the byte 0; no JSON of ours has it. */
static void nul_is_replaced(void **state) {
  struct str out;
  bool stopped;
  (void)state;
  told(&out, &stopped, "a\0b\0", 4, NULL, 0);
  assert_int_equal(out.length, 8);
  assert_string_equal(out.text, "a\xEF\xBF\xBD"
                                "b\xEF\xBF\xBD");
  str_done(&out);
}

static void stops_are_cut_off(void **state) {
  const char *stops[] = {"\n\n", "END", "\xE2\x82\xAC"};
  (void)state;
  gives("one\n\ntwo", stops, 3, "one", true);
  gives("one\ntwo", stops, 3, "one\ntwo", false);
  gives("EN E END", stops, 3, "EN E ", true);
  gives("ENEND", stops, 3, "EN", true);
  gives("EN", stops, 3, "EN", false); /* was held back, and came to nothing */
  gives("5 \xE2\x82\xAC", stops, 3, "5 ", true);
  gives("\xE2\x82\xA9", stops, 3, "\xE2\x82\xA9", false);
}

/* The first of several ends it, and the longest part of any is held back. */
static void several_stops(void **state) {
  const char *stops[] = {"abcd", "bc"};
  (void)state;
  gives("xabcd", stops, 2, "xa", true);
  gives("xab", stops, 2, "xab", false);
  gives("abxbc", stops, 2, "abx", true);
}

/* Nothing that was told is ever a part of the stop. */
static void nothing_of_a_stop_is_told(void **state) {
  const char *stops[] = {"###"};
  int32_t ids[16] = {'a'};
  static const char text[] = "a##b###c";
  static const size_t want[] = {1, 1, 1, 4, 4, 4, 4, 4}; /* bytes told after each token */
  const struct string_list list = {1, stops};
  struct detokenizer d;
  struct str out;
  (void)state;
  detokenizer_init(&d, tokenizer, &list, 1);
  str_init(&out, 100);
  for (size_t i = 0; i < sizeof text - 1; i++) {
    ids[1 + i] = (unsigned char)text[i];
    assert_true(detokenizer_next(&d, &out, ids, 2 + i, false));
    assert_int_equal(out.length, want[i]);
  }
  assert_string_equal(out.text, "a##b");
  str_done(&out);
  detokenizer_done(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(characters_are_whole), cmocka_unit_test(nul_is_replaced),
                                     cmocka_unit_test(stops_are_cut_off), cmocka_unit_test(several_stops),
                                     cmocka_unit_test(nothing_of_a_stop_is_told)};
  return cmocka_run_group_tests(tests, start, stop);
}
