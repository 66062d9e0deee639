/* How the OpenAPI document's parts are put together. Failures of jansson's setters are noted, so that a document with
   one is dropped. */
#ifndef API_OPENAPI_BUILDER_H
#define API_OPENAPI_BUILDER_H

#include <jansson.h>

struct builder {
  int bad;
};
/* Both take `value` over and return it. */
json_t *openapi_set(struct builder *b, json_t *object, const char *key, json_t *value);
json_t *openapi_append(struct builder *b, json_t *array, json_t *value);
/* {"$ref": "#/components/KIND/NAME"}. */
json_t *openapi_ref(const char *kind, const char *name);

/* A value from text that has single quotes for double ones; at most 4 KiB. */
json_t *openapi_json(const char *text);

#endif
