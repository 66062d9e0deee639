/* What a caller may set of each method: PEFT's names and defaults, each wrong value named, members that can have one
   value only, what adapter_config.json gets, and that everything written reads back as itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/job_fields.h"
#include "base/json.h"

static struct arena arena;
static struct adapter_spec spec;

static int start(void **state) {
  (void)state;
  arena_init(&arena, 1 << 20);
  return 0;
}

static int stop(void **state) {
  (void)state;
  arena_done(&arena);
  return 0;
}

static json_t *json(const char *text) {
  json_t *out;
  struct error err;
  if (json_parse(&out, text, strlen(text), NULL, &err))
    fail_msg("%s: %s", text, err.text);
  return out;
}

static struct fault_list parse(const char *text) {
  struct fault_list faults = {0};
  AUTO(json_release) json_t *object = json(text);
  job_adapter_parse(&spec, object, "adapter", &arena, &faults);
  return faults;
}

static void accepted(const char *text) {
  struct fault_list faults = parse(text);
  if (faults.count)
    fail_msg("%s: %s: %s", text, faults.item[0].param, faults.item[0].text);
}

static void refused(const char *text, enum status status, const char *param, const char *says) {
  struct fault_list faults = parse(text);
  if (faults.count != 1 || faults.item[0].status != status || strcmp(faults.item[0].param, param) != 0 ||
      !strstr(faults.item[0].text, says))
    fail_msg("%s: %zu faults, first %s %s: %s", text, faults.count, status_code(faults.item[0].status),
             faults.item[0].param, faults.item[0].text);
}

/* The members of PEFT 0.21.2's configurations that matter to a trained adapter, with their defaults. */
static const char *const defaults[PEFT_COUNT] = {
    [PEFT_HRA] = "{\"peft_type\":\"HRA\",\"r\":8,\"apply_GS\":false,\"init_weights\":true,\"bias\":\"none\"}",
    [PEFT_LORA] =
        "{\"peft_type\":\"LORA\",\"r\":8,\"lora_alpha\":8.0,\"lora_dropout\":0.0,\"use_rslora\":false,"
        "\"init_lora_weights\":true,\"rank_pattern\":{},\"alpha_pattern\":{},\"bias\":\"none\","
        "\"fan_in_fan_out\":false,\"megatron_config\":null,\"trainable_token_indices\":null,\"loftq_config\":{},"
        "\"eva_config\":null,\"corda_config\":null,\"lora_ga_config\":null,\"kasa_config\":null,"
        "\"monteclora_config\":null,\"velora_config\":null,\"use_dora\":false,\"alora_invocation_tokens\":null,"
        "\"use_qalora\":false,\"layer_replication\":null,\"lora_bias\":false,\"target_parameters\":null,"
        "\"use_bdlora\":null,\"arrow_config\":null,\"ensure_weight_tying\":false}",
    [PEFT_OFT] = "{\"peft_type\":\"OFT\",\"r\":0,\"oft_block_size\":32,\"module_dropout\":0.0,\"coft\":false,"
                 "\"eps\":6e-5,\"block_share\":false,\"use_cayley_neumann\":true,\"num_cayley_neumann_terms\":5,"
                 "\"init_weights\":true,\"bias\":\"none\",\"fan_in_fan_out\":false}",
    [PEFT_BOFT] = "{\"peft_type\":\"BOFT\",\"boft_block_size\":4,\"boft_block_num\":0,\"boft_n_butterfly_factor\":1,"
                  "\"boft_dropout\":0.0,\"init_weights\":true,\"bias\":\"none\",\"fan_in_fan_out\":false}",
};
static const char *const common = "{\"target_modules\":null,\"exclude_modules\":null,\"layers_to_transform\":null,"
                                  "\"layers_pattern\":null,\"modules_to_save\":null}";

static void defaults_are_those_of_peft(void **state) {
  (void)state;
  for (int type = 0; type < PEFT_COUNT; type++) {
    struct fault_list faults = {0};
    AUTO(json_release) json_t *want = json(defaults[type]);
    AUTO(json_release) json_t *rest = json(common);
    AUTO(json_release) json_t *only = json_pack("{ss}", "peft_type", method_of((enum peft_type)type)->peft_type);
    job_adapter_parse(&spec, only, "adapter", &arena, &faults);
    assert_int_equal(faults.count, 0);
    assert_int_equal(spec.peft_type, type);
    AUTO(json_release) json_t *config = job_spec_peft_config(&spec);
    json_object_update(want, rest);
    const char *key;
    json_t *value;
    json_object_foreach(want, key, value) if (!json_equal(value, json_object_get(config, key)))
        fail_msg("%s: %s is not PEFT's default", method_of(spec.peft_type)->peft_type, key);
    if (json_object_size(want) != json_object_size(config))
      fail_msg("%s has members that PEFT has not", method_of(spec.peft_type)->peft_type);
    /* and PEFT's own file is read to the same */
    struct adapter_spec again;
    job_adapter_parse(&again, config, "adapter", &arena, &faults);
    assert_int_equal(faults.count, 0);
    AUTO(json_release) json_t *twice = job_spec_peft_config(&again);
    assert_true(json_equal(config, twice));
  }
}

static void every_method_is_complete(void **state) {
  (void)state;
  for (int type = 0; type < PEFT_COUNT; type++) {
    const struct method *method = method_of((enum peft_type)type);
    assert_int_equal(method_parse(method->peft_type), type);
    assert_int_equal(method_parse(method->name), type);
    assert_true(method->learning_rate > 0 && method->learning_rate < 0.1);
    AUTO(json_release) json_t *only = json_pack("{ss ss}", "peft_type", method->name, "bias", method->bias_only);
    struct fault_list faults = {0};
    job_adapter_parse(&spec, only, "adapter", &arena, &faults);
    assert_int_equal(faults.count, 0);
    assert_int_equal(spec.bias, BIAS_METHOD_ONLY);
    for (const struct method_fixed *fixed = method->fixed; fixed->name; fixed++)
      json_decref(json(arena_format(&arena, "[%s]", fixed->value)));
  }
}

static void reads_lora(void **state) {
  (void)state;
  accepted("{\"peft_type\":\"lora\",\"r\":16,\"lora_alpha\":32,\"lora_dropout\":0.05,\"use_rslora\":true,"
           "\"init_lora_weights\":\"gaussian\",\"rank_pattern\":{\"k_proj\":4,\"^a.*b$\":2},"
           "\"alpha_pattern\":{\"v_proj\":0.5},\"bias\":\"lora_only\",\"use_dora\":false,\"loftq_config\":null,"
           "\"target_parameters\":[]}");
  const struct lora_spec *lora = &spec.lora;
  assert_true(lora->r == 16 && lora->lora_alpha == 32 && lora->lora_dropout == 0.05 && lora->use_rslora);
  assert_int_equal(lora->init_lora_weights, LORA_INIT_GAUSSIAN);
  assert_int_equal(lora->rank_pattern.count, 2);
  assert_string_equal(lora->rank_pattern.item[1].key, "^a.*b$");
  assert_true(lora->rank_pattern.item[1].value == 2 && lora->alpha_pattern.item[0].value == 0.5);
  accepted("{\"peft_type\":\"LORA\",\"init_lora_weights\":false}");
  assert_int_equal(spec.lora.init_lora_weights, LORA_INIT_FALSE);
}

static void names_what_is_wrong_with_lora(void **state) {
  (void)state;
#define LORA(rest) "{\"peft_type\":\"LORA\"," rest "}"
  refused(LORA("\"r\":0"), STATUS_INVALID_VALUE, "adapter.r", "at least 1");
  refused(LORA("\"r\":1025"), STATUS_INVALID_VALUE, "adapter.r", "at most 1024");
  refused(LORA("\"lora_alpha\":0"), STATUS_INVALID_VALUE, "adapter.lora_alpha", "more than 0");
  refused(LORA("\"lora_dropout\":1"), STATUS_INVALID_VALUE, "adapter.lora_dropout", "at most 0.99");
  refused(LORA("\"init_lora_weights\":\"corda\""), STATUS_UNSUPPORTED_VALUE, "adapter.init_lora_weights",
          "true, false, gaussian, olora, pissa, pissa_niter_1, ");
  refused(LORA("\"init_lora_weights\":\"pissa_niter_17\""), STATUS_UNSUPPORTED_VALUE, "adapter.init_lora_weights",
          "pissa_niter_16");
  refused(LORA("\"init_lora_weights\":\"pissa\",\"use_dora\":true"), STATUS_UNSUPPORTED_VALUE, "adapter.use_dora",
          "cannot be with init_lora_weights \"pissa\"");
  refused(LORA("\"init_lora_weights\":\"pissa_niter_4\",\"lora_dropout\":0.1"), STATUS_INVALID_VALUE,
          "adapter.lora_dropout", "must be 0 with init_lora_weights \"pissa_niter_4\"");
  refused(LORA("\"init_lora_weights\":\"olora\",\"r\":513"), STATUS_INVALID_VALUE, "adapter.r", "at most 512");
  refused(LORA("\"init_lora_weights\":\"pissa\",\"rank_pattern\":{\"q\":600}"), STATUS_INVALID_VALUE,
          "adapter.rank_pattern", "is 600; with init_lora_weights \"pissa\" it must be at most 512");
  refused(LORA("\"init_lora_weights\":\"pissa\",\"lora_alpha\":600000"), STATUS_INVALID_VALUE, "adapter.lora_alpha",
          "at most 500000");
  refused(LORA("\"init_lora_weights\":1"), STATUS_INVALID_VALUE, "adapter.init_lora_weights", "true or false");
  refused(LORA("\"rank_pattern\":{\"q\":2.5}"), STATUS_INVALID_VALUE, "adapter.rank_pattern", "[\"q\"] is 2.5");
  refused(LORA("\"rank_pattern\":{\"q\":0}"), STATUS_INVALID_VALUE, "adapter.rank_pattern[\"q\"]", "at least 1");
  refused(LORA("\"rank_pattern\":[4]"), STATUS_INVALID_VALUE, "adapter.rank_pattern", "an object of numbers");
  refused(LORA("\"alpha_pattern\":{\"q\":\"4\"}"), STATUS_INVALID_VALUE, "adapter.alpha_pattern[\"q\"]", "a number");
  refused(LORA("\"loraplus_lr_ratio\":0.5"), STATUS_INVALID_VALUE, "adapter.loraplus_lr_ratio", "at least 1");
  refused(LORA("\"bias\":\"hra_only\""), STATUS_UNSUPPORTED_VALUE, "adapter.bias", "lora_only");
  refused(LORA("\"apply_GS\":true"), STATUS_UNKNOWN_PARAMETER, "adapter.apply_GS", "not a known");
  refused(LORA("\"use_dora\":1"), STATUS_INVALID_VALUE, "adapter.use_dora", "true or false");
  refused(LORA("\"lora_bias\":true"), STATUS_UNSUPPORTED_VALUE, "adapter.lora_bias", "only false is supported");
  refused(LORA("\"trainable_token_indices\":[4,7,4]"), STATUS_INVALID_VALUE, "adapter.trainable_token_indices",
          "adapter.trainable_token_indices has 4 twice");
  refused(LORA("\"trainable_token_indices\":[0,-1]"), STATUS_INVALID_VALUE, "adapter.trainable_token_indices",
          "item 1 of adapter.trainable_token_indices must be at least 0");
  refused(LORA("\"trainable_token_indices\":{\"embed_tokens\":[1],\"lm_head\":[1]}"), STATUS_INVALID_VALUE,
          "adapter.trainable_token_indices", "names 2 modules");
  refused(LORA("\"trainable_token_indices\":{}"), STATUS_INVALID_VALUE, "adapter.trainable_token_indices",
          "names 0 modules");
  refused(LORA("\"trainable_token_indices\":{\"embed_tokens\":[4,4]}"), STATUS_INVALID_VALUE,
          "adapter.trainable_token_indices", "has 4 twice");
  refused(LORA("\"trainable_token_indices\":{\"embed_tokens\":{\"a\":1}}"), STATUS_INVALID_VALUE,
          "adapter.trainable_token_indices", "array of integers");
  refused("{\"peft_type\":\"HRA\",\"trainable_token_indices\":[1]}", STATUS_UNKNOWN_PARAMETER,
          "adapter.trainable_token_indices", "trainable_token_indices");
  refused(LORA("\"lora_bias\":true"), STATUS_UNSUPPORTED_VALUE, "adapter.lora_bias", "only false");
  refused(LORA("\"kasa_config\":{}"), STATUS_UNSUPPORTED_VALUE, "adapter.kasa_config", "only null");
  refused(LORA("\"loftq_config\":{\"loftq_bits\":4}"), STATUS_UNSUPPORTED_VALUE, "adapter.loftq_config", "only {}");
#undef LORA
}

static void oft_has_blocks_by_size_or_by_number(void **state) {
  (void)state;
  accepted("{\"peft_type\":\"OFT\",\"r\":4}");
  assert_true(spec.oft.r == 4 && spec.oft.oft_block_size == 0);
  accepted("{\"peft_type\":\"OFT\",\"oft_block_size\":8,\"coft\":true,\"eps\":1e-3,\"module_dropout\":0}");
  assert_true(spec.oft.r == 0 && spec.oft.oft_block_size == 8 && spec.oft.coft && spec.oft.eps == 1e-3);
  refused("{\"peft_type\":\"OFT\",\"r\":4,\"oft_block_size\":8}", STATUS_INVALID_VALUE, "adapter.oft_block_size",
          "exactly one of adapter.oft_block_size and adapter.r");
  refused("{\"peft_type\":\"OFT\",\"oft_block_size\":0}", STATUS_INVALID_VALUE, "adapter.oft_block_size", "0 and 0");
  refused("{\"peft_type\":\"OFT\",\"oft_block_size\":1}", STATUS_INVALID_VALUE, "adapter.oft_block_size",
          "cannot turn");
  refused("{\"peft_type\":\"OFT\",\"num_cayley_neumann_terms\":1}", STATUS_INVALID_VALUE,
          "adapter.num_cayley_neumann_terms", "at least 2");
  refused("{\"peft_type\":\"OFT\",\"eps\":0}", STATUS_INVALID_VALUE, "adapter.eps", "more than 0");
  refused("{\"peft_type\":\"OFT\",\"module_dropout\":0.1}", STATUS_UNSUPPORTED_VALUE, "adapter.module_dropout",
          "only 0.0");
  refused("{\"peft_type\":\"OFT\",\"bias\":\"boft_only\"}", STATUS_UNSUPPORTED_VALUE, "adapter.bias", "oft_only");
}

static void boft_has_one_factor(void **state) {
  (void)state;
  accepted("{\"peft_type\":\"BOFT\",\"boft_block_num\":6,\"boft_dropout\":0}");
  assert_true(spec.boft.boft_block_size == 0 && spec.boft.boft_block_num == 6);
  refused("{\"peft_type\":\"BOFT\",\"boft_n_butterfly_factor\":2}", STATUS_INVALID_VALUE,
          "adapter.boft_n_butterfly_factor", "at most 1");
  refused("{\"peft_type\":\"BOFT\",\"boft_n_butterfly_factor\":0}", STATUS_INVALID_VALUE,
          "adapter.boft_n_butterfly_factor", "at least 1");
  refused("{\"peft_type\":\"BOFT\",\"boft_block_size\":4,\"boft_block_num\":6}", STATUS_INVALID_VALUE,
          "adapter.boft_block_size", "they are 4 and 6");
  refused("{\"peft_type\":\"BOFT\",\"boft_block_size\":0}", STATUS_INVALID_VALUE, "adapter.boft_block_size", "0 and 0");
  refused("{\"peft_type\":\"BOFT\",\"boft_dropout\":0.1}", STATUS_UNSUPPORTED_VALUE, "adapter.boft_dropout",
          "only 0.0");
}

static void starts_from_the_weight_are_saved_as_lora(void **state) {
  (void)state;
  struct adapter_spec saved;
  accepted(
      "{\"peft_type\":\"LORA\",\"r\":6,\"lora_alpha\":3,\"init_lora_weights\":\"pissa_niter_4\","
      "\"rank_pattern\":{\"b\":4,\"a\":512},\"alpha_pattern\":{\"b\":5}}");
  assert_int_equal(spec.lora.init_lora_weights, LORA_INIT_PISSA + 4);
  assert_true(adapter_spec_of_weight(&spec) && !adapter_spec_on_conv2d(&spec) && adapter_spec_low_rank(&spec));
  assert_true(adapter_spec_saved(&saved, &spec, &arena));
  assert_true(saved.lora.r == 12 && saved.lora.lora_alpha == 6);
  assert_int_equal(saved.lora.init_lora_weights, LORA_INIT_TRUE);
  assert_true(saved.lora.rank_pattern.item[0].value == 8 && saved.lora.rank_pattern.item[1].value == 1024);
  assert_true(saved.lora.alpha_pattern.item[0].value == 10 && spec.lora.alpha_pattern.item[0].value == 5);
  assert_string_equal(saved.lora.alpha_pattern.item[0].key, "b");
  accepted("{\"peft_type\":\"LORA\",\"r\":6,\"lora_alpha\":3,\"init_lora_weights\":\"olora\",\"use_rslora\":true,"
           "\"alpha_pattern\":{\"b\":5}}");
  assert_true(adapter_spec_saved(&saved, &spec, &arena));
  assert_true(fabs(saved.lora.lora_alpha / sqrt(12) - 3 / sqrt(6)) < 1e-15); /* the scale */
  assert_true(fabs(saved.lora.alpha_pattern.item[0].value / sqrt(12) - 5 / sqrt(6)) < 1e-15);
  accepted("{\"peft_type\":\"LORA\",\"r\":6}");
  assert_true(adapter_spec_saved(&saved, &spec, &arena) && saved.lora.r == 6 && !adapter_spec_of_weight(&spec));
}

/* PEFT's two forms of trainable_token_indices; what is written is the one that came. */
static void tokens_are_a_list_or_under_the_name_of_the_embedding(void **state) {
  (void)state;
  static const char *const forms[] = {"[7,2]", "{\"embed_tokens\":[7,2]}", "{\"embed_tokens\":[]}"};
  for (size_t i = 0; i < COUNT_OF(forms); i++) {
    char text[120];
    snprintf(text, sizeof text, "{\"peft_type\":\"LORA\",\"trainable_token_indices\":%s}", forms[i]);
    accepted(text);
    const struct int_list *ids = &spec.lora.trainable_token_indices;
    assert_int_equal(ids->count, i == 2 ? 0 : 2);
    if (i == 1)
      assert_string_equal(spec.lora.trainable_token_module, "embed_tokens");
    else
      assert_null(spec.lora.trainable_token_module);
    AUTO(json_release) json_t *config = job_spec_peft_config(&spec);
    AUTO(json_release) json_t *want = i == 2 ? json_null() : json_loads(forms[i], 0, NULL);
    assert_true(json_equal(json_object_get(config, "trainable_token_indices"), want));
    if (i < 2)
      assert_true(ids->item[0] == 7 && ids->item[1] == 2);
  }
}

static void written_specs_read_back(void **state) {
  (void)state;
  static const char *const texts[] = {
      "{\"peft_type\":\"HRA\",\"orth_lambda\":0.1,\"apply_GS\":false}",
      "{\"peft_type\":\"HRA\",\"apply_GS\":true}",
      "{\"peft_type\":\"LORA\",\"rank_pattern\":{\"z\":4,\"a\":2},\"alpha_pattern\":{\"b\":0.5,\"a\":3},"
      "\"init_lora_weights\":false,\"loraplus_lr_ratio\":16,\"use_dora\":true}",
      "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa_niter_16\"}",
      "{\"peft_type\":\"LORA\",\"trainable_token_indices\":{\"model.embed_tokens\":[7,2]}}",
      "{\"peft_type\":\"OFT\",\"r\":3,\"coft\":true}",
      "{\"peft_type\":\"BOFT\",\"boft_block_num\":3,\"init_weights\":false}"};
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    struct fault_list faults = {0};
    struct adapter_spec again;
    accepted(texts[i]);
    AUTO(json_release) json_t *once = job_spec_adapter(&spec);
    job_adapter_parse(&again, once, "adapter", &arena, &faults);
    if (faults.count)
      fail_msg("%s: %s", texts[i], faults.item[0].text);
    AUTO(json_release) json_t *twice = job_spec_adapter(&again);
    assert_true(json_equal(once, twice));
  }
  accepted(texts[2]); /* the first match counts: the order stays */
  assert_string_equal(spec.lora.rank_pattern.item[0].key, "z");
  AUTO(json_release) json_t *written = job_spec_adapter(&spec);
  AUTO(json_release) json_t *ranks = json_incref(json_object_get(written, "rank_pattern"));
  assert_string_equal(json_object_iter_key(json_object_iter(ranks)), "z");
  assert_true(json_is_integer(json_object_get(ranks, "z")));
  accepted(texts[0]); /* ours alone stays out of PEFT's file */
  AUTO(json_release) json_t *config = job_spec_peft_config(&spec);
  assert_null(json_object_get(config, "orth_lambda"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_are_those_of_peft),
      cmocka_unit_test(every_method_is_complete),
      cmocka_unit_test(starts_from_the_weight_are_saved_as_lora),
      cmocka_unit_test(reads_lora),
      cmocka_unit_test(names_what_is_wrong_with_lora),
      cmocka_unit_test(oft_has_blocks_by_size_or_by_number),
      cmocka_unit_test(boft_has_one_factor),
      cmocka_unit_test(tokens_are_a_list_or_under_the_name_of_the_embedding),
      cmocka_unit_test(written_specs_read_back),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
