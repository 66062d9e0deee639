/* Answers of MATH: where they are found, how each is written, and which say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/data/math_answer.h"

static void boxes_end_at_their_brace(void **state) {
  static const struct {
    const char *text, *want;
  } rows[] = {
      {"so \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"},
      {"\\boxed{1} or \\fbox{2}", "2"},
      {"\\boxed{1} or \\boxed{2", "1"},
      {"\\boxed{}", ""},
      {"boxed{1}", NULL},
      {"box{1}", NULL},
      {"\\boxed", NULL},
      {"", NULL},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const char *at;
    size_t length;
    bool found = math_answer_boxed(&at, &length, rows[i].text);
    if (found != (rows[i].want != NULL) ||
        (found && (length != strlen(rows[i].want) || memcmp(at, rows[i].want, length))))
      fail_msg("%s", rows[i].text);
  }
}

static void answers_are_written_one_way(void **state) {
  static const struct {
    const char *text, *want; /* NULL: nothing is left */
  } rows[] = {
      {"\\dfrac12", "\\frac{1}{2}"},
      {"\\tfrac{1}2", "\\frac{1}{2}"},
      {"\\frac 1 2", "\\frac{1}{2}"},
      {"\\frac{\\sqrt3}{2}", "\\frac{\\sqrt{3}}{2}"},
      {"\\frac\\pi2", "\\frac\\pi2"}, /* a command is no single character */
      {"\\sqrt[3]{2}", "\\sqrt[3]{2}"},
      {"-3/4", "-\\frac{3}{4}"},
      {"a/b", "a/b"},
      {"3/4/5", "3/4/5"},
      {".5", "0.5"},
      {"1.5", "1.5"},
      {"\\left( 1, 2 \\right]", "(1,2]"},
      {"90^\\circ", "90"},
      {"90^{\\circ}", "90"},
      {"\\$5", "5"},
      {"50\\%", "50"},
      {"12\\text{ cm}", "12"},
      {"\\text{Monday}", "Monday"},
      {"\\text{a}+\\text{b}", "\\text{a}+\\text{b}"},
      {"x = 5", "5"},
      {"xyz=5", "xyz=5"},
      {"x=y=5", "x=y=5"},
      {"1,\\!000", "1,000"},
      {"5.", "5"},
      {"\\\\frac{1}{2}", "\\frac{1}{2}"},
      {"$", NULL},
      {" ", NULL},
      {"\\frac", "\\frac"},
      {"\\frac{1", "\\frac{1"},
      {"\\frac{\\frac12}3", "\\frac{\\frac{1}{2}}{3}"},
  };
  struct str out;
  (void)state;
  str_init(&out, 1000);
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    str_clear(&out);
    bool found = math_answer_put(&out, rows[i].text, strlen(rows[i].text));
    if (found != (rows[i].want != NULL) || strcmp(out.text, rows[i].want ? rows[i].want : "") != 0)
      fail_msg("%s: %s", rows[i].text, out.text);
  }
  char *long_one = calloc(1, MATH_ANSWER_MAX + 2);
  assert_non_null(long_one);
  memset(long_one, '1', MATH_ANSWER_MAX + 1);
  str_clear(&out);
  assert_false(math_answer_put(&out, long_one, MATH_ANSWER_MAX + 1) || out.failed);
  free(long_one);
  str_done(&out);
}

static void what_says_the_same_is_equal(void **state) {
  static const struct {
    const char *a, *b;
    bool ours, authors;
  } rows[] = {
      {"\\frac{1}{2}", "0.5", true, true},
      {"-\\frac{1}{2}", "\\frac{-1}{2}", true, true},
      {"0.3333", "\\frac{1}{3}", true, true},
      {"0.333", "\\frac{1}{3}", false, false},
      {"10000", "10001", false, true}, /* whole numbers are exact */
      {"10000", "10000.5", true, true},
      {"1,000", "1000", true, true},
      {"5", "500", false, true},
      {"0.05", "5", false, true},
      {"x+1", "x+1", true, true},
      {"x+1", "1+x", false, false},
      {"(0.5,2)", "(\\frac{1}{2},2)", true, true},
      {"(1,2)", "[1,2]", false, true},
      {"(1,2)", "1,2", false, true},
      {"1,2", "1,2,3", false, false},
      {"((1,2),3)", "((1,2.0),3)", true, true},
      {"(5)", "5", false, true},
      {"\\frac{1}{0}", "\\frac{2}{0}", false, false},
      {"", "", true, true},
      {"", "1", false, false},
      {"1.", "1", false, false},
      {"(,)", "(,)", true, true},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    if (math_answer_equal(rows[i].a, rows[i].b, false) != rows[i].ours ||
        math_answer_equal(rows[i].b, rows[i].a, false) != rows[i].ours ||
        math_answer_equal(rows[i].a, rows[i].b, true) != rows[i].authors)
      fail_msg("%s and %s", rows[i].a, rows[i].b);
}

/* A model may write anything: brackets without end cost no stack. */
static void deep_lists_are_texts(void **state) {
  enum { DEEP = 100000 };
  char *a = malloc(2 * DEEP + 3);
  (void)state;
  assert_non_null(a);
  memset(a, '(', DEEP);
  memcpy(a + DEEP, "1,2", 3);
  memset(a + DEEP + 3, ')', DEEP - 1);
  a[2 * DEEP + 2] = 0;
  assert_true(math_answer_equal(a, a, false));
  free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(boxes_end_at_their_brace),
      cmocka_unit_test(answers_are_written_one_way),
      cmocka_unit_test(what_says_the_same_is_equal),
      cmocka_unit_test(deep_lists_are_texts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
