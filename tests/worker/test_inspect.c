/* Proves what a look at a base model reports: models of the golden cases, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/inspect.h"

/* `shapes`: {name, type, inputs, outputs, count} each, the first of them. */
static void reports(const char *path, const char *architecture, const char *tasks, const char *modules,
                    const char *defaults, const char *shapes) {
  AUTO(json_release) json_t *report = NULL;
  AUTO(json_release) json_t *want_tasks = json_loads(tasks, 0, NULL);
  AUTO(json_release) json_t *want_modules = json_loads(modules, 0, NULL);
  AUTO(json_release) json_t *want_defaults = json_loads(defaults, 0, NULL);
  AUTO(json_release) json_t *want_shapes = json_loads(shapes, 0, NULL);
  struct error err;
  if (inspect_model(&report, path, &err))
    fail_msg("%s: %s", path, err.text);
  assert_string_equal(json_string_value(json_object_get(report, "architecture")), architecture);
  assert_true(json_equal(json_object_get(report, "tasks"), want_tasks));
  if (!json_equal(json_object_get(report, "target_modules"), want_modules))
    fail_msg("%s", json_dumps(json_object_get(report, "target_modules"), 0));
  assert_true(json_integer_value(json_object_get(report, "parameters")) > 1000);
  assert_true(json_integer_value(json_object_get(report, "max_seq_length")) > 0);
  assert_int_equal(json_integer_value(json_object_get(report, "layers")), 2);
  assert_true(json_equal(json_object_get(report, "default_target_modules"), want_defaults));
  if (!json_equal(json_object_get(report, "modules"), want_shapes))
    fail_msg("%s", json_dumps(json_object_get(report, "modules"), 0));
}

/* A golden model has no tokenizer: it gets one of a few words. */
static void copy_golden(const char *folder, const char *from) {
  static const char *const names[] = {"config.json", "model.safetensors"};
  static const char words[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n";
  char path[300], *text;
  size_t length;
  struct error err;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    snprintf(path, sizeof path, "%s/%s", from, names[i]);
    assert_int_equal(file_read(&text, &length, path, 1 << 24, &err), STATUS_OK);
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    assert_int_equal(file_put(path, text, length, &err), STATUS_OK);
    free(text);
  }
  snprintf(path, sizeof path, "%s/vocab.txt", folder);
  assert_int_equal(file_put(path, words, sizeof words - 1, &err), STATUS_OK);
}

static void models_are_known(void **state) {
  (void)state;
  char path[] = "/tmp/reflectd-test-XXXXXX";
  struct error err;
  assert_non_null(mkdtemp(path));
  copy_golden(path, "tests/golden/cases/bert-hra/model");
  reports(path, "bert", "[\"SEQ_CLS\", \"FEATURE_EXTRACTION\", \"TOKEN_CLS\"]",
          "[\"query\", \"key\", \"value\", \"dense\"]", "[\"query\", \"value\"]",
          "[{\"name\": \"query\", \"type\": \"Linear\", \"inputs\": 48, \"outputs\": 48, \"count\": 2}, {\"name\": "
          "\"key\", \"type\": \"Linear\", \"inputs\": 48, \"outputs\": 48, \"count\": 2}, {\"name\": \"value\", "
          "\"type\": \"Linear\", \"inputs\": 48, \"outputs\": 48, \"count\": 2}, {\"name\": \"dense\", \"type\": "
          "\"Linear\", \"inputs\": 48, \"outputs\": 48, \"count\": 3}, {\"name\": \"dense\", \"type\": \"Linear\", "
          "\"inputs\": 48, \"outputs\": 80, \"count\": 2}, {\"name\": \"dense\", \"type\": \"Linear\", \"inputs\": 80, "
          "\"outputs\": 48, \"count\": 2}]");
  copy_golden(path, "tests/golden/cases/llama-hra/model");
  reports(path, "llama", "[\"CAUSAL_LM\", \"SEQ_CLS\"]",
          "[\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"gate_proj\", \"up_proj\", \"down_proj\"]",
          "[\"q_proj\", \"v_proj\"]",
          "[{\"name\": \"q_proj\", \"type\": \"Linear\", \"inputs\": 48, \"outputs\": 48, \"count\": 2}, {\"name\": "
          "\"k_proj\", \"type\": \"Linear\", \"inputs\": 48, \"outputs\": 16, \"count\": 2}, {\"name\": \"v_proj\", "
          "\"type\": \"Linear\", \"inputs\": 48, \"outputs\": 16, \"count\": 2}, {\"name\": \"o_proj\", \"type\": "
          "\"Linear\", \"inputs\": 48, \"outputs\": 48, \"count\": 2}, {\"name\": \"gate_proj\", \"type\": \"Linear\", "
          "\"inputs\": 48, \"outputs\": 80, \"count\": 2}, {\"name\": \"up_proj\", \"type\": \"Linear\", \"inputs\": "
          "48, \"outputs\": 80, \"count\": 2}, {\"name\": \"down_proj\", \"type\": \"Linear\", \"inputs\": 80, "
          "\"outputs\": 48, \"count\": 2}]");
  assert_int_equal(file_remove_tree(path, &err), STATUS_OK);
}

/* What no adapter can be put on, and why: the reason of a mixture's experts is its own. */
static void other_modules_are_known(void **state) {
  (void)state;
  static const struct {
    const char *model, *others, *why;
  } cases[] = {
      {"tests/golden/cases/llama-hra/model",
       "[\"model\", \"embed_tokens\", \"layers\", \"input_layernorm\", \"self_attn\", "
       "\"post_attention_layernorm\", \"mlp\", \"norm\", \"lm_head\"]",
       "cannot be adapted here: linear modules can"},
      {"tests/golden/cases/mixtral-hra/model",
       "[\"model\", \"embed_tokens\", \"layers\", \"input_layernorm\", \"self_attn\", "
       "\"post_attention_layernorm\", \"block_sparse_moe\", \"gate\", \"experts\", \"w1\", \"w3\", \"w2\", \"mlp\", "
       "\"gate_up_proj\", \"down_proj\", \"norm\", \"lm_head\"]",
       "cannot be adapted here: attention's linear modules can"},
      {"tests/golden/cases/qwen3moe-lora/model",
       "[\"model\", \"embed_tokens\", \"layers\", \"input_layernorm\", \"self_attn\", \"q_norm\", \"k_norm\", "
       "\"post_attention_layernorm\", \"mlp\", \"gate_proj\", \"up_proj\", \"down_proj\", \"gate\", \"experts\", "
       "\"gate_up_proj\", \"norm\", \"lm_head\"]",
       "cannot be adapted here: attention's linear modules can"},
  };
  char path[] = "/tmp/reflectd-test-XXXXXX";
  struct error err;
  assert_non_null(mkdtemp(path));
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    AUTO(json_release) json_t *report = NULL;
    AUTO(json_release) json_t *want = json_loads(cases[i].others, 0, NULL);
    copy_golden(path, cases[i].model);
    if (inspect_model(&report, path, &err))
      fail_msg("%s: %s", cases[i].model, err.text);
    if (!json_equal(json_object_get(report, "other_modules"), want))
      fail_msg("%s", json_dumps(json_object_get(report, "other_modules"), 0));
    assert_non_null(strstr(json_string_value(json_object_get(report, "not_adapted")), cases[i].why));
  }
  assert_int_equal(file_remove_tree(path, &err), STATUS_OK);
}

static void pipelines_are_known(void **state) {
  (void)state;
  AUTO(json_release) json_t *report = NULL;
  AUTO(json_release)
  json_t *image = json_pack("{ss si ss}", "size", "16x16", "size_multiple", 4, "scheduler", "PNDMScheduler");
  AUTO(json_release) json_t *tasks = json_pack("[s]", "TEXT_TO_IMAGE");
  struct error err;
  if (inspect_model(&report, "tests/worker/diffusion/pipeline", &err))
    fail_msg("%s", err.text);
  assert_string_equal(json_string_value(json_object_get(report, "architecture")), "StableDiffusionPipeline");
  assert_true(json_equal(json_object_get(report, "tasks"), tasks));
  assert_true(json_equal(json_object_get(report, "image"), image));
  assert_int_equal(json_integer_value(json_object_get(report, "max_seq_length")), 20);
  assert_true(json_integer_value(json_object_get(report, "parameters")) > 30000);
  assert_true(json_array_size(json_object_get(report, "target_modules")) > 10);
  assert_true(json_array_size(json_object_get(report, "default_target_modules")) > 0);
  const json_t *first = json_array_get(json_object_get(report, "modules"), 0);
  assert_string_equal(json_string_value(json_object_get(first, "name")), "conv_in");
  assert_string_equal(json_string_value(json_object_get(first, "type")), "Conv2d");
}

static void broken_ones_are_named(void **state) {
  (void)state;
  char path[] = "/tmp/reflectd-test-XXXXXX", config[100];
  struct error err;
  json_t *report;
  assert_non_null(mkdtemp(path));
  assert_true(inspect_model(&report, path, &err) != STATUS_OK);
  assert_null(report);
  snprintf(config, sizeof config, "%s/config.json", path);
  static const char text[] = "{\"model_type\": \"gpt9\"}";
  assert_int_equal(file_put(config, text, sizeof text - 1, &err), STATUS_OK);
  assert_int_equal(inspect_model(&report, path, &err), STATUS_MODEL_INVALID);
  assert_null(report);
  assert_int_equal(file_remove_tree(path, &err), STATUS_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(models_are_known), cmocka_unit_test(other_modules_are_known),
                                     cmocka_unit_test(pipelines_are_known), cmocka_unit_test(broken_ones_are_named)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
