#include "worker/file/directory.h"

#include <stdio.h>
#include <unistd.h>

bool directory_find(char path[DIRECTORY_PATH_BYTES], const char *directory, const char *name) {
  int length = snprintf(path, DIRECTORY_PATH_BYTES, "%s/%s", directory, name);
  return length < DIRECTORY_PATH_BYTES && access(path, F_OK) == 0;
}

enum status directory_json(json_t **out, const char *directory, const char *name, const struct json_limits *limits,
                           struct error *err) {
  char path[DIRECTORY_PATH_BYTES];
  *out = NULL;
  if (!directory_find(path, directory, name))
    return STATUS_OK;
  enum status status = json_parse_file(out, path, limits, err);
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
