/* What a field takes, in the words of JSON Schema: for the OpenAPI document and for forms. */
#ifndef API_FIELD_SCHEMA_H
#define API_FIELD_SCHEMA_H

#include "base/field.h"

/* "integer", "string", ... */
const char *field_schema_type(enum field_kind kind);
/* Adds minimum, maximum, minLength, ... False: no memory. */
NODISCARD bool field_schema_bounds(json_t *schema, const struct field *field);
/* A field for a form: {name, type, items, nullable, required, auto, default, minimum, ..., enum, unit, description},
   without what does not hold for it. A new reference. */
NODISCARD json_t *field_schema_member(const struct field *field);
/* An array of those of a table, in its order. */
NODISCARD json_t *field_schema_members(const struct field_table *table);

#endif
