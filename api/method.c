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

bool adapter_spec_low_rank(const struct adapter_spec *adapter) {
  bool dora = adapter->peft_type == PEFT_LORA && adapter->lora.use_dora;
  return method_of(adapter->peft_type)->low_rank && !dora;
}

enum peft_type method_parse(const char *peft_type) {
  for (size_t i = 0; i < COUNT_OF(methods); i++)
    if (strcasecmp(methods[i]->peft_type, peft_type) == 0)
      return (enum peft_type)i;
  return PEFT_COUNT;
}
