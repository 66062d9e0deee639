#include "worker/file/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

bool directory_find(char path[DIRECTORY_PATH_BYTES], const char *directory, const char *name) {
  int length = snprintf(path, DIRECTORY_PATH_BYTES, "%s/%s", directory, name);
  return length < DIRECTORY_PATH_BYTES && access(path, F_OK) == 0;
}

typedef enum status parse_function(json_t **out, const char *path, const struct json_limits *limits, struct error *err);

static enum status read_object(json_t **out, const char *directory, const char *name, parse_function *parse,
                               const struct json_limits *limits, struct error *err) {
  char path[DIRECTORY_PATH_BYTES];
  *out = NULL;
  if (!directory_find(path, directory, name))
    return STATUS_OK;
  enum status status = parse(out, path, limits, err);
  if (!status && json_is_object(*out))
    return STATUS_OK;
  if (!status)
    error_set(err, STATUS_MODEL_INVALID, name, "%s: this is %s, not an object", path, json_kind(*out));
  json_decref(*out);
  *out = NULL;
  if (err)
    err->status = STATUS_MODEL_INVALID;
  return STATUS_MODEL_INVALID;
}

/* Infinities outside of strings become numbers in the same place. */
static void write_infinities(char *text, size_t length) {
  static const char word[] = "Infinity", number[] = "1e308   ";
  for (size_t i = 0; i < length; i++)
    if (text[i] == '"')
      for (i++; i < length && text[i] != '"'; i++)
        i += text[i] == '\\';
    else if (length - i >= sizeof word - 1 && memcmp(text + i, word, sizeof word - 1) == 0)
      memcpy(text + i, number, sizeof word - 1);
}

static enum status parse_python(json_t **out, const char *path, const struct json_limits *limits, struct error *err) {
  char *text;
  size_t length;
  *out = NULL;
  enum status status = file_read(&text, &length, path, limits->bytes_max, err);
  if (status)
    return status;
  write_infinities(text, length);
  status = json_parse(out, text, length, limits, err);
  free(text);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}

enum status directory_json(json_t **out, const char *directory, const char *name, const struct json_limits *limits,
                           struct error *err) {
  return read_object(out, directory, name, json_parse_file, limits, err);
}

enum status directory_python_json(json_t **out, const char *directory, const char *name,
                                  const struct json_limits *limits, struct error *err) {
  return read_object(out, directory, name, parse_python, limits, err);
}
