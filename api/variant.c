#include "api/variant.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "api/job_fields.h"
#include "base/json.h"

/* Where a model's modules have as many outputs as inputs in sum, as those of a transformer's layer have. */
static double cost_rank(double n) {
  return n;
}
static double cost_lora(double n) {
  return 2 * n;
}
static double cost_oft(double n) {
  return (n - 1) / 2;
}
static double cost_boft(double n) {
  return n + 1;
}

const struct variant variants[VARIANT_COUNT] = {
    {"hra", "HRA", "r", "r", cost_rank, false, NULL, NULL},
    {"hra-gs", "HRA", "r", "r", cost_rank, false, "apply_GS", "true"},
    {"hra-lambda", "HRA", "r", "r", cost_rank, false, "orth_lambda", "1e-4"},
    {"lora", "LORA", "r", "r", cost_lora, false, NULL, NULL},
    {"oft", "OFT", "oft_block_size", "block", cost_oft, true, NULL, NULL},
    {"boft", "BOFT", "boft_block_size", "block", cost_boft, true, NULL, NULL},
};

const struct variant *variant_find(const char *name, size_t length) {
  for (size_t i = 0; i < VARIANT_COUNT; i++)
    if (strlen(variants[i].name) == length && memcmp(variants[i].name, name, length) == 0)
      return &variants[i];
  return NULL;
}

static bool given(const json_t *adapter, const char *name) {
  const json_t *value = json_object_get(adapter, name);
  return value && !json_is_null(value) && (!json_is_number(value) || json_number_value(value) != 0);
}

double variant_cost(const json_t *adapter) {
  const json_t *type = json_object_get(adapter, "peft_type");
  const char *name = json_is_string(type) ? json_string_value(type) : "HRA";
  for (size_t i = 0; i < VARIANT_COUNT; i++) {
    const struct variant *variant = &variants[i];
    if (strcasecmp(variant->peft_type, name) != 0)
      continue;
    const json_t *size = json_object_get(adapter, variant->size);
    if (given(adapter, variant->size))
      return json_is_integer(size) ? variant->cost((double)json_integer_value(size)) : (double)NAN;
    if (given(adapter, "boft_block_num") || (strcmp(variant->size, "r") != 0 && given(adapter, "r")))
      return NAN; /* so many blocks, whose size is a part of the inputs' */
    AUTO(json_release)
    json_t *usual = field_default_json(field_find(&method_of(method_parse(variant->peft_type))->fields, variant->size));
    return json_is_integer(usual) ? variant->cost((double)json_integer_value(usual)) : (double)NAN;
  }
  return NAN;
}

int64_t variant_matched(const struct variant *variant, double cost) {
  int64_t best = variant->power ? 2 : 1;
  for (int64_t n = best; n <= 1024; n = variant->power ? 2 * n : n + 1)
    if (fabs(variant->cost((double)n) - cost) < fabs(variant->cost((double)best) - cost))
      best = n;
  return best;
}

json_t *variant_adapter(const json_t *base, const struct variant *variant, int64_t size) {
  json_t *out = job_adapter_shared(base);
  int bad = json_object_set_new(out, "peft_type", json_string(variant->peft_type));
  bad |= json_object_set_new(out, variant->size, json_integer((json_int_t)size));
  if (variant->set)
    bad |= json_object_set_new(out, variant->set, json_loads(variant->to, JSON_DECODE_ANY, NULL));
  if (!bad)
    return out;
  json_decref(out);
  return NULL;
}
