/* What a caller may set of LoRA (Hu et al., 2022). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job_fields.h"

enum { TOKENS_MAX = 4096 }; /* of trainable_token_indices */

#define AT(member) offsetof(struct adapter_spec, member)

static const char *const bias_names[] = {
    [BIAS_NONE] = "none", [BIAS_ALL] = "all", [BIAS_METHOD_ONLY] = "lora_only", [BIAS_COUNT] = NULL};
#define NITER(n) [LORA_INIT_PISSA + (n)] = "pissa_niter_" #n
static const char *const init_names[] = {
    [LORA_INIT_TRUE] = "true", [LORA_INIT_FALSE] = "false", [LORA_INIT_GAUSSIAN] = "gaussian",
    [LORA_INIT_OLORA] = "olora", [LORA_INIT_PISSA] = "pissa",
    NITER(1), NITER(2), NITER(3), NITER(4), NITER(5), NITER(6), NITER(7), NITER(8), NITER(9), NITER(10), NITER(11),
    NITER(12), NITER(13), NITER(14), NITER(15), NITER(16),
    [LORA_INIT_COUNT] = NULL};
#undef NITER

static const struct field fields[] = {
    {"r", NULL, FIELD_INT, AT(lora.r), 0, 1, 1024, .initial = "8", .doc = "Rank of the change."},
    {"lora_alpha", NULL, FIELD_NUMBER, AT(lora.lora_alpha), FIELD_EXCLUSIVE, 0, 1e6, .initial = "8",
     .doc = "The change is scaled by lora_alpha / r."},
    {"lora_dropout", NULL, FIELD_NUMBER, AT(lora.lora_dropout), 0, 0, 0.99,
     .doc = "Dropout of the adapter's input while training."},
    {"use_rslora", NULL, FIELD_BOOL, AT(lora.use_rslora), .doc = "Scale by lora_alpha / sqrt(r) instead."},
    {"use_dora", NULL, FIELD_BOOL, AT(lora.use_dora),
     .doc = "DoRA: LoRA turns the weight's rows, and their lengths are trained as a vector of their own. For linear "
            "modules; a step takes longer."},
    {"init_lora_weights", NULL, FIELD_CHOICE, AT(lora.init_lora_weights), FIELD_BOOL_WORDS, .choices = init_names,
     .initial = "true",
     .doc = "true: A uniform, B zero; gaussian: A normal, B zero; false: both at random; pissa: both from the weight's "
            "largest singular values (PiSSA), pissa_niter_N: found by a faster method with N iterations; olora: from "
            "its QR decomposition (OLoRA). With all but false training starts at the base model. What starts from the "
            "weight is saved as a LoRA of twice the rank. For linear modules."},
    {"rank_pattern", NULL, FIELD_NUMBER_MAP, AT(lora.rank_pattern), 0, 1, 1024,
     .doc = "Another r for modules: an object from a regular expression for the end of a module's path to its r."},
    {"alpha_pattern", NULL, FIELD_NUMBER_MAP, AT(lora.alpha_pattern), 0, 1e-6, 1e6,
     .doc = "Another lora_alpha for modules, likewise."},
    {"loraplus_lr_ratio", NULL, FIELD_NUMBER, AT(lora.loraplus_lr_ratio), 0, 1, 1e6, .initial = "1",
     .doc = "LoRA+: B, and biases that are trained, learn with so many times the learning rate. Its authors use 16, "
            "with a lower learning_rate."},
    {"trainable_token_indices", NULL, FIELD_INT_LIST, AT(lora.trainable_token_indices), 0, 0, TOKENS_MAX,
     .doc = "Ids of tokens whose rows of the input embedding, and of a head that is tied to it, are trained beside the "
            "adapter: a list, or an object with it under the embedding's name; null: none. For decoders."},
    {"bias", NULL, FIELD_CHOICE, AT(bias), 0, 0, 0, bias_names, "none",
     .doc = "Which biases are trained too: none, all, or those of adapted modules."},
};

static const char *const not_peft[] = {"loraplus_lr_ratio", NULL}; /* PEFT's optimiser has it, not its config */
static const struct method_fixed fixed[] = {
    {"lora_bias", "false"},         {"fan_in_fan_out", "false"},
    {"use_qalora", "false"},        {"loftq_config", "{}"},       {"layer_replication", "null"},
    {"megatron_config", "null"},    {"eva_config", "null"},       {"corda_config", "null"},
    {"lora_ga_config", "null"},     {"target_parameters", "null"},
    {"alora_invocation_tokens", "null"}, {"arrow_config", "null"}, {"use_bdlora", "null"},
    {"ensure_weight_tying", "false"}, {"kasa_config", "null"},    {"monteclora_config", "null"},
    {"velora_config", "null"},      {NULL, NULL}};

/* An adapter that starts from the weight is saved with twice its numbers, which must be numbers that can be read. Its
   authors want no dropout. */
static void check_start_from_weight(const struct lora_spec *lora, const char *path, struct fault_list *faults) {
  enum { R_MAX = 512, ALPHA_MAX = 500000 };
  const struct number_map *maps[] = {&lora->rank_pattern, &lora->alpha_pattern};
  const double most[] = {R_MAX, ALPHA_MAX}, own[] = {(double)lora->r, lora->lora_alpha};
  const char *const names[][2] = {{"r", "rank_pattern"}, {"lora_alpha", "alpha_pattern"}};
  char param[sizeof faults->item[0].param];
  for (size_t i = 0; i < COUNT_OF(maps); i++) {
    double value = own[i];
    const char *name = names[i][0];
    for (size_t k = 0; k < maps[i]->count && value <= most[i]; k++) {
      value = maps[i]->item[k].value;
      name = names[i][1];
    }
    snprintf(param, sizeof param, "%s.%s", path, name);
    if (value > most[i])
      fault_add(
          faults, STATUS_INVALID_VALUE, param,
          "%s is %.15g; with init_lora_weights \"%s\" it must be at most %g, since the adapter is saved with twice "
          "the rank",
          param, value, init_names[lora->init_lora_weights], most[i]);
  }
  snprintf(param, sizeof param, "%s.lora_dropout", path);
  if (lora->lora_dropout > 0)
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "%s must be 0 with init_lora_weights \"%s\": what A reads is a part of what the weight did, and dropout "
              "would take that part away",
              param, init_names[lora->init_lora_weights]);
  snprintf(param, sizeof param, "%s.use_dora", path);
  if (lora->use_dora)
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, param,
              "%s cannot be with init_lora_weights \"%s\"; it can with true, false and \"gaussian\"", param,
              init_names[lora->init_lora_weights]);
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* How many tokens there are is the model's to know. */
static void check_tokens(const struct int_list *ids, const char *path, struct fault_list *faults) {
  char param[sizeof faults->item[0].param];
  int64_t sorted[TOKENS_MAX];
  snprintf(param, sizeof param, "%s.trainable_token_indices", path);
  for (size_t i = 0; i < ids->count; i++)
    if (ids->item[i] < 0 || ids->item[i] > INT32_MAX) {
      fault_add(faults, STATUS_INVALID_VALUE, param, "item %zu of %s must be at least 0 and at most %d", i, param,
                INT32_MAX);
      return;
    }
  if (ids->count > TOKENS_MAX)
    return; /* told by the field's bound */
  if (ids->count)
    memcpy(sorted, ids->item, ids->count * sizeof *sorted);
  qsort(sorted, ids->count, sizeof *sorted, by_value);
  for (size_t i = 1; i < ids->count; i++)
    if (sorted[i] == sorted[i - 1]) {
      fault_add(faults, STATUS_INVALID_VALUE, param, "%s has %lld twice", param, (long long)sorted[i]);
      return;
    }
}

static void validate(struct adapter_spec *adapter, const json_t *given, const char *path, struct fault_list *faults) {
  (void)given;
  check_tokens(&adapter->lora.trainable_token_indices, path, faults);
  char param[sizeof faults->item[0].param];
  if (lora_init_of_weight(adapter->lora.init_lora_weights))
    check_start_from_weight(&adapter->lora, path, faults);
  snprintf(param, sizeof param, "%s.rank_pattern", path);
  for (size_t i = 0; i < adapter->lora.rank_pattern.count; i++) {
    double r = adapter->lora.rank_pattern.item[i].value;
    if (r != (double)(int64_t)r)
      fault_add(faults, STATUS_INVALID_VALUE, param, "%s[\"%.80s\"] is %g; a rank is a whole number", param,
                adapter->lora.rank_pattern.item[i].key, r);
  }
}

const struct method method_lora = {
    .peft_type = "LORA",
    .name = "lora",
    .bias_only = "lora_only",
    .learning_rate = 2e-4,
    .fields = {.fields = fields, .count = COUNT_OF(fields)},
    .low_rank = true, /* DoRA is not: adapter_spec_low_rank */
    .on_conv2d = true,
    .on_conv1d = true,
    .not_peft = not_peft,
    .fixed = fixed,
    .validate = validate,
};
