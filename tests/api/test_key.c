/* Proves: keys have the one form that is told from every other text, a slip anywhere in one is seen, and no two are the
   same; scopes have names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/key.h"

static void a_key_is_known_by_its_form(void **state) {
  char text[KEY_BYTES], other[KEY_BYTES], id[KEY_ID_BYTES], parsed[KEY_ID_BYTES];
  (void)state;
  key_make(text, id);
  assert_int_equal(strlen(text), KEY_BYTES - 1);
  assert_int_equal(strncmp(text, "rfd_", 4), 0);
  assert_int_equal(strncmp(text + 4, id, KEY_ID), 0);
  assert_true(key_parse(parsed, text));
  assert_string_equal(parsed, id);
  key_make(other, parsed);
  assert_string_not_equal(text, other);
  assert_string_not_equal(parsed, id);
}

static void a_slip_is_seen(void **state) {
  char text[KEY_BYTES], id[KEY_ID_BYTES];
  (void)state;
  key_make(text, id);
  for (size_t i = 0; i < KEY_BYTES - 1; i++) {
    char was = text[i];
    text[i] = was == 'x' ? 'y' : 'x';
    assert_false(key_parse(id, text));
    text[i] = '\0';
    assert_false(key_parse(id, text));
    text[i] = '-';
    assert_false(key_parse(id, text));
    text[i] = was;
  }
  assert_true(key_parse(id, text));
  assert_false(key_parse(id, ""));
  assert_false(key_parse(id, "none"));
}

/* A key that was given out must be one for ever: the checksum is CRC-32 of all before it, in base 62. */
static void the_form_is_kept(void **state) {
  char id[KEY_ID_BYTES];
  (void)state;
  assert_true(key_parse(id, "rfd_AbCd1234_0123456789abcdefghijABCDEFGHIJ01_0mAX9y"));
  assert_string_equal(id, "AbCd1234");
}

static void scopes_have_names(void **state) {
  enum scope scope;
  (void)state;
  assert_true(scope_parse(&scope, "submit") && scope == SCOPE_SUBMIT);
  assert_string_equal(scope_name(SCOPE_ADMIN), "admin");
  assert_false(scope_parse(&scope, "open"));
  assert_false(scope_parse(&scope, ""));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_key_is_known_by_its_form),
      cmocka_unit_test(a_slip_is_seen),
      cmocka_unit_test(the_form_is_kept),
      cmocka_unit_test(scopes_have_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
