/* SHA-256 gives the answers of FIPS 180-4 in one piece and in many; secrets compare equal only when
   they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

static void gives_known_answers(void **state) {
  (void)state;
  char hex[HASH_HEX];
  hash_bytes(hex, "", 0);
  assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  hash_bytes(hex, "abc", 3);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void adds_up(void **state) {
  (void)state;
  struct hash hash;
  char hex[HASH_HEX];
  hash_init(&hash);
  for (int i = 0; i < 1000000; i += 1000) {
    char chunk[1000];
    memset(chunk, 'a', sizeof chunk);
    hash_add(&hash, chunk, sizeof chunk);
    hash_add(&hash, NULL, 0);
  }
  hash_hex(&hash, hex);
  assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void gives_known_md5s(void **state) {
  (void)state;
  struct md5 md5;
  char hex[MD5_HEX];
  md5_begin(&md5);
  md5_add(&md5, NULL, 0);
  md5_hex(&md5, hex);
  assert_string_equal(hex, "d41d8cd98f00b204e9800998ecf8427e");
  md5_begin(&md5);
  md5_add(&md5, "message ", 8);
  md5_add(&md5, "digest", 6);
  md5_hex(&md5, hex);
  assert_string_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0");
}

static void compares_secrets(void **state) {
  (void)state;
  assert_true(hash_equal("secret", "secret", 6));
  assert_false(hash_equal("secret", "secreT", 6));
  assert_false(hash_equal("Secret", "secret", 6));
  assert_true(hash_equal("a", "b", 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gives_known_answers), cmocka_unit_test(adds_up),
                                     cmocka_unit_test(gives_known_md5s), cmocka_unit_test(compares_secrets)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
