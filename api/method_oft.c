/* What a caller may set of Orthogonal Finetuning (Qiu et al., 2023; as PEFT 0.21 has it). */
#include <stdio.h>

#include "api/job_fields.h"

#define AT(member) offsetof(struct adapter_spec, member)

static const char *const bias_names[] = {
    [BIAS_NONE] = "none", [BIAS_ALL] = "all", [BIAS_METHOD_ONLY] = "oft_only", [BIAS_COUNT] = NULL};

static const struct field fields[] = {
    {"r", NULL, FIELD_INT, AT(oft.r), 0, 0, 65536, .initial = "0",
     .doc = "Blocks a module; 0: oft_block_size decides. One of the two must be 0."},
    {"oft_block_size", NULL, FIELD_INT, AT(oft.oft_block_size), 0, 0, 1024, .initial = "32",
     .doc = "Inputs that turn together. Taken to the nearest divisor of a module's inputs."},
    {"coft", NULL, FIELD_BOOL, AT(oft.coft), .doc = "Keep the rotations near the identity."},
    {"eps", NULL, FIELD_NUMBER, AT(oft.eps), FIELD_EXCLUSIVE, 0, 1e3, .initial = "6e-05",
     .doc = "How near, with coft."},
    {"block_share", NULL, FIELD_BOOL, AT(oft.block_share), .doc = "One rotation for all blocks of a module."},
    {"init_weights", NULL, FIELD_BOOL, AT(oft.init_weights), .initial = "true",
     .doc = "true: start at the base model; false: at random."},
    {"use_cayley_neumann", NULL, FIELD_BOOL, AT(oft.use_cayley_neumann), .initial = "true",
     .doc = "A Neumann series instead of the Cayley transform's inverse: faster, orthogonal only nearly."},
    {"num_cayley_neumann_terms", NULL, FIELD_INT, AT(oft.num_cayley_neumann_terms), 0, 2, 32, .initial = "5",
     .doc = "Terms of that series. (With one nothing would turn.)"},
    {"bias", NULL, FIELD_CHOICE, AT(bias), 0, 0, 0, bias_names, "none",
     .doc = "Which biases are trained too: none, all, or those of adapted modules."},
};

static const char *const not_peft[] = {NULL};
static const struct method_fixed fixed[] = {{"module_dropout", "0.0"}, {"fan_in_fan_out", "false"}, {NULL, NULL}};

static void validate(struct adapter_spec *adapter, const json_t *given, const char *path, struct fault_list *faults) {
  struct oft_spec *oft = &adapter->oft;
  char param[sizeof faults->item[0].param];
  /* Whoever names r alone means it to decide. */
  if (oft->r > 0 && !json_object_get(given, "oft_block_size"))
    oft->oft_block_size = 0;
  snprintf(param, sizeof param, "%s.oft_block_size", path);
  if ((oft->r > 0) == (oft->oft_block_size > 0))
    fault_add(faults, STATUS_INVALID_VALUE, param, "exactly one of %s and %s.r must be above 0; they are %lld and %lld",
              param, path, (long long)oft->oft_block_size, (long long)oft->r);
  if (oft->oft_block_size == 1)
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s is 1; blocks of one input cannot turn", param);
}

const struct method method_oft = {
    .peft_type = "OFT",
    .name = "oft",
    .bias_only = "oft_only",
    .learning_rate = 1e-3,
    .fields = {.fields = fields, .count = COUNT_OF(fields)},
    .not_peft = not_peft,
    .fixed = fixed,
    .validate = validate,
};
