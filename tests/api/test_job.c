/* A job's body becomes a complete spec or a list of every fault in it, and the written spec reads
   back as itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/job.h"
#include "api/job_fields.h"
#include "base/json.h"

#define BODY(rest) "{\"model\":\"m\",\"training_file\":\"file-1\"" rest "}"
#define HYPER(rest) BODY(",\"method\":{\"type\":\"supervised\",\"supervised\":{\"hyperparameters\":{" rest "}}}")
#define ADAPTER(rest) BODY(",\"adapter\":{" rest "}")

static struct arena arena;
static struct job_spec spec;
static json_t *body;

static int start(void **state) {
  (void)state;
  arena_init(&arena, 1 << 20);
  return 0;
}

static int stop(void **state) {
  (void)state;
  json_decref(body);
  body = NULL;
  arena_done(&arena);
  return 0;
}

static struct fault_list parse(const char *text) {
  struct fault_list faults = {0};
  struct error err;
  json_decref(body);
  if (json_parse(&body, text, strlen(text), NULL, &err))
    fail_msg("%s: %s", text, err.text);
  job_spec_parse(&spec, body, 4242, &arena, &faults);
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

static void fills_in_every_default(void **state) {
  (void)state;
  accepted(BODY(""));
  assert_string_equal(spec.model, "m");
  assert_string_equal(spec.training_file, "file-1");
  assert_null(spec.validation_file);
  assert_int_equal(spec.seed, 4242);
  const struct hyperparameters *h = &spec.hyperparameters;
  assert_true(h->n_epochs == 3 && h->batch_size == 16 && h->gradient_accumulation_steps == 1 && h->max_steps == 0);
  assert_true(h->learning_rate == 2e-3 && h->learning_rate_multiplier == 1 && h->warmup_ratio == 0.06);
  assert_true(h->max_grad_norm == 1 && h->adam_beta1 == 0.9 && h->adam_beta2 == 0.999 && h->adam_epsilon == 1e-8);
  assert_true(h->max_seq_length == 512 && h->lr_scheduler_type == SCHEDULE_LINEAR && h->precision == PRECISION_FP32);
  assert_int_equal(spec.adapter.peft_type, PEFT_HRA);
  assert_true(spec.adapter.hra.r == 8 && spec.adapter.hra.init_weights && !spec.adapter.hra.apply_GS);
  assert_int_equal(spec.adapter.bias, BIAS_NONE);
  assert_true(!spec.adapter.target_modules.pattern && spec.adapter.target_modules.names.count == 0);
  assert_string_equal(spec.columns.text_pair, "text_pair");
  assert_int_equal(spec.checkpointing.keep_last, 3);
  assert_int_equal(spec.scheduling.matmul, MATMUL_AUTO);
  assert_true(spec.exports.count == 1 && strcmp(spec.exports.item[0], "peft") == 0);
  assert_null(spec.metadata);
}

static void reads_a_full_body(void **state) {
  (void)state;
  accepted(
      "{\"model\":\"m\",\"training_file\":\"file-1\",\"validation_file\":\"file-2\",\"suffix\":\"hra-demo_1.0\","
      "\"seed\":7,"
      "\"method\":{\"type\":\"supervised\",\"supervised\":{\"hyperparameters\":{\"n_epochs\":\"auto\",\"batch_size\":4,"
      "\"learning_rate_multiplier\":\"auto\",\"learning_rate\":1e-4,\"max_steps\":null,\"max_seq_length\":128,"
      "\"lr_scheduler_type\":\"cosine\",\"warmup_ratio\":0.03,\"min_lr_ratio\":0.1,\"optim\":\"adamw\","
      "\"train_on_inputs\":false,\"packing\":false}}},"
      "\"adapter\":{\"peft_type\":\"hra\",\"r\":4,\"lambda\":1e-4,\"target_modules\":[\"query\",\"value\"],"
      "\"exclude_modules\":\".*pooler.*\",\"layers_to_transform\":[0,2],\"layers_pattern\":\"layer\",\"bias\":\"hra_"
      "only\","
      "\"modules_to_save\":null},"
      "\"dataset\":{\"text\":\"sentence\"},\"evaluation\":{\"every_steps\":50},\"checkpointing\":{\"keep_last\":2},"
      "\"scheduling\":{\"priority\":-5,\"threads\":2,\"matmul\":\"openblas\"},"
      "\"exports\":[\"peft\"],\"metadata\":{\"team\":\"a\"},"
      "\"integrations\":[],\"from_checkpoint\":null,\"early_stopping\":null}");
  assert_int_equal(spec.seed, 7);
  assert_true(spec.hyperparameters.n_epochs == 3 && spec.hyperparameters.batch_size == 4);
  assert_true(spec.hyperparameters.learning_rate == 1e-4 && spec.hyperparameters.lr_scheduler_type == SCHEDULE_COSINE);
  assert_true(spec.adapter.hra.r == 4 && spec.adapter.hra.orth_lambda == 1e-4);
  assert_int_equal(spec.adapter.target_modules.names.count, 2);
  assert_string_equal(spec.adapter.exclude_modules.pattern, ".*pooler.*");
  assert_int_equal(spec.adapter.layers_to_transform.item[1], 2);
  assert_string_equal(spec.adapter.layers_pattern.item[0], "layer");
  assert_int_equal(spec.adapter.bias, BIAS_METHOD_ONLY);
  assert_string_equal(spec.columns.text, "sentence");
  assert_string_equal(spec.columns.label, "label");
  assert_int_equal(spec.scheduling.priority, -5);
  assert_int_equal(spec.scheduling.matmul, MATMUL_OPENBLAS);
  assert_string_equal(json_string_value(json_object_get(spec.metadata, "team")), "a");
}

static void accepts_the_deprecated_place(void **state) {
  (void)state;
  accepted(BODY(",\"hyperparameters\":{\"n_epochs\":2,\"batch_size\":\"auto\",\"learning_rate_multiplier\":0.5}"));
  assert_true(spec.hyperparameters.n_epochs == 2 && spec.hyperparameters.learning_rate_multiplier == 0.5);
  accepted(BODY(",\"hyperparameters\":{\"n_epochs\":2},\"method\":{\"type\":\"supervised\"}"));
  assert_int_equal(spec.hyperparameters.n_epochs, 2);
  refused(BODY(",\"hyperparameters\":{\"n_epochs\":101}"), STATUS_INVALID_VALUE, "hyperparameters.n_epochs",
          "at most 100");
  refused(BODY(",\"hyperparameters\":{},\"method\":{\"type\":\"supervised\",\"supervised\":{\"hyperparameters\":{}}}"),
          STATUS_INVALID_VALUE, "hyperparameters", "both given");
}

static void accepts_the_method_as_sugar(void **state) {
  (void)state;
  accepted(BODY(",\"method\":{\"type\":\"hra\",\"hra\":{\"hyperparameters\":{\"r\":6,\"lambda\":0.1,\"n_epochs\":5,"
                "\"optim\":\"adamw\",\"target_modules\":\"All-Linear\"}}}"));
  assert_true(spec.adapter.hra.r == 6 && spec.adapter.hra.orth_lambda == 0.1 && spec.hyperparameters.n_epochs == 5);
  assert_string_equal(spec.adapter.target_modules.pattern, "all-linear");
  accepted(BODY(",\"method\":{\"type\":\"hra\"}"));
  assert_int_equal(spec.adapter.hra.r, 8);
  refused(BODY(",\"method\":{\"type\":\"hra\",\"hra\":{\"hyperparameters\":{\"r\":0}}}"), STATUS_INVALID_VALUE,
          "method.hra.hyperparameters.r", "at least 1");
  refused(BODY(",\"method\":{\"type\":\"hra\"},\"adapter\":{\"r\":4}"), STATUS_INVALID_VALUE, "adapter", "both given");
}

static void refuses_other_methods(void **state) {
  (void)state;
  refused(BODY(",\"method\":{\"type\":\"grpo\",\"grpo\":{}}"), STATUS_UNSUPPORTED_VALUE, "method.type",
          "it is supervised, dpo, orpo or kto");
  refused(BODY(",\"method\":{\"type\":\"reinforcement\"}"), STATUS_UNSUPPORTED_VALUE, "method.type", "supervised");
  refused(BODY(",\"method\":{}"), STATUS_MISSING_PARAMETER, "method.type", "required");
  refused(BODY(",\"method\":{\"type\":3}"), STATUS_INVALID_VALUE, "method.type", "string");
  refused(BODY(",\"method\":\"hra\""), STATUS_INVALID_VALUE, "method", "an object, not a string");
  refused(BODY(",\"method\":{\"type\":\"supervised\",\"supervise\":{}}"), STATUS_UNKNOWN_PARAMETER, "method.supervise",
          "did you mean supervised?");
  refused(BODY(",\"method\":{\"type\":\"supervised\",\"supervised\":{\"hyperparams\":{}}}"), STATUS_UNKNOWN_PARAMETER,
          "method.supervised.hyperparams", "did you mean hyperparameters?");
  refused(ADAPTER("\"peft_type\":\"ADALORA\""), STATUS_UNSUPPORTED_VALUE, "adapter.peft_type",
          "one of: HRA, LORA, OFT, BOFT");
  refused(ADAPTER("\"peft_type\":1"), STATUS_INVALID_VALUE, "adapter.peft_type", "a string");
  refused(BODY(",\"adapter\":[]"), STATUS_INVALID_VALUE, "adapter", "an object");
}

static void checks_hyperparameters(void **state) {
  (void)state;
  const char *path = "method.supervised.hyperparameters.";
  static const struct {
    const char *text, *name;
    enum status status;
    const char *says;
  } cases[] = {
      {HYPER("\"batch_size\":0"), "batch_size", STATUS_INVALID_VALUE, "at least 1"},
      {HYPER("\"batch_size\":257"), "batch_size", STATUS_INVALID_VALUE, "at most 256"},
      {HYPER("\"learning_rate\":0"), "learning_rate", STATUS_INVALID_VALUE, "more than 0"},
      {HYPER("\"learning_rate\":\"fast\""), "learning_rate", STATUS_INVALID_VALUE, "a number"},
      {HYPER("\"warmup_ratio\":1"), "warmup_ratio", STATUS_INVALID_VALUE, "at most"},
      {HYPER("\"warmup_steps\":1,\"max_steps\":1"), "warmup_steps", STATUS_INVALID_VALUE, "would learn nothing"},
      {HYPER("\"learning_rate_multiplier\":1e-50"), "learning_rate", STATUS_INVALID_VALUE, "is 0 as a 32-bit float"},
      {HYPER("\"lr_scheduler_type\":\"poly\""), "lr_scheduler_type", STATUS_UNSUPPORTED_VALUE, "linear, cosine"},
      {HYPER("\"precision\":\"fp16\""), "precision", STATUS_UNSUPPORTED_VALUE, "one of: fp32, bf16"},
      {HYPER("\"n_epoch\":1"), "n_epoch", STATUS_UNKNOWN_PARAMETER, "did you mean n_epochs?"},
      {HYPER("\"optim\":\"sgd\""), "optim", STATUS_UNSUPPORTED_VALUE, "adamw"},
      {HYPER("\"packing\":1"), "packing", STATUS_INVALID_VALUE, "true or false"},
      {HYPER("\"max_batch_tokens\":-1"), "max_batch_tokens", STATUS_INVALID_VALUE, "at least 0"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char param[96];
    snprintf(param, sizeof param, "%s%s", path, cases[i].name);
    refused(cases[i].text, cases[i].status, param, cases[i].says);
  }
}

static void checks_the_adapter(void **state) {
  (void)state;
  refused(ADAPTER("\"r\":0"), STATUS_INVALID_VALUE, "adapter.r", "at least 1");
  refused(ADAPTER("\"apply_gs\":true"), STATUS_UNKNOWN_PARAMETER, "adapter.apply_gs", "did you mean apply_GS?");
  refused(ADAPTER("\"lora_alpha\":8"), STATUS_UNKNOWN_PARAMETER, "adapter.lora_alpha", "not a known");
  refused(ADAPTER("\"bias\":\"lora_only\""), STATUS_UNSUPPORTED_VALUE, "adapter.bias", "hra_only");
  refused(ADAPTER("\"lambda\":1,\"orth_lambda\":1"), STATUS_INVALID_VALUE, "adapter.orth_lambda", "lambda");
  refused(ADAPTER("\"target_modules\":[]"), STATUS_INVALID_VALUE, "adapter.target_modules", "at least 1");
  refused(ADAPTER("\"target_modules\":\"\""), STATUS_INVALID_VALUE, "adapter.target_modules", "at least 1");
  refused(ADAPTER("\"target_modules\":{}"), STATUS_INVALID_VALUE, "adapter.target_modules", "a string or an array");
  refused(ADAPTER("\"target_modules\":\".*q\",\"layers_to_transform\":[0]"), STATUS_INVALID_VALUE,
          "adapter.layers_to_transform", "target_modules is a string");
  refused(ADAPTER("\"layers_to_transform\":[-1]"), STATUS_INVALID_VALUE, "adapter.layers_to_transform", "item 0");
  refused(ADAPTER("\"layers_pattern\":[\"h\"]"), STATUS_INVALID_VALUE, "adapter.layers_pattern",
          "needs layers_to_transform");
  accepted(ADAPTER("\"r\":7"));
  assert_true(spec.adapter.hra.init_weights); /* odd: training starts away from the base model */
}

static void settles_gram_schmidt(void **state) {
  (void)state;
  accepted(ADAPTER("\"apply_GS\":true"));
  assert_true(spec.adapter.hra.apply_GS && !spec.adapter.hra.init_weights);
  accepted(ADAPTER("\"apply_GS\":true,\"init_weights\":false,\"orth_lambda\":0"));
  refused(ADAPTER("\"apply_GS\":true,\"init_weights\":true"), STATUS_INVALID_VALUE, "adapter.init_weights",
          "must be false");
  refused(ADAPTER("\"apply_GS\":true,\"lambda\":1e-4"), STATUS_INVALID_VALUE, "adapter.orth_lambda", "must be 0");
}

static void checks_the_rest(void **state) {
  (void)state;
  refused("[]", STATUS_INVALID_VALUE, "body", "an object");
  refused("{\"model\":\"m\"}", STATUS_MISSING_PARAMETER, "training_file", "required");
  refused(BODY(",\"seed\":-1"), STATUS_INVALID_VALUE, "seed", "at least 0");
  refused(BODY(",\"seed\":2147483648"), STATUS_INVALID_VALUE, "seed", "at most 2147483647");
  refused(BODY(",\"suffix\":\"a b\""), STATUS_INVALID_VALUE, "suffix", "character 2 is another (a space)");
  refused(BODY(",\"suffix\":\"a/b\""), STATUS_INVALID_VALUE, "suffix", "character 2");
  refused(BODY(",\"suffix\":\"\""), STATUS_INVALID_VALUE, "suffix", "at least 1");
  refused(BODY(",\"exports\":[\"peft\",\"onnx\"]"), STATUS_UNSUPPORTED_VALUE, "exports", "item 1");
  refused(BODY(",\"exports\":[\"lora:f16\"]"), STATUS_UNSUPPORTED_VALUE, "exports", "item 0");
  refused(BODY(",\"exports\":[\"gguf:f32\"]"), STATUS_UNSUPPORTED_VALUE, "exports", "item 0");
  refused(BODY(",\"adapter\":{\"peft_type\":\"OFT\"},\"exports\":[\"merged\",\"gguf-lora\"]"), STATUS_UNSUPPORTED_VALUE,
          "exports", "no low-rank form");
  refused(BODY(",\"adapter\":{\"peft_type\":\"LORA\",\"use_dora\":true},\"exports\":[\"lora\"]"),
          STATUS_UNSUPPORTED_VALUE, "exports", "use_dora has no low-rank form");
  refused(BODY(",\"adapter\":{\"bias\":\"all\"},\"exports\":[\"lora\",\"gguf-lora\"]"), STATUS_UNSUPPORTED_VALUE,
          "exports", "item 1 of exports: gguf-lora has no place for what is trained in full (bias); \"merged\" has it");
  refused(BODY(",\"adapter\":{\"modules_to_save\":[\"x\"]},\"exports\":[\"gguf-lora\"]"), STATUS_UNSUPPORTED_VALUE,
          "exports", "(modules_to_save)");
  refused(BODY(",\"adapter\":{\"peft_type\":\"LORA\",\"trainable_token_indices\":[3]},\"exports\":[\"gguf-lora\"]"),
          STATUS_UNSUPPORTED_VALUE, "exports", "(trainable_token_indices)");
  refused(BODY(",\"adapter\":{\"bias\":\"all\"},\"exports\":[\"kohya-lora\"]"), STATUS_UNSUPPORTED_VALUE, "exports",
          "kohya-lora has no place for what is trained in full (bias)");
  refused(BODY(",\"adapter\":{\"peft_type\":\"OFT\"},\"exports\":[\"diffusers-lora\"]"), STATUS_UNSUPPORTED_VALUE,
          "exports", "no low-rank form");
  struct fault_list faults = {0};
  static const char *formats[] = {"peft", "merged:bf16", "gguf:f16", "gguf-lora"};
  job_exports_judge(&(struct string_list){4, formats}, EXPORT_MODEL_LANGUAGE, &faults);
  job_exports_judge(&(struct string_list){4, formats}, EXPORT_MODEL_ANY, &faults);
  assert_int_equal(faults.count, 0);
  job_exports_judge(&(struct string_list){4, formats}, EXPORT_MODEL_TEXT, &faults);
  assert_int_equal(faults.count, 2);
  assert_non_null(strstr(faults.item[1].text, "\"gguf-lora\" is for language models, and this one is a classifier"));
  static const char *of_images[] = {"peft", "lora", "diffusers-lora", "kohya-lora", "gguf-lora"};
  faults.count = 0;
  job_exports_judge(&(struct string_list){4, of_images}, EXPORT_MODEL_IMAGE, &faults);
  assert_int_equal(faults.count, 0);
  job_exports_judge(&(struct string_list){5, of_images}, EXPORT_MODEL_IMAGE, &faults);
  assert_int_equal(faults.count, 1);
  assert_non_null(strstr(faults.item[0].text, "for language models, and this one is an image model"));
  job_exports_judge(&(struct string_list){4, of_images}, EXPORT_MODEL_LANGUAGE, &faults);
  assert_int_equal(faults.count, 3);
  assert_non_null(strstr(faults.item[1].text, "\"diffusers-lora\" is for image models, and this one is a language "));
  refused(BODY(",\"validation_fil\":\"x\""), STATUS_UNKNOWN_PARAMETER, "validation_fil",
          "did you mean validation_file?");
  refused(BODY(",\"early_stopping\":{\"patience\":2}"), STATUS_MISSING_PARAMETER, "early_stopping.patience",
          "it needs a validation_file");
  refused(BODY(",\"checkpointing\":{\"load_best_model_at_end\":true}"), STATUS_MISSING_PARAMETER,
          "checkpointing.load_best_at_end", "it needs a validation_file");
  refused(BODY(",\"checkpointing\":{\"keep_best\":true}"), STATUS_MISSING_PARAMETER, "checkpointing.keep_best",
          "it needs a validation_file");
  refused(BODY(",\"evaluation\":{\"metric\":\"bleu\"}"), STATUS_UNSUPPORTED_VALUE, "evaluation.metric", "loss");
  refused(BODY(",\"from_checkpoint\":\"ftjob-1\",\"adapter\":{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa\"}"),
          STATUS_INVALID_VALUE, "adapter.init_lora_weights", "from_checkpoint to start from an adapter");
  refused(BODY(",\"from_checkpoint\":7"), STATUS_INVALID_VALUE, "from_checkpoint", "a string");
  refused(BODY(",\"integrations\":[{\"type\":\"wandb\"}]"), STATUS_UNSUPPORTED_VALUE, "integrations", "not supported");
  refused(BODY(",\"evaluation\":{\"every\":1}"), STATUS_UNKNOWN_PARAMETER, "evaluation.every", "not a known");
  refused(BODY(",\"scheduling\":3"), STATUS_INVALID_VALUE, "scheduling", "an object");
  refused(BODY(",\"scheduling\":{\"matmul\":\"mkl\"}"), STATUS_UNSUPPORTED_VALUE, "scheduling.matmul",
          "one of: auto, native, openblas");
  refused(BODY(",\"metadata\":{\"k\":1}"), STATUS_INVALID_VALUE, "metadata.k", "a string");
  refused(BODY(",\"metadata\":[]"), STATUS_INVALID_VALUE, "metadata", "an object");
}

static void bounds_metadata_in_characters(void **state) {
  (void)state;
  char text[4000] = "{\"model\":\"m\",\"training_file\":\"f\",\"metadata\":{\"";
  for (int i = 0; i < 64; i++)
    strncat(text, "\xE2\x82\xAC", 4);
  strncat(text, "\":\"", 4);
  for (int i = 0; i < 512; i++)
    strncat(text, "\xC3\xA9", 3);
  size_t value_end = strlen(text);
  snprintf(text + value_end, sizeof text - value_end, "\"}}");
  accepted(text);
  snprintf(text + value_end, sizeof text - value_end, "x\"}}");
  struct fault_list faults = parse(text);
  assert_int_equal(faults.count, 1);
  assert_string_equal(faults.item[0].param, "metadata.(a long key)");
  snprintf(text, sizeof text, "{\"model\":\"m\",\"training_file\":\"f\",\"metadata\":{\"k0\":\"\"");
  for (int i = 1; i <= 16; i++)
    snprintf(text + strlen(text), 32, ",\"k%d\":\"\"", i);
  strncat(text, "}}", 3);
  refused(text, STATUS_INVALID_VALUE, "metadata", "17 pairs");
}

static void gathers_all_faults(void **state) {
  (void)state;
  struct fault_list faults =
      parse("{\"suffix\":\"!\",\"method\":{\"type\":\"supervised\",\"supervised\":{\"hyperparameters\":"
            "{\"n_epochs\":0}}},\"adapter\":{\"r\":-1,\"q\":1},\"exports\":\"x\",\"zzz\":1}");
  assert_int_equal(faults.count, 8);
}

/* The stored text, restored and written again. */
static void restored(const char *text) {
  struct job_spec again;
  struct error err;
  struct str out;
  json_t *document;
  str_init(&out, 8192);
  if (job_spec_restore(&again, &document, text, &arena, &err))
    fail_msg("%s: %s", text, err.text);
  json_t *written = job_spec_json(&again);
  assert_true(json_append(&out, written));
  assert_string_equal(out.text, text);
  json_decref(written);
  json_decref(document);
  str_done(&out);
}

static void damaged_specs_are_not_restored(void **state) {
  (void)state;
  static const char *const texts[] = {"", "{", "[]", "{}", "{\"model\":1}", BODY(""), ADAPTER("")};
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    struct job_spec again;
    struct error err;
    json_t *document;
    assert_int_equal(job_spec_restore(&again, &document, texts[i], &arena, &err), STATUS_DAMAGED);
    assert_null(document);
  }
}

static void written_specs_read_back(void **state) {
  (void)state;
  static const char *const bodies[] = {
      BODY(""),
      BODY(",\"seed\":3,\"suffix\":\"x\",\"metadata\":{\"a\":\"b\"}"),
      ADAPTER("\"apply_GS\":true"),
      ADAPTER("\"lambda\":0.1,\"target_modules\":[\"q\"],\"layers_to_transform\":3,\"layers_pattern\":\"h\",\"bias\":"
              "\"all\""),
      HYPER("\"learning_rate\":0.0123456789012345678,\"max_steps\":10,\"warmup_steps\":3"),
      ADAPTER("\"peft_type\":\"LORA\",\"target_modules\":\"all-linear\",\"rank_pattern\":{\"q\":4}"),
      ADAPTER("\"peft_type\":\"OFT\",\"r\":4"),
      ADAPTER("\"peft_type\":\"BOFT\",\"boft_block_num\":2"),
      BODY(",\"exports\":[\"merged\",\"lora\"],\"dataset\":{\"text\":\"t\"},\"scheduling\":{\"priority\":-3}")};
  for (size_t i = 0; i < COUNT_OF(bodies); i++) {
    struct str first, second;
    str_init(&first, 8192);
    str_init(&second, 8192);
    accepted(bodies[i]);
    json_t *written = job_spec_json(&spec);
    assert_true(json_append(&first, written));
    json_decref(written);
    accepted(first.text);
    written = job_spec_json(&spec);
    assert_true(json_append(&second, written));
    json_decref(written);
    assert_string_equal(first.text, second.text);
    restored(first.text);
    str_done(&first);
    str_done(&second);
  }
}

static void peft_config_has_pefts_names_only(void **state) {
  (void)state;
  accepted(ADAPTER("\"lambda\":0.1,\"target_modules\":[\"q\"]"));
  json_t *config = job_spec_peft_config(&spec.adapter), *adapter = job_spec_adapter(&spec.adapter);
  static const char *const names[] = {"peft_type",
                                      "r",
                                      "apply_GS",
                                      "init_weights",
                                      "bias",
                                      "target_modules",
                                      "exclude_modules",
                                      "layers_to_transform",
                                      "layers_pattern",
                                      "modules_to_save"};
  for (size_t i = 0; i < COUNT_OF(names); i++)
    assert_non_null(json_object_get(config, names[i]));
  assert_int_equal(json_object_size(config), COUNT_OF(names));
  assert_int_equal(json_object_size(adapter), COUNT_OF(names) + 1);
  assert_true(json_number_value(json_object_get(adapter, "orth_lambda")) == 0.1);
  json_decref(config);
  json_decref(adapter);
}

static void methods_are_found(void **state) {
  (void)state;
  assert_int_equal(method_parse("HRA"), PEFT_HRA);
  assert_int_equal(method_parse("hra"), PEFT_HRA);
  assert_int_equal(method_parse("x"), PEFT_COUNT);
  assert_string_equal(method_of(PEFT_HRA)->bias_only, "hra_only");
}

/* An error that lists what may be given lists all of it, to the last of the longest list. */
static void choices_are_named_to_the_last(void **state) {
  (void)state;
  for (size_t s = 0; s < JOB_SECTION_COUNT; s++)
    for (size_t i = 0; i < job_sections[s].fields.count; i++) {
      const struct field *row = &job_sections[s].fields.fields[i];
      if (row->kind != FIELD_CHOICE || job_sections[s].parent)
        continue;
      char text[200], end[64];
      snprintf(text, sizeof text, BODY(",\"%s\":{\"%s\":\"no such thing\"}"), job_sections[s].path, row->name);
      size_t last = 0;
      while (row->choices[last + 1])
        last++;
      snprintf(end, sizeof end, last ? ", %s" : ": %s", row->choices[last]);
      struct fault_list faults = parse(text);
      assert_true(faults.count > 0);
      const char *said = faults.item[0].text;
      assert_true(strlen(said) > strlen(end));
      assert_string_equal(said + strlen(said) - strlen(end), end);
    }
}

static void reports_a_full_arena(void **state) {
  (void)state;
  arena_done(&arena);
  arena_init(&arena, 32);
  struct fault_list faults = parse(BODY(""));
  assert_true(faults.count > 0);
  assert_int_equal(faults.item[0].status, STATUS_OUT_OF_MEMORY);
  arena_done(&arena);
  arena_init(&arena, 1 << 20);
}

static void settles_exports(void **state) {
  (void)state;
  static const char *const want[] = {"peft", "merged:bf16", "gguf:q8_0", "gguf:f16", "lora"};
  accepted(BODY(",\"exports\":[\"merged\",\"gguf:q8_0\",\"merged:bf16\",\"peft\",\"gguf\",\"lora\"]"));
  assert_int_equal(spec.exports.count, COUNT_OF(want));
  for (size_t i = 0; i < COUNT_OF(want); i++)
    assert_string_equal(spec.exports.item[i], want[i]);
}

#define GENERATE(rest) BODY(",\"validation_file\":\"file-2\",\"evaluation\":{\"generate\":{" rest "}}")

static void generation_is_read_with_its_preset(void **state) {
  (void)state;
  accepted(BODY(""));
  assert_false(spec.generate.present);
  json_t *written = job_spec_json(&spec);
  assert_true(json_is_null(json_object_get(json_object_get(written, "evaluation"), "generate")));
  json_decref(written);
  accepted(GENERATE(""));
  assert_true(spec.generate.present && spec.generate.extractor == EXTRACT_EXACT && spec.generate.max_tokens == 256);
  assert_int_equal(spec.generate.max_examples, 100);
  assert_string_equal(spec.scheduling.device, "cpu");
  accepted(GENERATE("\"preset\":\"gsm8k\",\"max_tokens\":64"));
  assert_int_equal(spec.generate.extractor, EXTRACT_FIRST_NUMBER);
  assert_int_equal(spec.generate.max_tokens, 64);
  assert_string_equal(spec.generate.after, "The answer is: ");
  assert_int_equal(spec.generate.stop.count, 4);
  assert_non_null(strstr(spec.generate.prompt_template, "### Instruction:\n{prompt}\n\n### Response: Let's think"));
  accepted(GENERATE("\"preset\":\"math\""));
  assert_int_equal(spec.generate.extractor, EXTRACT_MATH);
  assert_int_equal(spec.generate.max_tokens, 2048);
  assert_null(spec.generate.answer_after);
}

static void written_generation_reads_back(void **state) {
  (void)state;
  struct job_spec again;
  struct error err;
  json_t *document;
  accepted(GENERATE("\"preset\":\"gsm8k\",\"compat\":\"hra-authors\",\"prompt\":\"question\",\"answer\":\"answer\""));
  json_t *written = job_spec_json(&spec);
  char *text = json_dumps(written, 0);
  assert_int_equal(job_spec_restore(&again, &document, text, &arena, &err), STATUS_OK);
  json_t *twice = job_spec_json(&again);
  assert_true(json_equal(written, twice));
  assert_true(again.generate.present && again.generate.compat == GENERATE_COMPAT_HRA_AUTHORS);
  assert_string_equal(again.generate.prompt, "question");
  free(text);
  json_decref(document);
  json_decref(written);
  json_decref(twice);
}

static void contradictions_of_generation_are_named(void **state) {
  static const struct {
    const char *members;
    enum status status;
    const char *param, *says;
  } rows[] = {
      {"\"max_token\":9", STATUS_UNKNOWN_PARAMETER, "max_token", "max_tokens"},
      {"\"max_tokens\":0", STATUS_INVALID_VALUE, "max_tokens", "1"},
      {"\"extractor\":\"regex\"", STATUS_MISSING_PARAMETER, "pattern", "required"},
      {"\"pattern\":\"a\"", STATUS_INVALID_VALUE, "pattern", "regex"},
      {"\"extractor\":\"choice\"", STATUS_MISSING_PARAMETER, "choices", "required"},
      {"\"choices\":[\"a\",\"b\"]", STATUS_INVALID_VALUE, "choices", "choice"},
      {"\"extractor\":\"choice\",\"choices\":[\"a\"]", STATUS_INVALID_VALUE, "choices", "nothing to choose"},
      {"\"extractor\":\"choice\",\"choices\":[\"a\",\"b\"],\"after\":\"x\"", STATUS_INVALID_VALUE, "after",
       "no answer"},
      {"\"prompt_template\":\"Q: \"", STATUS_INVALID_VALUE, "prompt_template", "{prompt}"},
      {"\"prompt_template\":\"{prompt}{prompt}\"", STATUS_INVALID_VALUE, "prompt_template", "once"},
      {"\"compat\":\"hra-authors\"", STATUS_INVALID_VALUE, "compat", "numbers"},
      {"\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", STATUS_INVALID_VALUE, "stop", "4"},
      {"\"preset\":\"gsm9k\"", STATUS_UNSUPPORTED_VALUE, "preset", "gsm8k"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char text[400], param[80];
    snprintf(text, sizeof text, GENERATE("%s"), rows[i].members);
    snprintf(param, sizeof param, "evaluation.generate.%s", rows[i].param);
    refused(text, rows[i].status, param, rows[i].says);
  }
  refused(BODY(",\"evaluation\":{\"generate\":{}}"), STATUS_MISSING_PARAMETER, "evaluation.generate",
          "needs a validation_file");
  refused(BODY(",\"validation_file\":\"f\",\"evaluation\":{\"metric\":\"exact_match\"}"), STATUS_MISSING_PARAMETER,
          "evaluation.generate", "exact_match");
  refused(BODY(",\"validation_file\":\"f\",\"evaluation\":{\"generate\":[]}"), STATUS_INVALID_VALUE,
          "evaluation.generate", "must be an object");
  refused(BODY(",\"task\":\"classification\",\"validation_file\":\"f\",\"evaluation\":{\"generate\":{}}"),
          STATUS_INVALID_VALUE, "evaluation.generate", "classification");
  refused(BODY(",\"scheduling\":{\"device\":\"opencl\"},\"validation_file\":\"f\",\"evaluation\":{\"generate\":{}}"),
          STATUS_UNSUPPORTED_VALUE, "scheduling.device", "runs on the CPU");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(fills_in_every_default),
                                     cmocka_unit_test(reads_a_full_body),
                                     cmocka_unit_test(settles_exports),
                                     cmocka_unit_test(accepts_the_deprecated_place),
                                     cmocka_unit_test(accepts_the_method_as_sugar),
                                     cmocka_unit_test(refuses_other_methods),
                                     cmocka_unit_test(checks_hyperparameters),
                                     cmocka_unit_test(checks_the_adapter),
                                     cmocka_unit_test(settles_gram_schmidt),
                                     cmocka_unit_test(checks_the_rest),
                                     cmocka_unit_test(bounds_metadata_in_characters),
                                     cmocka_unit_test(gathers_all_faults),
                                     cmocka_unit_test(written_specs_read_back),
                                     cmocka_unit_test(damaged_specs_are_not_restored),
                                     cmocka_unit_test(peft_config_has_pefts_names_only),
                                     cmocka_unit_test(methods_are_found),
                                     cmocka_unit_test(generation_is_read_with_its_preset),
                                     cmocka_unit_test(written_generation_reads_back),
                                     cmocka_unit_test(contradictions_of_generation_are_named),
                                     cmocka_unit_test(choices_are_named_to_the_last),
                                     cmocka_unit_test(reports_a_full_arena)};
  return cmocka_run_group_tests(tests, start, stop);
}
