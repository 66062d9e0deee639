/* Proves that modules are chosen as PEFT chooses them, and that nothing chosen is an error that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/adapter/target.h"

static const char *const names[] = {"bert.encoder.layer.0.attention.self.query",
                                    "bert.encoder.layer.0.attention.self.value",
                                    "bert.encoder.layer.0.attention.output.dense",
                                    "bert.encoder.layer.0.output.dense",
                                    "bert.encoder.layer.1.attention.self.query",
                                    "bert.encoder.layer.1.attention.self.value",
                                    "bert.encoder.layer.1.attention.output.dense",
                                    "bert.encoder.layer.1.output.dense",
                                    "bert.pooler.dense",
                                    "classifier"};
enum { NAMES = COUNT_OF(names) };
static const char *default_items[] = {"query", "value"};
static const struct string_list defaults = {2, default_items};
static const char *saved_items[] = {"classifier", "score"};
static const struct string_list saved = {2, saved_items};
static const struct target_modules modules = {names, NAMES, "classifier", &defaults, &saved};

/* The chosen modules as a string of 0 and 1, or the error's parameter. */
static const char *choose(const struct adapter_spec *spec) {
  static char out[NAMES + 1];
  static struct error err;
  bool selected[NAMES] = {false};
  if (target_select(selected, &modules, spec, &err))
    return err.param;
  for (size_t i = 0; i < NAMES; i++)
    out[i] = selected[i] ? '1' : '0';
  return out;
}

static struct module_match list(const char **items, size_t count) {
  return (struct module_match){.names = {count, items}};
}

static void lists_match_suffixes(void **state) {
  (void)state;
  assert_string_equal(choose(&(struct adapter_spec){0}), "1100110000");
  assert_string_equal(choose(&(struct adapter_spec){.target_modules = list((const char *[]){"output.dense"}, 1)}),
                      "0011001100");
  assert_string_equal(choose(&(struct adapter_spec){.target_modules = list((const char *[]){"dense"}, 1)}),
                      "0011001110");
  assert_string_equal(choose(&(struct adapter_spec){.target_modules = list((const char *[]){"uery"}, 1)}),
                      "adapter.target_modules");
}

static void patterns_match_whole_paths(void **state) {
  (void)state;
  struct adapter_spec spec = {.target_modules.pattern = ".*\\.(query|value)"};
  assert_string_equal(choose(&spec), "1100110000");
  spec.target_modules.pattern = "query";
  assert_string_equal(choose(&spec), "adapter.target_modules");
  spec.target_modules.pattern = ".*(query";
  assert_string_equal(choose(&spec), "adapter.target_modules");
  spec.target_modules.pattern = "ALL-linear";
  assert_string_equal(choose(&spec), "1111111110");
  spec.target_modules.pattern = ".*";
  assert_string_equal(choose(&spec), "1111111110"); /* modules_to_save wins over the pattern */
  spec.exclude_modules.pattern = ".*output.*";
  assert_string_equal(choose(&spec), "1100110010");
  spec.exclude_modules.pattern = "(.*.*.*.*.*.*.*.*.*.*)*[#!]";
  assert_string_equal(choose(&spec), "adapter.exclude_modules"); /* too many steps, not a hang */
}

static void layers_are_the_first_number(void **state) {
  (void)state;
  int64_t one[] = {1};
  struct adapter_spec spec = {.layers_to_transform = {1, one}};
  assert_string_equal(choose(&spec), "0000110000");
  spec.layers_pattern = (struct string_list){1, (const char *[]){"layer"}};
  assert_string_equal(choose(&spec), "0000110000");
  spec.layers_pattern = (struct string_list){1, (const char *[]){"blocks"}};
  assert_string_equal(choose(&spec), "adapter.target_modules");
  spec.layers_pattern.count = 0;
  spec.exclude_modules = list((const char *[]){"query"}, 1);
  assert_string_equal(choose(&spec), "0000010000");
}

static void close_names_are_offered(void **state) {
  (void)state;
  bool selected[NAMES];
  struct error err;
  struct adapter_spec spec = {.target_modules = list((const char *[]){"querry"}, 1)};
  assert_int_equal(target_select(selected, &modules, &spec, &err), STATUS_UNSUPPORTED_TARGET);
  assert_non_null(strstr(err.text, "did you mean \"query\"?"));
  assert_non_null(strstr(err.text, "query, value, dense, classifier"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_match_suffixes), cmocka_unit_test(patterns_match_whole_paths),
      cmocka_unit_test(layers_are_the_first_number), cmocka_unit_test(close_names_are_offered)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
