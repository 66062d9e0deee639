/* Proves that another program is heard whole, within bounds of bytes and time, and that its end is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/program.h"

static enum status shell(struct str *said, int *code, const char *script, int seconds, struct error *err) {
  return program_run(said, code, (const char *const[]){"/bin/sh", "-c", script, NULL}, seconds, err);
}

static void what_it_says_and_how_it_ends(void **state) {
  (void)state;
  struct str said;
  struct error err;
  int code = -1;
  str_init(&said, 100);
  assert_int_equal(shell(&said, &code, "cat; echo out; echo err >&2; exit 3", 20, &err), STATUS_OK);
  assert_int_equal(code, 3);
  assert_string_equal(said.text, "out\nerr\n");
  assert_int_equal(shell(&said, &code, "kill -PIPE $$", 20, &err), STATUS_OK);
  assert_int_equal(code, 128 + 13);
  str_done(&said);
}

static void more_than_fits_is_thrown_away(void **state) {
  (void)state;
  struct str said;
  struct error err;
  int code = -1;
  str_init(&said, 10);
  assert_int_equal(shell(&said, &code, "for i in 1 2 3 4 5 6 7 8 9; do echo abcd; done", 20, &err), STATUS_OK);
  assert_int_equal(code, 0);
  assert_string_equal(said.text, "abcd\nabcd\n");
  assert_false(said.failed);
  str_done(&said);
}

static void one_that_does_not_end_is_killed(void **state) {
  (void)state;
  struct str said;
  struct error err;
  int code = -1;
  str_init(&said, 100);
  assert_int_equal(shell(&said, &code, "echo here; exec sleep 60", 1, &err), STATUS_UNAVAILABLE);
  assert_int_equal(code, 128 + 9);
  assert_string_equal(said.text, "here\n");
  assert_int_equal(program_run(&said, &code, (const char *const[]){"/nowhere/at-all", NULL}, 1, &err),
                   STATUS_UNAVAILABLE);
  assert_non_null(strstr(err.text, "/nowhere/at-all cannot be run: No such file"));
  str_done(&said);
}

static void only_programs_beside_are_found(void **state) {
  (void)state;
  char path[PATH_MAX];
  assert_true(program_find(path, "test_program"));
  assert_non_null(strstr(path, "/test_program"));
  assert_false(program_find(path, "no-such-program"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_it_says_and_how_it_ends), cmocka_unit_test(more_than_fits_is_thrown_away),
      cmocka_unit_test(one_that_does_not_end_is_killed), cmocka_unit_test(only_programs_beside_are_found)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
