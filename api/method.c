/* The rows of methods.def. */
#include <string.h>
#include <strings.h>

#include "api/job_fields.h"

static const struct method *const methods[] = {
#define METHOD(name, lower) [PEFT_##name] = &method_##lower,
#include "api/methods.def"
#undef METHOD
};

const struct method *method_of(enum peft_type type) {
  CHECK(type < PEFT_COUNT);
  return methods[type];
}

static bool is_dora(const struct adapter_spec *adapter) {
  return adapter->peft_type == PEFT_LORA && adapter->lora.use_dora;
}

const char *adapter_spec_name(const struct adapter_spec *adapter) {
  return is_dora(adapter) ? "lora with use_dora" : method_of(adapter->peft_type)->name;
}

bool adapter_spec_low_rank(const struct adapter_spec *adapter) {
  return method_of(adapter->peft_type)->low_rank && !is_dora(adapter);
}

bool adapter_spec_on_conv2d(const struct adapter_spec *adapter) {
  return method_of(adapter->peft_type)->on_conv2d && !is_dora(adapter);
}

enum peft_type method_parse(const char *peft_type) {
  for (size_t i = 0; i < COUNT_OF(methods); i++)
    if (strcasecmp(methods[i]->peft_type, peft_type) == 0)
      return (enum peft_type)i;
  return PEFT_COUNT;
}
