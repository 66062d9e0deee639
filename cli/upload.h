/* A local file becomes a checked file of the server. */
#ifndef CLI_UPLOAD_H
#define CLI_UPLOAD_H

#include <jansson.h>

#include "cli/command.h"

/* Uploads `path` and, with `wait`, polls until the server has checked it. *out is the file object
   (owned by the caller; NULL on failure, which has been printed). Warnings of the check go to standard
   error. A file that is not valid is EXIT_UNSUCCESSFUL, its errors printed, *out given. */
enum exit_code upload_file(struct cli *cli, json_t **out, const char *path, const char *purpose, bool wait);

#endif
