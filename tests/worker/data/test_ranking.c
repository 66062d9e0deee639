/* Scores of rankings: the numbers are scikit-learn's and those of sentence-transformers' evaluators. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/data/ranking.h"

static void near(double got, double want) {
  if (!(fabs(got - want) < 1e-6))
    fail_msg("%.9g, not %.9g", got, want);
}

static void separates(void **state) {
  (void)state;
  static const float scores[] = {0.9f, 0.8f, 0.8f, 0.7f, 0.55f, 0.4f, 0.4f, 0.4f, 0.3f, 0.1f};
  static const bool relevant[] = {true, false, true, false, true, true, false, false, false, false};
  static const bool none[10] = {0};
  struct separation s;
  struct error err;
  assert_int_equal(ranking_separation(&s, scores, relevant, 10, &err), STATUS_OK);
  near(s.average_precision, 0.6916666666666667);
  near(s.accuracy, 0.7);
  near(s.accuracy_threshold, (double)0.85f);
  near(s.f1, 2.0 / 3);
  near(s.f1_threshold, 0.475); /* the first of equal ones */
  assert_int_equal(ranking_separation(&s, scores, none, 10, &err), STATUS_OK);
  near(s.average_precision, 0);
  near(s.f1, 0);
  near(s.accuracy, 1); /* by a threshold above all of them */
  assert_true(s.accuracy_threshold > (double)scores[0]);
  assert_int_equal(ranking_separation(&s, scores, none, 0, &err), STATUS_OK);
  near(s.accuracy, 0);
}

/* Groups need not stand together. */
static void ranks_groups(void **state) {
  (void)state;
  static const float scores[] = {0.2f, 0.3f, 0.6f, 0.9f, 0.3f, 0.5f, 0.5f, 0.3f, 0.1f, 0.8f};
  static const uint32_t groups[] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 1};
  static const bool relevant[] = {true, true};
  bool all[10] = {0};
  struct ranking r;
  struct error err;
  memcpy(all, relevant, sizeof relevant);
  assert_int_equal(ranking_of_groups(&r, scores, all, groups, 10, &err), STATUS_OK);
  assert_int_equal(r.lists, 3);
  near(r.map, (1.0 / 3 + 0.25) / 3);
  near(r.mrr, (1.0 / 3 + 0.25) / 3); /* of three alike the relevant one counts as the last */
  near(r.ndcg, 0.3401784790716);
}

static void looks_at_ten_places(void **state) {
  (void)state;
  float scores[12];
  uint32_t groups[12] = {0};
  bool relevant[12] = {0};
  struct ranking r;
  struct error err;
  for (size_t i = 0; i < 12; i++)
    scores[i] = (float)(12 - i);
  relevant[10] = true;
  assert_int_equal(ranking_of_groups(&r, scores, relevant, groups, 12, &err), STATUS_OK);
  near(r.mrr, 0);
  near(r.ndcg, 0);
  near(r.map, 1.0 / 11);
  relevant[2] = true;
  assert_int_equal(ranking_of_groups(&r, scores, relevant, groups, 12, &err), STATUS_OK);
  near(r.mrr, 1.0 / 3);
  near(r.ndcg, 0.30657359638272924);
  near(r.map, 0.25757575757575757);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(separates), cmocka_unit_test(ranks_groups),
                                     cmocka_unit_test(looks_at_ten_places)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
