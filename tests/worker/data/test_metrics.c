/* Scores equal hand-made values and those of scikit-learn, SciPy and seqeval, and are 0 where a formula divides by
 * zero. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/data/metrics.h"

static void near(double got, double want) {
  if (!(fabs(got - want) < 1e-12))
    fail_msg("%.17g is not %.17g", got, want);
}

static void scores_classes(void **state) {
  (void)state;
  static const uint32_t predicted[] = {1, 1, 1, 0, 0, 0, 1, 0, 0, 0}, actual[] = {1, 1, 0, 0, 0, 1, 1, 0, 1, 0};
  near(metric_accuracy(predicted, actual, 10), 0.7);
  near(metric_f1(predicted, actual, 10), 2.0 * 3 / (2 * 3 + 1 + 2));
  near(metric_matthews(predicted, actual, 10), (3.0 * 4 - 1.0 * 2) / sqrt(4.0 * 5 * 5 * 6));
  near(metric_matthews(actual, actual, 10), 1);
  static const uint32_t flipped[] = {0, 0, 1, 1, 1, 0, 0, 1, 0, 1};
  near(metric_matthews(flipped, actual, 10), -1);
  near(metric_f1(flipped, actual, 10), 0);
}

static void is_zero_where_a_score_is_undefined(void **state) {
  (void)state;
  static const uint32_t zeros[] = {0, 0, 0}, mixed[] = {0, 1, 0};
  static const float flat[] = {2, 2, 2}, rising[] = {1, 2, 3};
  double r = 5;
  near(metric_accuracy(zeros, mixed, 0), 0);
  near(metric_f1(zeros, zeros, 3), 0);
  near(metric_matthews(zeros, mixed, 3), 0);
  near(metric_matthews(zeros, mixed, 0), 0);
  near(metric_pearson(flat, rising, 3), 0);
  near(metric_pearson(rising, flat, 3), 0);
  near(metric_pearson(rising, rising, 1), 0);
  near(metric_pearson(rising, rising, 0), 0);
  assert_int_equal(metric_spearman(&r, flat, rising, 3, NULL), STATUS_OK);
  near(r, 0);
  assert_int_equal(metric_spearman(&r, flat, rising, 0, NULL), STATUS_OK);
  near(r, 0);
}

static void correlates(void **state) {
  (void)state;
  static const float x[] = {1, 2, 3, 4, 5}, y[] = {2, 1, 4, 3, 5}, down[] = {10, 8, 6, 4, 2};
  static const float tied_x[] = {1, 2, 2, 3, 0.5f, 2}, tied_y[] = {1, 3, 2, 3, 0, 5};
  double r;
  near(metric_pearson(x, y, 5), 0.8);
  near(metric_pearson(x, down, 5), -1);
  static const float curve[] = {1, 8, 27, 64, 125};
  assert_int_equal(metric_spearman(&r, x, curve, 5, NULL), STATUS_OK);
  near(r, 1);
  assert_int_equal(metric_spearman(&r, x, y, 5, NULL), STATUS_OK);
  near(r, 0.8);
  assert_int_equal(metric_spearman(&r, tied_x, tied_y, 6, NULL), STATUS_OK);
  near(r, 0.7700513795421217);
  static const float large[] = {1e6f, 1e6f + 1, 1e6f + 2, 1e6f + 3};
  near(metric_pearson(large, large, 4), 1);
}

/* scikit-learn 1.9: f1_score(y, p, average="micro" / "macro", zero_division=0), accuracy_score(y, p). */
static void lists_of_labels(void **state) {
  (void)state;
  static const bool actual[] = {1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0}, predicted[] = {1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1};
  struct list_scores s;
  metric_lists(&s, predicted, actual, 4, 3);
  assert_true(fabs(s.f1_micro - 2.0 * 3 / (2 * 3 + 1 + 2)) < 1e-12);
  assert_true(fabs(s.f1_macro - (2.0 * 2 / (2 * 2 + 1) + 1 + 0) / 3) < 1e-12);
  assert_true(s.subset_accuracy == 0.5);
  metric_lists(&s, predicted, actual, 0, 3);
  assert_true(s.f1_micro == 0 && s.f1_macro == 0 && s.subset_accuracy == 0);
}

/* seqeval 1.2.2, its default mode: precision_score, recall_score, f1_score, accuracy_score of the same lists. */
static void entities(void **state) {
  (void)state;
  enum { WORDS = 16 };
  static const struct {
    const char *actual[WORDS], *predicted[WORDS]; /* "": a text ends */
    double precision, recall, f1, accuracy;
  } cases[] = {
      {{"B-PER", "I-PER", "O", "B-LOC", "", "O", "B-ORG", "I-ORG"},
       {"B-PER", "I-PER", "O", "B-ORG", "", "O", "B-ORG", "O"},
       1.0 / 3,
       1.0 / 3,
       1.0 / 3,
       5.0 / 7},
      {{"I-PER", "I-PER", "O", "I-LOC", "B-LOC"}, {"I-PER", "B-PER", "O", "I-LOC", "I-LOC"}, 0, 0, 0, 0.6},
      {{"B-A", "", "I-A"}, {"B-A", "", "I-A"}, 1, 1, 1, 1},
      {{"S-A", "B-B", "I-B", "E-B", "O"}, {"S-A", "B-B", "E-B", "E-B", "S-A"}, 0.25, 0.5, 1.0 / 3, 0.6},
      {{"NOUN", "VERB", "NOUN", "X"}, {"NOUN", "NOUN", "NOUN", "X"}, 0, 0, 0, 0.75},
      {{"O", "O"}, {"O", "O"}, 0, 0, 0, 1},
      {{"B-A-b", "I-A-b", "I-A", "B", "I", "\u00c9-A", "."},
       {"B-A-b", "I-A", "I-A", "B", "I", "\u00c9-A", "O"},
       0.5,
       0.5,
       0.5,
       5.0 / 7},
      {{"O", "B-A"}, {"O", "O"}, 0, 0, 0, 0.5},
      {{"B-A", "I-B", "I-B", "I-A", "E-A", "I-A"},
       {"B-A", "I-B", "B-B", "I-A", "E-A", "E-A"},
       0.6,
       0.75,
       2.0 / 3,
       2.0 / 3},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct tag_counts counts = {0};
    struct tag_scores s;
    for (size_t w = 0; cases[i].actual[w]; w++)
      if (*cases[i].actual[w])
        tag_counts_add(&counts, cases[i].predicted[w], cases[i].actual[w]);
      else
        tag_counts_end(&counts);
    tag_counts_end(&counts);
    tag_counts_score(&s, &counts);
    near(s.precision, cases[i].precision);
    near(s.recall, cases[i].recall);
    near(s.f1, cases[i].f1);
    near(s.accuracy, cases[i].accuracy);
  }
  struct tag_counts none = {0};
  struct tag_scores s;
  tag_counts_score(&s, &none);
  assert_true(s.precision == 0 && s.recall == 0 && s.f1 == 0 && s.accuracy == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entities),       cmocka_unit_test(lists_of_labels),
      cmocka_unit_test(scores_classes), cmocka_unit_test(is_zero_where_a_score_is_undefined),
      cmocka_unit_test(correlates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
