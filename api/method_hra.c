/* What a caller may set of Householder Reflection Adaptation. */
#include <stdio.h>

#include "api/job_fields.h"

#define AT(member) offsetof(struct adapter_spec, member)

static const char *const bias_names[] = {
    [BIAS_NONE] = "none", [BIAS_ALL] = "all", [BIAS_METHOD_ONLY] = "hra_only", [BIAS_COUNT] = NULL};

static const struct field fields[] = {
    {"r", NULL, FIELD_INT, AT(hra.r), 0, 1, 256, .initial = "8",
     .doc = "Number of reflections. Even: training can start from the base model itself."},
    {"apply_GS", NULL, FIELD_BOOL, AT(hra.apply_GS), .doc = "Make the reflections orthogonal by Gram-Schmidt."},
    {"init_weights", NULL, FIELD_BOOL, AT(hra.init_weights), .initial = "true",
     .doc = "true: reflections start in equal pairs that cancel; false: at random. With apply_GS the default is false, "
            "since equal vectors have no Gram-Schmidt basis."},
    {"orth_lambda", "lambda", FIELD_NUMBER, AT(hra.orth_lambda), 0, 0, 1e6,
     .doc = "Weight of the orthogonality regulariser; 0: none. The authors use 1e-4."},
    {"bias", NULL, FIELD_CHOICE, AT(bias), 0, 0, 0, bias_names, "none",
     .doc = "Which biases are trained too: none, all, or those of adapted modules."},
};

static const struct method_fixed fixed[] = {{NULL, NULL}};
static const char *const not_peft[] = {"orth_lambda", NULL};

static void validate(struct adapter_spec *adapter, const json_t *given, const char *path, struct fault_list *faults) {
  struct hra_spec *hra = &adapter->hra;
  char param[sizeof faults->item[0].param];
  if (!hra->apply_GS)
    return;
  if (hra->orth_lambda > 0) {
    snprintf(param, sizeof param, "%s.orth_lambda", path);
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "%s must be 0 with apply_GS: Gram-Schmidt already makes the reflections orthogonal", param);
  }
  /* The paired start repeats each column, and Gram-Schmidt of a repeated column is 0/0. */
  if (json_is_true(json_object_get(given, "init_weights"))) {
    snprintf(param, sizeof param, "%s.init_weights", path);
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "%s must be false with apply_GS: the paired start has equal columns, which Gram-Schmidt cannot separate",
              param);
  }
  hra->init_weights = false;
}

const struct method method_hra = {
    .peft_type = "HRA",
    .name = "hra",
    .bias_only = "hra_only",
    .learning_rate = 2e-3,
    .fields = {.fields = fields, .count = COUNT_OF(fields)},
    .low_rank = true,
    .on_conv2d = true,
    .not_peft = not_peft,
    .fixed = fixed,
    .validate = validate,
};
