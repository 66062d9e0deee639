#include "worker/file/folder.h"

#include <stdio.h>
#include <unistd.h>

bool folder_find(char path[FOLDER_PATH_BYTES], const char *folder, const char *name) {
  int length = snprintf(path, FOLDER_PATH_BYTES, "%s/%s", folder, name);
  return length < FOLDER_PATH_BYTES && access(path, F_OK) == 0;
}

enum status folder_object(json_t **out, const char *folder, const char *name, const struct json_limits *limits,
                          struct error *err) {
  char path[FOLDER_PATH_BYTES];
  *out = NULL;
  if (!folder_find(path, folder, name))
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
