/* A job spec back as JSON. A failed allocation anywhere gives NULL. */
#include <string.h>

#include "api/job.h"
#include "api/job_fields.h"
#include "api/objective.h"

static json_t *modules_json(const struct module_match *match) {
  if (match->pattern)
    return json_string(match->pattern);
  if (match->names.count == 0)
    return json_null();
  json_t *list = json_array();
  for (size_t i = 0; i < match->names.count; i++)
    if (json_array_append_new(list, json_string(match->names.item[i])) != 0) {
      json_decref(list);
      return NULL;
    }
  return list;
}

/* As the body had it: under the name of the embedding. */
static bool name_tokens(json_t *members, const struct lora_spec *lora) {
  static const char name[] = "trainable_token_indices";
  json_t *list = json_object_get(members, name);
  return !lora->trainable_token_module ||
         json_object_set_new(members, name, json_pack("{sO}", lora->trainable_token_module, list)) == 0;
}

json_t *job_spec_adapter(const struct adapter_spec *adapter) {
  struct field rows[JOB_ADAPTER_ROWS];
  const struct method *method = method_of(adapter->peft_type);
  struct field_table table = job_adapter_fields(rows, method);
  json_t *out =
      json_pack("{ss so so}", "peft_type", method->peft_type, "target_modules", modules_json(&adapter->target_modules),
                "exclude_modules", modules_json(&adapter->exclude_modules));
  json_t *members = field_write(&table, adapter);
  bool named = adapter->peft_type != PEFT_LORA || name_tokens(members, &adapter->lora);
  if (!out || !members || !named || json_object_update(out, members) != 0) {
    json_decref(out);
    out = NULL;
  }
  json_decref(members);
  return out;
}

json_t *job_spec_peft_config(const struct adapter_spec *adapter) {
  json_t *out = job_spec_adapter(adapter);
  const struct method *method = method_of(adapter->peft_type);
  for (const char *const *name = method->not_peft; out && *name; name++)
    json_object_del(out, *name);
  for (const struct method_fixed *fixed = method->fixed; out && fixed->name; fixed++)
    if (json_object_set_new(out, fixed->name, json_loads(fixed->value, JSON_DECODE_ANY, NULL)) != 0) {
      json_decref(out);
      out = NULL;
    }
  return out;
}

json_t *job_spec_json(const struct job_spec *spec) {
  struct field rows[JOB_HYPER_ROWS];
  const struct field_table hyper = job_hyper_fields_of(rows, spec->objective);
  const char *type = objective_names[spec->objective];
  json_t *out = field_write(&job_fields, spec);
  json_t *method =
      json_pack("{ss s{so}}", "type", type, type, "hyperparameters", field_write(&hyper, &spec->hyperparameters));
  int bad = json_object_set_new(out, "method", method);
  bad |= json_object_set_new(out, "adapter", job_spec_adapter(&spec->adapter));
  for (size_t i = 0; i < JOB_SECTION_COUNT; i++) {
    const struct job_section *section = &job_sections[i];
    const void *at = (const char *)spec + section->offset;
    bool absent = section->parent && !*(const bool *)at;
    bad |= json_object_set_new(section->parent ? json_object_get(out, section->parent) : out, section->name,
                               absent ? json_null() : field_write(&section->fields, at));
  }
  bad |= json_object_set_new(out, "metadata", spec->metadata ? json_deep_copy(spec->metadata) : json_null());
  if (!bad)
    return out;
  json_decref(out);
  return NULL;
}
