/* What a caller may set of Butterfly OFT (Liu et al., 2024), with the one factor that PEFT runs without a
   GPU of its own kernels. */
#include <stdio.h>

#include "api/job_fields.h"

#define AT(member) offsetof(struct adapter_spec, member)

static const char *const bias_names[] = {
    [BIAS_NONE] = "none", [BIAS_ALL] = "all", [BIAS_METHOD_ONLY] = "boft_only", [BIAS_COUNT] = NULL};

static const struct field fields[] = {
    {"boft_block_size", NULL, FIELD_INT, AT(boft.boft_block_size), 0, 0, 1024, .initial = "4",
     .doc = "Inputs that turn together; 0: boft_block_num decides. One of the two must be 0."},
    {"boft_block_num", NULL, FIELD_INT, AT(boft.boft_block_num), 0, 0, 65536, .initial = "0",
     .doc = "Blocks a module; 0: boft_block_size decides."},
    {"boft_n_butterfly_factor", NULL, FIELD_INT, AT(boft.boft_n_butterfly_factor), 0, 1, 1, .initial = "1",
     .doc = "Factors of the butterfly: 1, which is what PEFT runs on a CPU whatever this says."},
    {"init_weights", NULL, FIELD_BOOL, AT(boft.init_weights), .initial = "true",
     .doc = "true: start at the base model; false: at random."},
    {"bias", NULL, FIELD_CHOICE, AT(bias), 0, 0, 0, bias_names, "none",
     .doc = "Which biases are trained too: none, all, or those of adapted modules."},
};

static const char *const not_peft[] = {NULL};
static const struct method_fixed fixed[] = {{"boft_dropout", "0.0"}, {"fan_in_fan_out", "false"}, {NULL, NULL}};

static void validate(struct adapter_spec *adapter, const json_t *given, const char *path, struct fault_list *faults) {
  struct boft_spec *boft = &adapter->boft;
  char param[sizeof faults->item[0].param];
  if (boft->boft_block_num > 0 && !json_object_get(given, "boft_block_size"))
    boft->boft_block_size = 0;
  snprintf(param, sizeof param, "%s.boft_block_size", path);
  if ((boft->boft_block_num > 0) == (boft->boft_block_size > 0))
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "exactly one of %s and %s.boft_block_num must be above 0; they are %lld and %lld", param, path,
              (long long)boft->boft_block_size, (long long)boft->boft_block_num);
}

const struct method method_boft = {
    .peft_type = "BOFT",
    .name = "boft",
    .bias_only = "boft_only",
    .learning_rate = 1e-3,
    .fields = {.fields = fields, .count = COUNT_OF(fields)},
    .not_peft = not_peft,
    .fixed = fixed,
    .validate = validate,
};
