/* Proves that modules are chosen as PEFT chooses them, and that nothing chosen is an error that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
static const char *const others[] = {"bert.embeddings.word_embeddings", "bert.embeddings.LayerNorm",
                                     "bert.encoder.layer.0.attention.output.LayerNorm"};
static const struct target_modules modules = {.names = names,
                                              .count = NAMES,
                                              .others = others,
                                              .other_count = COUNT_OF(others),
                                              .head = "classifier",
                                              .defaults = &defaults,
                                              .saved = &saved};

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

/* "" when the spec means this model, else "param: text". */
static const char *check(const struct adapter_spec *spec) {
  static char out[ERROR_TEXT + 100];
  struct error err;
  if (!target_check(&modules, spec, &err))
    return "";
  assert_int_equal(err.status, STATUS_UNSUPPORTED_TARGET);
  snprintf(out, sizeof out, "%s: %s", err.param, err.text);
  return out;
}

static void refused(const struct adapter_spec *spec, const char *param, const char *says) {
  const char *text = check(spec);
  if (strncmp(text, param, strlen(param)) != 0 || !strstr(text, says))
    fail_msg("wanted %s, %s: %s", param, says, text);
}

static void accepted(const struct adapter_spec *spec) {
  assert_string_equal(check(spec), "");
}

static void targets_must_be_there(void **state) {
  (void)state;
  static const char param[] = "adapter.target_modules";
  accepted(&(struct adapter_spec){0});
  accepted(&(struct adapter_spec){.target_modules.pattern = "all-linear"});
  accepted(&(struct adapter_spec){.target_modules.pattern = ".*\\.(query|value)"});
  accepted(
      &(struct adapter_spec){.target_modules = list((const char *[]){"query", "output.dense", "pooler.dense"}, 3)});
  static const struct {
    const char *name, *says;
  } rows[] = {{"vlaue", "no module \"vlaue\"; did you mean \"value\"?"},
              {"poler.dense", "did you mean \"pooler.dense\"?"},
              {"word_embeddings", "\"word_embeddings\" cannot be adapted"},
              {"LayerNorm", "\"LayerNorm\" cannot be adapted"},
              {"attention", "\"attention\" cannot be adapted"},
              {"layer.0", "\"layer.0\" cannot be adapted"},
              {"classifier", "is trained in full"},
              {"gate_proj", "names of its 10 linear modules end in: query, value, dense, classifier"}};
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    refused(&(struct adapter_spec){.target_modules = list((const char *[]){"query", rows[i].name}, 2)}, param,
            rows[i].says);
  refused(&(struct adapter_spec){.target_modules.pattern = ".*(query|LayerNorm)"}, param,
          "bert.embeddings.LayerNorm too");
  refused(&(struct adapter_spec){.target_modules.pattern = ".*attention.*"}, param, "attention.output.LayerNorm too");
  struct adapter_spec spec = {.target_modules.pattern = ".*(query|LayerNorm)", .exclude_modules.pattern = ".*Norm"};
  accepted(&spec);
  spec.target_modules.pattern = ".*layer\\.\\d+(\\.attention\\.self\\.query)?";
  refused(&spec, param, "bert.encoder.layer.0 too");
}

static void exclusions_and_layers_must_be_there(void **state) {
  (void)state;
  struct adapter_spec spec = {.exclude_modules = list((const char *[]){"pooler.dense", "LayerNorm"}, 2)};
  accepted(&spec);
  spec.exclude_modules = list((const char *[]){"pooler.dense", "quary"}, 2);
  refused(&spec, "adapter.exclude_modules", "did you mean \"query\"?");
  spec.exclude_modules = (struct module_match){.pattern = ".*layers\\.1\\..*"};
  refused(&spec, "adapter.exclude_modules", "matches no module");
  spec.exclude_modules.pattern = ".*embeddings";
  accepted(&spec);
  int64_t layers[] = {1, 2};
  spec = (struct adapter_spec){.layers_to_transform = {1, layers}};
  accepted(&spec);
  spec.layers_to_transform.count = 2;
  refused(&spec, "adapter.layers_to_transform", "no target module lies in layer 2; the last one that has any is 1");
  spec.layers_to_transform.count = 1;
  spec.layers_pattern = (struct string_list){2, (const char *[]){"layer", "h"}};
  refused(&spec, "adapter.layers_pattern", "numbered below \"h\"");
  spec.layers_pattern.count = 1;
  accepted(&spec);
}

static void keys_of_patterns_must_match(void **state) {
  (void)state;
  struct number_entry entries[] = {{"layer.0.*query", 4}, {"value", 2}};
  struct adapter_spec spec = {.peft_type = PEFT_LORA, .lora = {.r = 8, .rank_pattern = {2, entries}}};
  accepted(&spec);
  spec.target_modules = list((const char *[]){"query"}, 1);
  refused(&spec, "adapter.rank_pattern", "the key \"value\" matches none of the adapted modules");
  entries[1].key = "qery";
  refused(&spec, "adapter.rank_pattern", "did you mean \"query\"?");
  spec.lora = (struct lora_spec){.r = 8, .alpha_pattern = {2, entries}};
  refused(&spec, "adapter.alpha_pattern", "\"qery\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_match_suffixes),        cmocka_unit_test(patterns_match_whole_paths),
      cmocka_unit_test(layers_are_the_first_number), cmocka_unit_test(close_names_are_offered),
      cmocka_unit_test(targets_must_be_there),       cmocka_unit_test(exclusions_and_layers_must_be_there),
      cmocka_unit_test(keys_of_patterns_must_match)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
