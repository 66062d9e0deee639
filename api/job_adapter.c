/* The `adapter` object. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/job_fields.h"
#include "base/json.h"

static const char *const elsewhere[] = {"peft_type", "target_modules", "exclude_modules", NULL};

bool job_adapter_has(const struct method *method, const char *name) {
  struct field rows[JOB_ADAPTER_ROWS];
  struct field_table table = job_adapter_fields(rows, method);
  for (const char *const *other = elsewhere; *other; other++)
    if (strcmp(*other, name) == 0)
      return true;
  for (const struct method_fixed *fixed = method->fixed; fixed->name; fixed++)
    if (strcmp(fixed->name, name) == 0)
      return true;
  return field_find(&table, name) != NULL;
}

static void param_of(char out[96], const char *path, const char *name) {
  snprintf(out, 96, "%s.%s", path, name);
}

static enum peft_type read_type(const json_t *object, const char *path, struct fault_list *faults) {
  const json_t *value = json_object_get(object, "peft_type");
  char param[96];
  param_of(param, path, "peft_type");
  if (!value || json_is_null(value))
    return PEFT_HRA;
  if (!json_is_string(value)) {
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s must be a string, not %s", param, json_kind(value));
    return PEFT_HRA;
  }
  enum peft_type type = method_parse(json_string_value(value));
  if (type != PEFT_COUNT)
    return type;
  char names[128] = "";
  for (int i = 0; i < PEFT_COUNT; i++) {
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", method_of((enum peft_type)i)->peft_type);
  }
  fault_add(faults, STATUS_UNSUPPORTED_VALUE, param, "%s must be one of: %s", param, names);
  return PEFT_COUNT;
}

/* A string is a pattern, a list is a list of names. */
static void read_modules(struct module_match *out, const json_t *object, const char *path, const char *name,
                         struct arena *arena, struct fault_list *faults) {
  static const struct field pattern = {
      .name = "pattern", .kind = FIELD_STRING, .offset = offsetof(struct module_match, pattern), .min = 1, .max = 1024};
  static const struct field names = {.name = "names",
                                     .kind = FIELD_STRING_LIST,
                                     .offset = offsetof(struct module_match, names),
                                     .min = 1,
                                     .max = 1024};
  const json_t *value = json_object_get(object, name);
  char param[96];
  struct error err;
  param_of(param, path, name);
  bool none = strcmp(name, "exclude_modules") == 0 && json_is_array(value) && json_array_size(value) == 0;
  if (!value || json_is_null(value) || none)
    return;
  if (!json_is_string(value) && !json_is_array(value)) {
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s must be a string or an array of strings, not %s", param,
              json_kind(value));
    return;
  }
  if (field_set_json(json_is_string(value) ? &pattern : &names, out, value, param, arena, &err))
    fault_add(faults, err.status, err.param, "%s", err.text);
  if (out->pattern && strcasecmp(out->pattern, "all-linear") == 0)
    out->pattern = "all-linear";
}

static void check_layers(const struct adapter_spec *adapter, const char *path, struct fault_list *faults) {
  char param[96];
  const struct int_list *layers = &adapter->layers_to_transform;
  param_of(param, path, "layers_to_transform");
  if (layers->count && adapter->target_modules.pattern)
    fault_add(
        faults, STATUS_INVALID_VALUE, param,
        "%s cannot be used where target_modules is a string: put the layers into the pattern, or list the modules",
        param);
  for (size_t i = 0; i < layers->count; i++)
    if (layers->item[i] < 0 || layers->item[i] > 9999) {
      fault_add(faults, STATUS_INVALID_VALUE, param, "item %zu of %s must be at least 0 and at most 9999", i, param);
      break;
    }
  if (adapter->layers_pattern.count && !layers->count) {
    param_of(param, path, "layers_pattern");
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s needs layers_to_transform", param);
  }
}

/* Takes the members that can only have one value out of a copy of `object`; a new reference. */
static json_t *without_fixed(const json_t *object, const struct method *method, const char *path,
                             struct fault_list *faults) {
  json_t *rest = json_copy((json_t *)(uintptr_t)object);
  char param[96];
  for (const struct method_fixed *fixed = method->fixed; rest && fixed->name; fixed++) {
    const json_t *value = json_object_get(rest, fixed->name);
    if (!value)
      continue;
    AUTO(json_release) json_t *only = json_loads(fixed->value, JSON_DECODE_ANY, NULL);
    bool number = json_is_number(value) && json_is_number(only);
    bool nothing = json_is_null(value) || (json_is_null(only) && json_is_array(value) && json_array_size(value) == 0);
    if (!nothing && !json_equal(only, value) &&
        !(number && json_number_value(value) == json_number_value(only))) {
      param_of(param, path, fixed->name);
      fault_add(faults, STATUS_UNSUPPORTED_VALUE, param, "%s: only %s is supported", param, fixed->value);
    }
    json_object_del(rest, fixed->name);
  }
  if (!rest)
    fault_add(faults, STATUS_OUT_OF_MEMORY, path, "%s does not fit into memory", path);
  return rest;
}

static const char token_indices[] = "trainable_token_indices";

/* PEFT's other form of trainable_token_indices is an object that names the embedding. A copy of `object` with the list
   in its place, and *module the name: NULL where it is a list as it is. A new reference; NULL, and a fault: no memory.
 */
static json_t *with_token_list(const char **module, const json_t *object, const char *path, struct arena *arena,
                               struct fault_list *faults) {
  json_t *out = json_copy((json_t *)(uintptr_t)object), *named = json_object_get(object, token_indices);
  void *first = json_object_iter(named);
  char param[96];
  param_of(param, path, token_indices);
  *module = NULL;
  if (json_is_object(named) && json_object_size(named) != 1)
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "%s names %zu modules: it must be a list, or an object with the name of the input embedding alone", param,
              json_object_size(named));
  if (json_is_object(named))
    json_object_del(out, token_indices);
  if (json_object_size(named) == 1) {
    *module = arena_string(arena, json_object_iter_key(first));
    if (!*module || json_object_set(out, token_indices, json_object_iter_value(first)) != 0) {
      json_decref(out);
      out = NULL;
    }
  }
  if (!out)
    fault_add(faults, STATUS_OUT_OF_MEMORY, path, "%s does not fit into memory", path);
  return out;
}

/* The members of `object` as they are: none is judged by another. */
static void read_members(struct adapter_spec *out, const struct field_table *table, const json_t *object,
                         const char *path, struct arena *arena, struct fault_list *faults) {
  const char *module;
  AUTO(json_release) json_t *plain = with_token_list(&module, object, path, arena, faults);
  if (!plain)
    return;
  field_read(table, out, plain, path, elsewhere, arena, faults);
  if (out->peft_type == PEFT_LORA && out->lora.trainable_token_indices.count)
    out->lora.trainable_token_module = module;
  read_modules(&out->target_modules, object, path, "target_modules", arena, faults);
  read_modules(&out->exclude_modules, object, path, "exclude_modules", arena, faults);
}

void job_adapter_parse(struct adapter_spec *out, const json_t *object, const char *path, struct arena *arena,
                       struct fault_list *faults) {
  struct field rows[JOB_ADAPTER_ROWS];
  *out = (struct adapter_spec){.peft_type = PEFT_HRA};
  if (object && !json_is_object(object)) {
    fault_add(faults, STATUS_INVALID_VALUE, path, "%s must be an object, not %s", path, json_kind(object));
    return;
  }
  enum peft_type type = object ? read_type(object, path, faults) : PEFT_HRA;
  if (type == PEFT_COUNT)
    return; /* without the method nothing else can be judged */
  out->peft_type = type;
  const struct method *method = method_of(type);
  struct field_table table = job_adapter_fields(rows, method);
  if (!object) {
    field_defaults(&table, out);
    return;
  }
  AUTO(json_release) json_t *rest = without_fixed(object, method, path, faults);
  if (!rest)
    return;
  read_members(out, &table, rest, path, arena, faults);
  check_layers(out, path, faults);
  method->validate(out, object, path, faults);
}

void job_adapter_restore(struct adapter_spec *out, const json_t *object, struct arena *arena,
                         struct fault_list *faults) {
  struct field rows[JOB_ADAPTER_ROWS];
  *out = (struct adapter_spec){.peft_type = read_type(object, "adapter", faults)};
  if (out->peft_type == PEFT_COUNT)
    return;
  struct field_table table = job_adapter_fields(rows, method_of(out->peft_type));
  read_members(out, &table, object, "adapter", arena, faults);
}
