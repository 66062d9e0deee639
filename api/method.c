/* The rows of methods.def. */
#include <math.h>
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

bool adapter_spec_of_weight(const struct adapter_spec *adapter) {
  return adapter->peft_type == PEFT_LORA && lora_init_of_weight(adapter->lora.init_lora_weights);
}

static bool times(struct number_map *out, const struct number_map *map, double factor, struct arena *arena) {
  *out = (struct number_map){map->count, arena_array(arena, map->count + 1, sizeof *out->item)};
  for (size_t i = 0; out->item && i < map->count; i++)
    out->item[i] = (struct number_entry){map->item[i].key, map->item[i].value * factor};
  return out->item;
}

bool adapter_spec_saved(struct adapter_spec *out, const struct adapter_spec *adapter, struct arena *arena) {
  *out = *adapter;
  if (!adapter_spec_of_weight(adapter))
    return true;
  struct lora_spec *lora = &out->lora;
  double factor = lora->use_rslora ? sqrt(2) : 2; /* s = alpha / sqrt(r), or alpha / r, is as it was */
  lora->init_lora_weights = LORA_INIT_TRUE;
  lora->r *= 2;
  lora->lora_alpha *= factor;
  return times(&lora->rank_pattern, &adapter->lora.rank_pattern, 2, arena) &&
         times(&lora->alpha_pattern, &adapter->lora.alpha_pattern, factor, arena);
}

const char *adapter_spec_name(const struct adapter_spec *adapter) {
  return is_dora(adapter)                  ? "lora with use_dora"
         : adapter_spec_of_weight(adapter) ? "lora with init_lora_weights pissa or olora"
                                           : method_of(adapter->peft_type)->name;
}

bool adapter_spec_low_rank(const struct adapter_spec *adapter) {
  return method_of(adapter->peft_type)->low_rank && !is_dora(adapter);
}

bool adapter_spec_on_conv2d(const struct adapter_spec *adapter) {
  return method_of(adapter->peft_type)->on_conv2d && !is_dora(adapter) && !adapter_spec_of_weight(adapter);
}

enum peft_type method_parse(const char *peft_type) {
  for (size_t i = 0; i < COUNT_OF(methods); i++)
    if (strcasecmp(methods[i]->peft_type, peft_type) == 0)
      return (enum peft_type)i;
  return PEFT_COUNT;
}
