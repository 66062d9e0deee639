/* The small JSON files of a model's directory. */
#ifndef WORKER_FILE_DIRECTORY_H
#define WORKER_FILE_DIRECTORY_H

#include <stdbool.h>

#include "base/json.h"

enum { DIRECTORY_PATH_BYTES = 1200 };

/* Is there a file of that name? `path` is where it would be. */
bool directory_find(char path[DIRECTORY_PATH_BYTES], const char *directory, const char *name);
/* Reads it: a new object in *out, NULL when there is no such file. STATUS_MODEL_INVALID for one that is no JSON object
   within `limits`. */
NODISCARD enum status directory_json(json_t **out, const char *directory, const char *name,
                                     const struct json_limits *limits, struct error *err);

/* The same of a file that Python's json wrote, which has Infinity and -Infinity for such numbers: 1e308 and -1e308
   here. limits->bytes_max is not 0. */
NODISCARD enum status directory_python_json(json_t **out, const char *directory, const char *name,
                                            const struct json_limits *limits, struct error *err);

#endif
