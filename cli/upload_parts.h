/* A large file in parts, which goes on after an interruption. */
#ifndef CLI_UPLOAD_PARTS_H
#define CLI_UPLOAD_PARTS_H

#include "cli/command.h"

/* Sends the parts that the server does not have yet, of an upload that was begun for this file (same name, same bytes)
   and not completed, or of a new one, and completes it. *out is the file object (owned by the caller). */
NODISCARD enum status upload_parts(struct cli *cli, json_t **out, const char *path, const char *purpose,
                                   uint64_t part_bytes, const struct http_progress *progress, struct error *err);

#endif
