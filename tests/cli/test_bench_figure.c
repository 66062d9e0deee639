/* The figure of a comparison: a panel for each task, every run and mean within its axes, no markup from names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/bench_figure.h"

#define RUN(task_, method_, seed_, best_, last_)                                                                       \
  {                                                                                                                    \
    .task = (task_), .method = (method_), .size = "r 8", .seed = (seed_), .status = "succeeded", .error = "",          \
    .measured = true, .metric = "accuracy", .best = (best_), .last = (last_), .parameters = 37634                      \
  }

static size_t occurrences(const char *text, const char *what) {
  size_t count = 0;
  for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
    count++;
  return count;
}

static void draw(struct str *out, const struct bench_result *results, size_t count) {
  struct bench_cell cells[16];
  str_init(out, 1 << 20);
  bench_figure(out, cells, bench_cells(cells, results, count), results, count);
  assert_false(out->failed);
}

/* All marks are on the drawing and, of one panel, within its axes. */
static void check_marks(const char *svg, double top, double bottom) {
  for (const char *p = strstr(svg, "seeds</text>"); (p = strstr(p, "<circle ")) != NULL; p++) {
    double x, y;
    assert_int_equal(sscanf(p, "<circle cx=\"%lf\" cy=\"%lf\"", &x, &y), 2);
    assert_true(x > 64 && x < 760);
    if (!(y >= top - 0.1 && y <= bottom + 0.1))
      fail_msg("%g is not within %g and %g", y, top, bottom);
  }
}

static void draws_runs_and_means(void **state) {
  (void)state;
  static const struct bench_result results[] = {RUN("cola", "hra", 0, 0.512, 0.5), RUN("cola", "hra", 1, 0.53, 0.49),
                                                RUN("cola", "lora", 0, 0.47, 0.47), RUN("cola", "lora", 1, 0.45, 0.44)};
  struct str out;
  draw(&out, results, COUNT_OF(results));
  assert_int_equal(strncmp(out.text, "<svg xmlns=\"http://www.w3.org/2000/svg\"", 39), 0);
  assert_string_equal(out.text + out.length - 7, "</svg>\n");
  assert_int_equal(occurrences(out.text, "r=\"2.5\""), 8);                /* a dot for each run, best and last */
  assert_int_equal(occurrences(out.text, "r=\"5\""), 2 + 4);              /* the legend's, and a mean for each */
  assert_int_equal(occurrences(out.text, "stroke-width=\"1.5\""), 4 * 3); /* each with its bar */
  assert_non_null(strstr(out.text, ">cola: accuracy</text>"));
  assert_non_null(strstr(out.text, ">37,634</text>"));
  check_marks(out.text, 68, 288);
  str_done(&out);
}

static void has_a_panel_for_each_task(void **state) {
  (void)state;
  static const struct bench_result results[] = {
      RUN("a", "hra", 0, 1, 1),
      RUN("b", "hra", 0, -3, -5),
      {.task = "c", .method = "hra", .size = "r 8", .status = "failed", .error = "lost"},
      {.task = "c", .method = "<b>&", .size = "r 8", .status = "waiting", .error = ""}};
  struct str out;
  draw(&out, results, COUNT_OF(results));
  assert_non_null(strstr(out.text, "height=\"1004\""));
  assert_non_null(strstr(out.text, ">a: accuracy</text>"));
  assert_non_null(strstr(out.text, ">c</text>"));
  assert_non_null(strstr(out.text, ">failed</text>"));
  assert_non_null(strstr(out.text, ">no result</text>"));
  assert_non_null(strstr(out.text, ">&lt;b&gt;&amp;</text>"));
  assert_null(strstr(out.text, "nan"));
  assert_null(strstr(out.text, "inf"));
  str_done(&out);
  draw(&out, results, 0);
  assert_string_equal(out.text + out.length - 7, "</svg>\n");
  str_done(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(draws_runs_and_means),
                                     cmocka_unit_test(has_a_panel_for_each_task)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
