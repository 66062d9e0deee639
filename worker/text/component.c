#include "worker/text/component.h"

#include <string.h>

#include "base/json.h"

enum { LITERAL_BYTES_MAX = 4096 };

enum status component_blame(struct error *err, enum status status, const char *name) {
  if (!status)
    return STATUS_OK;
  if (err)
    err->status = STATUS_MODEL_INVALID;
  error_prefix(err, "%s", name);
  return STATUS_MODEL_INVALID;
}

enum status component_type(const char **out, const json_t *from, const char *name, struct error *err) {
  *out = json_string_value(json_object_get(from, "type"));
  if (!*out)
    return error_set(err, STATUS_MODEL_INVALID, name, "%s: a %s with a type is needed", name, name);
  return STATUS_OK;
}

enum status component_unsupported(const char *name, const char *type, struct error *err) {
  return error_set(err, STATUS_MODEL_INVALID, name, "%s: the type %.60s is not supported", name, type);
}

enum status component_bool(bool *out, const json_t *from, const char *key, bool fallback, const char *name,
                           struct error *err) {
  return component_blame(err, json_get_bool(out, from, key, fallback, err), name);
}

enum status component_string(const char **out, struct arena *arena, const json_t *from, const char *key,
                             const char *fallback, const char *name, struct error *err) {
  const char *text;
  enum status status = json_get_string(&text, from, key, fallback, err);
  if (status)
    return component_blame(err, status, name);
  if (!text)
    return error_set(err, STATUS_MODEL_INVALID, name, "%s: %s is missing", name, key);
  if (strlen(text) > LITERAL_BYTES_MAX)
    return error_set(err, STATUS_MODEL_INVALID, name, "%s: %s has %zu bytes", name, key, strlen(text));
  *out = arena_string(arena, text);
  return *out ? STATUS_OK : error_no_memory(err, "the tokenizer");
}

enum status component_pattern(struct pattern *out, struct arena *arena, const json_t *from, const char *key,
                              const char *name, struct error *err) {
  const json_t *pattern = json_object_get(from, key);
  const char *regex = json_string_value(json_object_get(pattern, "Regex"));
  *out = (struct pattern){0};
  if (regex) {
    enum status status = pattern_regex(out, regex, err);
    return status ? error_prefix(err, "%s", name) : STATUS_OK;
  }
  enum status status = component_string(&out->literal, arena, pattern, "String", NULL, name, err);
  if (status)
    return status;
  out->length = strlen(out->literal);
  if (out->length == 0)
    return error_set(err, STATUS_MODEL_INVALID, name, "%s: %s is empty", name, key);
  return STATUS_OK;
}

enum status component_list(const json_t **out, const json_t *from, const char *key, const char *name,
                           struct error *err) {
  *out = json_object_get(from, key);
  if (!json_is_array(*out))
    return error_set(err, STATUS_MODEL_INVALID, name, "%s: a Sequence needs an array %s", name, key);
  return STATUS_OK;
}
