#include "api/openapi_builder.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"

json_t *openapi_set(struct builder *b, json_t *object, const char *key, json_t *value) {
  b->bad |= json_object_set_new(object, key, value) != 0;
  return value;
}

json_t *openapi_append(struct builder *b, json_t *array, json_t *value) {
  b->bad |= json_array_append_new(array, value) != 0;
  return value;
}

json_t *openapi_ref(const char *kind, const char *name) {
  char path[96];
  snprintf(path, sizeof path, "#/components/%s/%s", kind, name);
  return json_pack("{ss}", "$ref", path);
}

json_t *openapi_json(const char *text) {
  char json[4096];
  CHECK(strlen(text) < sizeof json);
  for (size_t i = 0; i <= strlen(text); i++)
    json[i] = text[i] == '\'' ? '"' : text[i];
  return json_loads(json, 0, NULL);
}
