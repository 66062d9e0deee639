#include "api/field_schema.h"

#include <math.h>
#include <string.h>

const char *field_schema_type(enum field_kind kind) {
  switch (kind) {
  case FIELD_BOOL: return "boolean";
  case FIELD_INT: return "integer";
  case FIELD_NUMBER: return "number";
  case FIELD_STRING: return "string";
  case FIELD_CHOICE: return "string";
  case FIELD_STRING_LIST: return "array";
  case FIELD_INT_LIST: return "array";
  case FIELD_NUMBER_MAP: return "object";
  }
  CHECK(!"a field kind");
}

bool field_schema_bounds(json_t *schema, const struct field *field) {
  if ((field->min == 0 && field->max == 0) || field->kind == FIELD_NUMBER_MAP)
    return true;
  bool number = field->kind == FIELD_NUMBER, value = number || field->kind == FIELD_INT;
  const char *low = field->flags & FIELD_EXCLUSIVE ? "exclusiveMinimum" : "minimum", *high = "maximum";
  if (!value) {
    low = field->kind == FIELD_STRING ? "minLength" : "minItems";
    high = field->kind == FIELD_STRING ? "maxLength" : "maxItems";
  }
  int bad = json_object_set_new(schema, low, number ? json_real(field->min) : json_integer((json_int_t)field->min));
  if (!isinf(field->max))
    bad |= json_object_set_new(schema, high, number ? json_real(field->max) : json_integer((json_int_t)field->max));
  return !bad;
}

static json_t *choices(const struct field *field) {
  json_t *out = json_array();
  int bad = 0;
  for (const char *const *name = field->choices; *name; name++) {
    bool truth = strcmp(*name, "true") == 0, word = truth || strcmp(*name, "false") == 0;
    bad |=
        json_array_append_new(out, word && field->flags & FIELD_BOOL_WORDS ? json_boolean(truth) : json_string(*name));
  }
  if (!bad)
    return out;
  json_decref(out);
  return NULL;
}

json_t *field_schema_member(const struct field *field) {
  bool required = field->flags & FIELD_REQUIRED;
  json_t *out = json_pack("{ss ss sb ss}", "name", field->name, "type", field_schema_type(field->kind), "required",
                          required, "description", field->doc ? field->doc : "");
  int bad = !field_schema_bounds(out, field);
  if (!required)
    bad |= json_object_set_new(out, "default", field_default_json(field));
  if (field->flags & FIELD_AUTO)
    bad |= json_object_set_new(out, "auto", json_true());
  if (field->alias)
    bad |= json_object_set_new(out, "alias", json_string(field->alias));
  if (field->unit)
    bad |= json_object_set_new(out, "unit", json_string(field->unit));
  if (field->kind == FIELD_CHOICE)
    bad |= json_object_set_new(out, "enum", choices(field));
  if (field->kind == FIELD_STRING_LIST || field->kind == FIELD_INT_LIST)
    bad |= json_object_set_new(out, "items", json_string(field->kind == FIELD_INT_LIST ? "integer" : "string"));
  if (field->kind == FIELD_NUMBER_MAP)
    bad |= json_object_set_new(out, "values",
                               json_pack("{ss sf sf}", "type", "number", "minimum", field->min, "maximum", field->max));
  if (out && !bad)
    return out;
  json_decref(out);
  return NULL;
}

json_t *field_schema_members(const struct field_table *table) {
  json_t *out = json_array();
  for (size_t i = 0; out && i < table->count; i++)
    if (json_array_append_new(out, field_schema_member(&table->fields[i])) != 0) {
      json_decref(out);
      return NULL;
    }
  return out;
}
