/* RFC 4648's own examples, and lengths around the parts that are encoded at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

static void examples(void **state) {
  static const char *const cases[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct str out;
    str_init(&out, 100);
    assert_true(base64_add(&out, cases[i][0], strlen(cases[i][0])));
    assert_string_equal(out.text, cases[i][1]);
    str_done(&out);
  }
}

/* Three bytes of zero are "AAAA". */
static void long_ones(void **state) {
  static const char zeros[3000];
  (void)state;
  for (size_t length = 1; length <= sizeof zeros; length += 1 + length / 40) {
    struct str out;
    str_init(&out, 8000);
    assert_true(base64_add(&out, zeros, length));
    assert_int_equal(out.length, (length + 2) / 3 * 4);
    size_t padding = (3 - length % 3) % 3;
    for (size_t i = 0; i < out.length; i++)
      assert_int_equal(out.text[i], i < out.length - padding ? 'A' : '=');
    str_done(&out);
  }
}

static void bounded(void **state) {
  struct str out;
  (void)state;
  str_init(&out, 7);
  assert_false(base64_add(&out, "abcd", 4));
  str_done(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(examples), cmocka_unit_test(long_ones),
                                     cmocka_unit_test(bounded)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
