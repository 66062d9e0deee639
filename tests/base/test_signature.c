/* Proves: signatures are those of HMAC-SHA256 over id, time and body (the value is Python's hmac), secrets differ and
   sign, and what is no secret signs nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/signature.h"

static void known_value(void **state) {
  (void)state;
  char signature[SIGNATURE_BYTES];
  const char *secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
  assert_true(signature_make(signature, secret, "evt_1", 1700000000, "{\"a\":1}"));
  assert_string_equal(signature, "v1,hUVxIYXs8Zy9GDiZD1uQbBwXoZGMAB6RVLdZZ3ffmek=");
}

static void secrets(void **state) {
  (void)state;
  char one[SIGNATURE_SECRET_BYTES], two[SIGNATURE_SECRET_BYTES], a[SIGNATURE_BYTES], b[SIGNATURE_BYTES];
  signature_secret(one);
  signature_secret(two);
  assert_int_equal(strncmp(one, "whsec_", 6), 0);
  assert_int_equal(strlen(one), 6 + 44);
  assert_string_not_equal(one, two);
  assert_true(signature_make(a, one, "i", 1, "b") && signature_make(b, two, "i", 1, "b"));
  assert_string_not_equal(a, b);
  assert_true(signature_make(b, one, "i", 2, "b"));
  assert_string_not_equal(a, b);
  assert_true(signature_make(b, one, "i", 1, "b"));
  assert_string_equal(a, b);
}

static void none(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "whsec_",
                                      "whsec_AAEC",
                                      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                                      "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                                      "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=AAECAwQFBgcICQoLDA0ODxA",
                                      "whsec_AAECAwQFBgcICQoLDA0O*xAREhMUFRYXGBkaGxwdHh8="};
  char signature[SIGNATURE_BYTES];
  for (size_t i = 0; i < COUNT_OF(texts); i++)
    assert_false(signature_make(signature, texts[i], "i", 1, "b"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(known_value), cmocka_unit_test(secrets), cmocka_unit_test(none)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
