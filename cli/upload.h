/* A local file becomes a checked file of the server. */
#ifndef CLI_UPLOAD_H
#define CLI_UPLOAD_H

#include <jansson.h>

#include "cli/command.h"

/* Uploads `path` and, with `wait`, polls until the server has checked it. *out is the file object
   (owned by the caller; NULL on failure, which has been printed). Warnings of the check go to standard
   error. A file that is not valid is EXIT_UNSUCCESSFUL, its errors printed, *out given. */
enum exit_code upload_file(struct cli *cli, json_t **out, const char *path, const char *purpose, bool wait);
/* The same; a file with more than `part_bytes` bytes goes in parts of that size, and the same call goes on where it was
   interrupted. */
enum { UPLOAD_PART_BYTES = 64 << 20 };
enum exit_code upload_file_in_parts(struct cli *cli, json_t **out, const char *path, const char *purpose, bool wait,
                                    uint64_t part_bytes);

#endif
