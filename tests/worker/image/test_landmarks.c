/* Proves which JSON is a list of landmarks, and distances by numbers that were worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/image/landmarks.h"

static struct landmarks points(const char *text) {
  struct landmarks out;
  struct error err;
  if (landmarks_read(&out, text, strlen(text), &err))
    fail_msg("%s: %s", text, err.text);
  return out;
}

/* (0, 0) to (3, 4) is 5, (2, 0) to (2, 1) is 1; with half of the truth (1, 0) to (2, 1) is the root of 2. */
static void distances_are_means_over_the_points(void **state) {
  (void)state;
  struct landmarks truth = points("[[0, 0], [2, 0]]"), found = points(" [[3, 4], [2.0, 1e0]]\n");
  assert_int_equal(truth.count, 2);
  assert_true(fabs(landmarks_distance(&truth, &found, 1) - 3) < 1e-12);
  assert_true(fabs(landmarks_distance(&truth, &found, 0.5) - (5 + sqrt(2)) / 2) < 1e-12);
  assert_true(landmarks_distance(&truth, &truth, 1) == 0);
  landmarks_done(&truth);
  landmarks_done(&found);
}

static void nothing_was_detected(void **state) {
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    struct landmarks none = points(i ? "null" : "[]");
    assert_true(none.count == 0 && !none.points);
  }
}

static void refused(const char *text, enum status status, const char *why) {
  struct landmarks out;
  struct error err = {0};
  if (landmarks_read(&out, text, strlen(text), &err) != status || !strstr(err.text, why))
    fail_msg("%s: %s", text, err.text);
  assert_true(out.count == 0 && !out.points);
}

static void what_is_none_is_named(void **state) {
  (void)state;
  char huge[2000] = "[[0, 1";
  memset(huge + strlen(huge), '0', 1990);
  strncpy(huge + 1994, "]]", 3);
  refused("{\"points\": []}", STATUS_DATASET_INVALID, "landmarks must be a list of [x, y], not an object");
  refused("3", STATUS_DATASET_INVALID, "not an integer");
  refused("[1, 2]", STATUS_DATASET_INVALID, "point 1 must be a list [x, y], not an integer");
  refused("[[1, 2], [3]]", STATUS_DATASET_INVALID, "point 2 must be a list [x, y], not a list of another length");
  refused("[[[1, 2], [3, 4], [5, 6]]]", STATUS_DATASET_INVALID, "point 1 must be a list [x, y]");
  refused("[[1, null]]", STATUS_DATASET_INVALID, "point 1: y must be a number, not null");
  refused("[[\"1\", 2]]", STATUS_DATASET_INVALID, "point 1: x must be a number, not a string");
  refused("[[1, 2], [1e7, 2]]", STATUS_DATASET_INVALID, "point 2: x is 1e+07; pixels from -1000000 to 1000000");
  refused("[[1, -1e300]]", STATUS_DATASET_INVALID, "point 1: y is -1e+300");
  refused("[[NaN, 2]]", STATUS_INVALID_JSON, "line 1, column");
  refused("[[1, 1e999]]", STATUS_INVALID_JSON, "line 1");
  refused("[[1, 2], [3,", STATUS_INVALID_JSON, "line 1");
  refused("", STATUS_INVALID_JSON, "");
  struct landmarks out;
  assert_int_not_equal(landmarks_read(&out, huge, strlen(huge), NULL), STATUS_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(distances_are_means_over_the_points),
                                     cmocka_unit_test(nothing_was_detected), cmocka_unit_test(what_is_none_is_named)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
