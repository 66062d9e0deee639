/* The small JSON files of a model's folder. */
#ifndef WORKER_FILE_FOLDER_H
#define WORKER_FILE_FOLDER_H

#include <stdbool.h>

#include "base/json.h"

enum { FOLDER_PATH_BYTES = 1200 };

/* Is there a file of that name? `path` is where it would be. */
bool folder_find(char path[FOLDER_PATH_BYTES], const char *folder, const char *name);
/* Reads it: a new object in *out, NULL when there is no such file. STATUS_MODEL_INVALID for one that is no JSON object
   within `limits`. */
NODISCARD enum status folder_object(json_t **out, const char *folder, const char *name,
                                    const struct json_limits *limits, struct error *err);

#endif
