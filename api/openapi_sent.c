/* Field tables as schemas: what the parser takes, neither more nor less, as far as JSON Schema can say it. */
#include "api/openapi_parts.h"

#include <stdio.h>
#include <string.h>

#include "api/field_schema.h"
#include "api/job_fields.h"
#include "api/objective.h"
#include "api/sweep.h"
#include "api/variant.h"

static json_t *set(struct builder *b, json_t *object, const char *key, json_t *value) {
  return openapi_set(b, object, key, value);
}

/* --- one member ------------------------------------------------------------------------------- */

static void add_choices(struct builder *b, json_t *schema, const struct field *field) {
  json_t *names = set(b, schema, "enum", json_array());
  bool words = field->flags & FIELD_BOOL_WORDS;
  for (const char *const *name = field->choices; *name; name++) {
    bool truth = strcmp(*name, "true") == 0, word = words && (truth || strcmp(*name, "false") == 0);
    openapi_append(b, names, word ? json_boolean(truth) : json_string(*name));
  }
  if (!(field->flags & FIELD_REQUIRED))
    openapi_append(b, names, json_null());
  if (words)
    set(b, schema, "type", json_pack("[sss]", "string", "boolean", "null"));
}

/* A list may be written as its only item. */
static void add_items(struct builder *b, json_t *schema, const struct field *field) {
  bool integers = field->kind == FIELD_INT_LIST;
  json_t *types = set(b, schema, "type", json_pack("[ss]", "array", integers ? "integer" : "string"));
  json_t *items = set(b, schema, "items", json_pack("{ss}", "type", integers ? "integer" : "string"));
  if (!(field->flags & FIELD_REQUIRED))
    openapi_append(b, types, json_string("null"));
  if (integers)
    return;
  set(b, items, "minLength", json_integer(1));
  set(b, schema, "minLength", json_integer(1));
}

/* What only code checks, by the member's name. */
static void add_pattern(struct builder *b, json_t *schema, const char *name) {
  static const struct {
    const char *name, *pattern;
  } rows[] = {{"suffix", "^[A-Za-z0-9._-]+$"},
              {"purpose", "^fine-tune$"},
              {"anchor", "^created_at$"},
              {"md5", "^[0-9a-fA-F]{32}$"},
              {"from_checkpoint", "^(ftjob-|ftckpt-|file-|ft:)"},
              {"device", "^(auto|(cpu|opencl|cuda)(:(0|[1-9][0-9]{0,2}))?)$"}};
  static const char exports[] = "^(peft|lora|merged(:(f32|f16|bf16))?|gguf(:(f16|bf16|q8_0))?|gguf-lora|"
                                "diffusers-lora|kohya-lora)$";
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    if (strcmp(rows[i].name, name) == 0)
      set(b, schema, "pattern", json_string(rows[i].pattern));
  if (strcmp(name, "exports") == 0) {
    set(b, schema, "pattern", json_string(exports));
    set(b, json_object_get(schema, "items"), "pattern", json_string(exports));
  }
}

static json_t *field_schema(struct builder *b, const struct field *field) {
  bool required = field->flags & FIELD_REQUIRED;
  const char *type = field_schema_type(field->kind);
  json_t *schema = required ? json_pack("{ss}", "type", type) : json_pack("{s[ss]}", "type", type, "null");
  b->bad |= !field_schema_bounds(schema, field);
  if (field->kind == FIELD_STRING_LIST || field->kind == FIELD_INT_LIST)
    add_items(b, schema, field);
  if (field->kind == FIELD_NUMBER_MAP)
    set(b, schema, "additionalProperties",
        json_pack("{ss sf sf}", "type", "number", "minimum", field->min, "maximum", field->max));
  if (field->kind == FIELD_CHOICE)
    add_choices(b, schema, field);
  add_pattern(b, schema, field->name);
  if (field->flags & FIELD_AUTO)
    schema = json_pack("{s[oo]}", "anyOf", json_pack("{ss}", "const", "auto"), schema);
  if (!required)
    set(b, schema, "default", field_default_json(field));
  char doc[600];
  snprintf(doc, sizeof doc, "%s%s%s%s", field->doc, field->unit ? " In " : "", field->unit ? field->unit : "",
           field->unit ? "." : "");
  set(b, schema, "description", json_string(doc));
  return schema;
}

/* --- tables ----------------------------------------------------------------------------------- */

/* A member's other spelling has the same schema, and excludes it. */
static void add_alias(struct builder *b, json_t *schema, const struct field *field) {
  json_t *properties = json_object_get(schema, "properties");
  json_t *copy = set(b, properties, field->alias, json_deep_copy(json_object_get(properties, field->name)));
  char doc[80];
  snprintf(doc, sizeof doc, "Another name of %s.", field->name);
  set(b, copy, "description", json_string(doc));
  json_object_del(copy, "default");
  json_t *rules = json_object_get(schema, "allOf");
  if (!rules)
    rules = set(b, schema, "allOf", json_array());
  openapi_append(b, rules, json_pack("{s{s[ss]}}", "not", "required", field->name, field->alias));
}

json_t *openapi_table_schema(struct builder *b, const struct field_table *table) {
  json_t *properties = json_object(), *required = json_array();
  json_t *schema = json_pack("{ss sb so so}", "type", "object", "additionalProperties", 0, "required", required,
                             "properties", properties);
  for (size_t i = 0; i < table->count; i++) {
    const struct field *field = &table->fields[i];
    set(b, properties, field->name, field_schema(b, field));
    if (field->flags & FIELD_REQUIRED)
      openapi_append(b, required, json_string(field->name));
    if (field->alias)
      add_alias(b, schema, field);
  }
  return schema;
}

void openapi_add_inert(struct builder *b, json_t *schema, const struct inert_member *rows) {
  for (; rows->name; rows++) {
    json_t *inert = set(b, json_object_get(schema, "properties"), rows->name, json_object());
    json_t *values = set(b, inert, "enum", json_pack("[n]"));
    for (size_t i = 0; i < COUNT_OF(rows->accepted) && rows->accepted[i]; i++)
      openapi_append(b, values, json_loads(rows->accepted[i], JSON_DECODE_ANY, NULL));
    set(b, inert, "description", json_string(rows->refusal));
  }
}

static json_t *nullable(struct builder *b, json_t *object_schema) {
  set(b, object_schema, "type", json_pack("[ss]", "object", "null"));
  return object_schema;
}

/* --- the job ---------------------------------------------------------------------------------- */

static json_t *hyper_schema(struct builder *b, enum objective objective) {
  struct field rows[JOB_HYPER_ROWS];
  const struct field_table fields = job_hyper_fields_of(rows, (int)objective);
  json_t *schema = openapi_table_schema(b, &fields);
  openapi_add_inert(b, schema, job_inert_hyper);
  return nullable(b, schema);
}

/* Names of modules, or a pattern. Of exclude_modules an empty list is none. */
static json_t *modules_schema(bool exclude) {
  return json_pack("{s[sss] si si si s{ss si} ss}", "type", "string", "array", "null", "minLength", 1, "maxLength",
                   1024, "minItems", exclude ? 0 : 1, "items", "type", "string", "minLength", 1, "description",
                   "Names of modules (a suffix of the path is enough), a regular expression for the whole path, or "
                   "\"all-linear\".");
}

static json_t *adapter_schema(struct builder *b, enum peft_type type) {
  struct field rows[JOB_ADAPTER_ROWS];
  struct field_table table = job_adapter_fields(rows, method_of(type));
  json_t *schema = openapi_table_schema(b, &table), *properties = json_object_get(schema, "properties");
  json_t *name = set(b, properties, "peft_type", json_pack("{ss}", "const", method_of(type)->peft_type));
  if (type == PEFT_HRA)
    set(b, name, "default", json_string("HRA"));
  else
    openapi_append(b, json_object_get(schema, "required"), json_string("peft_type"));
  set(b, properties, "target_modules", modules_schema(false));
  set(b, properties, "exclude_modules", modules_schema(true));
  for (const struct method_fixed *fixed = method_of(type)->fixed; fixed->name; fixed++) {
    json_t *values = set(b, set(b, properties, fixed->name, json_object()), "enum", json_pack("[n]"));
    bool null = strcmp(fixed->value, "null") == 0;
    openapi_append(b, values, null ? json_array() : json_loads(fixed->value, JSON_DECODE_ANY, NULL));
  }
  return schema;
}

/* {"type": NAME, NAME: {"hyperparameters": ...}} */
static json_t *method_schema(const char *name, json_t *hyper) {
  return json_pack("{ss s[s] sb s{s{ss} s{s[ss] sb s{so}}}}", "type", "object", "required", "type",
                   "additionalProperties", 0, "properties", "type", "const", name, name, "type", "object", "null",
                   "additionalProperties", 0, "properties", "hyperparameters", hyper);
}

/* An objective; or an adapter's name, whose hyperparameters carry members of both kinds. */
static json_t *methods_schema(struct builder *b) {
  json_t *methods = json_array();
  for (int i = 0; i < OBJECTIVE_COUNT; i++)
    openapi_append(b, methods, method_schema(objective_names[i], hyper_schema(b, (enum objective)i)));
  for (int i = 0; i < PEFT_COUNT; i++) {
    json_t *both = hyper_schema(b, OBJECTIVE_SUPERVISED), *adapter = adapter_schema(b, (enum peft_type)i);
    json_object_del(json_object_get(adapter, "properties"), "peft_type");
    b->bad |= json_object_update(json_object_get(both, "properties"), json_object_get(adapter, "properties"));
    if (json_object_get(adapter, "allOf"))
      b->bad |= json_object_set(both, "allOf", json_object_get(adapter, "allOf"));
    json_decref(adapter);
    openapi_append(b, methods, method_schema(method_of((enum peft_type)i)->name, both));
  }
  openapi_append(b, methods, json_pack("{ss}", "type", "null"));
  return json_pack("{so ss}", "oneOf", methods, "description",
                   "What is trained towards, as OpenAI has it; or, for short, the adapter's method with its members "
                   "among the hyperparameters.");
}

/* Rules between members: what may not stand together, and what is judged by evaluations. As JSON, since it is data. */
static void add_rules(struct builder *b, json_t *schema) {
  static const char text[] =
      "[{'if': {'required': ['adapter'], 'properties': {'adapter': {'type': 'object'}}},"
      "  'then': {'properties': {'method': {'properties': {'type': {'enum': ['supervised', 'dpo', 'orpo', 'kto']}}}}}},"
      " {'if': {'required': ['hyperparameters'], 'properties': {'hyperparameters': {'type': 'object'}}},"
      "  'then': {'properties': {'method': {'additionalProperties': {'properties': {'hyperparameters': {'type': "
      "'null'}}},"
      "                                     'properties': {'type': {}}}}}},"
      " {'if': {'anyOf': [{'required': ['early_stopping'], 'properties': {'early_stopping': {'type': 'object', "
      "'anyOf': ["
      "           {'required': ['patience'], 'properties': {'patience': {'type': 'integer', 'minimum': 1}}},"
      "           {'required': ['early_stopping_patience'],"
      "            'properties': {'early_stopping_patience': {'type': 'integer', 'minimum': 1}}}]}}},"
      "         {'required': ['evaluation'], 'properties': {'evaluation': {'type': 'object', 'required': ['generate'],"
      "           'properties': {'generate': {'type': 'object'}}}}},"
      "         {'required': ['checkpointing'], 'properties': {'checkpointing': {'type': 'object', 'anyOf': ["
      "           {'required': ['keep_best'], 'properties': {'keep_best': {'const': true}}},"
      "           {'required': ['load_best_at_end'], 'properties': {'load_best_at_end': {'const': true}}},"
      "           {'required': ['load_best_model_at_end'],"
      "            'properties': {'load_best_model_at_end': {'const': true}}}]}}}]},"
      "  'then': {'required': ['validation_file'], 'properties': {'validation_file': {'type': 'string'}}}},"
      " {'if': {'required': ['recipe'], 'properties': {'recipe': {'type': 'string'}}},"
      "  'then': {'required': ['task'], 'properties': {'task': {'type': 'string', 'pattern': '^glue/'}}}}]";
  set(b, schema, "allOf", openapi_json(text));
}

json_t *openapi_job_schema(struct builder *b) {
  json_t *schema = openapi_table_schema(b, &job_fields), *properties = json_object_get(schema, "properties");
  json_t *adapters = json_array();
  for (int i = 0; i < PEFT_COUNT; i++)
    openapi_append(b, adapters, adapter_schema(b, (enum peft_type)i));
  openapi_append(b, adapters, json_pack("{ss}", "type", "null"));
  set(b, properties, "method", methods_schema(b));
  json_t *old = set(b, properties, "hyperparameters", hyper_schema(b, OBJECTIVE_SUPERVISED));
  set(b, old, "deprecated", json_true());
  set(b, old, "description", json_string("The older place of method.supervised.hyperparameters."));
  set(b, properties, "adapter", json_pack("{so}", "oneOf", adapters));
  for (size_t i = 0; i < JOB_SECTION_COUNT; i++) {
    const struct job_section *section = &job_sections[i];
    json_t *within = section->parent ? json_object_get(properties, section->parent) : schema;
    set(b, json_object_get(within, "properties"), section->name,
        nullable(b, openapi_table_schema(b, &section->fields)));
  }
  set(b, properties, "metadata",
      json_pack("{s[ss] si s{si} s{ss si}}", "type", "object", "null", "maxProperties", 16, "propertyNames",
                "maxLength", 64, "additionalProperties", "type", "string", "maxLength", 512));
  openapi_add_inert(b, schema, job_inert_top);
  add_rules(b, schema);
  return schema;
}

/* --- the sweep -------------------------------------------------------------------------------- */

json_t *openapi_sweep_schema(struct builder *b) {
  static const char field[] = "^[^.]+(\\.[^.]+)*$";
  static const char rules[] =
      "[{'not': {'required': ['grid', 'list'],"
      "          'properties': {'grid': {'type': 'object'}, 'list': {'type': 'array'}}}},"
      " {'anyOf': [{'required': ['grid'], 'properties': {'grid': {'type': 'object'}}},"
      "            {'required': ['list'], 'properties': {'list': {'type': 'array'}}},"
      "            {'required': ['methods'], 'properties': {'methods': {'type': ['array', 'string']}}}]}]";
  json_t *schema = openapi_table_schema(b, &sweep_fields), *properties = json_object_get(schema, "properties");
  json_t *metrics = set(b, json_object_get(properties, "metric"), "enum", json_pack("[ns]", SWEEP_TRAIN_LOSS));
  for (int i = 0; i < METRIC_COUNT; i++)
    openapi_append(b, metrics, json_string(job_metric_names[i]));
  json_t *methods = set(b, json_object_get(json_object_get(properties, "methods"), "items"), "enum", json_array());
  for (size_t i = 0; i < VARIANT_COUNT; i++)
    openapi_append(b, methods, json_string(variants[i].name));
  set(b, json_object_get(properties, "methods"), "pattern", json_string("^(hra|hra-gs|hra-lambda|lora|oft|boft)$"));
  set(b, json_object_get(properties, "methods"), "uniqueItems", json_true());
  set(b, properties, "job",
      json_pack("{ss ss}", "type", "object", "description",
                "The members of a JobRequest; what each job has of it with its own values must be one."));
  set(b, properties, "grid",
      json_pack("{s[ss] si si s{ss si} s{ss si si sb} ss}", "type", "object", "null", "minProperties", 1,
                "maxProperties", SWEEP_FIELDS_MAX, "propertyNames", "pattern", field, "maxLength", SWEEP_PATH_MAX - 1,
                "additionalProperties", "type", "array", "minItems", 1, "maxItems", SWEEP_JOBS_MAX, "uniqueItems", 1,
                "description",
                "Fields with a list of values each: a job for each combination. A field is a path in a job's body "
                "(adapter.r); of a hyperparameter its name is enough (learning_rate)."));
  set(b, properties, "list",
      json_pack("{s[ss] si si sb s{ss si s{ss si}} ss}", "type", "array", "null", "minItems", 1, "maxItems",
                SWEEP_JOBS_MAX, "uniqueItems", 1, "items", "type", "object", "maxProperties", SWEEP_FIELDS_MAX,
                "propertyNames", "pattern", field, "maxLength", SWEEP_PATH_MAX - 1, "description",
                "Or the combinations one by one, each {field: value}."));
  openapi_append(b, json_object_get(schema, "required"), json_string("job"));
  set(b, schema, "allOf", openapi_json(rules));
  return schema;
}
