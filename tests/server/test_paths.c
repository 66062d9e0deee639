/* Proves that what a client reads names things below the server's folders, and never where these are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/paths.h"

static void test_hide(void **state) {
  static const struct config config = {
      .data = "/srv/x/data", .models = "/srv/x/models", .worker_path = "/usr/lib/x/reflect-worker"};
  static const char *const cases[][2] = {
      {"writing /srv/x/data/files/file-1: no space", "writing data/files/file-1: no space"},
      {"the models folder /srv/x/models cannot be read", "the models folder models cannot be read"},
      {"/srv/x/models", "models"},
      {"\"/srv/x/models/a/config.json\" and /srv/x/models/b.", "\"models/a/config.json\" and models/b."},
      {"cannot run /usr/lib/x/reflect-worker: no", "cannot run reflect-worker: no"},
      {"/srv/x/models2 /srv/x/model /srv/x/data-old", "/srv/x/models2 /srv/x/model /srv/x/data-old"},
      {"1/2 /", "1/2 /"},
      {"", ""},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    AUTO(str_done) struct str out;
    str_init(&out, 1 << 10);
    path_hide(&out, cases[i][0], &config);
    assert_string_equal(out.text, cases[i][1]);
  }
}

/* A folder that is the root, or was given as a relative path, hides nothing and breaks nothing. */
static void test_odd_folders(void **state) {
  static const struct config config = {.data = "/", .models = "models", .worker_path = "./reflect-worker"};
  AUTO(str_done) struct str out;
  (void)state;
  str_init(&out, 1 << 10);
  path_hide(&out, "/etc models ./reflect-worker /", &config);
  assert_string_equal(out.text, "/etc models ./reflect-worker /");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_hide), cmocka_unit_test(test_odd_folders)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
