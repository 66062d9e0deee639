/* A regular expression of a tokenizer file cuts a text as the `tokenizers` library does, which uses another engine;
   what would differ is refused; and no expression takes longer than its text allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/str.h"
#include "worker/text/pattern.h"

/* The pieces between and of the matches, with '|' between them. False: too many steps. */
static bool cut(struct str *out, const struct pattern *pattern, const char *text, size_t length) {
  struct pattern_scratch scratch = {0};
  struct pattern_search search = {0};
  size_t at = 0;
  str_clear(out);
  pattern_scratch_start(&scratch, length);
  while (pattern_next(pattern, &scratch, &search, text, length)) {
    const size_t ends[] = {search.start, search.end};
    for (size_t i = 0; i < COUNT_OF(ends); at = ends[i++])
      if (ends[i] > at) {
        str_add(out, "|", out->length > 0);
        str_add(out, text + at, ends[i] - at);
      }
  }
  str_add(out, "|", at < length && out->length > 0);
  str_add(out, text + at, length - at);
  bool failed = scratch.failed;
  pattern_scratch_done(&scratch);
  return !failed;
}

/* The last column is what the library gives. */
static void expressions_cut_as_in_the_library(void **state) {
  (void)state;
  static const struct {
    const char *regex, *text, *pieces;
  } cases[] = {
      {"\\p{N}{1,3}", "1234567 \331\243a", "123|456|7| |\331\243|a"},
      {"\\p{N}{1,3}+", "1234567", "1234567"},
      {"\\s+$", "a\012\012b  ", "a|\012|\012b|  "},
      {"$", "a\012b\012", "a|\012b|\012"},
      {"^", "a\012b\012", "a\012|b\012"},
      {"a{,2}", "aaaaa", "aa|aa|a"},
      {"(?i:'S|k)", "'\305\277 K\342\204\252", "'\305\277| |K|\342\204\252"},
      {"[^(\\s|[.,!])]+", "ab.c)|d(e", "ab|.|c|)||d|(|e"},
      {"[\\p{L}&&[^a]]+", "bcab", "bc|a|b"},
      {"\\h+", "xabg", "x|ab|g"},
      {".", "\015\012\302\205", "\015|\012|\302\205"},
      {"(?=(\\d{3})+(?!\\d))", "1234567 12 123", "1|234|567 12 |123"},
      {"\\v|\\e|\\u0041|\\x{42}", "\013A\033Bv", "\013|A|\033|B|v"},
      {"\\R", "a\015\012\012b", "a|\015\012|\012|b"},
      {"\\p{^L}", "a\303\2511", "a\303\251|1"},
      {"[\\W_]+", "a_\302\262 \303\251-", "a|_\302\262 |\303\251|-"},
      {"\\W", "\302\262", "\302\262"},
      {"\\s", "a\341\240\216\302\205\343\200\200", "a\341\240\216|\302\205|\343\200\200"},
      {"\\p{L}+", "\341\262\211\352\237\2131", "\341\262\211\352\237\213|1"},
      {"\\b", "ab c\303\251", "ab| |c\303\251"},
      {"\\Aa|a\\z", "aaa", "a|a|a"},
      {"[^\\n]+|[\\n]+", "a\012\012b", "a|\012\012|b"},
      {"\\p{Han}+",
       "\346\274\242\345\255\227\343\201\213\343\201\252", "\346\274\242\345\255\227|\343\201\213\343\201\252"},
      {"a++b|a", "aab", "aab"},
      {"(?>a+)b|[a-c]", "aac", "a|a|c"},
      {"(?<!\\d)\\d(?=\\d)", "12 34", "1|2 |3|4"},
      {"[a-z&&[^aeiou]]", "hello", "h|e|l|l|o"},
      {"\\d{1,3}(?=(?:\\d{3})*\\b)", "1234567x 1234", "1234567x |1|234"},
  };
  struct str out;
  str_init(&out, 1000);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct pattern pattern;
    struct error err = {0};
    if (pattern_regex(&pattern, cases[i].regex, &err))
      fail_msg("%s", err.text);
    assert_true(cut(&out, &pattern, cases[i].text, strlen(cases[i].text)));
    if (strcmp(out.text, cases[i].pieces) != 0)
      fail_msg("%s on \"%s\": \"%s\"", cases[i].regex, cases[i].text, out.text);
    pattern_done(&pattern);
  }
  str_done(&out);
}

static void what_would_differ_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *regex, *says;
  } cases[] = {
      {"(a)\\1", "an escape that is not supported (byte 5)"},
      {"(?<a>b)", "a group of a kind that is not supported"},
      {"[[:alpha:]]", "a class like [:alpha:]"},
      {"(?i:\\p{Lu})", "a property with case in any case"},
      {"(?i:\xC3\xA9)", "a character beyond ASCII in any case"},
      {"(?i:st)", "letters that have a ligature in any case"},
      {"a(?i)b|c", "a group of a kind that is not supported"},
      {"\\p{Klingon}", "a property that is not supported"},
      {"\\p{Mn}", "a property that is not supported"},
      {"[a-\\d]", "a range that ends with a class"},
      {"[\\d-a]", "a range that begins with a class"},
      {"[z-a]", "a range that is empty"},
      {"[]a]", "a class that begins with ]"},
      {"[a", "a class without an end"},
      {"[^\\p{L}&&[^a]]", "a class [^...] of classes"},
      {"(a", "a group without an end"},
      {"a)", "a ) without its ("},
      {"a**", "a repeat of a repeat"},
      {"a{2}?", "a repeat {n}?"},
      {"a{1,100000}", "a repeat out of range"},
      {"*", "a repeat of nothing"},
      {"(?:a?|b)*", "a repeat of what can be nothing"},
      {"\\b+", "a repeat of what can be nothing"},
      {"a\\", "a backslash at its end"},
      {"\\x{110000}", "a number that is no character"},
      {"(?<=a+)b", "lookbehind"},
      {"((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))", "nested too deeply"},
      {"(?:(?:(?:a{1,1000}){1,1000}){1,1000}){1,1000}", "too large"},
      {"\xFF", "it is not UTF-8"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct pattern pattern;
    struct error err = {0};
    enum status status = pattern_regex(&pattern, cases[i].regex, &err);
    if (status != STATUS_MODEL_INVALID || !strstr(err.text, cases[i].says))
      fail_msg("%s: status %d, \"%s\"", cases[i].regex, (int)status, err.text);
  }
}

/* 256 KiB of each: an expression that goes astray ends with an error, an honest one with its pieces. */
static void steps_are_bounded_by_the_text(void **state) {
  (void)state;
  static const struct {
    const char *regex, *unit;
    bool ends;
  } cases[] = {
      {"(?:a|aa)+$|b", "a", false},
      {"(?:\\p{L}+)+[12]", "a", false},
      {"a*a*a*a*[bc]", "a", false},
      {"\\s+(?!\\S)|\\s+", " ", true},
      {"\\s*[\\r\\n]+|\\s+(?!\\S)|\\s", " ", true},
      {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lo}]*[\\p{Ll}\\p{Lo}]+|\\p{Lu}+", "A", true},
      {"\\p{N}{1,3}", "a1", true},
  };
  enum { BYTES = 1 << 18 };
  char *text = malloc(BYTES);
  struct str out;
  assert_non_null(text);
  str_init(&out, 1 << 24);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct pattern pattern;
    struct error err;
    size_t unit = strlen(cases[i].unit), length = 0;
    for (; length + unit <= BYTES; length += unit)
      memcpy(text + length, cases[i].unit, unit);
    assert_int_equal(pattern_regex(&pattern, cases[i].regex, &err), STATUS_OK);
    double start = clock_seconds();
    bool done = cut(&out, &pattern, text, length);
    if (done != cases[i].ends || clock_seconds() - start > 20)
      fail_msg("%s: %s after %.1f s", cases[i].regex, done ? "done" : "given up", clock_seconds() - start);
    pattern_done(&pattern);
  }
  str_done(&out);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(expressions_cut_as_in_the_library),
      cmocka_unit_test(what_would_differ_is_refused),
      cmocka_unit_test(steps_are_bounded_by_the_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
