#include "base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Walks the text once before jansson sees it and refuses what would need too much memory. Inside
   strings only quotes and backslashes matter; whether the document is well formed is jansson's
   question. */
static enum status scan(const char *text, size_t length, const struct json_limits *limits, struct error *err) {
  size_t depth = 0, values = 1, line = 1, start = 0;
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    if (c == '"') {
      for (i++; i < length && text[i] != '"'; i++)
        i += text[i] == '\\';
    } else if (c == '\n') {
      line++;
      start = i + 1;
    } else if (c == '[' || c == '{') {
      depth++;
      values++;
    } else if (c == ']' || c == '}') {
      depth -= depth > 0;
    } else if (c == ',' || c == ':') {
      values++;
    }
    if (depth > limits->depth_max)
      return error_set(err, STATUS_INVALID_JSON, NULL, "line %zu, column %zu: more than %zu nested levels", line,
                       i - start + 1, limits->depth_max);
    if (values > limits->values_max)
      return error_set(err, STATUS_TOO_LARGE, NULL, "line %zu, column %zu: more than %zu values", line,
                       i - start + 1, limits->values_max);
  }
  return STATUS_OK;
}

enum status json_parse(json_t **out, const char *text, size_t length, const struct json_limits *limits,
                       struct error *err) {
  struct json_limits use = limits ? *limits : (struct json_limits){0};
  *out = NULL;
  if (!use.bytes_max)
    use.bytes_max = 1 << 20;
  if (!use.depth_max)
    use.depth_max = 32;
  if (!use.values_max)
    use.values_max = 50000;
  if (length > use.bytes_max)
    return error_set(err, STATUS_TOO_LARGE, NULL, "%zu bytes of JSON; at most %zu are read", length, use.bytes_max);
  enum status status = scan(text, length, &use, err);
  if (status)
    return status;
  json_error_t fault;
  *out = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
  if (!*out)
    return error_set(err, STATUS_INVALID_JSON, NULL, "line %d, column %d: %s", fault.line, fault.column,
                     fault.text);
  return STATUS_OK;
}

enum status json_parse_file(json_t **out, const char *path, const struct json_limits *limits, struct error *err) {
  char *text;
  size_t length;
  *out = NULL;
  enum status status = file_read(&text, &length, path, limits && limits->bytes_max ? limits->bytes_max : 1 << 20, err);
  if (status)
    return status;
  status = json_parse(out, text, length, limits, err);
  free(text);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}

const char *json_kind(const json_t *value) {
  switch (json_typeof(value)) {
  case JSON_OBJECT: return "an object";
  case JSON_ARRAY: return "an array";
  case JSON_STRING: return "a string";
  case JSON_INTEGER: return "an integer";
  case JSON_REAL: return "a number";
  case JSON_TRUE: return "true";
  case JSON_FALSE: return "false";
  case JSON_NULL: return "null";
  }
  CHECK(!"a JSON type");
}

static enum status wrong(struct error *err, const char *key, const char *want, const json_t *got) {
  return error_set(err, STATUS_INVALID_VALUE, key, "%s must be %s, not %s", key, want, json_kind(got));
}

enum status json_get_string(const char **out, const json_t *object, const char *key, const char *fallback,
                            struct error *err) {
  const json_t *value = json_object_get(object, key);
  *out = fallback;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (!json_is_string(value))
    return wrong(err, key, "a string", value);
  *out = json_string_value(value);
  return STATUS_OK;
}

enum status json_get_int(int64_t *out, const json_t *object, const char *key, int64_t fallback, int64_t min,
                         int64_t max, struct error *err) {
  const json_t *value = json_object_get(object, key);
  *out = fallback;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (!json_is_integer(value))
    return wrong(err, key, "an integer", value);
  *out = json_integer_value(value);
  if (*out < min || *out > max)
    return error_set(err, STATUS_INVALID_VALUE, key, "%s is %" PRId64 "; it must lie in %" PRId64 "..%" PRId64, key,
                     *out, min, max);
  return STATUS_OK;
}

enum status json_get_number(double *out, const json_t *object, const char *key, double fallback,
                            struct error *err) {
  const json_t *value = json_object_get(object, key);
  *out = fallback;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (!json_is_number(value))
    return wrong(err, key, "a number", value);
  *out = json_number_value(value);
  return STATUS_OK;
}

enum status json_get_bool(bool *out, const json_t *object, const char *key, bool fallback, struct error *err) {
  const json_t *value = json_object_get(object, key);
  *out = fallback;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (!json_is_boolean(value))
    return wrong(err, key, "true or false", value);
  *out = json_is_true(value);
  return STATUS_OK;
}

static int append(const char *bytes, size_t length, void *payload) {
  return str_add(payload, bytes, length) ? 0 : -1;
}

bool json_append(struct str *out, const json_t *value) {
  size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);
  return json_dump_callback(value, append, out, flags) == 0 && !out->failed;
}
