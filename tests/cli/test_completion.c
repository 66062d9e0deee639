/* Shells complete every noun, verb and option, and a description with quotes stays one word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/completion.h"

static const struct option_row own_rows[] = {{"rank", OPTION_INT, 0, NULL, "N", "the adapter's rank"},
                                             {"watch", OPTION_FLAG, 0, NULL, NULL, "follow"}};
static const struct option_table own = {own_rows, COUNT_OF(own_rows)};
static const struct option_row global_rows[] = {{"url", OPTION_TEXT, 0, NULL, "URL", "the server"}};
static const struct option_table global = {global_rows, COUNT_OF(global_rows)};
static const struct command commands[] = {{"create", "", 0, "Start a job", &own, 0, NULL},
                                          {"get", "ID", 1, "Show it", NULL, 0, NULL}};
static const struct noun jobs = {"jobs", "Jobs", commands, COUNT_OF(commands), .verb_optional = false};
static const struct noun *const nouns[] = {&jobs};

/* What bash offers for the words, the last of which is being typed. */
static void offers(const char *words, const char *want) {
  char command[400], got[400] = "";
  struct str text;
  str_init(&text, 1 << 16);
  completion_script(&text, COMPLETION_BASH, nouns, COUNT_OF(nouns), &global);
  char path[] = "/tmp/reflect-completion-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text.text, text.length), (ssize_t)text.length);
  close(fd);
  snprintf(
      command, sizeof command,
      "bash -c '. %s; COMP_WORDS=(reflect %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _reflect; echo ${COMPREPLY[*]}'",
      path, words);
  FILE *out = popen(command, "r");
  assert_non_null(out);
  assert_non_null(fgets(got, sizeof got, out));
  assert_int_equal(pclose(out), 0);
  unlink(path);
  str_done(&text);
  got[strcspn(got, "\n")] = '\0';
  assert_string_equal(got, want);
}

static void bash_offers_what_fits(void **state) {
  (void)state;
  offers("jo", "jobs");
  offers("--url x jo", "jobs");
  offers("jobs cr", "create");
  offers("jobs create --", "--rank --watch --url");
  offers("jobs create --rank 8 --wa", "--watch");
  offers("jobs get --", "--url");
}

static void fish_has_every_row(void **state) {
  (void)state;
  struct str text;
  str_init(&text, 1 << 16);
  completion_script(&text, COMPLETION_FISH, nouns, COUNT_OF(nouns), &global);
  assert_non_null(strstr(text.text, "-n __fish_use_subcommand -a jobs -d 'Jobs'\n"));
  assert_non_null(strstr(text.text,
                         "__fish_seen_subcommand_from jobs; and not __fish_seen_subcommand_from create get' -a "
                         "get -d 'Show it'\n"));
  assert_non_null(strstr(text.text, "__fish_seen_subcommand_from create' -l rank -r -d 'the adapter\\'s rank'\n"));
  assert_non_null(strstr(text.text, "-l watch -d 'follow'\n"));
  str_done(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(bash_offers_what_fits), cmocka_unit_test(fish_has_every_row)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
