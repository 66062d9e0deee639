/* What is compared of answers: numbers by their value, with HRA's authors' faults only where these are asked for,
   matches, and texts behind a marker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/data/extract.h"

struct row {
  const char *answer, *want; /* NULL: nothing */
};

static void check(const struct generate_spec *spec, const struct row *rows, size_t count, bool expected) {
  struct extract e;
  struct error err;
  struct str out;
  str_init(&out, 1000);
  if (extract_open(&e, spec, &err))
    fail_msg("%s", err.text);
  for (size_t i = 0; i < count; i++) {
    bool found = expected ? extract_expected(&e, &out, rows[i].answer) : extract_answer(&e, &out, rows[i].answer);
    if (found != (rows[i].want != NULL) || (found && strcmp(out.text, rows[i].want) != 0))
      fail_msg("\"%s\": %s", rows[i].answer, found ? out.text : "nothing");
  }
  extract_done(&e);
  str_done(&out);
}
#define CHECK_ROWS(spec, rows) check(spec, rows, COUNT_OF(rows), false)

static void numbers_have_values(void **state) {
  static const struct row last[] = {
      {"9 - 2 = 7", "7"},
      {"it costs $1,234,567.50.", "1234567.5"},
      {"1,2", "2"},        /* a list */
      {"12,3456", "3456"}, /* no thousands */
      {"-3", "-3"},
      {"a-3", "3"}, /* a hyphen */
      {"between 10-20", "20"},
      {"+5", "5"},
      {".5 or 1/2", "0.5"},
      {"5/0", "0"}, /* no fraction: two numbers */
      {"72.", "72"},
      {"-0", "0"},
      {"none", NULL},
      {"", NULL},
  };
  static const struct row first[] = {{"5 apples in 2 bags", "5"}, {"1/4 of 8", "0.25"}, {"x", NULL}};
  (void)state;
  CHECK_ROWS(&(struct generate_spec){.extractor = EXTRACT_LAST_NUMBER}, last);
  CHECK_ROWS(&(struct generate_spec){.extractor = EXTRACT_FIRST_NUMBER}, first);
}

/* What extract_answer_number of the authors' evaluation gives. */
static void authors_faults_are_asked_for(void **state) {
  static const struct row authors[] = {
      {"The answer is: 1,234,567", "1234"},
      {"The answer is: 2.5", "2"},
      {"The answer is: 3.5", "4"},
      {"The answer is: 7/2", "4"},
      {"The answer is: 7/0", "7"},
      {"The answer is: /5", NULL},
      {"The answer is: -1.6 m", "-2"},
      {"The answer is: 12,5", "125"},
      {"The answer is: .7", "1"},
      {"The answer is: 1. The answer is: 2", "2"},
      {"The answer is 5", NULL},
  };
  static const struct row ours[] = {{"The answer is: 1,234,567", "1234567"},
                                    {"The answer is: 2.5", "2.5"},
                                    {"The answer is: 7/2", "3.5"},
                                    {"The answer is 5", NULL}};
  static const struct row expected[] = {{"so #### 1,234,567", "1234567"}, {"18", "18"}, {"#### none", NULL}};
  struct generate_spec spec = {.extractor = EXTRACT_FIRST_NUMBER, .after = "The answer is: ", .answer_after = "#### "};
  (void)state;
  CHECK_ROWS(&spec, ours);
  spec.compat = GENERATE_COMPAT_HRA_AUTHORS;
  CHECK_ROWS(&spec, authors);
  check(&spec, expected, COUNT_OF(expected), true);
}

static void matches_and_texts(void **state) {
  static const struct row groups[] = {{"x=1, x=22", "22"}, {"x= ", NULL}, {"", NULL}};
  static const struct row whole[] = {{"\xc3\xa9t\xc3\xa9 \xc3\xa9t\xc3\xa9s", "\xc3\xa9t\xc3\xa9s"}, {"1", NULL}};
  static const struct row exact[] = {{" \n yes ", "yes"}, {"\t", NULL}};
  static const struct row unmatched[] = {{" seven ", "seven"}, {"x=7", "7"}};
  struct generate_spec regex = {.extractor = EXTRACT_REGEX, .pattern = "x=([0-9]+)"};
  (void)state;
  CHECK_ROWS(&regex, groups);
  check(&regex, unmatched, COUNT_OF(unmatched), true);
  CHECK_ROWS((&(struct generate_spec){.extractor = EXTRACT_REGEX, .pattern = "\\p{L}+"}), whole);
  CHECK_ROWS(&(struct generate_spec){.extractor = EXTRACT_EXACT}, exact);
}

/* The box, or what the marker leads to; an expected answer without either is taken whole. */
static void mathematics(void **state) {
  static const struct row marked[] = {{"so $x$. The answer is: \\dfrac12.\nInstruction", "\\frac{1}{2}"},
                                      {"The answer is: $\\boxed{5}$ or so.", "5"},
                                      {"\\boxed{5}", NULL}};
  static const struct row boxed[] = {{"thus \\boxed{7}.", "7"}, {"thus 7.", NULL}};
  static const struct row expected[] = {{"We find $\\boxed{3}$.", "3"}, {"1/2", "\\frac{1}{2}"}};
  struct extract e = {.spec = &(struct generate_spec){.extractor = EXTRACT_MATH}};
  (void)state;
  check(&(struct generate_spec){.extractor = EXTRACT_MATH, .after = "The answer is: "}, marked, COUNT_OF(marked),
        false);
  CHECK_ROWS(&(struct generate_spec){.extractor = EXTRACT_MATH}, boxed);
  check(&(struct generate_spec){.extractor = EXTRACT_MATH}, expected, COUNT_OF(expected), true);
  assert_true(extract_equal(&e, "0.5", "\\frac{1}{2}"));
  assert_false(extract_equal(&e, "5", "500"));
}

static void a_bad_pattern_is_named(void **state) {
  struct extract e;
  struct error err;
  (void)state;
  assert_int_equal(extract_open(&e, &(struct generate_spec){.extractor = EXTRACT_REGEX, .pattern = "a("}, &err),
                   STATUS_INVALID_VALUE);
  assert_string_equal(err.param, "evaluation.generate.pattern");
  extract_done(&e);
  /* One that takes for ever ends, and has found nothing. */
  static const struct row slow[] = {{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", NULL}};
  CHECK_ROWS((&(struct generate_spec){.extractor = EXTRACT_REGEX, .pattern = "(a+)+$"}), slow);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_have_values),    cmocka_unit_test(authors_faults_are_asked_for),
      cmocka_unit_test(matches_and_texts),      cmocka_unit_test(mathematics),
      cmocka_unit_test(a_bad_pattern_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
