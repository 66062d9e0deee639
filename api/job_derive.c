/* A job made from another. */
#include <string.h>
#include <strings.h>

#include "api/job.h"
#include "base/json.h"

json_t *job_adapter_shared(const json_t *adapter) {
  static const char *const shared[] = {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
                                       "modules_to_save"};
  json_t *out = json_object();
  for (size_t i = 0; i < COUNT_OF(shared); i++)
    if (json_object_get(adapter, shared[i]))
      json_object_set(out, shared[i], json_object_get(adapter, shared[i]));
  return out;
}

static void change_method(json_t *body, const char *from, const char *to) {
  enum peft_type old = method_parse(from);
  if (strcasecmp(from, to) == 0)
    return;
  json_object_set_new(body, "adapter", job_adapter_shared(json_object_get(body, "adapter")));
  json_t *method = json_object_get(body, "method");
  method = json_object_get(method, json_string_value(json_object_get(method, "type")));
  json_t *hyper = json_object_get(method, "hyperparameters"), *rate = json_object_get(hyper, "learning_rate");
  if (old < PEFT_COUNT && json_is_number(rate) && json_number_value(rate) == method_of(old)->learning_rate)
    json_object_del(hyper, "learning_rate");
}

json_t *job_spec_derive(const json_t *document, const json_t *changes) {
  json_t *body = json_deep_copy(document);
  const char *from = json_string_value(json_object_get(json_object_get(body, "adapter"), "peft_type"));
  const char *to = json_string_value(json_object_get(json_object_get(changes, "adapter"), "peft_type"));
  if (body && from && to)
    change_method(body, from, to);
  if (body && json_merge(body, changes))
    return body;
  json_decref(body);
  return NULL;
}
