/* Proves the command line of reflect-sandbox: what is wrong with it is told, and nothing is left out by mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/layers.h"
#include "sandbox/options.h"

enum { ARGUMENTS_MAX = 160 };

/* Parses words with blanks between them. */
static enum status parse(struct plan *plan, bool *probe, struct error *err, const char *line) {
  static char text[4096];
  char *argv[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t) "reflect-sandbox"}, *rest = NULL;
  int argc = 1;
  snprintf(text, sizeof text, "%s", line);
  for (char *word = strtok_r(text, " ", &rest); word && argc < ARGUMENTS_MAX; word = strtok_r(NULL, " ", &rest))
    argv[argc++] = word;
  static char *kept[ARGUMENTS_MAX + 1];
  memcpy(kept, argv, sizeof kept);
  return options_parse(plan, probe, argc, kept, err);
}

static void test_plan(void **state) {
  struct plan plan;
  struct error err;
  bool probe;
  (void)state;
  assert_int_equal(
      parse(&plan, &probe, &err,
            "--model /m --read /a --read /b --write /w --execute /usr/bin --device opencl --scratch /w/s "
            "--memory 1048576 --file-bytes 0 --parent 77 --cgroup /g --without landlock -- /bin/true --read x"),
      STATUS_OK);
  assert_false(probe);
  assert_string_equal(plan.model, "/m");
  assert_int_equal(plan.read.count, 2);
  assert_string_equal(plan.read.item[1], "/b");
  assert_string_equal(plan.write.item[0], "/w");
  assert_string_equal(plan.execute.item[0], "/usr/bin");
  assert_int_equal(plan.device, DEVICE_OPENCL);
  assert_string_equal(plan.scratch, "/w/s");
  assert_int_equal(plan.memory, 1048576);
  assert_int_equal(plan.file_bytes, 0);
  assert_int_equal(plan.parent, 77);
  assert_string_equal(plan.cgroup, "/g");
  for (int i = 0; i < LAYER_COUNT; i++)
    assert_int_equal(plan.without[i], i == LAYER_LANDLOCK);
  assert_string_equal(plan.command[0], "/bin/true");
  assert_string_equal(plan.command[1], "--read");
  assert_int_equal(parse(&plan, &probe, &err, "-- /bin/true"), STATUS_OK);
  assert_true(plan.file_bytes == UINT64_MAX && plan.memory == 0);
  assert_int_equal(parse(&plan, &probe, &err, "--probe"), STATUS_OK);
  assert_true(probe);
}

static void test_all_keeps_what_is_everywhere(void **state) {
  struct plan plan;
  struct error err;
  bool probe;
  (void)state;
  assert_int_equal(parse(&plan, &probe, &err, "--without all -- /bin/true"), STATUS_OK);
  assert_false(plan.without[LAYER_PARENT] || plan.without[LAYER_DESCRIPTORS] || plan.without[LAYER_ENVIRONMENT]);
  assert_true(plan.without[LAYER_LANDLOCK] && plan.without[LAYER_SECCOMP] && plan.without[LAYER_LIMITS]);
}

static void test_faults(void **state) {
  static const struct {
    const char *line, *says;
  } cases[] = {{"", "no program after --"},
               {"--", "no program after --"},
               {"--read", "--read needs a value"},
               {"--read /a", "no program after --"},
               {"--read a -- /bin/true", "--read: a is no absolute path"},
               {"--model m -- /bin/true", "--model: m is no absolute path"},
               {"--without locks -- /bin/true", "--without: there is no layer locks"},
               {"--device gpu -- /bin/true", "--device: there is no kind of device gpu"},
               {"--memory 1k -- /bin/true", "--memory: 1k is no number"},
               {"--memory -1 -- /bin/true", "--memory: -1 is no number"},
               {"--parent x -- /bin/true", "--parent: x is no number"},
               {"--raed /a -- /bin/true", "--raed: --raed is no option"}};
  struct plan plan;
  struct error err;
  bool probe;
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    assert_int_not_equal(parse(&plan, &probe, &err, cases[i].line), STATUS_OK);
    assert_string_equal(err.text, cases[i].says);
  }
}

static void test_too_many_paths(void **state) {
  char line[2048] = "";
  struct plan plan;
  struct error err;
  bool probe;
  (void)state;
  for (int i = 0; i <= PLAN_PATHS_MAX; i++)
    snprintf(line + strlen(line), sizeof line - strlen(line), "--read /a ");
  snprintf(line + strlen(line), sizeof line - strlen(line), "-- /bin/true");
  assert_int_equal(parse(&plan, &probe, &err, line), STATUS_INVALID_VALUE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plan),
      cmocka_unit_test(test_all_keeps_what_is_everywhere),
      cmocka_unit_test(test_faults),
      cmocka_unit_test(test_too_many_paths),
  };
  return cmocka_run_group_tests_name("sandbox options", tests, NULL, NULL);
}
