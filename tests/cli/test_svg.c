/* Shapes as SVG has them, text that cannot become markup, and ticks at round numbers around what is shown. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/svg.h"

static void writes_shapes(void **state) {
  (void)state;
  struct str out;
  str_init(&out, 1 << 16);
  svg_line(&out, 1, 2.25, 3, 4, "#222222", 1.5);
  svg_circle(&out, 1, 2, 2.5, "none", "#222222", 0.5);
  svg_text(&out, 1, 2, SVG_END, 12, "#222222", "a<b & \"c\"\x1b");
  assert_string_equal(out.text,
                      "<line x1=\"1.0\" y1=\"2.2\" x2=\"3.0\" y2=\"4.0\" stroke=\"#222222\" stroke-width=\"1.5\"/>\n"
                      "<circle cx=\"1.0\" cy=\"2.0\" r=\"2.5\" fill=\"none\" stroke=\"#222222\" opacity=\"0.5\"/>\n"
                      "<text x=\"1.0\" y=\"2.0\" text-anchor=\"end\" font-size=\"12\" fill=\"#222222\">a&lt;b &amp; "
                      "\"c\"\\u001b</text>\n");
  str_done(&out);
}

static void finds_round_ticks(void **state) {
  (void)state;
  static const struct {
    double low, high, first, step;
    int count, digits;
  } cases[] = {
      {0.412, 0.583, 0.4, 0.05, 5, 2}, {0, 1, 0, 0.2, 6, 1},          {-0.013, 0.09, -0.05, 0.05, 4, 2},
      {12, 96, 0, 20, 6, 0},           {1000, 3400, 1000, 500, 6, 0}, {0.9, 0.9, 0.89, 0.005, 5, 3},
      {0, 0, -0.01, 0.005, 5, 3},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct svg_ticks t = svg_ticks(cases[i].low, cases[i].high, 5);
    if (fabs(t.first - cases[i].first) > 1e-9 || fabs(t.step - cases[i].step) > 1e-9 || t.count != cases[i].count ||
        t.digits != cases[i].digits)
      fail_msg("case %zu: from %g by %g, %d of %d digits", i, t.first, t.step, t.count, t.digits);
  }
  for (double low = -3; low < 3; low += 0.37)
    for (double span = 1e-5; span < 1e5; span *= 3.3) {
      struct svg_ticks t = svg_ticks(low, low + span, 5);
      assert_true(t.count >= 2 && t.count <= 8);
      assert_true(t.first <= low + 1e-6 * t.step && t.first + t.step * (t.count - 1) >= low + span - 1e-6 * t.step);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(writes_shapes), cmocka_unit_test(finds_round_ticks)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
