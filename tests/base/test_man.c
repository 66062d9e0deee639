/* Proves that nothing in a text is taken for the manual's language. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/man.h"

static void text_is_escaped_and_broken_at_sentences(void **state) {
  (void)state;
  static const struct {
    const char *text, *page;
  } cases[] = {
      {"", ""},
      {"a b", "a b\n"},
      {"One. Two", "One.\nTwo\n"},
      {".hidden 'b' \\n --x", "\\&.hidden \\(aqb\\(aq \\en \\-\\-x\n"},
      {"a\n.b", "a .b\n"},
      {"End. .TH", "End.\n\\&.TH\n"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct str out;
    str_init(&out, 1000);
    man_text(&out, cases[i].text);
    assert_string_equal(out.text, cases[i].page);
    str_done(&out);
  }
}

static void lines_are_bounded(void **state) {
  (void)state;
  struct str out, text;
  str_init(&out, 100000);
  str_init(&text, 100000);
  for (int i = 0; i < 1000; i++)
    str_puts(&text, i % 7 ? "word " : ".dotted ");
  man_text(&out, text.text);
  for (const char *line = out.text, *end; (end = strchr(line, '\n')); line = end + 1) {
    assert_true(end - line <= 82);
    assert_true(*line != '.');
  }
  str_done(&out);
  str_done(&text);
}

static void terms_have_their_fonts(void **state) {
  (void)state;
  struct str out;
  str_init(&out, 1000);
  man_item(&out, "--url", "URL");
  man_item(&out, "x y", "");
  assert_string_equal(out.text, ".TP\n\\fB\\-\\-url\\fR \\fIURL\\fR\n.TP\n\\fBx y\\fR\n");
  str_done(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(text_is_escaped_and_broken_at_sentences),
                                     cmocka_unit_test(lines_are_bounded), cmocka_unit_test(terms_have_their_fonts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
